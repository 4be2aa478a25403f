//! A process that is killed while it commits: what it was told is durable is there, and the feed fits.

use pony_store::conformance::{Replica, columns, insert, tables};
use pony_store::{DesiredStore, Migration, SqliteConfig, SqliteStore};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

const DATABASE: &str = "PONY_STORE_CRASH_DATABASE";
const ROUND: &str = "PONY_STORE_CRASH_ROUND";

/// How often it is killed, each time after some more commits.
const ROUNDS: usize = 6;

fn config(path: impl Into<std::path::PathBuf>) -> SqliteConfig {
    SqliteConfig::new(path, tables(), vec![Migration::initial(&tables()).unwrap()])
}

/// Commits pairs of disks until it is killed, and prints the name of each pair once it is durable.
#[tokio::test]
#[ignore = "the process that `acknowledged_commits_survive_a_kill` kills"]
async fn child() {
    let Some(path) = std::env::var_os(DATABASE) else { return };
    let round = std::env::var(ROUND).unwrap();
    let store = Arc::new(SqliteStore::open(&config(path)).unwrap());
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, round) = (Arc::clone(&store), round.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let name = format!("{round}-{writer}-{number}");
                    let second = json!({"id": format!("{name}-b"), "parent": format!("{name}-a")});
                    let pair =
                        vec![insert("disk", second), insert("disk", json!({"id": format!("{name}-a")}))];
                    store.commit(pair).await.unwrap();
                    let mut stdout = std::io::stdout().lock();
                    writeln!(stdout, "durable {name}").unwrap();
                    stdout.flush().unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn acknowledged_commits_survive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pony.sqlite");
    SqliteStore::migrate(&config(&path)).unwrap();
    let mut follower = Replica::default();
    let mut durable = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--nocapture"])
            .env(DATABASE, &path)
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut count = 0;
        for line in lines {
            // The first line may begin with what the test harness prints.
            let Some((_, name)) = line.split_once("durable ") else { continue };
            durable.push(name.to_owned());
            count += 1;
            if count == 20 + round * 7 {
                child.kill().unwrap();
            }
        }
        assert!(count >= 20, "the child ended by itself");
        child.wait().unwrap();
        let store = SqliteStore::open(&config(&path)).unwrap();
        follower.follow(&store, 50).await.unwrap();
        assert_eq!(follower, Replica::load(&store, &tables()).await);
    }
    for name in &durable {
        let row = follower.row("disk", &[json!(format!("{name}-b"))]);
        assert_eq!(row, Some(&columns(json!({"id": format!("{name}-b"), "parent": format!("{name}-a")}))));
    }
    // Half a transaction would be an odd number of rows, or a parent without its child.
    let firsts = follower.rows.keys().filter(|(_, key)| key.ends_with("-a\"]")).count();
    assert_eq!(follower.rows.len(), firsts * 2);
    assert!(firsts >= durable.len());
}
