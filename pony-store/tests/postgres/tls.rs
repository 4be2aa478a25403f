//! TLS to a server that has a certificate, and to those that should not be believed.

use crate::fixture::{config, skip};
use pony_store::conformance::{Cluster, Replica, insert, tables};
use pony_store::{DesiredStore, OpenError, Outage, PostgresStore};
use serde_json::json;

/// It comes with `ca-certificates`.
const OPENSSL: &str = "/usr/bin/openssl";

/// A server that speaks TLS only, but for its socket, with a certificate for `localhost` by an authority of its own;
/// and another authority, which vouches for nobody.
fn server() -> Option<Cluster> {
    if !std::path::Path::new(OPENSSL).exists() {
        skip("this machine has no openssl");
        return None;
    }
    let cluster = Cluster::start(&["fsync = off"]).map_err(|why| skip(&why)).ok()?;
    let key = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    let make = |rest: &[&str]| {
        let made = cluster.run(OPENSSL, &[&key, rest].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    for name in ["ca", "other"] {
        let (private, public, subject) =
            (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
        make(&["-keyout", &private, "-out", &public, "-subj", &subject]);
    }
    let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem"];
    let of = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
    make(&[&by[..], &of, &["-addext", "basicConstraints=critical,CA:FALSE"]].concat());
    let file = |name: &str| cluster.dir().join(name).display().to_string();
    cluster.configure(&[
        "ssl = on",
        &format!("ssl_cert_file = '{}'", file("server.pem")),
        &format!("ssl_key_file = '{}'", file("server.key")),
    ]);
    let access = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
    std::fs::write(cluster.dir().join("data/pg_hba.conf"), access).unwrap();
    cluster.stop(pony_store::conformance::Stop::Fast);
    cluster.restart();
    cluster.create("cloud");
    Some(cluster)
}

/// Why it cannot be reached.
async fn refused(address: &str) -> (Outage, String) {
    match PostgresStore::migrate(&config(address)).await {
        Err(OpenError::Unavailable { source, .. }) => (source.outage, source.message),
        other => panic!("{address}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_server_is_talked_to() {
    let Some(cluster) = tokio::task::spawn_blocking(server).await.unwrap() else { return };
    let file = |name: &str| cluster.dir().join(name).display().to_string();
    let at = |host: &str, rest: &str| cluster.tcp_address("cloud").replace("127.0.0.1", host) + "?" + rest;
    let trusted = format!("sslrootcert={}", file("ca.pem"));

    for mode in ["verify-full", "require"] {
        let config = config(&at("localhost", &format!("sslmode={mode}&{trusted}")));
        PostgresStore::migrate(&config).await.unwrap();
        let store = PostgresStore::open(&config).await.unwrap();
        store.commit(vec![insert("disk", json!({"id": mode}))]).await.unwrap();
        let loaded = Replica::load(&store, &tables()).await;
        assert!(loaded.row("disk", &[json!(mode)]).is_some());
        let sql = "SELECT count(*) > 1 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                   WHERE application_name = 'sparkle'";
        assert_eq!(cluster.psql("cloud", sql).unwrap(), "t", "all of its sessions are under TLS");
    }

    let unknown = format!("sslrootcert={}", file("other.pem"));
    for (address, words) in [
        (at("localhost", &format!("sslmode=verify-full&{unknown}")), "UnknownIssuer"),
        (at("localhost", &format!("sslmode=require&{unknown}")), "UnknownIssuer"),
        // Debian's list does not have it either.
        (at("localhost", "sslmode=verify-full"), "UnknownIssuer"),
        // The certificate is not for this name.
        (at("127.0.0.1", &format!("sslmode=verify-full&{trusted}")), "not valid for name"),
        (at("127.0.0.1", &format!("sslmode=require&{trusted}")), "not valid for name"),
    ] {
        let (outage, said) = refused(&address).await;
        assert_eq!(outage, Outage::Away, "{said}");
        assert!(said.contains(words), "{address}: {said}");
    }
    let (outage, said) = refused(&at("localhost", "sslmode=disable")).await;
    assert_eq!(outage, Outage::Denied, "{said}");

    // A server without TLS, or something in between that takes it away.
    cluster.configure(&["ssl = off"]);
    std::fs::write(cluster.dir().join("data/pg_hba.conf"), "local all all trust\nhost all all all trust\n")
        .unwrap();
    cluster.stop(pony_store::conformance::Stop::Fast);
    cluster.restart();
    let (_, said) = refused(&at("localhost", &format!("sslmode=require&{trusted}"))).await;
    assert!(said.contains("TLS"), "{said}");
}
