//! All or nothing, in any order, at once, together, durable.

use super::constraints::scene;
use super::feed::changes_after;
use super::{Fixture, Replica, delete, id, insert, tables, tenant, update};
use crate::store::{Claim, DesiredStore, Lead, Position};
use serde_json::json;

/// A transaction that fails at its last operation has done nothing.
///
/// # Panics
/// Where it has.
pub async fn a_transaction_is_all_or_nothing(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    store.commit(scene()).await.unwrap();
    let before = Replica::load(store, &tables()).await;
    let mut ops: Vec<_> = (100..200).map(tenant).collect();
    ops.push(delete("network", json!({"uuid": id(21)})));
    ops.push(update("instance", json!({"uuid": id(13)}), json!({"name": "web"})));
    store.commit(ops).await.unwrap_err();
    assert_eq!(Replica::load(store, &tables()).await, before);
    assert_eq!(changes_after(store, before.position, 10).await.changes, []);
}

/// References count when the transaction ends, not before. An address is checked against its network's range
/// whichever comes first.
///
/// # Panics
/// Where the order matters.
pub async fn rows_may_come_in_any_order(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let children_first = vec![
        insert("member", json!({"tenant": id(1), "instance": id(11)})),
        insert("instance", json!({"uuid": id(11), "tenant": id(1), "name": "web"})),
        tenant(1),
        insert("address", json!({"uuid": id(31), "network": id(21), "ip": "10.0.0.1"})),
        insert("network", json!({"uuid": id(21), "range": "10.0.0.0/24"})),
    ];
    store.commit(children_first).await.unwrap();
    let outside = vec![
        insert("address", json!({"uuid": id(32), "network": id(22), "ip": "10.0.0.1"})),
        insert("network", json!({"uuid": id(22), "range": "10.1.0.0/24"})),
    ];
    store.commit(outside).await.unwrap_err();
    let parents_first = vec![
        delete("tenant", json!({"uuid": id(1)})),
        delete("instance", json!({"uuid": id(11)})),
        insert("event", json!({"hash": "h", "instance": id(11)})),
    ];
    store.commit(parents_first).await.unwrap();
    let rest = Replica::load(store, &tables()).await;
    let names: Vec<&str> = rest.rows.keys().map(|(table, _)| table.as_str()).collect();
    assert_eq!(names, ["address", "event", "network"]);
}

/// The same of a transaction that is large: nothing of it is checked, or numbered, before its end.
///
/// # Panics
/// Where its size matters.
pub async fn large_transactions_are_like_small_ones(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let disk = |number: usize| format!("{number:04}");
    // Each refers to the one after it.
    let mut ops: Vec<_> =
        (0..999).map(|it| insert("disk", json!({"id": disk(it), "parent": disk(it + 1)}))).collect();
    let mut dangling = ops.clone();
    dangling.push(insert("disk", json!({"id": "x", "parent": "nowhere"})));
    store.commit(dangling).await.unwrap_err();
    ops.push(insert("disk", json!({"id": disk(999)})));
    let committed = store.commit(ops).await.unwrap();
    let mut follower = Replica::default();
    assert_eq!(follower.follow(store, 10).await.unwrap().len(), 1000);
    assert_eq!(follower.position, committed.position);
}

/// Transactions of each writer.
const EACH: u32 = 20;

/// Commits one after the other. Every third refers to nobody, every fifth has a key that exists.
async fn write(store: &dyn DesiredStore, writer: u32) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in 0..EACH {
        let name = format!("{writer}-{number}");
        let instance = id(1000 + writer * EACH + number);
        let owner = if number % 3 == 2 { id(2) } else { id(1) };
        let disk = if number % 5 == 4 { format!("{writer}-0") } else { name.clone() };
        let ops = vec![
            insert("instance", json!({"uuid": instance, "tenant": owner, "name": name})),
            insert("disk", json!({"id": disk})),
        ];
        let result = store.commit(ops).await;
        assert_eq!(result.is_ok(), number % 3 != 2 && number % 5 != 4, "{result:?}");
        positions.extend(result.ok().map(|committed| committed.position));
    }
    assert!(positions.is_sorted());
    positions
}

