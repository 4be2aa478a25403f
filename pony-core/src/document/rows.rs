//! What the document reads: rows of tables by number, column by name. A snapshot of the state fulfils it, and so
//! does a draft of changes over one.

use pony_state::{AnyRow, Columns, Key, PartKind, Read, TableId, Value};

/// A consistent view of rows, each by its key: enough to see where in the document a row is.
pub trait Cells {
    /// Whether a row has that part.
    fn has(&self, table: TableId, key: &Key, kind: PartKind) -> bool;

    /// The value of a column of a part (no key column), null included; nothing where the part is not there.
    fn value(&self, table: TableId, key: &Key, kind: PartKind, column: &str) -> Option<Value>;

    /// Whether a row has any part.
    fn exists(&self, table: TableId, key: &Key) -> bool {
        PartKind::BOTH.into_iter().any(|kind| self.has(table, key, kind))
    }
}

/// A consistent view of all rows.
pub trait Rows: Cells {
    /// The columns of a part that are not null, secret ones included, the key's not.
    fn columns(&self, table: TableId, key: &Key, kind: PartKind) -> Option<Columns>;

    /// The rows of which either part, or the key, has that value in an indexed column; in key order.
    fn find(&self, table: TableId, column: &str, value: &Value) -> Vec<Key>;

    /// All rows with keys beyond `after`, in key order.
    fn keys<'a>(&'a self, table: TableId, after: Option<&Key>) -> Box<dyn Iterator<Item = Key> + 'a>;
}

impl<T: Read> Cells for T {
    fn has(&self, table: TableId, key: &Key, kind: PartKind) -> bool {
        self.any(table).and_then(|table| table.get(key)).is_some_and(|row| row.has(kind))
    }

    fn value(&self, table: TableId, key: &Key, kind: PartKind, column: &str) -> Option<Value> {
        self.any(table)?.get(key)?.value(kind, column)
    }
}

impl<T: Read> Rows for T {
    fn columns(&self, table: TableId, key: &Key, kind: PartKind) -> Option<Columns> {
        let table = self.any(table)?;
        table.def().part_to_json(table.get(key)?, kind)
    }

    fn find(&self, table: TableId, column: &str, value: &Value) -> Vec<Key> {
        let rows = self.any(table).and_then(|table| table.select(&[(column, value.clone())], None).ok());
        rows.into_iter().flatten().map(AnyRow::key).collect()
    }

    fn keys<'a>(&'a self, table: TableId, after: Option<&Key>) -> Box<dyn Iterator<Item = Key> + 'a> {
        let Some(table) = self.any(table) else { return Box::new(std::iter::empty()) };
        match after {
            Some(after) => Box::new(table.after(after).map(AnyRow::key)),
            None => Box::new(table.ordered().map(AnyRow::key)),
        }
    }
}
