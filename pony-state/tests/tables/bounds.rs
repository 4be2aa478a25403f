//! What has a bound, at its bound; what has none, far out.

use crate::cloud::{Nic, NicStatus, mac, nic_current, state};
use pony_state::{
    AnyRow, Column, ColumnSchema, ColumnType, Commit, FeedError, Key, PartKind, Read, Schema, SchemaError,
    State, StateBuilder, Subscription, TableSchema, Value, ValueError,
};
use serde_json::json;
use std::sync::Arc;

/// Commits so many changes.
fn changes(state: &mut State, count: u8, speed: i64) -> Commit {
    let mut tx = state.transaction();
    for number in 0..count {
        let mut part = nic_current(1, NicStatus::Ready);
        part.speed = speed;
        tx.set_current::<Nic>(&mac(number), part);
    }
    tx.commit()
}

fn received(feed: &mut Subscription) -> Vec<Result<u64, FeedError>> {
    std::iter::from_fn(|| feed.try_next().transpose())
        .take(100)
        .map(|it| it.map(|commit| commit.version()))
        .collect()
}

#[test]
fn a_subscriber_holds_as_many_changes_as_it_may_and_no_more() {
    let mut state = state();
    let (mut exact, mut short) = (state.subscribe(6), state.subscribe(5));
    changes(&mut state, 4, 1);
    changes(&mut state, 2, 2);
    assert_eq!(received(&mut exact), [Ok(1), Ok(2)]);
    assert_eq!(received(&mut short), [Err(FeedError::Lagged)]);
    // What was received makes place, and what was dropped does.
    changes(&mut state, 5, 3);
    assert_eq!(received(&mut exact), [Ok(3)]);
    assert_eq!(received(&mut short), [Ok(3)]);
}

#[test]
fn who_may_hold_nothing_hears_only_that_something_was() {
    let mut state = state();
    let (mut none, mut all) = (state.subscribe(0), state.subscribe(usize::MAX));
    assert_eq!(received(&mut none), []);
    for speed in 1..4 {
        changes(&mut state, 1, speed);
    }
    assert_eq!(received(&mut none), [Err(FeedError::Lagged)]);
    assert_eq!(received(&mut all), [Ok(1), Ok(2), Ok(3)]);
    // A transaction that changes nothing is no news, not even of having lagged.
    changes(&mut state, 1, 3);
    assert_eq!((received(&mut none), received(&mut all)), (vec![], vec![]));
}

#[test]
fn skipping_makes_place() {
    let mut state = state();
    let mut feed = state.subscribe(4);
    changes(&mut state, 2, 1);
    changes(&mut state, 2, 2);
    feed.skip_to(1);
    changes(&mut state, 2, 3);
    assert_eq!(received(&mut feed), [Ok(2), Ok(3)]);
    feed.skip_to(u64::MAX);
    assert_eq!(received(&mut feed), []);
}

/// A dropped commit is not kept by the queue that dropped it.
#[test]
fn what_a_subscriber_missed_is_not_held_for_it() {
    let mut state = State::builder().table_dyn(note("note")).build().unwrap();
    let _feed = state.subscribe(1);
    let held = Arc::new(json!({"counted": true}));
    let keys = [Key::one("one"), Key::one("two")];
    let mut tx = state.transaction();
    for key in &keys {
        tx.set("note", key, PartKind::Desired, &["".into(), Value::Json(held.clone())]).unwrap();
    }
    drop(tx.commit());
    let mut tx = state.transaction();
    for key in &keys {
        tx.remove_row("note", key).unwrap();
    }
    drop(tx.commit());
    assert_eq!(Arc::strong_count(&held), 1, "nobody holds it but this test");
}

fn note(name: impl Into<String>) -> TableSchema {
    TableSchema::new(name).key(ColumnSchema::new("id", ColumnType::Text)).desired([
        ColumnSchema::new("text", ColumnType::Text).indexed(),
        ColumnSchema::new("any", ColumnType::Json).nullable(),
    ])
}

#[test]
fn tables_are_4096_at_most() {
    let tables = |count: u32| (0..count).map(|number| note(format!("t{number}"))).collect::<Vec<_>>();
    let schema = Schema::new(tables(4096)).unwrap();
    assert_eq!(schema.table("t4095").unwrap().id().index(), 4095);
    let error = Schema::new(tables(4097)).unwrap_err();
    assert_eq!(error, SchemaError::TooManyTables(4097));
    assert_eq!(error.to_string(), "there are 4097 tables; at most 4096 are possible");
    let state = tables(4096).into_iter().fold(State::builder(), StateBuilder::table_dyn).build().unwrap();
    assert_eq!(state.view().tables().count(), 4096);
}

