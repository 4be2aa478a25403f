//! The feed: complete, in order, and equal to what is loaded.

use super::constraints::scene;
use super::{Fixture, Replica, delete, id, insert, tables, tenant, update};
use crate::error::FeedError;
use crate::store::{BATCH_ROWS, Changes, DesiredStore, Position};
use pony_state::RowOp;
use serde_json::json;
use std::ops::Range;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long something that happens at once may take on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// What the store tells, as whoever follows asks: again, where it is away for a moment, as it may be on a machine that is
/// busy.
pub(super) async fn changes_after(store: &dyn DesiredStore, after: Position, limit: usize) -> Changes {
    let start = Instant::now();
    loop {
        match store.changes_after(after, limit).await {
            Ok(changes) => return changes,
            Err(FeedError::Unavailable(_)) if start.elapsed() < SOON => {}
            Err(error) => panic!("no changes after {after}: {error}"),
        }
    }
}

/// Whoever follows the feed from the beginning holds what somebody loads.
///
/// # Panics
/// Where they differ.
pub async fn what_was_read_equals_what_is_fed(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let mut follower = Replica::default();
    store.commit(scene()).await.unwrap();
    follower.follow(store, 3).await.unwrap();
    assert_eq!(follower, Replica::load(store, &tables()).await);
    let ops = vec![
        update("instance", json!({"uuid": id(11)}), json!({"rcpu": 0.1, "state": "running", "ns": ["::1"]})),
        update("instance", json!({"uuid": id(12)}), json!({"tenant": id(2), "ns": null})),
        delete("address", json!({"uuid": id(31)})),
        update("tenant", json!({"uuid": id(2)}), json!({"data": {"deep": [[[1.5, "x"]]]}})),
    ];
    let committed = store.commit(ops).await.unwrap();
    let changes = follower.follow(store, 100).await.unwrap();
    assert_eq!(changes.len(), 4);
    assert!(changes.iter().all(|change| change.txn == changes[0].txn), "{changes:?}");
    assert_eq!(follower.position, committed.position);
    assert_eq!(follower, Replica::load(store, &tables()).await);
}

/// Batches end where transactions end.
///
/// # Panics
/// Where one does not.
pub async fn a_batch_never_cuts_a_transaction(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    for number in 0..6 {
        let disk = |part: u32| insert("disk", json!({"id": format!("{number}-{part}")}));
        store.commit(vec![disk(0), disk(1), disk(2)]).await.unwrap();
    }
    for (limit, sizes) in [(1, vec![3; 6]), (3, vec![3; 6]), (7, vec![6; 3]), (100, vec![18])] {
        let mut found = Vec::new();
        let mut position = Position::default();
        loop {
            let batch = changes_after(store, position, limit).await;
            position = batch.position;
            found.push(batch.changes.len());
            if !batch.more {
                break;
            }
        }
        assert_eq!(found, sizes, "limit {limit}");
    }
}

fn disks(numbers: Range<usize>) -> Vec<RowOp> {
    numbers.map(|number| insert("disk", json!({"id": format!("{number:06}")}))).collect()
}

/// A load that began before some commits shows none of them, however late it is read, and the feed goes on from
/// it.
///
/// # Panics
/// Where it is not so.
pub async fn a_load_continues_in_the_feed(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let count = BATCH_ROWS * 5 + 7;
    store.commit(disks(0..count)).await.unwrap();
    let mut load = store.load().await.unwrap();
    let later = store.commit(disks(count..count + 10)).await.unwrap();
    store.commit(vec![delete("disk", json!({"id": "000000"}))]).await.unwrap();
    let mut loaded = 0;
    while let Some(batch) = load.next().await.unwrap() {
        assert!(batch.len() <= BATCH_ROWS);
        loaded += batch.len();
    }
    assert_eq!(loaded, count);
    assert!(load.position() < later.position);
    let rest = changes_after(store, load.position(), 1000).await;
    assert_eq!(rest.changes.len(), 11);
    assert_eq!(load.next().await.unwrap(), None);
}

/// Nothing is told of what stays as it is.
///
/// # Panics
/// Where something is.
pub async fn an_update_without_effect_is_no_change(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let before = store.commit(scene()).await.unwrap();
    let same = json!({"name": "web", "state": "stopped", "ns": null});
    let ops = vec![
        update("instance", json!({"uuid": id(11)}), same),
        update("tenant", json!({"uuid": id(1)}), json!({})),
    ];
    assert_eq!(store.commit(ops).await.unwrap(), before);
    assert_eq!(store.commit(Vec::new()).await.unwrap(), before);
    assert_eq!(changes_after(store, before.position, 10).await.changes, []);
}

