//! The real `pony` with a whole cloud in this process, over HTTPS: a Sparkle whose certificate only `--cacert` vouches for,
//! and a simulated host whose guests echo. Certificates are made by `openssl`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "clippy does not know helpers of tests as such")]

use pony::client::Client;
use pony_host::{SimHost, SimOptions};
use serde_json::{Value as Json, json};
use sparkle::{Config, DatabaseArgs, HttpArgs, Sparkle};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command as Sync, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use twilight::{Drivers, Twilight};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate for `localhost`, with its key. False: this machine has no `openssl`.
fn make_certificate(dir: &Path) -> bool {
    let made = Sync::new("openssl")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .status();
    made.is_ok_and(|status| status.success())
}

struct Cloud {
    dir: tempfile::TempDir,
    sparkle: Sparkle,
    twilight: Twilight,
    auth: String,
}

impl Cloud {
    /// `None`, saying why, where it cannot be.
    async fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        if !make_certificate(dir.path()) {
            println!("skipped: console: this machine has no openssl");
            return None;
        }
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (tls_cert, tls_key) = (Some(dir.path().join("cert.pem")), Some(dir.path().join("key.pem")));
        let http = HttpArgs { tls_cert, tls_key, ..HttpArgs::default() };
        let state = dir.path().join("state");
        let database = DatabaseArgs::default();
        let config = Config { dir: state, listen: any, zmq: any, enroll: true, database, http };
        let sparkle = Sparkle::start(config).await.unwrap();
        let host = SimHost::new(SimOptions::numbered(1, 1));
        let config = twilight::Config {
            stop_grace: Duration::from_secs(1),
            ..twilight::Config::new(
                dir.path().join("twilight"),
                host.uuid(),
                sparkle.zmq().into(),
                sparkle.key(),
            )
        };
        let twilight = Twilight::start(&config, Drivers::all(Arc::new(host))).unwrap();
        let auth = std::fs::read_to_string(sparkle.credentials()).unwrap().trim().to_owned();
        Some(Self { dir, sparkle, twilight, auth })
    }

    fn pony(&self, trusted: Option<PathBuf>, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pony"));
        command
            .args(words)
            .env("PONY_AUTH", &self.auth)
            .env_remove("PONY_TOKEN")
            .env("HOME", self.dir.path());
        command.env("PONY_URL", format!("https://localhost:{}", self.sparkle.api().port()));
        if let Some(trusted) = trusted {
            command.arg("--cacert").arg(trusted);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// What it says on standard output, or else on standard error.
    async fn run(&self, trusted: Option<PathBuf>, words: &[&str]) -> Result<String, String> {
        let output =
            tokio::time::timeout(PATIENCE, self.pony(trusted, words).output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// A tenant with a guest.
    async fn order(&self) {
        let url = format!("https://localhost:{}", self.sparkle.api().port());
        let credentials = Some(self.auth.parse().unwrap());
        let client = Client::trusting(&url, credentials, self.certificate().as_deref()).unwrap();
        let guest = json!({"name": "web", "state": "running", "vcpu": 1, "rcpu": 0.1, "mem": 16});
        let add =
            |path: &str, desired: Json| json!({"op": "add", "path": path, "value": {"desired": desired}});
        let operations = [
            add("/tenant/$t", json!({"name": "t", "approved": true})),
            add("/tenant/$t/children/instance/$i", guest),
        ];
        client.patch(&operations).await.unwrap();
    }

    /// `pony instance console`, once there is one.
    async fn console(&self) -> Child {
        let began = Instant::now();
        loop {
            let mut child = self.pony(self.certificate(), &["instance", "console", "web"]).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            if child.try_wait().unwrap().is_none() {
                return child;
            }
            assert!(began.elapsed() < PATIENCE, "there is no console");
        }
    }

    fn certificate(&self) -> Option<PathBuf> {
        Some(self.dir.path().join("cert.pem"))
    }
}

/// Reads until the words stand there.
async fn shows(child: &mut Child, words: &str) {
    let out = child.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(words) {
            seen.push(out.read_u8().await.expect("no end before that"));
        }
    };
    let shown = tokio::time::timeout(PATIENCE, reading).await;
    assert!(shown.is_ok(), "{words:?} is not shown, but {}", String::from_utf8_lossy(&seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_used_over_https_with_a_certificate_of_ones_own() {
    let Some(cloud) = Cloud::start().await else { return };
    let strange = cloud.run(None, &["get", "tenant"]).await.unwrap_err();
    assert!(strange.contains("no answer from https://localhost"), "{strange}");
    cloud.run(cloud.certificate(), &["get", "tenant"]).await.unwrap();
    let host = Instant::now();
    while !cloud.run(cloud.certificate(), &["get", "host"]).await.unwrap().contains("present") {
        assert!(host.elapsed() < PATIENCE, "the host does not come");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cloud.order().await;
    let mut child = cloud.console().await;
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(b"hello guest\n").await.unwrap();
    shows(&mut child, "hello guest").await;
    // What was said is shown to who comes later.
    let mut second = cloud.console().await;
    // The end of what is typed would be the user's leaving.
    let _keys = second.stdin.take();
    shows(&mut second, "hello guest").await;
    keys.write_all(b"\x1d").await.unwrap();
    let left = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(left.success(), "Ctrl-] leaves");

    // And the end of the guest is told.
    cloud.run(cloud.certificate(), &["instance", "stop", "web"]).await.unwrap();
    let said = tokio::time::timeout(PATIENCE, second.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("the guest's console closed"), "{said}");
    cloud.twilight.shutdown().await;
    cloud.sparkle.shutdown().await;
}