/// Keys and texts have no bound of their own: whoever takes them from outside bounds them (`sync::bounds`, HTTP).
#[test]
fn keys_and_texts_may_be_as_long_as_memory() {
    let mut state = State::builder().table_dyn(note("note")).build().unwrap();
    let long = |letter: &str| letter.repeat(1 << 20);
    let (a, b) = (Key::one(&*long("a")), Key::one(&*long("b")));
    for key in [&b, &a] {
        let mut tx = state.transaction();
        tx.set_json("note", key, PartKind::Desired, &json!({"text": long("x")})).unwrap();
        tx.commit();
    }
    let table = state.any("note").unwrap();
    assert!(table.ordered().map(AnyRow::key).eq([a.clone(), b]));
    assert_eq!(table.find("text", &Value::from(&*long("x"))).unwrap().count(), 2);
    assert_eq!(table.def().parse_key(&a.to_string()).unwrap(), a);
    state.check_invariants().unwrap();
    // A message quotes the beginning of what is wrong, not all of it.
    let error = Value::from_json(&ColumnType::Int, &json!(long("x"))).unwrap_err().to_string();
    assert!(error.len() < 200, "{} bytes", error.len());
}

#[test]
fn parts_may_have_many_columns() {
    const COLUMNS: i64 = 1000;
    let columns: Vec<_> =
        (0..COLUMNS).map(|n| ColumnSchema::new(format!("c{n}"), ColumnType::Int).indexed()).collect();
    let wide = TableSchema::new("wide").key(ColumnSchema::new("id", ColumnType::Int)).current(columns);
    let mut state = State::builder().table_dyn(wide).build().unwrap();
    let values: Vec<Value> = (0..COLUMNS).map(Value::from).collect();
    let mut tx = state.transaction();
    tx.set("wide", &Key::one(1), PartKind::Current, &values).unwrap();
    tx.commit();
    let last = COLUMNS - 1;
    let found = state.any("wide").unwrap().find(&format!("c{last}"), &last.into()).unwrap().count();
    assert_eq!(found, 1);
    state.check_invariants().unwrap();
}

#[test]
fn numbers_end_where_their_type_does() {
    fn ends<T: Column + TryFrom<i64>>(min: i64, max: i64) {
        for number in [min, max] {
            assert_eq!(T::from_value(&Value::Int(number)).map(|it| it.to_value()), Ok(Value::Int(number)));
        }
        for number in [min.saturating_sub(1), max.saturating_add(1)] {
            if !(min..=max).contains(&number) {
                let error = T::from_value(&Value::Int(number)).unwrap_err();
                assert_eq!(error, ValueError::OutOfRange { number, min, max });
            }
        }
    }
    ends::<u8>(0, i64::from(u8::MAX));
    ends::<u16>(0, i64::from(u16::MAX));
    ends::<u32>(0, i64::from(u32::MAX));
    ends::<i32>(i64::from(i32::MIN), i64::from(i32::MAX));
    ends::<i64>(i64::MIN, i64::MAX);
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!ColumnType::Float.admits(&Value::Float(number)));
    }
    assert!(ColumnType::Float.admits(&Value::Float(f64::MAX)));
    for text in ["9223372036854775808", "-9223372036854775809", "1e19"] {
        assert!(Value::parse(&ColumnType::Int, text).is_err(), "{text}");
    }
    assert_eq!(Value::parse(&ColumnType::Int, "-9223372036854775808"), Ok(Value::Int(i64::MIN)));
}

/// The same names of columns for the whole way: 0 rows, 1 row, as many as a page, a posting list, a chunk holds, and one
/// more or less.
#[test]
fn sizes_at_which_structures_change_their_shape() {
    let mut state = State::builder().table_dyn(note("note")).build().unwrap();
    let key = |number: usize| Key::one(&*format!("{number:05}"));
    let mut count = 0;
    for size in [0, 1, 2, 63, 64, 65, 127, 128, 129, 130, 511, 512, 513, 1024, 1025, 1100] {
        let snapshot = state.snapshot();
        let mut tx = state.transaction();
        for number in count..size {
            // Two lists of all ids, one per text: they change their shape at half these sizes, too.
            let text = json!({"text": if number % 2 == 0 { "even" } else { "odd" }});
            tx.set_json("note", &key(number), PartKind::Desired, &text).unwrap();
        }
        tx.commit();
        assert_eq!((snapshot.any("note").unwrap().len(), state.any("note").unwrap().len()), (count, size));
        snapshot.check_invariants().unwrap();
        state.check_invariants().unwrap();
        count = size;
    }
    // And back: every other one first, so that everything is torn open.
    for number in (0..count).step_by(2).chain((1..count).step_by(2)) {
        let mut tx = state.transaction();
        assert_eq!(tx.remove_row("note", &key(number)), Ok(true));
        tx.commit();
        if number % 97 == 0 {
            state.check_invariants().unwrap();
        }
    }
    assert!(state.any("note").unwrap().is_empty());
    assert_eq!(state.any("note").unwrap().find("text", &"odd".into()).unwrap().count(), 0);
    state.check_invariants().unwrap();
}
