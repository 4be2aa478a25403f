//! A cloud of one Sparkle and one Twilight on this machine's libvirt, with its own directories, ports and host UUID,
//! so that several can run beside each other; and what a user of it does.

use crate::daemon::{self, Daemon, binary};
use crate::ground::Ground;
use crate::traces::{self, Traces};
use pony::browse::{BrowseError, Browser};
use pony::catalog::Catalog;
use pony::client::{Client, ClientError, Refusal};
use pony::credentials::Credentials;
use pony::explain;
use pony::session::now_unix_s;
use serde_json::{Map, Value as Json, json};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The hypervisor of this machine.
const LIBVIRT: &str = "qemu:///system";

/// Until a host is taken in: before, it probes with guests what they run under, several hosts at a time.
const TAKEN_IN: Duration = Duration::from_secs(180);

pub(crate) struct Cloud {
    pub(crate) sparkle: Daemon,
    pub(crate) twilight: Daemon,
    pub(crate) host: String,
    dir: tempfile::TempDir,
    api: u16,
    zmq: u16,
    client: Option<Client>,
    /// Where all volumes go.
    pub(crate) pool: String,
    agent: Agent,
    pub(crate) ground: Ground,
    /// Where Twilight finds Sparkle.
    cable: u16,
    pool_dir: PathBuf,
    /// What there was of it before.
    before: Traces,
}

/// What is on the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agent {
    /// Its binary.
    pub(crate) name: &'static str,
    /// How long guests are given to shut down, seconds.
    pub(crate) stop_grace: u8,
}

impl Agent {
    pub(crate) const TWILIGHT: Self = Self { name: "twilight", stop_grace: 5 };
}

/// Where hosts keep the discs of their guests.
const DISCS: &str = "/var/lib/libvirt/qemu/ponycloud-seeds";

/// What Sparkle says once it serves, before its key.
const SERVES: &str = "hosts need the key ";

