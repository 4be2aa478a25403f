//! Writes, as seeds that any table can make keys and values of.

use pony_state::{Cidr, ColumnSchema, ColumnType, Inet, Key, Mac, PartKind, TableDef, Value};
use proptest::prelude::*;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

/// How many values a column has, null included: few, so that rows meet.
pub(crate) const VALUES: u8 = 4;

/// One value for each column that any part has.
pub(crate) type Seeds = [u8; 5];

/// One write.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) table: usize,
    key: [u8; 2],
    kind: PartKind,
    pub(crate) what: What,
}

/// What is written, through which door (of the state that has two).
#[derive(Debug, Clone)]
pub(crate) enum What {
    Set(Seeds),
    SetJson(Seeds),
    SetText(Seeds),
    Patch([Option<u8>; 5]),
    PutJson(Option<Seeds>, Option<Seeds>),
    RemovePart,
    RemoveRow,
    Insert(Seeds),
    Update([Option<u8>; 5]),
    Delete,
    TypedPut(Option<Seeds>, Option<Seeds>),
    TypedSet(Seeds),
    TypedUpdate(Seeds),
    TypedRemovePart,
    TypedRemoveRow,
    Wrong(Wrong),
}

/// What must be refused, and change nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wrong {
    Table,
    KeyCount,
    KeyType,
    ValueCount,
    ValueType,
    NoObject,
    UnknownColumn,
    KeyMismatch,
    NullInKey,
    PatchToWrongType,
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let seeds = || proptest::array::uniform5(0..VALUES);
    let some = || proptest::array::uniform5(proptest::option::weighted(0.3, 0..VALUES));
    let optional = || proptest::option::weighted(0.7, seeds());
    let what = prop_oneof![
        3 => seeds().prop_map(What::Set),
        2 => seeds().prop_map(What::SetJson),
        2 => seeds().prop_map(What::SetText),
        2 => some().prop_map(What::Patch),
        2 => (optional(), optional()).prop_map(|(desired, current)| What::PutJson(desired, current)),
        2 => Just(What::RemovePart),
        1 => Just(What::RemoveRow),
        2 => seeds().prop_map(What::Insert),
        2 => some().prop_map(What::Update),
        1 => Just(What::Delete),
        3 => (optional(), optional()).prop_map(|(desired, current)| What::TypedPut(desired, current)),
        3 => seeds().prop_map(What::TypedSet),
        3 => seeds().prop_map(What::TypedUpdate),
        2 => Just(What::TypedRemovePart),
        1 => Just(What::TypedRemoveRow),
        1 => wrong().prop_map(What::Wrong),
    ];
    // Join tables and their ends are where things go wrong.
    let table = prop_oneof![1 => Just(0_usize), 2 => Just(1), 2 => Just(2), 2 => Just(3), 4 => Just(4)];
    let key = proptest::array::uniform2(1..VALUES);
    (table, key, prop_oneof![Just(PartKind::Desired), Just(PartKind::Current)], what)
        .prop_map(|(table, key, kind, what)| Op { table, key, kind, what })
}

fn wrong() -> impl Strategy<Value = Wrong> {
    prop_oneof![
        Just(Wrong::Table),
        Just(Wrong::KeyCount),
        Just(Wrong::KeyType),
        Just(Wrong::ValueCount),
        Just(Wrong::ValueType),
        Just(Wrong::NoObject),
        Just(Wrong::UnknownColumn),
        Just(Wrong::KeyMismatch),
        Just(Wrong::NullInKey),
        Just(Wrong::PatchToWrongType),
    ]
}

impl Op {
    pub(crate) fn key(&self, def: &TableDef) -> Key {
        let columns = def.schema().key.iter().zip(self.key);
        Key::of(columns.map(|(column, seed)| value(&column.ty, seed)))
    }

    /// The part meant: the other one, where the table does not have it.
    pub(crate) fn kind(&self, def: &TableDef) -> PartKind {
        match self.kind {
            PartKind::Desired if !def.schema().has_desired => PartKind::Current,
            PartKind::Current if !def.schema().has_current => PartKind::Desired,
            kind => kind,
        }
    }
}

/// The values of a part; null where the column may be absent and the seed is 0.
pub(crate) fn part(def: &TableDef, kind: PartKind, seeds: &Seeds) -> Vec<Value> {
    let columns = def.schema().part(kind).iter().zip(seeds);
    columns.map(|(column, seed)| column_value(column, *seed)).collect()
}

pub(crate) fn column_value(column: &ColumnSchema, seed: u8) -> Value {
    if column.nullable && seed == 0 { Value::Null } else { value(&column.ty, seed) }
}

fn value(ty: &ColumnType, seed: u8) -> Value {
    let number = i64::from(seed);
    let addr = IpAddr::V4(Ipv4Addr::new(10, seed, 0, 0));
    match ty {
        ColumnType::Bool => (seed % 2 == 1).into(),
        ColumnType::Int => number.into(),
        ColumnType::Float => (f64::from(seed) / 2.0).into(),
        ColumnType::Uuid => Uuid::from_u128(u128::from(seed)).into(),
        ColumnType::Text => format!("text {seed}").into(),
        ColumnType::Enum(words) => words[usize::from(seed) % words.len()].clone().into(),
        ColumnType::Inet => Value::Inet(Inet::from(addr)),
        ColumnType::Cidr => Value::Cidr(Cidr::new(addr, 16).unwrap()),
        ColumnType::Mac => Mac([2, 0, 0, 0, 0, seed]).into(),
        ColumnType::Range => Value::Range(-number, number + 1),
        ColumnType::Json => Value::Json(json!({ "n": number, "list": [null] }).into()),
        ColumnType::List(item) => Value::List((0..seed).map(|seed| value(item, seed)).collect()),
    }
}

/// A value that no column of that type takes.
pub(crate) fn misfit(ty: &ColumnType) -> Value {
    if *ty == ColumnType::Bool { Value::Int(1) } else { Value::Bool(true) }
}
