//! A naive database: it does what the declarations say, by looking at every row.

use pony_core::controller::StoredRow;
use pony_core::tables::table_schemas;
use pony_state::{ColumnSchema, Columns, OnDelete, RowOp, Rule, TableSchema};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// The table, and the key as JSON text.
type RowKey = (String, String);
type Rows = BTreeMap<RowKey, Arc<Columns>>;

/// Committed desired state.
#[derive(Clone)]
pub(crate) struct Database {
    tables: Arc<BTreeMap<String, TableSchema>>,
    rows: Rows,
}

impl Database {
    pub(crate) fn new() -> Self {
        let tables = table_schemas().into_iter().map(|it| (it.name.clone(), it)).collect();
        Self { tables: Arc::new(tables), rows: Rows::new() }
    }

    /// All rows.
    pub(crate) fn all(&self) -> Vec<StoredRow> {
        self.rows.iter().map(|(key, row)| self.stored(key, Some(row))).collect()
    }

    /// The rows of one table.
    pub(crate) fn table<'a>(&'a self, table: &str) -> impl Iterator<Item = &'a Columns> {
        let table = table.to_owned();
        self.rows.iter().filter(move |((name, _), _)| *name == table).map(|(_, row)| &**row)
    }

    /// The row of a table with one key column.
    pub(crate) fn get(&self, table: &str, key: impl serde::Serialize) -> Option<&Columns> {
        let key = serde_json::to_string(&[key]).unwrap();
        self.rows.get(&(table.to_owned(), key)).map(|row| &**row)
    }

    /// Commits all of it or nothing; answers with what changed.
    pub(crate) fn commit(&mut self, ops: &[RowOp]) -> Result<Vec<StoredRow>, String> {
        let mut rows = self.rows.clone();
        let mut touched = BTreeSet::new();
        for op in ops {
            self.apply(&mut rows, &mut touched, op)?;
        }
        for key in &touched {
            self.check(&rows, key)?;
        }
        let before = std::mem::replace(&mut self.rows, rows);
        let changed = touched.iter().filter(|key| before.get(*key) != self.rows.get(*key));
        Ok(changed.map(|key| self.stored(key, self.rows.get(key))).collect())
    }

    fn stored(&self, key: &RowKey, row: Option<&Arc<Columns>>) -> StoredRow {
        let names = self.tables[&key.0].key.iter().map(|column| column.name.clone());
        let values: Vec<Json> = serde_json::from_str(&key.1).unwrap();
        StoredRow {
            table: key.0.clone(),
            key: names.zip(values).collect(),
            row: row.map(|row| (**row).clone()),
        }
    }

    fn apply(&self, rows: &mut Rows, touched: &mut BTreeSet<RowKey>, op: &RowOp) -> Result<(), String> {
        let schema = self.tables.get(op.table()).ok_or("no such table")?;
        match op {
            RowOp::Insert { row, .. } => {
                let key = key_of(schema, row);
                let defaults = schema.desired.iter().map(|it| (it.name.clone(), it.default.clone()));
                let mut full: Columns = defaults.map(|(name, it)| (name, it.unwrap_or(Json::Null))).collect();
                full.extend(row.clone());
                touched.insert(key.clone());
                match rows.insert(key.clone(), Arc::new(full)) {
                    Some(_) => Err(format!("{key:?} is there already")),
                    None => Ok(()),
                }
            }
            RowOp::Update { key, columns, .. } => {
                let key = key_of(schema, key);
                let row = rows.get_mut(&key).ok_or_else(|| format!("{key:?} is not there"))?;
                Arc::make_mut(row).extend(columns.clone());
                touched.insert(key);
                Ok(())
            }
            RowOp::Delete { key, .. } => {
                let key = key_of(schema, key);
                rows.contains_key(&key).then_some(()).ok_or_else(|| format!("{key:?} is not there"))?;
                self.remove(rows, touched, &key);
                Ok(())
            }
        }
    }

    fn remove(&self, rows: &mut Rows, touched: &mut BTreeSet<RowKey>, key: &RowKey) {
        rows.remove(key);
        touched.insert(key.clone());
        for (referrer, column) in self.referrers(rows, key) {
            match column.on_delete {
                OnDelete::Cascade => self.remove(rows, touched, &referrer),
                OnDelete::SetNull => {
                    if let Some(row) = rows.get_mut(&referrer) {
                        Arc::make_mut(row).insert(column.name.clone(), Json::Null);
                        touched.insert(referrer);
                    }
                }
                OnDelete::Restrict => {}
            }
        }
    }

    /// Rows with an enforced reference to this one.
    fn referrers(&self, rows: &Rows, key: &RowKey) -> Vec<(RowKey, &ColumnSchema)> {
        let value: Vec<Json> = serde_json::from_str(&key.1).unwrap();
        let mut found = Vec::new();
        for schema in self.tables.values().filter(|it| it.has_desired) {
            for column in references(schema).filter(|it| it.references.as_deref() == Some(&*key.0)) {
                let refers = |(name, row): (&RowKey, &Arc<Columns>)| {
                    (name.0 == schema.name && row.get(&column.name) == value.first()).then(|| name.clone())
                };
                found.extend(rows.iter().filter_map(refers).map(|name| (name, column)));
            }
        }
        found
    }

    fn check(&self, rows: &Rows, key: &RowKey) -> Result<(), String> {
        let Some(row) = rows.get(key) else {
            return match self.referrers(rows, key).first() {
                Some((referrer, _)) => Err(format!("{key:?} is still referenced by {referrer:?}")),
                None => Ok(()),
            };
        };
        let schema = &self.tables[&key.0];
        for column in references(schema) {
            let value = row.get(&column.name).filter(|value| !value.is_null());
            let target = |value| (column.references.clone().unwrap(), serde_json::json!([value]).to_string());
            if let Some(value) = value
                && !rows.contains_key(&target(value))
            {
                return Err(format!("{key:?}: {} {value} is not there", column.name));
            }
        }
        for rule in &schema.rules {
            let (columns, nulls) = match rule {
                Rule::Unique(columns) => (columns, false),
                Rule::UniqueNullsEqual(columns) => (columns, true),
                _ => continue,
            };
            let values = |row: &Columns| columns.iter().map(|it| row.get(it).cloned()).collect::<Vec<_>>();
            let own = values(row);
            if !nulls && own.iter().any(|it| it.as_ref().is_none_or(Json::is_null)) {
                continue;
            }
            let same = |(name, other): (&RowKey, &Arc<Columns>)| {
                name.0 == key.0 && name != key && values(other) == own
            };
            if rows.iter().any(same) {
                return Err(format!("{key:?}: another row has the same {columns:?}"));
            }
        }
        Ok(())
    }
}