/// Starts a Sparkle below the directory, on this port of loopback for users and there for hosts, with this database unless
/// it is a file; and its operator's client.
pub(crate) async fn start_sparkle(
    below: &Path,
    api: u16,
    zmq: &str,
    database: Option<&str>,
) -> (Daemon, Client) {
    let (dir, log) = (below.join("sparkle"), below.join("sparkle.log"));
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    let starts = said().matches(SERVES).count();
    let (place, listen) = (dir.display().to_string(), format!("127.0.0.1:{api}"));
    let mut args = vec!["--dir", &place, "--enroll", "--listen", &listen, "--zmq", zmq];
    args.extend(database.iter().flat_map(|it| ["--database", it]));
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let sparkle = Daemon::start("sparkle", &args, &log);
    let deadline = Instant::now() + Duration::from_secs(30);
    while said().matches(SERVES).count() == starts {
        assert!(Instant::now() < deadline, "Sparkle does not serve:\n{}", said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let credentials = std::fs::read_to_string(dir.join("admin-credentials")).unwrap();
    let credentials: Credentials = credentials.trim().parse().unwrap();
    (sparkle, Client::new(&format!("http://127.0.0.1:{api}"), Some(credentials)).unwrap())
}

/// The key of the Sparkle below the directory.
pub(crate) fn sparkle_key(below: &Path) -> String {
    let log = std::fs::read_to_string(below.join("sparkle.log")).unwrap_or_default();
    log.split(SERVES).nth(1).and_then(|rest| rest.lines().next()).unwrap().trim().to_owned()
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        Self::start_with(Agent::TWILIGHT, Ground::default()).await
    }

    pub(crate) async fn start_with(agent: Agent, mut ground: Ground) -> Self {
        let dir = tempfile::Builder::new().prefix("pony-e2e-").tempdir().unwrap();
        // The emulator runs as a user of its own and has to get to its volumes.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let host = Uuid::new_v4();
        let before = Traces::among_others(dir.path(), None).and_of_host(host, LIBVIRT);
        let (pool_dir, zmq) = (ground.pool(dir.path()), free_port());
        let mut cloud = Self {
            sparkle: Daemon::none(),
            twilight: Daemon::none(),
            host: host.to_string(),
            before,
            dir,
            api: free_port(),
            zmq,
            client: None,
            pool: String::new(),
            agent,
            cable: ground.lay(zmq).await,
            ground,
            pool_dir,
        };
        cloud.prepare_database();
        cloud.start_sparkle().await;
        cloud.start_twilight();
        cloud
            .wait_until("the host is taken in", TAKEN_IN, async |cloud: &Cloud| {
                let hosts = cloud.list(&["host"]).await;
                hosts.get(&cloud.host).is_some_and(|host| host["current"]["status"] == "present")
            })
            .await;
        let path = &cloud.pool_dir;
        let pool = merge(
            "/storage-pool/$pool",
            &json!({
                "name": "local", "type": "dir", "host": cloud.host, "config": {"path": path},
            }),
        );
        cloud.pool = named(&cloud.patch(&[pool]).await, "$pool");
        cloud
    }

    /// A server's database is made; a file makes itself.
    fn prepare_database(&self) {
        let Some(database) = self.ground.database() else { return };
        let mut migrate = Command::new(binary("sparkle"));
        migrate.args(["--database", &database, "--dir"]).arg(self.path("sparkle")).arg("migrate");
        let output = migrate.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) async fn start_sparkle(&mut self) {
        let zmq = format!("127.0.0.1:{}", self.zmq);
        let database = self.ground.database();
        let (sparkle, client) = start_sparkle(self.dir.path(), self.api, &zmq, database.as_deref()).await;
        (self.sparkle, self.client) = (sparkle, Some(client));
    }

    pub(crate) fn start_twilight(&mut self) {
        let key = sparkle_key(self.dir.path());
        let args = [
            "--dir",
            &self.path("twilight").display().to_string(),
            "--sparkle",
            &format!("tcp://127.0.0.1:{}", self.cable),
            "--sparkle-key",
            &key,
            "--host-uuid",
            &self.host,
            "--stop-grace",
            &self.agent.stop_grace.to_string(),
        ]
        .map(str::to_owned);
        self.twilight = Daemon::start(self.agent.name, &args, &self.path("twilight.log"));
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    pub(crate) async fn patch(&self, operations: &[Json]) -> Map<String, Json> {
        self.client().patch(operations).await.unwrap_or_else(|error| panic!("{operations:#?}: {error}"))
    }

    /// The same, of a Sparkle that may die meanwhile.
    pub(crate) async fn try_patch(&self, operations: &[Json]) -> Result<Map<String, Json>, ClientError> {
        self.client().patch(operations).await
    }

    /// Why an instance or a volume is not as ordered, as `pony explain` tells it, with all that it waits for; nothing where
    /// it is as ordered or there is no such row.
    pub(crate) async fn explain(&self, table: &str, path: &[&str]) -> Result<Vec<String>, BrowseError> {
        let catalog = Catalog::read(&self.client().get(&["schema"]).await?);
        let mut browser = Browser::new(self.client(), &catalog);
        let path: Vec<String> = path.iter().map(|it| (*it).to_owned()).collect();
        let Some(row) = browser.entity_if_visible(&path).await? else { return Ok(Vec::new()) };
        let links = explain::chain(&mut browser, table, &row, now_unix_s()).await?;
        // Where the row itself is as ordered nothing else matters.
        let is_late = links.first().is_some_and(|it| !it.why.is_empty());
        Ok(links.into_iter().map(|it| it.why).filter(|it| is_late && !it.is_empty()).collect())
    }

    pub(crate) async fn list(&self, path: &[&str]) -> Map<String, Json> {
        self.client().list(path).await.unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    pub(crate) async fn get(&self, path: &[&str]) -> Json {
        self.client().get(path).await.map_or(Json::Null, Json::Object)
    }

    /// What the API says of a patch that it must refuse.
    pub(crate) async fn refused(&self, operation: Json) -> Refusal {
        match self.client().patch(&[operation]).await {
            Err(ClientError::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Waits until something holds; fails with what the daemons logged.
    pub(crate) async fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        holds: impl AsyncFn(&Self) -> bool,
    ) {
        // The host itself may be what never came.
        let told = async || {
            let instances = self.client().list(&["host", &self.host, "instance"]).await;
            format!("--- document\n{:#}", instances.map_or(Json::Null, Json::Object))
        };
        let logs = ["sparkle.log", "twilight.log"].map(|name| self.path(name));
        daemon::wait_until(what, patience, async || holds(self).await, told, &logs).await;
    }

    pub(crate) fn console(&self, instance: Uuid) -> String {
        let path = self.path("twilight").join("console").join(format!("{instance}.log"));
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    pub(crate) async fn wait_for_console(
        &self,
        instance: Uuid,
        text: &str,
        times: usize,
        patience: Duration,
    ) {
        let what = format!("the console says {text} {times} times");
        self.wait_until(&what, patience, async |cloud: &Cloud| {
            cloud.console(instance).matches(text).count() >= times
        })
        .await;
    }

    /// What libvirt itself says of an instance's domain.
    pub(crate) fn domain_state(&self, instance: Uuid) -> Option<String> {
        let output = virsh(&["domstate", &instance.to_string()]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The emulator's process.
    pub(crate) fn qemu_pid(&self, instance: Uuid) -> Option<String> {
        let wanted = format!("uuid {instance}");
        let is_it = |path: &Path| {
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains("qemu-system") && line.contains(&wanted)
        };
        let found = std::fs::read_dir("/proc").unwrap().flatten().find(|entry| is_it(&entry.path()));
        found.map(|entry| entry.file_name().to_string_lossy().into_owned())
    }

    /// How often the emulator was started for an instance, as libvirt's log of it tells.
    pub(crate) fn starts(&self, instance: Uuid) -> usize {
        let log = format!("/var/log/libvirt/qemu/pony-{instance}.log");
        std::fs::read_to_string(log).unwrap_or_default().matches(": starting up libvirt").count()
    }

    /// The links that this host's agent made.
    pub(crate) fn links(&self) -> Vec<String> {
        traces::links(self.host.parse().unwrap())
    }

    /// The discs that tell guests of this host about themselves.
    pub(crate) fn discs(&self) -> Vec<PathBuf> {
        let found = std::fs::read_dir(Path::new(DISCS).join(&self.host)).into_iter().flatten().flatten();
        found.map(|entry| entry.path()).collect()
    }

    /// All files in the pool, finished or not.
    pub(crate) fn pool_files(&self) -> Vec<PathBuf> {
        traces::files(&self.pool_dir).into_iter().filter(|it| it.is_file()).collect()
    }
}

impl Drop for Cloud {
    /// Nothing of a failed test stays on the machine.
    fn drop(&mut self) {
        self.twilight.kill();
        self.sparkle.kill();
        for domain in traces::domains(self.host.parse().unwrap(), LIBVIRT) {
            virsh(&["destroy", &domain]);
            virsh(&["undefine", &domain]);
        }
        for link in self.links() {
            let _ = Command::new("ip").args(["link", "del", &link]).output();
        }
        let _ = std::fs::remove_dir_all(Path::new(DISCS).join(&self.host));
        self.ground = Ground::default();
        if !std::thread::panicking() {
            self.before.assert_unchanged();
        }
    }
}

pub(crate) fn virsh(args: &[&str]) -> std::process::Output {
    Command::new("virsh").args(["-q", "-c", LIBVIRT]).args(args).output().unwrap()
}

/// An operation that orders an entity.
pub(crate) fn merge(path: &str, desired: &Json) -> Json {
    json!({"op": "x-merge", "path": path, "value": {"desired": desired}})
}

pub(crate) fn named(uuids: &Map<String, Json>, name: &str) -> String {
    uuids[name].as_str().unwrap_or_else(|| panic!("{uuids:?}")).to_owned()
}

/// The size of volumes: what the largest image needs.
const SIZE_MIB: u64 = 512;

/// An instance with all that belongs to it, ordered in one transaction.
pub(crate) struct Order {
    pub(crate) tenant: String,
    pub(crate) image: String,
    pub(crate) backing: String,
    pub(crate) volume: String,
    pub(crate) switch: String,
    pub(crate) instance: Uuid,
}

impl Order {
    pub(crate) async fn new(cloud: &Cloud, name: &str, source: &str) -> Self {
        let (tenant, pool) = ("/tenant/$tenant", cloud.pool.as_str());
        let uuids = cloud
            .patch(&[
                merge(tenant, &json!({"name": name, "approved": true})),
                merge("/image/$image", &json!({"name": name, "source_uri": source})),
                merge("/image/$image/children/volume/$backing", &json!({"storage_pool": pool, "format": "raw"})),
                merge(&format!("{tenant}/children/switch/$switch"), &json!({"name": name, "type": "bridge"})),
                merge(&format!("{tenant}/children/volume/$volume"), &json!({
                    "name": name, "storage_pool": pool, "size": SIZE_MIB, "format": "qcow2", "base_image": "$image",
                })),
                merge(&format!("{tenant}/children/instance/$instance"), &json!({
                    "name": name, "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 160,
                })),
                merge(&format!("{tenant}/children/instance/$instance/children/vdisk/$vdisk"),
                    &json!({"volume": "$volume", "index": 0})),
                merge(&format!("{tenant}/children/instance/$instance/children/vnic/$vnic"),
                    &json!({"switch": "$switch", "index": 0})),
            ])
            .await;
        let uuid = |name: &str| named(&uuids, name);
        Self {
            tenant: uuid("$tenant"),
            image: uuid("$image"),
            backing: uuid("$backing"),
            volume: uuid("$volume"),
            switch: uuid("$switch"),
            instance: uuid("$instance").parse().unwrap(),
        }
    }

    pub(crate) fn document_path(&self) -> String {
        format!("/tenant/{}/children/instance/{}", self.tenant, self.instance)
    }

    pub(crate) async fn current(&self, cloud: &Cloud) -> Json {
        cloud.get(&["tenant", &self.tenant, "instance", &self.instance.to_string()]).await["current"].clone()
    }

    pub(crate) async fn set(&self, cloud: &Cloud, state: &str) {
        let path = format!("{}/desired/state", self.document_path());
        cloud.patch(&[json!({"op": "replace", "path": path, "value": state})]).await;
    }

    pub(crate) async fn wait_for(&self, cloud: &Cloud, status: &str, patience: Duration) {
        let what = format!("the instance is {status}");
        cloud
            .wait_until(&what, patience, async |cloud: &Cloud| {
                let current = self.current(cloud).await;
                current["status"] == status && (status != "running" || current["error"].is_null())
            })
            .await;
    }

    /// Waits until nothing is left of any order.
    pub(crate) async fn wait_until_gone(&self, cloud: &Cloud, patience: Duration) {
        cloud
            .wait_until("nothing is left of it", patience, async |cloud: &Cloud| {
                cloud.domain_state(self.instance).is_none()
                    && cloud.list(&["host", &cloud.host, "instance"]).await.is_empty()
                    && cloud.links().is_empty()
                    && cloud.discs().is_empty()
                    && cloud.list(&["storage-pool", &cloud.pool, "volume"]).await.is_empty()
                    && cloud.pool_files().is_empty()
            })
            .await;
    }

    /// Removes the instance and everything that was ordered with it but the tenant.
    pub(crate) async fn delete(&self, cloud: &Cloud) {
        let remove = |path: String| json!({"op": "remove", "path": path});
        cloud
            .patch(&[
                remove(self.document_path()),
                remove(format!("/tenant/{}/children/volume/{}", self.tenant, self.volume)),
                remove(format!("/tenant/{}/children/switch/{}", self.tenant, self.switch)),
                remove(format!("/image/{}", self.image)),
            ])
            .await;
    }
}
