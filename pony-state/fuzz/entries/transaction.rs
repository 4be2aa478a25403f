//! Any bytes as a history of transactions, compared with a naive model after every step: writes through the door by name
//! in all its forms, commits, roll-backs, snapshots held across them, look-ups by index, a subscriber.

use pony_state::{
    AnyRow, AnyTable, ColumnSchema, ColumnType, Key, PartKind, Read, Snapshot, State, TableSchema, Value,
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The rows of both tables, by table and key: both parts.
type Model = BTreeMap<(&'static str, Key), [Option<Vec<Value>>; 2]>;

const TABLES: [&str; 2] = ["one", "two"];

/// Steps of a history; a longer input is cut.
const STEPS_MAX: usize = 400;

fn state() -> State {
    let columns = || {
        vec![
            ColumnSchema::new("a", ColumnType::Int).indexed(),
            ColumnSchema::new("b", ColumnType::Text).nullable().indexed(),
        ]
    };
    let one = TableSchema::new("one").key(ColumnSchema::new("k", ColumnType::Int));
    let two = TableSchema::new("two").key(ColumnSchema::new("k", ColumnType::Int));
    let two = two.key(ColumnSchema::new("l", ColumnType::Text));
    let tables = [one, two].map(|table| table.desired(columns()).current(columns()));
    let builder = tables.into_iter().fold(State::builder(), pony_state::StateBuilder::table_dyn);
    builder.build().expect("a schema")
}

/// The bytes of an input, one after another.
struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> Option<u8> {
        self.0.next().copied()
    }

    fn row(&mut self) -> Option<(&'static str, Key)> {
        let byte = self.next()?;
        let number = Value::Int(i64::from(byte >> 4 & 7));
        Some(match byte & 1 {
            0 => ("one", Key::of([number])),
            _ => ("two", Key::of([number, Value::from(["x", "y"][usize::from(byte >> 1 & 1)])])),
        })
    }

    fn values(&mut self) -> Option<Vec<Value>> {
        let byte = self.next()?;
        let text = if byte & 1 > 0 {
            Value::Null
        } else {
            Value::from(["p", "q", "r", ""][usize::from(byte >> 1 & 3)])
        };
        Some(vec![Value::Int(i64::from(byte >> 4)), text])
    }

    /// Text of any bytes, up to 40 of them.
    fn text(&mut self) -> Option<String> {
        let length = usize::from(self.next()? % 40);
        let text = self.0.as_slice();
        let (text, rest) = text.split_at(length.min(text.len()));
        self.0 = rest.iter();
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

fn place(kind: PartKind) -> usize {
    usize::from(kind == PartKind::Current)
}

fn kind(byte: u8) -> PartKind {
    if byte & 0x80 > 0 { PartKind::Current } else { PartKind::Desired }
}

/// Between transactions, indexes must be what their rows make of them as well.
fn compare_at_rest(rows: &impl Read, model: &Model) {
    rows.check_invariants().expect("indexes in step with rows");
    compare(rows, model);
}

/// Compares all rows, and every look-up through an index.
fn compare(rows: &impl Read, model: &Model) {
    let count: usize = TABLES.iter().filter_map(|name| rows.any(*name)).map(AnyTable::len).sum();
    assert_eq!(count, model.len(), "as many rows as there should be");
    for ((name, key), parts) in model {
        let row = rows.any(*name).and_then(|table| table.get(key)).expect("a row that should be there");
        assert_eq!([row.part(PartKind::Desired), row.part(PartKind::Current)], *parts, "{name}/{key}");
    }
    for name in TABLES {
        let table = rows.any(name).expect("a table");
        for number in [0, 3, 15] {
            let value = Value::Int(number);
            let found = table.find("a", &value).expect("a column").map(AnyRow::key);
            let mut found: Vec<Key> = found.collect();
            found.sort_unstable();
            let holds = |parts: &[Option<Vec<Value>>; 2]| parts.iter().flatten().any(|part| part[0] == value);
            let expected = model.iter().filter(|((it, _), parts)| *it == name && holds(parts));
            assert!(found.iter().eq(expected.map(|((_, key), _)| key)), "{name}: look-up of {number}");
        }
    }
}

/// What the same write makes of the model.
fn write(model: &mut Model, (name, key): (&'static str, Key), kind: PartKind, part: Option<Vec<Value>>) {
    let row = model.entry((name, key.clone())).or_default();
    row[place(kind)] = part;
    if *row == [None, None] {
        model.remove(&(name, key));
    }
}

/// One transaction; `None` where the input ends in it. Says whether it was committed.
fn transact(state: &mut State, model: &mut Model, bytes: &mut Bytes<'_>, steps: &mut usize) -> Option<bool> {
    let (mut tx, mut next) = (state.transaction(), model.clone());
    loop {
        *steps += 1;
        let op = bytes.next().filter(|_| *steps < STEPS_MAX)?;
        let kind = kind(op);
        match op % 8 {
            0 => {
                let commit = tx.commit();
                let before = std::mem::replace(model, next);
                let changed = before.iter().filter(|(row, parts)| model.get(row) != Some(parts)).count()
                    + model.keys().filter(|row| !before.contains_key(row)).count();
                assert_eq!(commit.len(), changed, "a change for each row that differs");
                return Some(true);
            }
            1 => return Some(false),
            2 | 3 => {
                let (row, values) = (bytes.row()?, bytes.values()?);
                tx.set(row.0, &row.1, kind, &values).expect("values of the table");
                write(&mut next, row, kind, Some(values));
            }
            4 => {
                let row = bytes.row()?;
                tx.remove_part(row.0, &row.1, kind).expect("a key of the table");
                write(&mut next, row, kind, None);
            }
            5 => {
                let row = bytes.row()?;
                tx.remove_row(row.0, &row.1).expect("a key of the table");
                next.remove(&row);
            }
            6 => {
                let (row, values) = (bytes.row()?, bytes.values()?);
                let old = next.get(&row).and_then(|parts| parts[place(kind)].clone());
                let patched = tx.patch_json(row.0, &row.1, kind, &json!({ "a": values[0] }));
                assert_eq!(patched.is_ok(), old.is_some(), "only what is there can be changed");
                if let Some(old) = old {
                    write(&mut next, row, kind, Some(vec![values[0].clone(), old[1].clone()]));
                }
            }
            _ => {
                let (row, text) = (bytes.row()?, bytes.text()?);
                let written = tx.set_text(row.0, &row.1, kind, &text);
                // Of a member that comes twice, a tree knows the last one only.
                let tree = serde_json::from_str::<Json>(&text).ok().filter(Json::is_object);
                match written {
                    Ok(_) => {
                        assert!(tree.is_some(), "{text}");
                        let part = tx.any(row.0).and_then(|table| table.get(&row.1)?.part(kind));
                        write(&mut next, row, kind, part);
                    }
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
        }
        compare(&tx, &next);
    }
}

/// The entry of the target.
pub(crate) fn run(data: &[u8]) {
    let (mut state, mut model, mut steps) = (state(), Model::new(), 0);
    let mut bytes = Bytes(data.iter());
    let mut feed = state.subscribe(2);
    let mut held: Vec<(Snapshot, Model)> = Vec::new();
    while let Some(op) = bytes.next() {
        let before = state.snapshot().version();
        let Some(committed) = transact(&mut state, &mut model, &mut bytes, &mut steps) else { break };
        compare_at_rest(&state, &model);
        assert!(committed || state.snapshot().version() == before, "a roll-back leaves no trace");
        if op & 1 > 0 {
            held.push((state.snapshot(), model.clone()));
        }
        if op & 2 > 0 && !held.is_empty() {
            let (snapshot, then) = held.remove(usize::from(op >> 4) % held.len());
            compare_at_rest(&snapshot, &then);
        }
        if op & 4 > 0 {
            while let Ok(Some(commit)) = feed.try_next() {
                assert!(!commit.changes().is_empty());
            }
        }
    }
    compare_at_rest(&state, &model);
    for (snapshot, then) in &held {
        compare_at_rest(snapshot, then);
    }
}