/// Many writers at once, some of whose transactions fail: each gets its own answer, and the feed has them one
/// after the other.
///
/// # Panics
/// Where something is missing, or mixed up.
pub async fn concurrent_commits_are_all_there(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    store.commit(vec![tenant(1)]).await.unwrap();
    let mut positions: Vec<_> =
        join_all((0..16).map(|writer| write(store, writer))).await.into_iter().flatten().collect();
    let count = positions.len();
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), count, "two transactions have one position");
    let mut follower = Replica::default();
    let changes = follower.follow(store, 10).await.unwrap();
    assert_eq!(changes.len(), 1 + 2 * count);
    assert_eq!(follower, Replica::load(store, &tables()).await);
    for pair in changes[1..].chunks(2) {
        assert_eq!(pair[0].txn, pair[1].txn);
        assert!(positions.contains(&pair[1].position), "{pair:?}");
    }
}

/// Transactions that are committed together: each is there by itself, up to the first that fails, which leaves nothing
/// of itself, and says why.
///
/// # Panics
/// Where one takes another along, or one is tried that rests on what failed.
pub async fn a_group_ends_at_its_first_failure(fixture: &mut dyn Fixture) {
    let store = fixture.store();
    let named = |number: u32, owner: u32| {
        insert("instance", json!({"uuid": id(number), "tenant": id(owner), "name": format!("{number}")}))
    };
    // Rows in any order, and each transaction on what is before it.
    let group = vec![vec![named(11, 1), tenant(1)], vec![], vec![named(12, 1)]];
    let done = store.commit_all(group).await;
    let positions: Vec<Position> = done.into_iter().map(|result| result.unwrap().position).collect();
    assert!(positions.is_sorted() && positions[0] < positions[2], "{positions:?}");
    // An instance without a tenant; a key that is there; a column that is not; a row that is not.
    let wrong = [
        vec![named(19, 9)],
        vec![tenant(3), named(11, 1)],
        vec![insert("tenant", json!({"uuid": id(8), "colour": "red"}))],
        vec![delete("tenant", json!({"uuid": id(7)}))],
    ];
    for (number, wrong) in (0..).zip(wrong) {
        let fresh = 20 + number;
        let expected = format!("{:?}", store.commit(wrong.clone()).await.unwrap_err());
        let group = vec![vec![named(fresh, 1)], wrong.clone(), vec![tenant(100 + number)]];
        let mut results = store.commit_all(group).await;
        // One that cannot be told from the others at once is tried by itself next time.
        if results.len() == 1 {
            results.extend(store.commit_all(vec![wrong, vec![tenant(100 + number)]]).await);
        }
        assert_eq!(results.len(), 2, "{results:?}");
        results[0].as_ref().unwrap();
        assert_eq!(format!("{:?}", results[1].as_ref().unwrap_err()), expected);
        let loaded = Replica::load(store, &tables()).await;
        assert!(loaded.row("instance", &[json!(id(fresh))]).is_some());
        let after = [id(3), id(8), id(100 + number)];
        assert!(after.iter().all(|key| loaded.row("tenant", &[json!(key)]).is_none()), "{loaded:?}");
    }
}

/// Runs all of them at once.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    use std::task::Poll;
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => all = false,
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

/// Closing and opening changes nothing, and the feed goes on where it was.
///
/// # Panics
/// Where something is lost.
pub async fn what_was_committed_is_there_after_reopening(fixture: &mut dyn Fixture) {
    fixture.store().commit(scene()).await.unwrap();
    let before = Replica::load(fixture.store(), &tables()).await;
    fixture.reopen().await;
    let mut after = Replica::load(fixture.store(), &tables()).await;
    assert_eq!(after, before);
    assert_eq!(*fixture.store().subscribe().borrow(), before.position);
    fixture.store().commit(vec![tenant(77)]).await.unwrap();
    let changes = after.follow(fixture.store(), 10).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert!(changes[0].position > before.position);
}

/// The epoch rises with each call, also over restarts.
///
/// # Panics
/// Where it does not.
pub async fn the_epoch_only_rises(fixture: &mut dyn Fixture) {
    let first = lead(fixture.store()).await;
    let second = lead(fixture.store()).await;
    fixture.reopen().await;
    let third = lead(fixture.store()).await;
    assert!(0 < first && first < second && second < third, "{first}, {second}, {third}");
    assert!(fixture.store().renew_lead().await.unwrap());
    fixture.store().commit(vec![tenant(1)]).await.unwrap();
}

async fn lead(store: &dyn DesiredStore) -> u64 {
    let claim = Claim { holder: uuid::Uuid::from_u128(7), name: "the suite".to_owned(), ttl_ms: 60_000 };
    match store.take_lead(&claim).await.unwrap() {
        Lead::Own { epoch } => epoch,
        Lead::Others { name } => panic!("{name} leads"),
    }
}
