//! What happens to the machine: a full disk, a file that may not be written, somebody who holds the database
//! locked.

use crate::fixture::fixture;
use pony_store::conformance::{Fixture, Replica, id, insert, tables};
use pony_store::{CommitError, DesiredStore, Migration, OpenError, Outage, SqliteConfig, SqliteStore};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

fn outage(error: &CommitError) -> Outage {
    match error {
        CommitError::Unavailable(unavailable) => unavailable.outage,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lock_held_by_somebody_else_is_an_outage_and_passes() {
    let fixture = fixture(100).await;
    let store = fixture.store();
    let shell = fixture.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tenant = vec![insert("tenant", json!({"uuid": id(1), "name": "a"}))];
    let error = store.commit(tenant.clone()).await.unwrap_err();
    assert_eq!(outage(&error), Outage::Locked);
    assert!(error.is_retryable());
    assert_eq!(Replica::load(store, &tables()).await.rows.len(), 0, "reading goes on");
    shell.execute_batch("ROLLBACK").unwrap();
    store.commit(tenant).await.unwrap();
}

fn config(path: impl Into<PathBuf>) -> SqliteConfig {
    SqliteConfig::new(path, tables(), vec![Migration::initial(&tables()).unwrap()])
}

const DIRECTORY: &str = "PONY_STORE_FAULT_DIRECTORY";

/// Runs one of the ignored tests below with a small file system of its own on `directory`, where the machine
/// allows.
fn in_small_filesystem(test: &str, directory: &Path) {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"]).arg(directory);
        command
    };
    let mount = "mount -t tmpfs -o size=1500k,mode=700 none \"$1\"";
    if !unshare(mount).output().is_ok_and(|output| output.status.success()) {
        let test = std::thread::current();
        println!("skipped: {}: a mount namespace takes root", test.name().unwrap_or("?"));
        return;
    }
    let output = unshare(&format!("{mount}; exec \"$2\" --exact \"$3\" --ignored --nocapture"))
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn a_full_disk_is_an_outage_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    in_small_filesystem("faults::full_disk", directory.path());
}

#[tokio::test]
#[ignore = "the inside of `a_full_disk_is_an_outage_and_passes`"]
async fn full_disk() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let config = config(Path::new(&directory).join("pony.sqlite"));
    SqliteStore::migrate(&config).unwrap();
    let store = SqliteStore::open(&config).unwrap();
    let disk = |number: u32| vec![insert("disk", json!({"id": format!("{number}-{}", "x".repeat(3000))}))];
    let mut number = 0;
    let error = loop {
        match store.commit(disk(number)).await {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(outage(&error), Outage::Full, "{error}");
    assert!(error.is_retryable() && number > 10, "{number}");
    let loaded = Replica::load(&store, &tables()).await;
    assert_eq!(loaded.rows.len(), number as usize);
    let remount = Command::new("mount").args(["-o", "remount,size=30m"]).arg(&directory).status().unwrap();
    assert!(remount.success());
    for number in number..number + 10 {
        store.commit(disk(number)).await.unwrap();
    }
    drop(store);
    let store = SqliteStore::open(&config).unwrap();
    let mut follower = Replica::default();
    follower.follow(&store, 10).await.unwrap();
    assert_eq!(follower.rows.len(), number as usize + 10);
    assert_eq!(follower, Replica::load(&store, &tables()).await);
}

#[test]
fn a_file_system_that_can_only_be_read_is_said_so() {
    let directory = tempfile::tempdir().unwrap();
    in_small_filesystem("faults::read_only", directory.path());
}

#[test]
#[ignore = "the inside of `a_file_system_that_can_only_be_read_is_said_so`"]
fn read_only() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let config = config(Path::new(&directory).join("pony.sqlite"));
    SqliteStore::migrate(&config).unwrap();
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&directory).status().unwrap();
    assert!(remount.success());
    for error in [SqliteStore::open(&config).err(), SqliteStore::migrate(&config).err()] {
        let error = error.expect("it cannot be written");
        let OpenError::File { source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{error}");
    }
}
