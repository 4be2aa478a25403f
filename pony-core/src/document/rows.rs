//! What the document reads: rows of tables by number, column by name. A snapshot of the state fulfils it, and so
//! does a draft of changes over one.

use super::read::{matches, show};
use pony_state::{AnyRow, ColumnSchema, Columns, Key, PartKind, Read, TableDef, TableId, Value};

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

    /// The rows of which either part, or the key, has all of these values; in key order.
    fn find_all(&self, table: &TableDef, filters: &[(String, Value)]) -> Vec<Key> {
        let Some((column, value)) = filters.first() else { return self.keys(table.id(), None).collect() };
        let mut keys = self.find(table.id(), column, value);
        keys.retain(|key| filters.iter().all(|(column, value)| matches(self, table, key, column, value)));
        keys
    }

    /// Appends a row as it is shown, as JSON text: `{desired?, current?}`, with its key in both parts, without nulls and
    /// secrets; only the columns named in `fields`, if given.
    fn write(&self, table: &TableDef, key: &Key, fields: Option<&[String]>, text: &mut Vec<u8>) {
        text.extend_from_slice(show(self, table, key, fields).to_string().as_bytes());
    }

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
        let rows = self.any(table).and_then(|table| table.find(column, value).ok());
        let mut keys: Vec<Key> = rows.into_iter().flatten().map(AnyRow::key).collect();
        keys.sort_unstable();
        keys
    }

    fn find_all(&self, table: &TableDef, filters: &[(String, Value)]) -> Vec<Key> {
        let filters: Vec<(&str, Value)> =
            filters.iter().map(|(column, value)| (column.as_str(), value.clone())).collect();
        let rows = self.any(table.id()).and_then(|table| table.filter(&filters).ok());
        let mut keys: Vec<Key> = rows.into_iter().flatten().map(AnyRow::key).collect();
        keys.sort_unstable();
        keys
    }

    fn write(&self, table: &TableDef, key: &Key, fields: Option<&[String]>, text: &mut Vec<u8>) {
        let row = self.any(table.id()).and_then(|table| table.get(key));
        let shown = |column: &ColumnSchema| {
            !column.secret && fields.is_none_or(|fields| fields.contains(&column.name))
        };
        text.push(b'{');
        let mut comma = "";
        for (kind, name) in [(PartKind::Desired, "desired"), (PartKind::Current, "current")] {
            if let Some(row) = row.filter(|row| row.has(kind)) {
                text.extend_from_slice(format!("{comma}\"{name}\":").as_bytes());
                table.write_part(row, kind, shown, text);
                comma = ",";
            }
        }
        text.push(b'}');
    }

    fn keys<'a>(&'a self, table: TableId, after: Option<&Key>) -> Box<dyn Iterator<Item = Key> + 'a> {
        let Some(table) = self.any(table) else { return Box::new(std::iter::empty()) };
        match after {
            Some(after) => Box::new(table.after(after).map(AnyRow::key)),
            None => Box::new(table.ordered().map(AnyRow::key)),
        }
    }
}
