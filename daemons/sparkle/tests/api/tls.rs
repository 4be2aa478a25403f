//! HTTPS: who reaches it, and what becomes of it when the certificate's files change. Certificates are made by `openssl`.

use crate::client::config;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sparkle::Sparkle;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate of its own for `localhost`, with its key. False: this machine has no `openssl`.
fn make_certificate(dir: &Path, name: &str) -> bool {
    let made = Command::new("openssl")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem"), "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .status();
    made.is_ok_and(|status| status.success())
}

/// The answer to `GET /` over TLS, from a server that shows the certificate in this file.
async fn get(sparkle: &Sparkle, trusted: &Path) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(sparkle.api()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_served_and_a_changed_certificate_taken_over_unless_it_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    if !(make_certificate(dir.path(), "one") && make_certificate(dir.path(), "two")) {
        println!("skipped: https_is_served: this machine has no openssl");
        return;
    }
    std::fs::copy(at("one.pem"), at("cert.pem")).unwrap();
    std::fs::copy(at("one.key"), at("key.pem")).unwrap();
    let mut config = config(dir.path());
    config.http.limits.handshake_max = Duration::from_secs(2);
    config.http.tls_cert = Some(at("cert.pem"));
    config.http.tls_key = Some(at("key.pem"));
    let sparkle = Sparkle::start(config).await.unwrap();
    assert!(get(&sparkle, &at("one.pem")).await.unwrap().starts_with("HTTP/1.1 200 "));
    assert!(get(&sparkle, &at("two.pem")).await.is_err(), "another certificate is not shown");
    // Nor is a place kept for whoever begins with nothing.
    let mut silent = TcpStream::connect(sparkle.api()).await.unwrap();
    let closed = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 1])).await.expect("it is never closed");
    assert!(closed.is_err() || closed.is_ok_and(|bytes| bytes == 0));
    let plain = crate::client::try_send(sparkle.api(), "GET", "/", "", "").await.expect("it is told so");
    assert!(
        plain.status == 400 && plain.body.contains("write https:// instead of http://"),
        "{}",
        plain.body
    );

    // A certificate without its key is not taken: whoever replaces both has to begin with one of them.
    std::fs::copy(at("two.pem"), at("cert.pem")).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(get(&sparkle, &at("one.pem")).await.is_ok(), "the old one stays in use");
    std::fs::copy(at("two.key"), at("key.pem")).unwrap();
    let began = Instant::now();
    while get(&sparkle, &at("two.pem")).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the new certificate is never used");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_make_no_tls_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let (cert, key) = (dir.path().join("no.pem"), dir.path().join("no.key"));
    (config.http.tls_cert, config.http.tls_key) = (Some(cert.clone()), Some(key.clone()));
    let refused = Sparkle::start(config.clone()).await.err().expect("no files");
    assert!(format!("{refused:#}").contains("no.pem: it cannot be read"), "{refused:#}");
    std::fs::write(cert, "nonsense").unwrap();
    std::fs::write(key, "nonsense").unwrap();
    let refused = Sparkle::start(config).await.err().expect("no certificate");
    assert!(format!("{refused:#}").contains("a certificate in PEM is needed"), "{refused:#}");
}
