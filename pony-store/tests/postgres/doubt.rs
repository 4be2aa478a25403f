//! A connection that is lost in COMMIT: what happened is found out, and told as it is. A disk that is full.

use crate::fixture::{config, empty, skip};
use pony_store::conformance::{Cluster, Proxy, Replica, Way, insert, tables};
use pony_store::{CommitError, DesiredStore, Outage, PostgresStore};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_looked_into() {
    let Some((cluster, database)) = tokio::task::spawn_blocking(empty).await.unwrap() else { return };
    let proxy = Proxy::start(Way::To(cluster.port())).await;
    let address = cluster.tcp_address(&database);
    let config = config(&address.replace(&format!(":{}/", cluster.port()), &format!(":{}/", proxy.port())));
    PostgresStore::migrate(&config).await.unwrap();
    let store = PostgresStore::open(&config).await.unwrap();
    let disk = |name: &str| vec![insert("disk", json!({"id": name}))];
    store.commit(disk("a")).await.unwrap();
    proxy.lead(Way::LosingAnswers(cluster.port()));
    store.commit(disk("b")).await.expect("it was committed, and that is found out");
    proxy.lead(Way::To(cluster.port()));
    commit_soon(&store, "c").await;
    proxy.lead(Way::LosingCommits(cluster.port()));
    let error = store.commit(disk("d")).await.expect_err("the server was never told to commit");
    assert!(matches!(&error, CommitError::Unavailable(it) if it.outage == Outage::Away), "{error:?}");
    proxy.lead(Way::To(cluster.port()));
    commit_soon(&store, "e").await;
    let rows = Replica::load(&store, &tables()).await.rows;
    let names: Vec<&str> = rows.values().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c", "e"]);
}

async fn commit_soon(store: &PostgresStore, name: &str) {
    for attempt in 0.. {
        match store.commit(vec![insert("disk", json!({"id": name}))]).await {
            Ok(_) => return,
            Err(error) => assert!(attempt < 400 && error.is_retryable(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const DIRECTORY: &str = "PONY_STORE_FULL_DIRECTORY";

#[test]
fn a_full_disk_is_an_outage_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=160m,mode=777 none \"$1\"; exec \"$2\" --exact doubt::full_disk --ignored --nocapture";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, directory.path())
        .env("TMPDIR", directory.path())
        .output();
    let Ok(output) = output else { return skip("there is no unshare") };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare failed") || said.contains("mount:") {
        return skip("a mount namespace takes root");
    }
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    said.lines().filter(|line| line.starts_with("skipped")).for_each(|line| println!("{line}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the inside of `a_full_disk_is_an_outage_and_passes`"]
async fn full_disk() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let cluster = match Cluster::start(&["max_wal_size = '48MB'", "min_wal_size = '32MB'", "fsync = off"]) {
        Ok(cluster) => cluster,
        Err(why) => return skip(&why),
    };
    cluster.create("full");
    let config = config(&cluster.address("full"));
    PostgresStore::migrate(&config).await.unwrap();
    let store = PostgresStore::open(&config).await.unwrap();
    commit_soon(&store, "first").await;
    // Somebody fills all that is left.
    let filler = Path::new(&directory).join("filler");
    let _ = std::io::copy(&mut std::io::repeat(0), &mut std::fs::File::create(&filler).unwrap());
    let large = |number: usize| {
        let text: String = (0..40_000u64)
            .map(|it| char::from(33 + ((it * it * 7919 + number as u64 * 31) % 90) as u8))
            .collect();
        vec![
            insert("disk", json!({"id": format!("{number}")})),
            insert(
                "part",
                json!({"mac": format!("52:54:00:00:{:02x}:{:02x}", number / 256, number % 256), "any": {"text": text}}),
            ),
        ]
    };
    let mut done = 0;
    let error = loop {
        match store.commit(large(done)).await {
            Ok(_) => done += 1,
            Err(error) => break error,
        }
        assert!(done < 10_000, "the disk has no end");
    };
    let outage = |error: &CommitError| match error {
        CommitError::Unavailable(it) => it.outage,
        other => panic!("{other:?}"),
    };
    // A server that cannot even write its log goes down.
    assert!(matches!(outage(&error), Outage::Full | Outage::Away), "{error:?}");
    std::fs::remove_file(&filler).unwrap();
    if cluster.psql("full", "SELECT 1").is_err() {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if cluster.psql("full", "SELECT 1").is_err() {
            cluster.restart();
        }
    }
    commit_soon(&store, "last").await;
    assert_eq!(Replica::load(&store, &tables()).await.rows.len(), 2 + 2 * done);
}
