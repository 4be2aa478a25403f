//! Short ways to say what the controller writes.

use pony_state::{Columns, RowOp};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

fn columns<const N: usize>(pairs: [(&str, Json); N]) -> Columns {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A UUID for a row that follows from these, the same whenever it is decided about.
pub(crate) fn identity(parts: &[&[u8]]) -> Uuid {
    let mut sha = Sha256::new();
    parts.iter().for_each(|part| sha.update(part));
    let digest = sha.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
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
