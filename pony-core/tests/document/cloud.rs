//! A cloud in memory that commits effects as a strict database would: every operation by itself, references and
//! `on_delete` enforced at once.

use pony_core::document::{
    Caller, DocumentError, Effect, Listing, Query, Reader, Tree, UrlPath, Write, evaluate,
};
use pony_core::tables::new_state;
use pony_state::{
    AnyRow, ColumnSchema, Key, OnDelete, PartKind, Read, RowOp, State, TableDef, TableId, Value,
};
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;
use uuid::Uuid;

pub struct Cloud {
    pub state: State,
    pub tree: Tree,
    next: u128,
}

/// What is listed, in its order.
fn members(mut listing: Listing<'_>) -> Vec<(String, Json)> {
    let mut next = || {
        let mut text = b"{".to_vec();
        let member = listing.write_next(&mut text).then_some(text)?;
        let object: Map<String, Json> = serde_json::from_slice(&[member, b"}".to_vec()].concat()).unwrap();
        object.into_iter().next()
    };
    std::iter::from_fn(&mut next).collect()
}

pub fn alicorn() -> Caller {
    Caller::alicorn("root@example.org")
}

/// `00000000-0000-0000-0000-…` of a number.
pub fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

impl Cloud {
    pub fn new() -> Self {
        let state = new_state().unwrap();
        let tree = Tree::new(Arc::clone(state.schema())).unwrap();
        Self { state, tree, next: 0 }
    }

    pub fn evaluate(&mut self, caller: &Caller, url: &str, write: &Write) -> Result<Effect, DocumentError> {
        let mut fresh = || {
            self.next += 1;
            Uuid::from_u128(self.next)
        };
        evaluate(&self.tree, &self.state, caller, &UrlPath::parse(url)?, write, &mut fresh)
    }

    pub fn write_as(&mut self, caller: &Caller, url: &str, write: &Write) -> Result<Effect, DocumentError> {
        let effect = self.evaluate(caller, url, write)?;
        assert_eq!(effect.ops.len(), effect.paths.len());
        for op in &effect.ops {
            self.commit(op);
        }
        self.state.check_invariants().unwrap();
        Ok(effect)
    }

    pub fn write(&mut self, url: &str, write: Write) -> Result<Effect, DocumentError> {
        self.write_as(&alicorn(), url, &write)
    }

    /// POST; the UUID of the new entity.
    pub fn post(&mut self, url: &str, desired: Json) -> String {
        let effect = self.write(url, Write::Create(json!({"desired": desired}))).unwrap();
        effect.uuids.get("POST").map(Uuid::to_string).unwrap_or_default()
    }

    pub fn patch(&mut self, url: &str, patch: Json) -> Result<Effect, DocumentError> {
        self.write(url, Write::Patch(patch))
    }

    pub fn get(&self, url: &str) -> Json {
        self.get_as(&alicorn(), url).unwrap()
    }

    pub fn get_as(&self, caller: &Caller, url: &str) -> Result<Json, DocumentError> {
        let text = Reader::new(&self.tree, &self.state, caller).entity(&UrlPath::parse(url)?)?;
        Ok(serde_json::from_slice(&text).unwrap())
    }

