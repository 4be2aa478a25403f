//! Private database servers, and Sparkles on them.

use crate::client::{self, Answer, basic};
use pony_store::conformance::Cluster;
use serde_json::json;
use sparkle::{Config, DatabaseArgs, HttpArgs};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long something may take on a machine that is busy.
const SOON: Duration = Duration::from_secs(40);

pub(crate) fn cluster(settings: &[&str]) -> Option<Cluster> {
    match Cluster::start(settings) {
        Ok(cluster) => {
            cluster.create("cloud");
            Some(cluster)
        }
        Err(why) => {
            println!("skipped: {}: {why}", std::thread::current().name().unwrap_or("?"));
            None
        }
    }
}

pub(crate) fn config(dir: &Path, database: &str) -> Config {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let database = DatabaseArgs { database: Some(database.to_owned()), database_password_file: None };
    let http = HttpArgs::default();
    Config { dir: dir.to_owned(), listen: any, zmq: any, enroll: false, database, http }
}

pub(crate) fn operator(dir: &Path) -> String {
    basic(&std::fs::read_to_string(dir.join("admin-credentials")).unwrap())
}

pub(crate) async fn create(api: SocketAddr, auth: &str, name: &str) -> Answer {
    let tenant = json!({"desired": {"name": name, "approved": true}}).to_string();
    client::send(api, "POST", "/v1/tenant/", auth, &tenant).await
}

pub(crate) async fn names(api: SocketAddr, auth: &str) -> Vec<String> {
    let answer = client::send(api, "GET", "/v1/tenant/", auth, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let rows = answer.json();
    let mut names: Vec<String> = rows
        .as_object()
        .unwrap()
        .values()
        .map(|row| row["desired"]["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Tries until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < SOON, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How often is looked whether this program is run in time, and what says nothing: the timer's own grain.
const TICK: Duration = Duration::from_millis(10);
const GRAIN: Duration = Duration::from_millis(2);

/// Does something; says how long that took, and how late this program was meanwhile since others had the processors.
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration, Duration) {
    let (late, lateness) = tokio::sync::watch::channel(Duration::ZERO);
    let ticking = tokio::spawn(async move {
        loop {
            let start = Instant::now();
            tokio::time::sleep(TICK).await;
            late.send_modify(|late| *late += start.elapsed().saturating_sub(TICK + GRAIN));
        }
    });
    let start = Instant::now();
    let output = work.await;
    let took = start.elapsed();
    ticking.abort();
    (output, took, *lateness.borrow())
}

/// A port of loopback that nobody has at the moment.
pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Sparkle as a process of its own.
pub(crate) struct Daemon {
    child: std::process::Child,
    dir: std::path::PathBuf,
    pub(crate) api: SocketAddr,
    pub(crate) zmq: SocketAddr,
}

impl Daemon {
    pub(crate) fn start(dir: &Path, database: &str) -> Self {
        let (api, zmq) = (free_address(), free_address());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sparkle"));
        command.args(["--listen", &api.to_string(), "--zmq", &zmq.to_string(), "--database", database]);
        command.args(["--enroll", "--dir"]).arg(dir).stdin(std::process::Stdio::null());
        Self { child: command.spawn().unwrap(), dir: dir.to_owned(), api, zmq }
    }

    pub(crate) async fn operator(&self) -> String {
        eventually("the operator", async || self.dir.join("admin-credentials").exists()).await;
        let up = async || client::try_send(self.api, "GET", "/healthz", "", "").await.is_some();
        eventually("the API", up).await;
        operator(&self.dir)
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args([format!("-{name}"), pid]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
