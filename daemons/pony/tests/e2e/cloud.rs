//! A cloud of one Sparkle and one Twilight on this machine's libvirt, with its own directories, ports and host UUID,
//! so that several can run beside each other; or of two hosts in namespaces of their own. And what a user of it does.

use crate::daemon::{self, Daemon, binary};
use crate::ground::Ground;
use crate::host::{self, Agent, Host, LIBVIRT};
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

/// Until a host is taken in: before, it probes with guests what they run under, several hosts at a time.
const TAKEN_IN: Duration = Duration::from_secs(180);

pub(crate) struct Cloud {
    pub(crate) sparkle: Daemon,
    pub(crate) hosts: Vec<Host>,
    /// The first of them.
    pub(crate) host: String,
    dir: tempfile::TempDir,
    api: u16,
    /// Where Sparkle listens for hosts, and where they find it.
    zmq: [String; 2],
    client: Option<Client>,
    /// Where all volumes go, where there is one host.
    pub(crate) pool: String,
    pool_dir: PathBuf,
    agent: Agent,
    pub(crate) ground: Ground,
    /// Where pools have their place.
    disk: PathBuf,
    /// What there was of it before.
    before: Traces,
}

/// How many hosts a cloud has that has more than one.
pub(crate) const HOSTS: usize = 2;

