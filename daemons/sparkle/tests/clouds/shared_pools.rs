//! A pool that several hosts reach, with everything real but the hosts: the API, the database, the links, the agents.

use crate::servers::eventually;
use pony_host::{SimHost, SimOptions, SimStore};
use serde_json::{Value as Json, json};
use sparkle::{Config, Sparkle};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use twilight::{Drivers, Twilight};

struct Cloud {
    api: SocketAddr,
    auth: String,
    sparkle: Sparkle,
    twilights: Vec<Twilight>,
    hosts: Vec<SimHost>,
    tenant: String,
    pool: String,
    _dir: tempfile::TempDir,
}

impl Cloud {
    /// Hosts that reach one pool.
    async fn start(count: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { enroll: true, ..crate::client::config(dir.path()) };
        let sparkle = Sparkle::start(config).await.unwrap();
        let (mut twilights, mut hosts, store) = (Vec::new(), Vec::new(), SimStore::default());
        for n in 1..=count {
            let host = SimHost::new(SimOptions { store: store.clone(), ..SimOptions::numbered(1, n) });
            let config = twilight::Config {
                stop_grace: Duration::from_secs(1),
                ..twilight::Config::new(
                    dir.path().join(format!("host{n}")),
                    host.uuid(),
                    sparkle.zmq().into(),
                    sparkle.key(),
                )
            };
            twilights.push(Twilight::start(&config, Drivers::all(Arc::new(host.clone()))).unwrap());
            hosts.push(host);
        }
        let (api, auth) = (sparkle.api(), crate::client::operator(&sparkle));
        let (tenant, pool) = (String::new(), String::new());
        let mut cloud = Self { api, auth, sparkle, twilights, hosts, tenant, pool, _dir: dir };
        cloud.tenant = cloud.post("/tenant/", json!({"name": "t", "approved": true})).await;
        let config = json!({"server": "store.example", "export": "/all"});
        cloud.pool =
            cloud.post("/storage-pool/", json!({"type": "nfs", "name": "all", "config": config})).await;
        for host in &cloud.hosts {
            let path = format!("/host/{}/storage-pool/{}", host.uuid(), cloud.pool);
            eventually("the pool", async || cloud.current(&path).await["status"] == "ready").await;
        }
        cloud
    }

    async fn get(&self, path: &str) -> Json {
        let answer = crate::client::send(self.api, "GET", &format!("/v1{path}"), &self.auth, "").await;
        if answer.status == 200 { answer.json() } else { Json::Null }
    }

    async fn current(&self, path: &str) -> Json {
        self.get(path).await["current"].clone()
    }

    async fn post(&self, path: &str, desired: Json) -> String {
        let body = json!({"desired": desired}).to_string();
        let answer = crate::client::send(self.api, "POST", &format!("/v1{path}"), &self.auth, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()["uuids"]["POST"].as_str().unwrap_or_default().to_owned()
    }

    async fn set(&self, path: &str, column: &str, value: &str) {
        let patch =
            json!([{"op": "replace", "path": format!("/desired/{column}"), "value": value}]).to_string();
        let answer = crate::client::send(self.api, "PATCH", &format!("/v1{path}"), &self.auth, &patch).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }

    async fn delete(&self, path: &str) {
        let answer = crate::client::send(self.api, "DELETE", &format!("/v1{path}"), &self.auth, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }

    /// A volume of the tenant; gives its path.
    async fn volume(&self, desired: Json) -> (String, String) {
        let path = format!("/tenant/{}/volume/", self.tenant);
        let uuid = self.post(&path, desired).await;
        (format!("{path}{uuid}"), uuid)
    }

    /// An instance that runs with the volume; gives its path.
    async fn instance(&self, name: &str, volume: &str) -> String {
        let order = json!({"name": name, "vcpu": 1, "rcpu": 0.1, "mem": 16, "state": "stopped"});
        let path = format!("/tenant/{}/instance/", self.tenant);
        let uuid = self.post(&path, order).await;
        let path = format!("{path}{uuid}");
        self.post(&format!("{path}/vdisk/"), json!({"volume": volume, "index": 0})).await;
        self.set(&path, "state", "running").await;
        path
    }

    async fn stop(self) {
        for twilight in self.twilights {
            twilight.shutdown().await;
        }
        self.sparkle.shutdown().await;
    }
}

/// A volume is made once, by one of the hosts; its instance moves to another host with it; it grows and goes.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_moves_with_its_volume_to_another_host() {
    let cloud = Cloud::start(3).await;
    let order = json!({"name": "v", "size": 10, "storage_pool": cloud.pool, "tenant": cloud.tenant});
    let (path, volume) = cloud.volume(order).await;
    eventually("the volume", async || cloud.current(&path).await["status"] == "ready").await;
    let uuid = volume.parse().unwrap();
    let made = cloud.hosts.iter().map(|it| it.effects_of(pony_host::SimOp::CreateVolume, uuid)).sum::<u64>();
    assert_eq!(made, 1, "one host makes it");

    let web = cloud.instance("web", &volume).await;
    eventually("the guest", async || cloud.current(&web).await["status"] == "running").await;
    let first = cloud.current(&web).await["host"].clone();
    cloud.set(&format!("/host/{}", first.as_str().unwrap()), "state", "evacuated").await;
    let moved = async || {
        let now = cloud.current(&web).await;
        now["status"] == "running" && now["host"] != first && now["host"].is_string()
    };
    eventually("its move", moved).await;
    let active = cloud.hosts.iter().map(|it| it.active_guests().len()).sum::<usize>();
    assert_eq!(active, 1, "it runs once");

    // The one instance has it; the other one, wherever it is, waits until the first is off.
    let other = cloud.instance("other", &volume).await;
    eventually("the word", async || cloud.current(&other).await["error"].to_string().contains("volume"))
        .await;
    cloud.set(&web, "state", "stopped").await;
    eventually("its turn", async || cloud.current(&other).await["status"] == "running").await;

    cloud.delete(&other).await;
    cloud.delete(&web).await;
    cloud.delete(&path).await;
    eventually("the end", async || cloud.get(&path).await == Json::Null).await;
    assert!(cloud.hosts.iter().all(|it| it.finished_volumes().is_empty()));
    cloud.stop().await;
}

/// A host that is away holds up nothing that it is not at work on.
#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_the_pool_is_there_for_the_others_when_a_host_is_gone() {
    let mut cloud = Cloud::start(2).await;
    let order = json!({"name": "v", "size": 10, "storage_pool": cloud.pool, "tenant": cloud.tenant});
    let (path, volume) = cloud.volume(order).await;
    eventually("the volume", async || cloud.current(&path).await["status"] == "ready").await;
    let looks = async || {
        let views = cloud.get(&format!("{path}/host/")).await.to_string();
        views
            .contains("\"look\"")
            .then(|| cloud.hosts.iter().position(|it| views.contains(&it.uuid().to_string())))
    };
    eventually("its rest", async || looks().await.is_some()).await;
    let keeper = looks().await.unwrap().unwrap();
    let gone = cloud.twilights.remove(keeper);
    gone.shutdown().await;
    let uuid = cloud.hosts[keeper].uuid();
    // That it says nothing is noticed after some keep-alives.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let missing = async || cloud.current(&format!("/host/{uuid}")).await["status"] == "missing";
    eventually("its silence", missing).await;
    let web = cloud.instance("web", &volume).await;
    eventually("the guest", async || cloud.current(&web).await["status"] == "running").await;
    assert_eq!(cloud.hosts[1 - keeper].active_guests().len(), 1);
    cloud.stop().await;
}
