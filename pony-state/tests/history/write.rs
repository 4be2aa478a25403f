//! One write, done to two states and to the model.

use crate::model::{self, Model};
use crate::op::{Op, Seeds, What, column_value, part};
use crate::refuse::refuse;
use crate::typed::{by_table, put, remove, remove_part, set, update};
use pony_state::{
    ColumnSchema, Columns, Key, PartError, PartKind, Read, RowOp, TableDef, Transaction, Value,
};
use serde_json::Value as Json;
use std::sync::Arc;

/// Writes to both states and to the model, and compares what they say. Says whether that changed anything.
pub(crate) fn write<'a>(
    op: &Op,
    typed: &mut Transaction<'a>,
    dynamic: &mut Transaction<'a>,
    model: &mut Model,
) -> bool {
    let def = Arc::clone(&typed.schema().tables()[op.table]);
    let (key, kind) = (op.key(&def), op.kind(&def));
    if let What::Wrong(wrong) = op.what {
        refuse(wrong, &def, &key, kind, typed, dynamic);
        return false;
    }
    let expected = expect(op, &def, &key, kind, model);
    let found = [do_typed(op, &def, &key, kind, typed), do_by_name(op, &def, &key, kind, dynamic)];
    match expected {
        Some(changed) => assert_eq!(found, [Ok(changed), Ok(changed)], "{op:?}"),
        None => assert!(found.iter().all(|it| matches!(it, Err(PartError::Absent { .. }))), "{found:?}"),
    }
    expected == Some(true)
}

/// Does it to the model. `None`: there is no part to change.
fn expect(op: &Op, def: &TableDef, key: &Key, kind: PartKind, model: &mut Model) -> Option<bool> {
    let table = op.table;
    Some(match &op.what {
        What::Set(seeds) | What::TypedSet(seeds) => model.set(table, key, kind, Some(part(def, kind, seeds))),
        What::SetJson(seeds) | What::SetText(seeds) => {
            model.set(table, key, kind, Some(defaulted(def, kind, seeds)))
        }
        What::Insert(seeds) => {
            let kind = op_kind(def)?;
            model.set(table, key, kind, Some(defaulted(def, kind, seeds)))
        }
        What::Patch(seeds) => patch(model, table, def, key, kind, seeds)?,
        What::Update(seeds) => patch(model, table, def, key, op_kind(def)?, seeds)?,
        What::RemovePart | What::TypedRemovePart => model.set(table, key, kind, None),
        What::Delete => model.set(table, key, PartKind::Desired, None),
        What::RemoveRow | What::TypedRemoveRow => model.put(table, key, &[None, None]),
        What::TypedPut(desired, current) => {
            model.put(table, key, &parts(def, desired.as_ref(), current.as_ref()))
        }
        What::PutJson(desired, current) => {
            let seeds = [desired, current];
            let part = |kind: PartKind| {
                let seeds = seeds[model::place(kind)].as_ref()?;
                def.schema().has_part(kind).then(|| defaulted(def, kind, seeds))
            };
            model.put(table, key, &PartKind::BOTH.map(part))
        }
        What::TypedUpdate(seeds) => {
            let there = model.part(table, key, kind).is_some();
            there && model.set(table, key, kind, Some(part(def, kind, seeds)))
        }
        What::Wrong(_) => unreachable!("refused before"),
    })
}

/// Operations concern desired parts.
fn op_kind(def: &TableDef) -> Option<PartKind> {
    def.schema().has_desired.then_some(PartKind::Desired)
}

fn parts(def: &TableDef, desired: Option<&Seeds>, current: Option<&Seeds>) -> model::Parts {
    let has = |kind| move |_: &&Seeds| def.schema().has_part(kind);
    let desired = desired.filter(has(PartKind::Desired)).map(|seeds| part(def, PartKind::Desired, seeds));
    let current = current.filter(has(PartKind::Current)).map(|seeds| part(def, PartKind::Current, seeds));
    [desired, current]
}

/// The values of a part of JSON: what is absent there has its default.
fn defaulted(def: &TableDef, kind: PartKind, seeds: &Seeds) -> Vec<Value> {
    let columns = def.schema().part(kind).iter().zip(part(def, kind, seeds));
    let value = |(column, value): (&ColumnSchema, Value)| match &column.default {
        Some(default) if value.is_null() => Value::from_json(&column.ty, default).unwrap(),
        _ => value,
    };
    columns.map(value).collect()
}

fn patch(
    model: &mut Model,
    table: usize,
    def: &TableDef,
    key: &Key,
    kind: PartKind,
    seeds: &[Option<u8>; 5],
) -> Option<bool> {
    let mut values = model.part(table, key, kind)?.clone();
    for ((column, value), seed) in def.schema().part(kind).iter().zip(&mut values).zip(seeds) {
        if let Some(seed) = seed {
            *value = column_value(column, *seed);
        }
    }
    Some(model.set(table, key, kind, Some(values)))
}