/// What goes or becomes null because something else goes is told like everything else.
///
/// # Panics
/// Where it is not.
pub async fn cascades_are_in_the_feed(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    store.commit(scene()).await.unwrap();
    let mut chain = vec![insert("disk", json!({"id": "c0"}))];
    chain.extend(
        (1..20).map(|it| insert("disk", json!({"id": format!("c{it}"), "parent": format!("c{}", it - 1)}))),
    );
    chain.push(insert("extent", json!({"uuid": id(50), "disk": "c19", "range": [0, 1], "holder": id(13)})));
    store.commit(chain).await.unwrap();
    let mut follower = Replica::load(store, &tables()).await;
    store.commit(vec![delete("disk", json!({"id": "c0"}))]).await.unwrap();
    let changes = follower.follow(store, 1).await.unwrap();
    assert_eq!(changes.len(), 21, "{changes:?}");
    assert!(changes.iter().all(|change| change.row.is_none() && change.txn == changes[0].txn));
    store.commit(vec![delete("instance", json!({"uuid": id(13)}))]).await.unwrap();
    let changes = follower.follow(store, 100).await.unwrap();
    let nulled = changes.iter().find(|change| &*change.table == "extent").expect("the extent is told");
    assert_eq!(nulled.row.as_ref().unwrap().get("holder"), None);
    assert_eq!(follower, Replica::load(store, &tables()).await);
}

/// Changes by somebody else wake subscribers, and are in the feed.
///
/// # Panics
/// Where they are not.
pub async fn changes_by_others_are_followed(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let mut positions = store.subscribe();
    let mut follower = Replica::load(store, &tables()).await;
    let own = store.commit(vec![tenant(1)]).await.unwrap();
    timeout(SOON, positions.wait_for(|position| *position >= own.position)).await.unwrap().unwrap();
    follower.follow(store, 10).await.unwrap();
    positions.mark_unchanged();
    let statements = [
        format!(
            "UPDATE tenant SET approved = FALSE, data = '{{\"a\": [1.25, null]}}' WHERE uuid = '{}'",
            id(1)
        ),
        format!("INSERT INTO instance (uuid, name, rcpu) VALUES ('{}', 'raw', 0.1)", id(2)),
        format!("INSERT INTO instance (uuid, name) VALUES ('{}', 'gone')", id(3)),
        format!("DELETE FROM instance WHERE uuid = '{}'", id(3)),
        "INSERT INTO part (mac, size) VALUES ('52:54:00:00:00:09', 0.30000000000000004)".to_owned(),
    ];
    for sql in &statements {
        fixture.raw(sql).await.unwrap();
    }
    timeout(SOON, positions.changed()).await.expect("subscribers are woken").unwrap();
    let changes = follower.follow(store, 2).await.unwrap();
    assert_eq!(changes.len(), 5, "{changes:?}");
    assert_eq!(follower, Replica::load(store, &tables()).await);
    let part = follower.row("part", &[json!("52:54:00:00:00:09")]).unwrap();
    assert_eq!(part["size"], json!(0.300_000_000_000_000_04));
    let last = follower.position;
    timeout(SOON, positions.wait_for(|position| *position == last)).await.unwrap().unwrap();
}

/// A reader that is too far behind, or ahead, is told so. (The fixture keeps 8 changes.)
///
/// # Panics
/// Where it is not.
pub async fn a_gap_is_told(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let mut follower = Replica::default();
    for number in 0..40 {
        store.commit(vec![tenant(number)]).await.unwrap();
    }
    // The last change may be forgotten only after its commit was answered.
    store.commit(Vec::new()).await.unwrap();
    let newest = *store.subscribe().borrow();
    let FeedError::Gap { asked, oldest, newest: told } = follower.follow(store, 100).await.unwrap_err()
    else {
        panic!("a gap is expected");
    };
    assert_eq!((asked, told), (Position(0), newest));
    let kept = changes_after(store, oldest, 100).await;
    assert!(kept.changes.len() >= 8 && kept.changes.len() <= 12, "{}", kept.changes.len());
    let before = Position(oldest.0 - 1);
    assert!(matches!(store.changes_after(before, 1).await, Err(FeedError::Gap { .. })));
    let ahead = Position(newest.0 + 1);
    assert!(matches!(store.changes_after(ahead, 1).await, Err(FeedError::Gap { .. })));
    let follower = Replica::load(store, &tables()).await;
    assert_eq!(follower.rows.len(), 40);
    // Somebody empties it behind a reader's back.
    let behind = follower.position;
    store.commit(vec![tenant(78)]).await.unwrap();
    fixture.raw("DELETE FROM \"_outbox\"").await.unwrap();
    let store = fixture.store();
    store.commit(vec![tenant(79)]).await.unwrap();
    assert!(matches!(store.changes_after(behind, 10).await, Err(FeedError::Gap { .. })));
    let mut follower = Replica::load(store, &tables()).await;
    store.commit(vec![tenant(77)]).await.unwrap();
    assert_eq!(follower.follow(store, 100).await.unwrap().len(), 1);
}
