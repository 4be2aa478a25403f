//! Short ways to say what the controller writes.

use pony_state::{Columns, RowOp};
use serde_json::Value as Json;

fn columns<const N: usize>(pairs: [(&str, Json); N]) -> Columns {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(crate) fn insert<const N: usize>(table: &str, row: [(&str, Json); N]) -> RowOp {
    RowOp::Insert { table: table.to_owned(), row: columns(row) }
}

pub(crate) fn update<const K: usize, const N: usize>(
    table: &str,
    key: [(&str, Json); K],
    changed: [(&str, Json); N],
) -> RowOp {
    RowOp::Update { table: table.to_owned(), key: columns(key), columns: columns(changed) }
}

pub(crate) fn update_columns<const K: usize>(table: &str, key: [(&str, Json); K], changed: Columns) -> RowOp {
    RowOp::Update { table: table.to_owned(), key: columns(key), columns: changed }
}

pub(crate) fn delete<const K: usize>(table: &str, key: [(&str, Json); K]) -> RowOp {
    RowOp::Delete { table: table.to_owned(), key: columns(key) }
}