fn references(schema: &TableSchema) -> impl Iterator<Item = &ColumnSchema> {
    schema.key.iter().chain(&schema.desired).filter(|it| it.references.is_some() && !it.soft)
}

fn key_of(schema: &TableSchema, columns: &Columns) -> RowKey {
    let values: Vec<&Json> = schema.key.iter().map(|column| &columns[&column.name]).collect();
    (schema.name.clone(), serde_json::to_string(&values).unwrap())
}

/// A row, for tests that write one.
pub(crate) fn insert(table: &str, row: Json) -> RowOp {
    let Json::Object(row) = row else { panic!("a row is an object") };
    RowOp::Insert { table: table.to_owned(), row }
}

pub(crate) fn update(table: &str, key: impl serde::Serialize, columns: Json) -> RowOp {
    let Json::Object(columns) = columns else { panic!("columns are an object") };
    RowOp::Update { table: table.to_owned(), key: uuid_key(key), columns }
}

pub(crate) fn delete(table: &str, key: impl serde::Serialize) -> RowOp {
    RowOp::Delete { table: table.to_owned(), key: uuid_key(key) }
}

/// The wish that an instance be on a host; its key is the instance's.
pub(crate) fn pin(instance: Uuid, host: Uuid) -> RowOp {
    insert("pin", json!({ "uuid": instance, "instance": instance, "host": host }))
}

fn uuid_key(key: impl serde::Serialize) -> Columns {
    Columns::from_iter([("uuid".to_owned(), serde_json::to_value(key).unwrap())])
}
