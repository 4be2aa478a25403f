//! A cloud of one real host whose agent is clumsy, and what is ordered of it.

use crate::cloud::{Cloud, merge, named, virsh};
use crate::ground::Ground;
use pony::client::ClientError;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What somebody orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// An instance that shall run, with a disk from an image and a card in a switch of its own.
    Create,
    Start,
    Stop,
    Pause,
    /// A card and a disk more.
    Plug,
    /// The cards out.
    Unplug,
    /// A larger disk.
    Grow,
    /// Other data for the software inside.
    Tell,
    /// The card into a switch of its own, the old one out of use.
    Replug,
    /// The instance, and what belongs to it.
    Delete,
    /// An image, with a copy of it.
    CopyImage,
    DeleteCopy,
}

impl Order {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Plug => "plug in",
            Self::Unplug => "unplug",
            Self::Grow => "grow",
            Self::Tell => "tell it something else",
            Self::Replug => "plug into another switch",
            Self::Delete => "delete",
            Self::CopyImage => "copy",
            Self::DeleteCopy => "delete the copy",
        }
    }

    /// Whether something is there in the end that has to be made.
    pub(super) const fn makes(self) -> bool {
        !matches!(self, Self::Stop | Self::Delete | Self::DeleteCopy)
    }

    /// Whether it cannot come to be without a step.
    pub(super) fn needs(self, verb: &str) -> bool {
        match self {
            Self::Delete | Self::DeleteCopy => {
                ["shut down", "switch off", "undefine", "remove the tap", "remove the switch", "delete"]
                    .contains(&verb)
            }
            Self::Stop => ["shut down", "switch off"].contains(&verb),
            _ => true,
        }
    }
}

/// Sizes of a volume, MiB: before and after it grew.
const SIZES_MIB: [u64; 2] = [8, 12];

/// How long it may take until somebody takes an order: a database is back by then.
const TAKEN: Duration = Duration::from_secs(40);

/// The status of an answer by who cannot take orders now.
const UNAVAILABLE: u16 = 503;

pub(super) struct Scene {
    cloud: Cloud,
    tenant: String,
    image: String,
    source: String,
    /// The image's own copy: what a pool has when nothing else is in it.
    files: BTreeSet<PathBuf>,
    instance: Uuid,
    /// Paths of all that was ordered with it.
    parts: Vec<String>,
    volume: String,
    switch: String,
    vnic: String,
    /// The discs that there were before the guest was told something else.
    told: Vec<PathBuf>,
    /// An image of its own, and where its copy is.
    copy: Option<(String, String)>,
    /// Sees to it that names are not used again before they are free.
    count: usize,
    begun: BTreeSet<String>,
}

impl Scene {
    pub(super) async fn new(cloud: Cloud, source: &str) -> Self {
        let uuids = cloud
            .patch(&[
                merge("/tenant/$tenant", &json!({"name": "matrix", "approved": true})),
                merge("/image/$image", &json!({"name": "small", "source_uri": source})),
                merge(
                    "/image/$image/children/volume/$backing",
                    &json!({"storage_pool": cloud.pool, "format": "raw"}),
                ),
            ])
            .await;
        let (tenant, image) = (named(&uuids, "$tenant"), named(&uuids, "$image"));
        let source = source.to_owned();
        let filled =
            async |cloud: &Cloud| cloud.get(&["image", &image]).await["desired"]["source_uri"].is_null();
        cloud.wait_until("the image is there", Duration::from_secs(60), filled).await;
        let files = cloud.pool_files().into_iter().collect();
        let mut scene = Self {
            cloud,
            tenant,
            image,
            source,
            files,
            instance: Uuid::nil(),
            parts: Vec::new(),
            volume: String::new(),
            switch: String::new(),
            vnic: String::new(),
            told: Vec::new(),
            copy: None,
            count: 0,
            begun: BTreeSet::new(),
        };
        scene.mend();
        scene
    }

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
            Order::Create => return self.create().await,
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
                self.told = self.cloud.discs();
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