/// The columns that have a seed, as JSON; nulls written out.
fn some_columns(def: &TableDef, kind: PartKind, seeds: &[Option<u8>; 5]) -> Columns {
    let columns = def.schema().part(kind).iter().zip(seeds);
    let member = |(column, seed): (&ColumnSchema, &Option<u8>)| {
        Some((column.name.clone(), column_value(column, (*seed)?).to_json()))
    };
    columns.filter_map(member).collect()
}

fn json_part(def: &TableDef, key: &Key, kind: PartKind, seeds: &Seeds) -> Columns {
    let mut columns = def.values_to_json(kind, &part(def, kind, seeds));
    def.add_key(&mut columns, key);
    columns
}

fn key_columns(def: &TableDef, key: &Key) -> Columns {
    let mut columns = Columns::new();
    def.add_key(&mut columns, key);
    columns
}

/// By the typed door where the operation has one, else by name.
fn do_typed(
    op: &Op,
    def: &TableDef,
    key: &Key,
    kind: PartKind,
    tx: &mut Transaction<'_>,
) -> Result<bool, PartError> {
    Ok(match &op.what {
        What::TypedSet(seeds) => by_table!(def.name(), set(tx, key, kind, &part(def, kind, seeds))),
        What::TypedUpdate(seeds) => by_table!(def.name(), update(tx, key, kind, &part(def, kind, seeds))),
        What::TypedRemovePart => by_table!(def.name(), remove_part(tx, key, kind)),
        What::TypedRemoveRow => by_table!(def.name(), remove(tx, key)),
        What::TypedPut(desired, current) => {
            by_table!(def.name(), put(tx, key, &parts(def, desired.as_ref(), current.as_ref())))
        }
        _ => return do_by_name(op, def, key, kind, tx),
    })
}

/// By name; what only the typed door has by what comes to the same.
fn do_by_name(
    op: &Op,
    def: &TableDef,
    key: &Key,
    kind: PartKind,
    tx: &mut Transaction<'_>,
) -> Result<bool, PartError> {
    let table = || def.name().to_owned();
    match &op.what {
        What::Set(seeds) | What::TypedSet(seeds) => tx.set(def.id(), key, kind, &part(def, kind, seeds)),
        What::SetJson(seeds) => tx.set_json(def.name(), key, kind, &json_part(def, key, kind, seeds).into()),
        What::SetText(seeds) => {
            let text = Json::from(json_part(def, key, kind, seeds)).to_string();
            tx.set_text(def.name(), key, kind, &text)
        }
        What::Patch(seeds) => tx.patch_json(def.name(), key, kind, &some_columns(def, kind, seeds).into()),
        What::PutJson(desired, current) => {
            let seeds = [desired, current];
            let part = |kind: PartKind| {
                let seeds = seeds[model::place(kind)].as_ref().filter(|_| def.schema().has_part(kind))?;
                Some((kind.as_str().to_owned(), Json::Object(json_part(def, key, kind, seeds))))
            };
            let row = PartKind::BOTH.into_iter().filter_map(part).collect();
            tx.put_json(def.id(), key, &Json::Object(row))
        }
        What::RemovePart | What::TypedRemovePart => tx.remove_part(def.id(), key, kind),
        What::RemoveRow | What::TypedRemoveRow => tx.remove_row(def.id(), key),
        // Without a desired part there is nothing to insert into, nor to update.
        What::Insert(_) | What::Update(_) if op_kind(def).is_none() => Err(absent(def, key)),
        What::Insert(seeds) => {
            tx.apply_op(&RowOp::Insert { table: table(), row: json_part(def, key, PartKind::Desired, seeds) })
        }
        What::Update(seeds) => {
            let columns = some_columns(def, PartKind::Desired, seeds);
            tx.apply_op(&RowOp::Update { table: table(), key: key_columns(def, key), columns })
        }
        What::Delete => tx.apply_op(&RowOp::Delete { table: table(), key: key_columns(def, key) }),
        What::TypedUpdate(seeds) => match tx.any(def.id()).and_then(|it| it.get(key)?.part(kind)) {
            Some(_) => tx.set(def.id(), key, kind, &part(def, kind, seeds)),
            None => Ok(false),
        },
        What::TypedPut(desired, current) => {
            let mut changed = false;
            for (kind, part) in PartKind::BOTH.into_iter().zip(parts(def, desired.as_ref(), current.as_ref()))
            {
                changed |= match part {
                    Some(part) => tx.set(def.id(), key, kind, &part)?,
                    None => tx.remove_part(def.id(), key, kind)?,
                };
            }
            Ok(changed)
        }
        What::Wrong(_) => unreachable!("refused before"),
    }
}

fn absent(def: &TableDef, key: &Key) -> PartError {
    PartError::Absent { table: def.name().to_owned(), key: key.to_string(), part: PartKind::Desired }
}
