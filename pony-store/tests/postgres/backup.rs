//! Back to a moment: a base backup and the archive of the write-ahead log, as `docs/database.md` says.

use crate::fixture::{config, skip};
use pony_store::conformance::{Cluster, Replica, insert, tables};
use pony_store::{Claim, DesiredStore, FeedError, Lead, PostgresStore};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moment_comes_back() {
    let archive = "archive_command = 'test ! -f ../wal/%f && cp %p ../wal/%f'";
    let cluster = match Cluster::start(&["wal_level = replica", "archive_mode = on", archive, "fsync = off"])
    {
        Ok(cluster) => cluster,
        Err(why) => return skip(&why),
    };
    let wal = cluster.dir().join("wal");
    assert!(cluster.run("/bin/mkdir", &[&wal.to_string_lossy()]).status.success());
    cluster.create("cloud");
    let before = config(&cluster.address("cloud"));
    PostgresStore::migrate(&before).await.unwrap();
    let store = PostgresStore::open(&before).await.unwrap();
    let disk = |name: &str| vec![insert("disk", json!({"id": name}))];
    store.commit(disk("early")).await.unwrap();
    let backup = cluster.base_backup(&[]).unwrap();
    store.commit(disk("wanted")).await.unwrap();
    let wanted = Replica::load(&store, &tables()).await;
    let moment = cluster.psql("cloud", "SELECT clock_timestamp()").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.commit(disk("mistake")).await.unwrap();
    let last = store.commit(disk("another")).await.unwrap();
    let file = cluster.psql("cloud", "SELECT pg_walfile_name(pg_switch_wal())").unwrap();
    let archived = wal.join(file);
    for attempt in 0.. {
        assert!(attempt < 400, "{} is not archived", archived.display());
        if archived.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(store);

    let restore = format!("restore_command = 'cp {}/%f %p'", wal.display());
    let target = format!("recovery_target_time = '{moment}'");
    backup.recover(&["archive_mode = off", &restore, &target, "recovery_target_action = 'promote'"]);
    let restored = config(&backup.address("cloud"));
    for attempt in 0.. {
        if backup.psql("cloud", "SELECT pg_is_in_recovery()").unwrap() == "f" {
            break;
        }
        assert!(attempt < 400, "it takes no writes");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let store = PostgresStore::open(&restored).await.unwrap();
    assert_eq!(Replica::load(&store, &tables()).await, wanted);
    // Whoever was at a position of the time that is undone learns so.
    assert!(matches!(store.changes_after(last.position, 10).await, Err(FeedError::Gap { .. })));
    let claim = Claim { holder: uuid::Uuid::from_u128(1), name: "restored".to_owned(), ttl_ms: 60_000 };
    assert!(matches!(store.take_lead(&claim).await.unwrap(), Lead::Own { .. }));
    store.commit(disk("mistake")).await.unwrap();
}