/// Where Twilight mounts what servers have.
const MOUNTS: &str = "/run/pony/mounts";

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
    /// With a pool.
    pub(crate) async fn start() -> Self {
        let mut cloud = Self::start_here(Agent::TWILIGHT, Ground::default()).await;
        (cloud.pool, cloud.pool_dir) = cloud.own_pool(0, "local").await;
        cloud
    }

    /// Of this machine.
    pub(crate) async fn start_here(agent: Agent, ground: Ground) -> Self {
        Self::start_on(agent, ground, "127.0.0.1", |dir| vec![Host::here(dir)]).await
    }

    /// Of hosts that are apart. This process has to be in a network namespace that has their bridge, and a mount namespace.
    pub(crate) async fn start_apart(agent: Agent, ground: Ground) -> Self {
        let hosts = |dir: &Path| (0..HOSTS).map(|n| Host::apart(dir, n)).collect();
        Self::start_on(agent, ground, &host::address(), hosts).await
    }

    async fn start_on(
        agent: Agent,
        mut ground: Ground,
        address: &str,
        hosts: impl Fn(&Path) -> Vec<Host>,
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("pony-e2e-").tempdir().unwrap();
        // The emulator runs as a user of its own and has to get to its volumes.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let before = Traces::among_others(dir.path(), None);
        // What is mounted later they do not see.
        let disk = ground.disk(dir.path());
        let hosts = hosts(dir.path());
        let here = hosts.iter().find(|it| !it.is_apart()).map(|it| it.uuid.parse().unwrap());
        let before = here.into_iter().fold(before, |before, uuid| before.and_of_host(uuid, LIBVIRT));
        let zmq = free_port();
        let found_at = if here.is_some() { ground.lay(zmq).await } else { zmq };
        let mut cloud = Self {
            sparkle: Daemon::none(),
            host: hosts[0].uuid.clone(),
            hosts,
            before,
            dir,
            api: free_port(),
            zmq: [zmq, found_at].map(|port| format!("{address}:{port}")),
            client: None,
            pool: String::new(),
            pool_dir: PathBuf::new(),
            agent,
            ground,
            disk,
        };
        cloud.prepare_database();
        cloud.start_sparkle().await;
        (0..cloud.hosts.len()).for_each(|n| cloud.start_twilight_of(n));
        cloud.wait_until("the hosts are taken in", TAKEN_IN, Self::has_all_hosts).await;
        cloud
    }

    /// Where hosts find this process.
    pub(crate) fn address(&self) -> &str {
        self.zmq[0].split(':').next().unwrap()
    }

    async fn has_all_hosts(&self) -> bool {
        let there = self.list(&["host"]).await;
        self.hosts.iter().all(|host| {
            let current = there.get(&host.uuid).map_or(&Json::Null, |it| &it["current"]);
            current["status"] == "present" && (!host.is_apart() || current["migration"].is_string())
        })
    }

    /// A pool that the n-th host alone reaches, and where that is.
    pub(crate) async fn own_pool(&self, n: usize, name: &str) -> (String, PathBuf) {
        let dir = self.disk.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let host = &self.hosts[n].uuid;
        let pool = json!({"name": name, "type": "dir", "host": host, "config": {"path": dir}});
        (named(&self.patch(&[merge("/storage-pool/$pool", &pool)]).await, "$pool"), dir)
    }

    /// One that all of them reach. (Where a server's directory would be mounted is one that they share: not every kernel has
    /// the client.)
    pub(crate) async fn shared_pool(&self) -> (String, PathBuf) {
        let dir = self.disk.join("shared");
        std::fs::create_dir_all(&dir).unwrap();
        let config = json!({"server": "10.77.0.1", "export": "/pool"});
        let pool = json!({"name": "shared", "type": "nfs", "config": config});
        let pool = named(&self.patch(&[merge("/storage-pool/$pool", &pool)]).await, "$pool");
        let on = Path::new(MOUNTS).join(&pool);
        for host in &self.hosts {
            let script = "mkdir -p $1 && mount --bind $0 $1";
            host::run(host.command("sh").args(["-c", script]).arg(&dir).arg(&on));
        }
        (pool, dir)
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
        let database = self.ground.database();
        let started = start_sparkle(self.dir.path(), self.api, &self.zmq[0], database.as_deref());
        let (sparkle, client) = started.await;
        (self.sparkle, self.client) = (sparkle, Some(client));
    }

    /// That of the first host.
    pub(crate) fn start_twilight(&mut self) {
        self.start_twilight_of(0);
    }

    pub(crate) fn start_twilight_of(&mut self, n: usize) {
        let key = sparkle_key(self.dir.path());
        self.hosts[n].start_twilight(self.agent, &self.zmq[1], &key);
    }

    pub(crate) fn kill_twilight(&mut self) {
        self.hosts[0].kill_twilight();
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
        let told = async || {
            let hosts =
                self.hosts.iter().map(|it| ["host".to_owned(), it.uuid.clone(), "instance".to_owned()]);
            let tenants = self.client().list(&["tenant"]).await.unwrap_or_default();
            let tenants = tenants.keys().map(|it| ["tenant".to_owned(), it.clone(), "instance".to_owned()]);
            let mut told = "--- document".to_owned();
            for path in hosts.chain(tenants) {
                // The host itself may be what never came.
                let instances = self.client().list(&path.each_ref().map(String::as_str)).await;
                told += &format!("\n{}\n{:#}", path.join("/"), instances.map_or(Json::Null, Json::Object));
            }
            told
        };
        let logs = [self.path("sparkle.log")].into_iter().chain(self.hosts.iter().map(Host::log));
        let logs: Vec<PathBuf> = logs.collect();
        daemon::wait_until(what, patience, async || holds(self).await, told, &logs).await;
    }

    pub(crate) fn console(&self, instance: Uuid) -> String {
        let path = self.hosts[0].console(&instance.to_string());
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
        self.hosts[0].domain_state(instance)
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

    /// The links that the first host's agent made.
    pub(crate) fn links(&self) -> Vec<Json> {
        self.hosts[0].links()
    }

    /// The discs that tell guests of the first host about themselves.
    pub(crate) fn discs(&self) -> Vec<PathBuf> {
        self.hosts[0].discs()
    }

    /// All files in the pool, finished or not.
    pub(crate) fn pool_files(&self) -> Vec<PathBuf> {
        traces::files(&self.pool_dir).into_iter().filter(|it| it.is_file()).collect()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.sparkle.kill();
        // What is apart goes with its namespaces, which takes a moment.
        let is_apart = self.hosts.iter().any(Host::is_apart);
        self.hosts.clear();
        self.ground = Ground::default();
        if !std::thread::panicking() && !is_apart {
            self.before.assert_unchanged();
        }
    }
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
                    && !cloud.hosts[0].has_rules()
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