    /// `url?query`
    pub fn list_as(&self, caller: &Caller, url: &str) -> Result<Vec<(String, Json)>, DocumentError> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (url, query) = (UrlPath::parse(path)?, Query::parse(pairs)?);
        let reader = Reader::new(&self.tree, &self.state, caller);
        let listing = if url.join { reader.join(&url, &query)? } else { reader.list(&url, &query)? };
        Ok(members(listing))
    }

    pub fn list(&self, url: &str) -> Vec<(String, Json)> {
        self.list_as(&alicorn(), url).unwrap()
    }

    pub fn keys(&self, url: &str) -> Vec<String> {
        self.list(url).into_iter().map(|(key, _)| key).collect()
    }

    /// What a host reports.
    pub fn report(&mut self, table: &str, key: &Key, current: Json) {
        let mut tx = self.state.transaction();
        tx.set_json(table, key, PartKind::Current, &current).unwrap();
        tx.commit();
    }

    fn commit(&mut self, op: &RowOp) {
        let table = Arc::clone(self.state.schema().table(op.table()).unwrap());
        let desired = PartKind::Desired;
        match op {
            RowOp::Insert { row, .. } => {
                let key = table.key_of_part(desired, &Json::Object(row.clone())).unwrap();
                assert!(!self.has(&table, &key), "inserts what is there: {op:?}");
                let mut tx = self.state.transaction();
                tx.set_json(table.id(), &key, desired, &Json::Object(row.clone())).unwrap();
                tx.commit();
                self.check_references(&table, &key, op);
            }
            RowOp::Update { key, columns, .. } => {
                let key = table.key_of_part(desired, &Json::Object(key.clone())).unwrap();
                assert!(self.has(&table, &key) && !columns.is_empty(), "updates nothing: {op:?}");
                let mut tx = self.state.transaction();
                tx.patch_json(table.id(), &key, desired, &Json::Object(columns.clone())).unwrap();
                tx.commit();
                self.check_references(&table, &key, op);
            }
            RowOp::Delete { key, .. } => {
                let key = table.key_of_part(desired, &Json::Object(key.clone())).unwrap();
                assert!(self.has(&table, &key), "deletes nothing: {op:?}");
                let mut tx = self.state.transaction();
                tx.remove_part(table.id(), &key, desired).unwrap();
                tx.commit();
                self.set_null(&table, &key);
                self.check_unreferenced(&table, &key, op);
            }
        }
        self.check_unique(&table, op);
    }

    fn has(&self, table: &TableDef, key: &Key) -> bool {
        self.state.any(table.id()).unwrap().get(key).is_some_and(|row| row.has(PartKind::Desired))
    }

    fn check_references(&self, table: &TableDef, key: &Key, op: &RowOp) {
        let row = self.state.any(table.id()).unwrap().get(key).unwrap();
        let schema = table.schema();
        for column in schema.key.iter().chain(&schema.desired).filter(|column| !column.soft) {
            let Some(target) =
                column.references.as_ref().map(|name| self.state.schema().table(name).unwrap())
            else {
                continue;
            };
            let value = row.value(PartKind::Desired, &column.name).unwrap();
            assert!(value.is_null() || self.has(target, &Key::one(value)), "{} dangles: {op:?}", column.name);
        }
    }

    /// `on_delete = "set-null"`, as the database does it.
    fn set_null(&mut self, table: &TableDef, key: &Key) {
        let [value] = key.values() else { return };
        let mut tx = self.state.transaction();
        for (id, name) in table_references(&tx, table) {
            let referrer = Arc::clone(tx.any(id).unwrap().def());
            let sets_null =
                |column: &&ColumnSchema| column.name == name && column.on_delete == OnDelete::SetNull;
            if referrer.schema().desired.iter().find(sets_null).is_some() {
                let rows: Vec<Key> =
                    tx.any(id).unwrap().find(&name, value).unwrap().map(AnyRow::key).collect();
                for key in rows {
                    tx.patch_json(id, &key, PartKind::Desired, &json!({&name: null})).unwrap();
                }
            }
        }
        tx.commit();
    }

    /// Cascades are the document's to spell out: a row that the database took along would be one that nobody checked.
    fn check_unreferenced(&self, table: &TableDef, key: &Key, op: &RowOp) {
        let [value] = key.values() else { return };
        for (id, name) in self.state.schema().referencing(table.id()) {
            let referrer = self.state.any(*id).unwrap();
            let column = referrer.def().schema();
            let column = column.key.iter().chain(&column.desired).find(|it| it.name == *name && !it.soft);
            let Some(column) = column else { continue };
            for row in referrer.find(name, value).unwrap() {
                let refers = row.value(PartKind::Desired, name).as_ref() == Some(value);
                let harmless = column.on_delete == OnDelete::SetNull;
                assert!(
                    !refers || harmless,
                    "{} `{}` still refers: {op:?}",
                    referrer.def().name(),
                    row.key()
                );
            }
        }
    }

    fn check_unique(&self, table: &TableDef, op: &RowOp) {
        use pony_state::Rule;
        for rule in &table.schema().rules {
            let (names, nulls) = match rule {
                Rule::Unique(names) => (names, false),
                Rule::UniqueNullsEqual(names) => (names, true),
                _ => continue,
            };
            let mut seen = Vec::new();
            for row in self.state.any(table.id()).unwrap().iter().filter(|row| row.has(PartKind::Desired)) {
                let values: Vec<Value> =
                    names.iter().map(|name| row.value(PartKind::Desired, name).unwrap()).collect();
                if nulls || !values.iter().any(Value::is_null) {
                    assert!(!seen.contains(&values), "{names:?} not unique: {op:?}");
                    seen.push(values);
                }
            }
        }
    }
}

fn table_references(state: &impl Read, table: &TableDef) -> Vec<(TableId, String)> {
    state.schema().referencing(table.id()).to_vec()
}
