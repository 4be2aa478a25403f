//! A Sparkle and a host, processes that are joined by two cables, and what goes wrong with them.

use super::agent::{self, TOLD};
use super::states::{NOTHING, Names, State};
use crate::client::{self, basic};
use crate::lab::Space;
use crate::namespace::run;
use crate::servers::free_address;
use serde_json::Value as Json;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The host's cards. The first is its way to Sparkle, and has an address that somebody gave it.
pub(super) const CARDS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
pub(super) const HOME: &str = "192.0.2.1/24";

/// How long Sparkle may be out of reach before a change of links is taken back: longer than all that happens here.
pub(super) const PROVE: Duration = Duration::from_secs(180);

/// How long it may take until a process serves, or somebody takes an order, on a busy machine.
const UP: Duration = Duration::from_secs(90);

const PERIOD: Duration = Duration::from_millis(100);

/// Where Sparkle is for the host.
const SPARKLE: &str = "192.0.2.254";

/// A process that ends with this.
struct Process(Child);

impl Process {
    /// Its words go to a file.
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) struct Ground {
    pub(super) space: Space,
    sparkle: Option<Process>,
    twilight: Option<Process>,
    dir: tempfile::TempDir,
    api: SocketAddr,
    zmq: SocketAddr,
    auth: String,
    pub(super) host: String,
    /// What is ordered.
    pub(super) ordered: State,
    pub(super) names: Names,
    pub(super) foreign: String,
}

fn ip(line: &str) {
    run("ip", &line.split_whitespace().collect::<Vec<_>>());
}

/// The far ends of the cables, on what Sparkle is joined with.
fn far(n: usize) -> String {
    format!("far{n}")
}

impl Ground {
    pub(super) async fn lay() -> Self {
        let space = Space::new();
        ip("link set lo up");
        ip("link add far type bridge forward_delay 0 mcast_snooping 0");
        ip(&format!("address add {SPARKLE}/24 dev far"));
        ip("link set far up");
        for (n, mac) in CARDS.iter().enumerate() {
            let far = far(n);
            ip(&format!("link add {far} type veth peer name up{n} address {mac} netns {}", space.path()));
            ip(&format!("link set {far} master far up"));
            space.ip(&format!("link set up{n} up"));
        }
        space.ip(&format!("address add {HOME} dev up0"));
        space.ip("link add foreign type bridge");
        space.ip("link add foreign1 type veth peer name foreign2");
        space.ip("link set foreign1 master foreign up");
        space.ip("address add 198.51.100.1/24 dev foreign");
        let zmq = SocketAddr::new(SPARKLE.parse().unwrap(), free_address().port());
        let mut ground = Self {
            space,
            sparkle: None,
            twilight: None,
            dir: tempfile::tempdir().unwrap(),
            api: free_address(),
            zmq,
            auth: String::new(),
            host: agent::host().uuid().to_string(),
            ordered: NOTHING,
            names: Names::default(),
            foreign: String::new(),
        };
        ground.foreign = ground.foreign_links();
        ground.restart_sparkle().await;
        ground.restart_twilight();
        ground.wait("the host is present", UP, async |it| it.is_present().await).await;
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `kill -9`, and another one.
    pub(super) async fn restart_sparkle(&mut self) {
        self.sparkle = None;
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparkle"));
        command.args(["--enroll", "--listen", &self.api.to_string(), "--zmq", &self.zmq.to_string()]);
        command.arg("--dir").arg(self.path("sparkle"));
        self.sparkle = Some(Process::start(&mut command, &self.path("sparkle.log")));
        let up = async |it: &Self| client::try_send(it.api, "GET", "/healthz", "", "").await.is_some();
        self.wait("Sparkle serves", UP, up).await;
        self.auth = basic(&std::fs::read_to_string(self.path("sparkle/admin-credentials")).unwrap());
    }

    pub(super) fn restart_twilight(&mut self) {
        self.twilight = None;
        let log = self.log("sparkle.log");
        let key = log.split("hosts need the key ").nth(1).and_then(|it| it.lines().next()).unwrap().trim();
        std::fs::create_dir_all(self.path("host")).unwrap();
        let (dir, sparkle) = (self.path("host").display().to_string(), format!("tcp://{}", self.zmq));
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.space.path())).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "link_matrix::agent::twilight_alone", "--ignored", "--nocapture"]);
        command.envs(TOLD.into_iter().zip([dir.as_str(), &sparkle, key]));
        self.twilight = Some(Process::start(&mut command, &self.path("host.log")));
    }

    /// From now on a step goes wrong, in the middle after so many turns of its work.
    pub(super) fn break_step(&self, verb: &str, how: &str, turns: usize) {
        let _ = std::fs::remove_file(self.path("host/begun"));
        // Whoever reads it reads all of it.
        std::fs::write(self.path("fault"), format!("{verb}: {how}: {turns}")).unwrap();
        std::fs::rename(self.path("fault"), self.path("host/fault")).unwrap();
    }

    pub(super) fn mend(&self) {
        let _ = std::fs::remove_file(self.path("host/fault"));
        self.cut(false);
    }

    pub(super) fn is_begun(&self) -> bool {
        self.path("host/begun").exists()
    }

    /// Pulls the cables out, or puts them in.
    pub(super) fn cut(&self, is_cut: bool) {
        (0..CARDS.len())
            .for_each(|n| ip(&format!("link set {} {}", far(n), if is_cut { "down" } else { "up" })));
    }

    /// Orders a state. It has to be taken at once.
    pub(super) async fn give(&mut self, state: State) {
        let patch = Json::from(self.names.patch(self.ordered, state)).to_string();
        let path = format!("/v1/host/{}", self.host);
        let answer = client::send(self.api, "PATCH", &path, &self.auth, &patch).await;
        assert_eq!(answer.status, 200, "{patch}: {}", answer.body);
        self.names.learn(state, &answer.json()["uuids"]);
        self.ordered = state;
    }

    pub(super) async fn current(&self, below: &str) -> Json {
        let path = format!("/v1/host/{}{below}", self.host);
        match client::try_send(self.api, "GET", &path, &self.auth, "").await {
            Some(answer) if answer.status == 200 => answer.json()["current"].clone(),
            _ => Json::Null,
        }
    }

    pub(super) async fn is_present(&self) -> bool {
        self.current("").await["status"] == "present"
    }

    pub(super) async fn wait(&self, what: &str, patience: Duration, holds: impl AsyncFn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self).await {
            if began.elapsed() > patience {
                let told = self.told().await;
                panic!("not within {patience:?}: {what}\n{told}");
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        (self.sparkle, self.twilight) = (None, None);
        for link in (0..CARDS.len()).map(far).chain(["far".to_owned()]) {
            let _ = Command::new("ip").args(["link", "delete", &link]).output();
        }
    }
}
