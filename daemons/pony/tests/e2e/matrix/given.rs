//! Giving orders.

use super::orders::Order;
use super::scene::{Scene, remove};
use crate::cloud::{HOSTS, merge, named};
use pony::client::ClientError;
use serde_json::{Map, Value as Json, json};
use std::time::{Duration, Instant};

/// Sizes of a volume, MiB: before and after it grew.
pub(super) const SIZES_MIB: [u64; 2] = [8, 12];

/// How long it may take until somebody takes an order: a database is back by then.
const TAKEN: Duration = Duration::from_secs(40);

/// The status of an answer by who cannot take orders now.
const UNAVAILABLE: u16 = 503;

impl Scene {
    fn instance_path(&self) -> String {
        format!("/tenant/{}/children/instance/{}", self.tenant, self.instance)
    }

    pub(super) async fn give(&mut self, order: Order) {
        let state = |it: &Self, state: &str| {
            vec![
                json!({"op": "replace", "path": format!("{}/desired/state", it.instance_path()), "value": state}),
            ]
        };
        let ops = match order {
            Order::Create => return self.create(0, Some(&self.image.clone())).await,
            Order::CreateShared => return self.create(self.pools.len() - 1, None).await,
            Order::Evacuate => {
                self.home = self.number();
                self.host_states(["evacuated", "present"])
            }
            Order::Return => self.host_states(["present", "evacuated"]),
            Order::EvacuateAgain => {
                self.patch(&self.host_states(["present", "evacuated"])).await;
                self.host_states(["evacuated", "present"])
            }
            Order::Pin => vec![self.move_pin(0, 1)],
            Order::PinBack => vec![self.move_pin(1, 0)],
            Order::Plug => return self.plug().await,
            Order::CopyImage => return self.copy_image().await,
            Order::Replug => return self.replug().await,
            Order::Start => state(self, "running"),
            Order::Stop => state(self, "stopped"),
            Order::Pause => state(self, "paused"),
            Order::Unplug => vec![remove(&format!("{}/children/vnic/{}", self.instance_path(), self.vnic))],
            Order::Grow => {
                let path = format!("/tenant/{}/children/volume/{}/desired/size", self.tenant, self.volume);
                vec![json!({"op": "replace", "path": path, "value": SIZES_MIB[1]})]
            }
            Order::Tell => {
                self.told = self.discs();
                self.count += 1;
                let (path, value) = (self.instance_path(), format!("#cloud-config\n# {}\n", self.count));
                vec![json!({"op": "add", "path": format!("{path}/desired/user_data"), "value": value})]
            }
            Order::Delete => self.parts.drain(..).map(|path| remove(&path)).collect(),
            Order::DeleteCopy => {
                self.copy.iter().map(|(image, _)| remove(&format!("/image/{image}"))).collect()
            }
        };
        self.patch(&ops).await;
    }