    async fn create(&mut self) {
        self.count += 1;
        let (tenant, pool) = (format!("/tenant/{}", self.tenant), &self.cloud.pool);
        let (name, instance) =
            (format!("web {}", self.count), format!("{tenant}/children/instance/$instance"));
        let volume = json!({
            "name": name, "storage_pool": pool, "size": SIZES_MIB[0], "format": "qcow2", "base_image": self.image,
        });
        let guest = json!({"name": name, "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 32});
        let uuids = self
            .patch(&[
                merge(&format!("{tenant}/children/switch/$switch"), &json!({"name": name, "type": "bridge"})),
                merge(&format!("{tenant}/children/volume/$volume"), &volume),
                merge(&instance, &guest),
                merge(
                    &format!("{instance}/children/vdisk/$vdisk"),
                    &json!({"volume": "$volume", "index": 0}),
                ),
                merge(&format!("{instance}/children/vnic/$vnic"), &json!({"switch": "$switch", "index": 0})),
            ])
            .await;
        self.instance = named(&uuids, "$instance").parse().unwrap();
        (self.volume, self.switch, self.vnic) =
            (named(&uuids, "$volume"), named(&uuids, "$switch"), named(&uuids, "$vnic"));
        self.parts = vec![
            self.instance_path(),
            format!("{tenant}/children/volume/{}", self.volume),
            format!("{tenant}/children/switch/{}", self.switch),
        ];
    }

    async fn plug(&mut self) {
        let (tenant, instance) = (format!("/tenant/{}", self.tenant), self.instance_path());
        let volume =
            json!({"name": "more", "storage_pool": self.cloud.pool, "size": SIZES_MIB[0], "format": "raw"});
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
                    &json!({"storage_pool": self.cloud.pool, "format": "raw"}),
                ),
            ])
            .await;
        self.copy = Some((named(&uuids, "$image"), named(&uuids, "$backing")));
    }

    /// Whether what somebody ordered is so: on the host, and in what users are shown.
    async fn is(&self, order: Order) -> bool {
        let domain = self.cloud.domain_state(self.instance);
        let (domain, disks) = (domain.as_deref(), self.devices("domblklist"));
        match order {
            Order::Create | Order::Start => domain == Some("running") && self.shows("running").await,
            Order::Pause => domain == Some("paused") && self.shows("paused").await,
            Order::Stop => matches!(domain, None | Some("shut off")) && self.shows("stopped").await,
            Order::Plug => disks == 2 && self.devices("domiflist") == 2,
            Order::Unplug => disks == 1 && self.devices("domiflist") == 0,
            Order::Replug => self.is_plugged(),
            Order::Grow => self.capacity_mib() == Some(SIZES_MIB[1]),
            Order::Tell => {
                let discs = self.cloud.discs();
                discs.len() == 1 && discs != self.told && domain == Some("running")
            }
            Order::Delete => domain.is_none() && self.is_empty().await,
            Order::CopyImage => self.cloud.pool_files().len() > self.files.len(),
            Order::DeleteCopy => self.is_empty().await,
        }
    }

    async fn shows(&self, status: &str) -> bool {
        let path = ["tenant", &self.tenant, "instance", &self.instance.to_string()];
        let current = self.cloud.get(&path).await["current"].clone();
        current["status"] == status && (status == "stopped" || current["error"].is_null())
    }

    /// How many lines a table of virsh has about the domain, but for the disc that tells it about itself.
    fn devices(&self, table: &str) -> usize {
        let output = virsh(&[table, &self.instance.to_string()]);
        let is_device = |line: &&str| !line.trim().is_empty() && !line.contains("ponycloud-seeds");
        String::from_utf8_lossy(&output.stdout).lines().filter(is_device).count()
    }

    /// Whether the card's tap is in its switch, as the kernel has it.
    fn is_plugged(&self) -> bool {
        let says = |link: &str, who: &str| {
            let alias = std::fs::read_to_string(format!("/sys/class/net/{link}/ifalias")).unwrap_or_default();
            alias.contains(who)
        };
        let tap = self.cloud.links().into_iter().find(|it| says(it, &self.vnic));
        tap.is_some_and(|it| says(&format!("{it}/master"), &self.switch))
    }

    fn capacity_mib(&self) -> Option<u64> {
        let output = virsh(&["domblkinfo", &self.instance.to_string(), "vda"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("Capacity:"))?;
        line.trim().parse::<u64>().ok().map(|bytes| bytes >> 20)
    }

    /// Whether it is as ordered, or users are told why not; `cause`: with these words.
    pub(super) async fn is_told(&self, order: Order, cause: &str) -> bool {
        let instance = self.instance.to_string();
        let of_instance = ["tenant", &self.tenant, "instance", &instance];
        let of_volume = ["tenant", &self.tenant, "volume", &self.volume];
        let (table, path): (_, &[&str]) = match (order, &self.copy) {
            // Rows that are gone say nothing.
            (Order::Delete | Order::DeleteCopy, _) => return true,
            (Order::CopyImage, Some((image, _))) => ("image", &["image", image]),
            (Order::Grow, _) => ("volume", &of_volume),
            _ => ("instance", &of_instance),
        };
        let told = self.cloud.explain(table, path).await.unwrap_or_default();
        told.iter().any(|it| it.contains(cause)) || self.is(order).await
    }

    /// Whether users are told of no trouble.
    pub(super) async fn is_told_well(&self) -> bool {
        let instance = self.instance.to_string();
        let told = self.cloud.explain("instance", &["tenant", &self.tenant, "instance", &instance]).await;
        told.is_ok_and(|it| it.is_empty())
    }

    /// Whether nothing but the image is on the host, and nothing else is known of it.
    async fn is_empty(&self) -> bool {
        let volumes = self.cloud.list(&["storage-pool", &self.cloud.pool, "volume"]).await;
        self.cloud.list(&["host", &self.cloud.host, "instance"]).await.is_empty()
            && self.cloud.links().is_empty()
            && self.cloud.discs().is_empty()
            && volumes.len() == 1
            && self.cloud.pool_files().into_iter().collect::<BTreeSet<_>>() == self.files
    }

    pub(super) async fn wait_for(&self, what: &str, patience: Duration, order: Order) {
        self.wait_until(what, patience, async |it| it.is(order).await).await;
    }

    pub(super) async fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        holds: impl AsyncFn(&Self) -> bool,
    ) {
        self.cloud.wait_until(what, patience, async |_: &Cloud| holds(self).await).await;
    }

    /// Deletes everything, and waits until nothing is left.
    pub(super) async fn clear(&mut self, what: &str, patience: Duration) {
        if self.copy.is_some() && !self.is_empty().await {
            let image = self.copy.as_ref().map_or("", |(image, _)| image);
            if !self.cloud.get(&["image", image]).await.is_null() {
                self.give(Order::DeleteCopy).await;
            }
        }
        if !self.parts.is_empty() {
            self.give(Order::Delete).await;
        }
        self.wait_for(&format!("{what}: nothing is left"), patience, Order::Delete).await;
        self.copy = None;
        self.note_begun();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.cloud.path("twilight").join(name)
    }

    /// From now on a step goes wrong.
    pub(super) fn break_step(&mut self, verb: &str, how: &str) {
        self.note_begun();
        std::fs::write(self.file("fault"), format!("{verb}: {how}")).unwrap();
    }

    pub(super) fn mend(&mut self) {
        let _ = std::fs::remove_file(self.file("fault"));
        self.ground().mend(false);
    }

    /// The steps begun since they were noted last.
    fn begun(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("begun")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn note_begun(&mut self) {
        self.begun.extend(self.begun());
        let _ = std::fs::remove_file(self.file("begun"));
    }

    /// All steps that were ever begun.
    pub(super) fn all_begun(mut self) -> BTreeSet<String> {
        self.note_begun();
        self.begun.clone()
    }

    pub(super) async fn wait_until_begun(&self, verb: &str, what: &str, patience: Duration) {
        let begun = async |_: &Cloud| self.begun().iter().any(|it| it == verb);
        self.cloud.wait_until(&format!("{what}: the step is begun"), patience, begun).await;
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.cloud.ground
    }

    pub(super) fn restart_twilight(&mut self) {
        self.cloud.twilight.kill();
        self.cloud.start_twilight();
    }

    pub(super) async fn restart_sparkle(&mut self) {
        self.cloud.sparkle.kill();
        self.cloud.start_sparkle().await;
    }
}

fn remove(path: &str) -> Json {
    json!({"op": "remove", "path": path})
}
