//! Rows of tables on their way through a session: written straight from columns, read straight into them.

use crate::side::{MACHINE, Side};
use pony_state::sync::{
    Event, FullRows, Limits, Message, Part, Pkey, Role, RowId, SnapshotRows, Source, SourceRow, Update,
};
use pony_state::{
    AnyTable, ColumnSchema, ColumnType, Key, KeyColumns, PartKind, Read, Snapshot, State, TableSchema, Value,
};
use serde_json::{Value as Json, json};

/// A value of each type, in JSON, and another that the column does not take.
fn samples() -> Vec<(&'static str, ColumnType, Json, Json)> {
    vec![
        ("bool", ColumnType::Bool, json!(true), json!(1)),
        ("int", ColumnType::Int, json!(-5), json!(0.5)),
        ("float", ColumnType::Float, json!(0.5), json!("0.5")),
        ("uuid", ColumnType::Uuid, json!(MACHINE), json!("MACHINE")),
        ("text", ColumnType::Text, json!("a, \"b\"\n\\ ü"), json!("\0")),
        ("word", ColumnType::Enum(vec!["on".into(), "off".into()]), json!("off"), json!("of")),
        ("inet", ColumnType::Inet, json!("10.0.0.1/8"), json!("10.0.0.1/80")),
        ("cidr", ColumnType::Cidr, json!("10.0.0.0/8"), json!("10.0.0.1/8")),
        ("mac", ColumnType::Mac, json!("52:54:00:12:34:56"), json!("52:54")),
        ("range", ColumnType::Range, json!([0, 128]), json!([1, 1])),
        ("json", ColumnType::Json, json!({"a": [1, null]}), json!(null)),
        ("list", ColumnType::List(Box::new(ColumnType::Int)), json!([3, 1, 2]), json!([3, null])),
    ]
}

fn state() -> State {
    let columns = |part: &'static str| {
        samples().into_iter().map(move |(name, ty, ..)| ColumnSchema::new(format!("{part}_{name}"), ty))
    };
    let wide = TableSchema::new("wide").key(ColumnSchema::new("id", ColumnType::Uuid));
    let wide = wide
        .desired(columns("d").map(ColumnSchema::nullable).collect::<Vec<_>>())
        .current(columns("c").collect::<Vec<_>>());
    let keys = samples().into_iter().filter(|(name, ..)| *name != "json").map(|(name, ty, ..)| {
        TableSchema::new(format!("by_{name}")).key(ColumnSchema::new("k", ty)).desired([])
    });
    let pair = TableSchema::new("pair")
        .key(ColumnSchema::new("a", ColumnType::Text))
        .key(ColumnSchema::new("b", ColumnType::Int))
        .key(ColumnSchema::new("c", ColumnType::Bool))
        .desired([]);
    keys.fold(State::builder().table_dyn(wide).table_dyn(pair), pony_state::StateBuilder::table_dyn)
        .build()
        .unwrap()
}

struct Rows(Snapshot);

impl Source for Rows {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let table = self.0.any(&*row.table)?;
        table.get(&row.key(table.def()).ok()?).map(SourceRow::Row)
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(SnapshotRows::all(self.0.clone(), PartKind::Desired))
    }
}

/// What a peer that hears everything writes into a state of its own.
fn replicate(from: &State, limits: Limits) -> State {
    let mut sparkle = Side::new(Role::Sparkle { peer: MACHINE, epoch: 1 }, limits);
    let mut peer = Side::new(Role::Peer { uuid: MACHINE, epoch_highest: 0 }, limits);
    sparkle.hear(&Message::TwilightResync { uuid: MACHINE });
    let (rows, mut to) = (Rows(from.snapshot()), state());
    while let Some(frames) = sparkle.session.poll_transmit(sparkle.now, &rows) {
        peer.session.handle_message(frames.body.as_bytes(), frames.sent_unix_s, peer.now);
        for event in peer.events() {
            let Event::Full(full) = event else { continue };
            let mut tx = to.transaction();
            for change in full.changes() {
                let def = tx.def(&*change.row.table).unwrap();
                let key = change.row.key(&def).unwrap();
                assert_eq!(RowId::of(&def, &key), change.row);
                tx.set_text(def.id(), &key, change.kind, change.part.as_ref().unwrap().text()).unwrap();
            }
            tx.commit();
        }
    }
    to
}

fn all(state: &State) -> Vec<(String, Key, Option<Vec<Value>>)> {
    let rows = state.view().tables().flat_map(AnyTable::ordered);
    rows.map(|row| (row.def().name().to_owned(), row.key(), row.part(PartKind::Desired))).collect()
}