    /// Orders, as soon as somebody is there to take it.
    async fn patch(&self, ops: &[Json]) -> Map<String, Json> {
        let deadline = Instant::now() + TAKEN;
        loop {
            match self.cloud.try_patch(ops).await {
                Ok(uuids) => return uuids,
                Err(ClientError::Refused(it)) if it.status != UNAVAILABLE => panic!("{ops:#?}: {it}"),
                Err(error) => assert!(Instant::now() < deadline, "nobody takes {ops:#?}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The host that it was on, and the other one, are to be so.
    fn host_states(&self, states: [&str; HOSTS]) -> Vec<Json> {
        let path = |away: usize| {
            let host = &self.cloud.hosts[(self.home + away) % HOSTS];
            format!("/host/{}/desired/state", host.uuid)
        };
        let states = states.into_iter().enumerate();
        states.map(|(away, state)| json!({"op": "replace", "path": path(away), "value": state})).collect()
    }

    /// The pin goes from one host to another.
    fn move_pin(&self, from: usize, to: usize) -> Json {
        let path = |n: usize| format!("/host/{}/children/pin/{}", self.cloud.hosts[n].uuid, self.pin);
        json!({"op": "move", "from": path(from), "path": path(to)})
    }

    /// Instances may be everywhere.
    pub(super) async fn allow_hosts(&mut self) {
        if self.cloud.hosts.len() > 1 {
            self.patch(&self.host_states(["present"; HOSTS])).await;
        }
        self.home = 0;
    }

    /// An instance with a disk in that pool, filled from an image or empty.
    async fn create(&mut self, pool: usize, image: Option<&str>) {
        self.count += 1;
        let (tenant, pool) = (format!("/tenant/{}", self.tenant), &self.pools[pool].uuid);
        let (name, instance) =
            (format!("web {}", self.count), format!("{tenant}/children/instance/$instance"));
        let volume = json!({
            "name": name, "storage_pool": pool, "size": SIZES_MIB[0], "format": "qcow2", "base_image": image,
        });
        let guest = json!({"name": name, "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 32});
        let mut ops = vec![
            merge(&format!("{tenant}/children/switch/$switch"), &json!({"name": name, "type": "bridge"})),
            merge(&format!("{tenant}/children/volume/$volume"), &volume),
            merge(&instance, &guest),
            merge(&format!("{instance}/children/vdisk/$vdisk"), &json!({"volume": "$volume", "index": 0})),
            merge(&format!("{instance}/children/vnic/$vnic"), &json!({"switch": "$switch", "index": 0})),
        ];
        if self.cloud.hosts.len() > 1 && image.is_some() {
            let pin = json!({"host": self.cloud.host});
            ops.push(merge(&format!("{instance}/children/pin/$pin"), &pin));
        }
        let uuids = self.patch(&ops).await;
        let uuid = |name: &str| uuids.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        self.instance = named(&uuids, "$instance").parse().unwrap();
        (self.volume, self.switch, self.vnic, self.pin) =
            (uuid("$volume"), uuid("$switch"), uuid("$vnic"), uuid("$pin"));
        self.parts = vec![
            self.instance_path(),
            format!("{tenant}/children/volume/{}", self.volume),
            format!("{tenant}/children/switch/{}", self.switch),
        ];
    }

    async fn plug(&mut self) {
        let (tenant, instance) = (format!("/tenant/{}", self.tenant), self.instance_path());
        let volume = json!({"name": "more", "storage_pool": self.pools[0].uuid, "size": SIZES_MIB[0], "format": "raw"});
        let uuids = self
            .patch(&[
                merge(&format!("{tenant}/children/volume/$volume"), &volume),
                merge(
                    &format!("{instance}/children/vdisk/$vdisk"),
                    &json!({"volume": "$volume", "index": 1}),
                ),
                merge(
                    &format!("{instance}/children/vnic/$vnic"),
                    &json!({"switch": self.switch, "index": 1}),
                ),
            ])
            .await;
        self.parts.push(format!("{tenant}/children/volume/{}", named(&uuids, "$volume")));
    }

    async fn replug(&mut self) {
        self.count += 1;
        let tenant = format!("/tenant/{}", self.tenant);
        let switch = json!({"name": format!("other {}", self.count), "type": "bridge"});
        let card = |switch: &str| format!("{tenant}/children/switch/{switch}/children/vnic/{}", self.vnic);
        let uuids = self
            .patch(&[
                merge(&format!("{tenant}/children/switch/$switch"), &switch),
                json!({"op": "move", "from": card(&self.switch), "path": card("$switch")}),
            ])
            .await;
        self.switch = named(&uuids, "$switch");
        self.parts.push(format!("{tenant}/children/switch/{}", self.switch));
    }

    async fn copy_image(&mut self) {
        let uuids = self
            .patch(&[
                merge("/image/$image", &json!({"name": "another", "source_uri": self.source})),
                merge(
                    "/image/$image/children/volume/$backing",
                    &json!({"storage_pool": self.pools[0].uuid, "format": "raw"}),
                ),
            ])
            .await;
        self.copy = Some((named(&uuids, "$image"), named(&uuids, "$backing")));
    }
}
