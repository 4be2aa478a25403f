//! A disk that is taken out while the host runs, on the real thing: in a guest with Debian's full kernel, whose SCSI layer is
//! told to let go of one. Discovery and storage are real, and what they find goes through Twilight and Sparkle up to what
//! users read.

use crate::namespace::{in_guest, is_inside, run};
use crate::servers::eventually;
use pony_host::{HostStorage, Machine, MachineOptions, SimHost, SimOptions, StorageOptions};
use serde_json::{Value as Json, json};
use sparkle::{Config, Sparkle};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use twilight::{Drivers, Twilight};

const MODULES: &str = "sd_mod scsi_debug ext4";

/// How often nobody may have told of anything before it is looked: never, within this test.
const NEVER: Duration = Duration::from_secs(86_400);

#[test]
#[ignore = "takes minutes where guests are emulated: make test-long runs it"]
fn a_disk_that_is_taken_out_breaks_its_pool_and_users_are_told() {
    in_guest("disks::disks_inside", MODULES, "", 500);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in a guest"]
async fn disks_inside() {
    if !is_inside() {
        return;
    }
    let cloud = Cloud::start().await;
    let disk = cloud.disk().await;
    let device = format!("/dev/{}", disk.name);
    run("mkfs.ext4", &["-q", "-b", "1024", &device]);
    let place = cloud.dir.path().join("pool");
    std::fs::create_dir(&place).unwrap();
    run("mount", &[&device, place.to_str().unwrap()]);
    let pool = cloud.pool(&place).await;
    let volume = cloud.volume(&pool, "before").await;
    eventually("the volume", async || cloud.current(&volume).await["status"] == "ready").await;
    assert_eq!(cloud.events().await, [] as [Json; 0]);

    std::fs::write(format!("/sys/block/{}/device/delete", disk.name), "1").unwrap();
    cloud.tells_of_the_broken_pool(&pool).await;
    cloud.tells_of_the_disk(&disk, &pool).await;
    let volume = cloud.volume(&pool, "after").await;
    eventually("a reason", async || cloud.current(&volume).await["error"].is_string()).await;
    println!("{}", cloud.current(&volume).await);
    cloud.end().await;
    run("umount", &["-l", place.to_str().unwrap()]);
}

struct Disk {
    /// By which it is known, wherever it is plugged in.
    id: String,
    /// What the kernel calls it at the moment.
    name: String,
}

struct Cloud {
    sparkle: Sparkle,
    auth: String,
    twilight: Twilight,
    host: SimHost,
    tenant: String,
    dir: tempfile::TempDir,
}

impl Cloud {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { enroll: true, ..crate::client::config(dir.path()) };
        let sparkle = Sparkle::start(config).await.unwrap();
        let host = SimHost::new(SimOptions::numbered(1, 1));
        let config = twilight::Config {
            stop_grace: Duration::from_secs(1),
            ..twilight::Config::new(dir.path().join("host"), host.uuid(), sparkle.zmq().into(), sparkle.key())
        };
        let (scratch, kernel) =
            (dir.path().join("scratch"), MachineOptions { poll: NEVER, ..<_>::default() });
        let drivers = Drivers {
            storage: Arc::new(HostStorage::new(StorageOptions { scratch, ..StorageOptions::default() })),
            discovery: Arc::new(Machine::new(kernel)),
            ..Drivers::all(Arc::new(host.clone()))
        };
        let twilight = Twilight::start(&config, drivers).unwrap();
        let auth = crate::client::operator(&sparkle);
        let mut cloud = Self { sparkle, auth, twilight, host, tenant: String::new(), dir };
        cloud.tenant = cloud.post("/tenant", json!({"name": "t", "approved": true})).await;
        eventually("the host", async || cloud.current(&cloud.host_path("")).await["status"] == "present")
            .await;
        cloud
    }

    async fn end(self) {
        self.twilight.shutdown().await;
        self.sparkle.shutdown().await;
    }

    fn host_path(&self, below: &str) -> String {
        format!("/host/{}{below}", self.host.uuid())
    }

    async fn get(&self, path: &str) -> Json {
        let path = format!("/v1{path}");
        let answer = crate::client::send(self.sparkle.api(), "GET", &path, &self.auth, "").await;
        if answer.status == 200 { answer.json() } else { Json::Null }
    }

    async fn current(&self, path: &str) -> Json {
        self.get(path).await["current"].clone()
    }

    async fn post(&self, path: &str, desired: Json) -> String {
        let (at, body) = (format!("/v1{path}/"), json!({ "desired": desired }).to_string());
        let answer = crate::client::send(self.sparkle.api(), "POST", &at, &self.auth, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()["uuids"]["POST"].as_str().unwrap_or_default().to_owned()
    }

    /// The disk of the machine, which tells it by itself.
    async fn disk(&self) -> Disk {
        let rows = async || self.get(&self.host_path("/disk/")).await;
        let is_scsi =
            |row: &Json| row["current"]["link_name"].as_str().is_some_and(|it| it.starts_with("sd"));
        let found = async || {
            let rows = rows().await;
            let (id, row) = rows.as_object()?.iter().find(|(_, row)| is_scsi(row))?;
            Some(Disk { id: id.clone(), name: row["current"]["link_name"].as_str()?.to_owned() })
        };
        eventually("the disk", async || found().await.is_some()).await;
        found().await.unwrap()
    }

    /// A pool in a directory of this host, once it is ready.
    async fn pool(&self, place: &Path) -> String {
        let pool = json!({
            "name": "local", "type": "dir", "host": self.host.uuid(), "config": {"path": place},
        });
        let pool = self.post("/storage-pool", pool).await;
        eventually("the pool", async || self.pool_now(&pool).await["status"] == "ready").await;
        pool
    }

    async fn pool_now(&self, pool: &str) -> Json {
        self.current(&self.host_path(&format!("/storage-pool/{pool}"))).await
    }

    /// The path of a new volume.
    async fn volume(&self, pool: &str, name: &str) -> String {
        let path = format!("/tenant/{}/volume", self.tenant);
        let desired = json!({"name": name, "storage_pool": pool, "size": 1, "format": "raw"});
        format!("{path}/{}", self.post(&path, desired).await)
    }

    async fn events(&self) -> Vec<Json> {
        let rows = self.get("/event/").await;
        rows.as_object().unwrap().values().map(|row| row["desired"].clone()).collect()
    }

    async fn event(&self, kind: &str) -> Option<Json> {
        self.events().await.into_iter().find(|it| it["type"] == kind)
    }

    async fn tells_of_the_broken_pool(&self, pool: &str) {
        eventually("a broken pool", async || self.pool_now(pool).await["status"] == "broken").await;
        let told = self.pool_now(pool).await;
        let error = told["error"].as_str().unwrap_or_default();
        assert!(error.contains("is gone") || error.contains("deleted"), "{told}");
        eventually("its event", async || self.event("pool-broken").await.is_some()).await;
        let event = self.event("pool-broken").await.unwrap();
        assert_eq!((&event["data"]["storage_pool"], &event["count"]), (&json!(pool), &json!(1)), "{event}");
        assert_eq!(event["host"], json!(self.host.uuid()));
        println!("{told}\n{event}");
    }

    async fn tells_of_the_disk(&self, disk: &Disk, pool: &str) {
        eventually("the disk's event", async || self.event("disk-gone").await.is_some()).await;
        let event = self.event("disk-gone").await.unwrap();
        assert_eq!((&event["data"]["disk"], &event["count"]), (&json!(disk.id), &json!(1)), "{event}");
        let path = self.host_path(&format!("/disk/{}", disk.id));
        eventually("no such disk", async || self.get(&path).await.is_null()).await;
        // It stays so, and is news once.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(self.pool_now(pool).await["status"], "broken");
        let told = self.events().await;
        assert!(told.iter().all(|it| it["count"] == 1), "{told:?}");
    }
}