#[test]
fn every_type_arrives_as_it_was() {
    let mut from = state();
    let mut tx = from.transaction();
    for (place, (name, ty, sample, _)) in samples().into_iter().enumerate() {
        let part = json!({ format!("d_{name}"): sample });
        tx.set_json("wide", &Key::one(uuid::Uuid::from_u128(place as u128)), PartKind::Desired, &part)
            .unwrap();
        if name != "json" {
            let key = Key::one(Value::from_json(&ty, &sample).unwrap());
            tx.set_json(format!("by_{name}").as_str(), &key, PartKind::Desired, &json!({})).unwrap();
        }
    }
    let pair = Key::of([Value::from("a,b"), Value::Int(-7), Value::Bool(true)]);
    tx.set_json("pair", &pair, PartKind::Desired, &json!({})).unwrap();
    tx.commit();
    let small = Limits { changes: 2, ..Limits::default() };
    for limits in [Limits::default(), small] {
        assert_eq!(all(&replicate(&from, limits)), all(&from));
    }
}

/// A row's change has the same text whether it is written from its columns or from a part of its text.
#[test]
fn both_ways_of_writing_a_row_agree() {
    let mut state = state();
    let key = Key::one(MACHINE);
    let part = json!({ "id": MACHINE, "d_int": 7, "d_text": "x\"" });
    let mut tx = state.transaction();
    tx.set_json("wide", &key, PartKind::Desired, &part).unwrap();
    tx.commit();
    let row = state.any("wide").unwrap().get(&key).unwrap();
    let text = Part::of(row, PartKind::Desired).unwrap();
    assert_eq!(text.text(), format!(r#"{{"id":"{MACHINE}","d_int":7,"d_text":"x\""}}"#));
    assert_eq!(text, Part::from(part.as_object().unwrap()), "the order of members says nothing");
    assert_eq!(Part::of(row, PartKind::Current), None);

    let mut sparkle = Side::new(Role::Sparkle { peer: MACHINE, epoch: 1 }, Limits::default());
    sparkle.hear(&Message::TwilightResync { uuid: MACHINE });
    let straight = sparkle.session.poll_transmit(sparkle.now, &Rows(state.snapshot())).unwrap();
    let id = RowId::new("wide", Pkey::one(&MACHINE.to_string()));
    let change = pony_state::sync::WireChange { row: id, kind: PartKind::Desired, part: Some(text) };
    let update = Update {
        proto: Some(1),
        full: Some(1),
        incarnation: crate::side::OURS,
        changes: vec![change],
        ..Update::default()
    };
    assert_eq!(straight.body, Message::SparkleUpdate { epoch: Some(1), update }.encode());
}

/// Text and tree are read by one rule: the same values, and the same words for what is wrong.
#[test]
fn text_and_tree_are_read_alike() {
    let state = state();
    let def = state.any("wide").unwrap().def();
    let key = Key::one(MACHINE);
    let complete: serde_json::Map<_, _> =
        samples().into_iter().map(|(name, _, sample, _)| (format!("c_{name}"), sample)).collect();
    let mut parts = vec![complete.clone()];
    for (name, _, _, wrong) in samples() {
        let with = |value: Json| {
            let mut part = complete.clone();
            part.insert(format!("c_{name}"), value);
            part
        };
        parts.extend([
            with(wrong),
            with(Json::Null),
            with(json!([{}])),
            with(json!({"a": []})),
            with(json!(1e300)),
        ]);
        let mut without = complete.clone();
        without.remove(&format!("c_{name}"));
        without.insert("id".into(), json!(MACHINE));
        parts.push(without);
    }
    for (name, value) in [
        ("id", json!(MACHINE)),
        ("id", json!(crate::side::OURS)),
        ("id", json!(null)),
        ("d_int", json!(1)),
        ("later", json!([])),
    ] {
        let mut part = complete.clone();
        part.insert(name.into(), value);
        parts.push(part);
    }
    for part in parts {
        let text = Json::Object(part.clone()).to_string();
        for columns in [KeyColumns::Ignore, KeyColumns::Check(&key)] {
            let tree = def.part_from_columns(PartKind::Current, &part, columns);
            assert_eq!(def.part_from_text(PartKind::Current, &text, columns), tree, "{text}");
        }
    }
    for text in ["", "{", "[]", "7", "{\"c_int\":}", "{} {}", "nul"] {
        let error = def.part_from_text(PartKind::Current, text, KeyColumns::Ignore).unwrap_err().to_string();
        assert!(error.contains("is not a part; a part is an object of columns"), "{text}: {error}");
    }
}
