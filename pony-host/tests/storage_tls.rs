//! Downloads over TLS: from a server that this host trusts, and from one that it does not.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod storage_bench;
mod suite;

use pony_core::host::DriverErrorKind::Transient;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use storage_bench::{Bench, MIB, assert_holds, disk};
use suite::{assert_refused, eventually};
use tempfile::TempDir;

/// A TLS server of files, for as long as this lives.
struct Server {
    child: Child,
    dir: TempDir,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn openssl(dir: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Serves `disk(MIB, 1)` as `image`, with a certificate `cert.pem` of its own for `localhost`. `None`: this machine
/// has no `openssl`.
async fn serve() -> Option<Server> {
    let dir = TempDir::new().unwrap();
    let made = openssl(dir.path())
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .status();
    if !made.is_ok_and(|status| status.success()) {
        suite::skipped("this machine has no openssl");
        return None;
    }
    // Exactly one answer as `s_server -HTTP` sends it: a file with its head.
    let body = disk(MIB, 1);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    std::fs::write(dir.path().join("image"), [head.into_bytes(), body].concat()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = openssl(dir.path())
        .args([
            "s_server",
            "-quiet",
            "-HTTP",
            "-cert",
            "cert.pem",
            "-key",
            "key.pem",
            "-port",
            &port.to_string(),
        ])
        .spawn()
        .unwrap();
    let server = Server { child, dir, port };
    let up = || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() };
    eventually("the TLS server is up", up).await;
    Some(server)
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_believed() {
    let Some(server) = serve().await else { return };
    let bench = Bench::new();
    let uri = format!("https://localhost:{}/image", server.port);
    let message = assert_refused(bench.fetch(&bench.raw(1), &uri).await, Transient);
    assert!(message.contains("certificate"), "{message}");
    eventually("nothing is kept", || async { bench.unfinished().is_empty() }).await;
}

#[tokio::test]
async fn a_server_that_this_host_trusts_is_believed() {
    let Some(server) = serve().await else { return };
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "the_trusting_host", "--ignored", "--nocapture"]);
    inner.env("SSL_CERT_FILE", server.dir.path().join("cert.pem"));
    inner.env("PONY_TEST_URI", format!("https://localhost:{}/image", server.port));
    let output = tokio::task::spawn_blocking(move || inner.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "is run by another test, with an environment of its own"]
async fn the_trusting_host() {
    let Ok(uri) = std::env::var("PONY_TEST_URI") else { return };
    let bench = Bench::with(pony_host::StorageOptions {
        http_stall: Duration::from_secs(30),
        near_sources: true,
        ..pony_host::StorageOptions::default()
    });
    assert_holds(&bench.fetch(&bench.raw(1), &uri).await.unwrap(), &disk(MIB, 1));
}
