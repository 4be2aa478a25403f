//! New entities: their keys, the first values of their columns, their children.

use super::access::{Caller, Grant, is_alicorn_column, is_alicorn_value};
use super::body::kind;
use super::draft::{Draft, Entry};
use super::error::{DocumentError, Problem};
use super::pointer::Pointer;
use super::resolve::{Bound, assemble, bind_key, grant, need};
use super::rows::Rows;
use super::tree::Endpoint;
use crate::tables::MemberRole;
use pony_state::{ColumnSchema, ColumnType, Columns, Key, TableDef, Value, ValueError};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

/// The placeholder for the key of an entity that was posted without one.
const POSTED: &str = "POST";

/// How often a free network identifier is looked for: with half of all 2^24 in use, all of them fail once in 65,536 times.
const VNI_TRIES: usize = 16;

/// A place below which an entity is made or changed.
#[derive(Clone)]
pub(super) struct Spot<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// The key of the path's first entity, if there is one above.
    pub(super) root: Option<Key>,
    /// The key of the entity above.
    pub(super) above: Option<Key>,
    /// The collection.
    pub(super) at: Pointer,
}

/// An object, or what is wrong.
pub(super) fn object<'j>(
    json: &'j Json,
    expected: &'static str,
    at: &Pointer,
) -> Result<&'j Map<String, Json>, DocumentError> {
    json.as_object().ok_or_else(|| DocumentError::at(at, Problem::Shape { expected, found: kind(json) }))
}

/// Refuses tables that nobody orders rows of.
pub(super) fn writable(endpoint: &Endpoint, at: &Pointer) -> Result<(), DocumentError> {
    if endpoint.is_writable() {
        return Ok(());
    }
    Err(DocumentError::at(at, Problem::ReadOnly { table: endpoint.table.name().to_owned() }))
}

impl<'a, R: Rows> Draft<'a, R> {
    /// Makes an entity, with its children. `key` is what stands for it in the path, if anything does.
    pub(super) fn create(
        &mut self,
        spot: &Spot<'a>,
        name: Option<&str>,
        entity: &Json,
    ) -> Result<Key, DocumentError> {
        let at = spot.at.join(name.unwrap_or(POSTED));
        writable(spot.endpoint, &at)?;
        let members = object(entity, "an entity, an object with `desired`", &at)?;
        check_members(members, &at)?;
        let Some(desired) = members.get("desired") else {
            let expected = "an entity with a `desired` part";
            return Err(DocumentError::at(&at, Problem::Shape { expected, found: "one without" }));
        };
        let part_at = at.join("desired");
        let desired = object(desired, "an object of columns", &part_at)?;
        let key = self.new_key(spot, name, desired, &at)?;
        let root = spot.root.clone().unwrap_or_else(|| key.clone());
        need(self.caller, grant(spot.endpoint, self.caller, Some(&root)), Grant::Write, &at)?;
        self.create_part(spot, &key, desired, &part_at)?;
        let above = Spot { endpoint: spot.endpoint, root: Some(root), above: Some(key.clone()), at };
        if let Some(children) = members.get("children") {
            self.create_children(&above, children)?;
        }
        Ok(key)
    }

    fn create_children(&mut self, parent: &Spot<'a>, children: &Json) -> Result<(), DocumentError> {
        let at = parent.at.join("children");
        for (name, collection) in object(children, "an object of collections", &at)? {
            let spot = self.child_spot(parent, name)?;
            for (name, entity) in object(collection, "an object of entities", &spot.at)? {
                self.create(&spot, Some(name), entity)?;
            }
        }
        Ok(())
    }

    /// The collection of a name below an entity.
    pub(super) fn child_spot(&self, parent: &Spot<'a>, name: &str) -> Result<Spot<'a>, DocumentError> {
        let at = parent.at.join("children").join(name);
        let Some(id) = parent.endpoint.children.get(name) else {
            let known = parent.endpoint.children.keys().cloned().collect();
            return Err(DocumentError::at(&at, Problem::NoCollection { name: name.to_owned(), known }));
        };
        Ok(Spot { endpoint: self.tree.get(*id), root: parent.root.clone(), above: parent.above.clone(), at })
    }

    /// Gives a row that has none a desired part.
    pub(super) fn create_part(
        &mut self,
        spot: &Spot<'a>,
        key: &Key,
        desired: &Map<String, Json>,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let table = &spot.endpoint.table;
        if self.desired(table.id(), key).is_some() {
            let problem = Problem::Exists { table: table.name().to_owned(), key: self.shown_key(key) };
            return Err(DocumentError::at(at, problem));
        }
        self.check_names(table, key, desired, at)?;
        let mut columns = Columns::new();
        let mut left_out = Vec::new();
        for column in &table.schema().desired {
            match self.first_value(spot, column, desired.get(&column.name), at)? {
                Some(value) => drop(columns.insert(column.name.clone(), value)),
                None if column.nullable => {}
                None => left_out.push(column.name.clone()),
            }
        }
        if !left_out.is_empty() {
            return Err(missing(table, left_out, at));
        }
        self.generate(table, &mut columns);
        self.put(table.id(), key, Entry { desired: Some(columns), path: at.clone(), direct: true })
    }

    /// What a column of a new row holds: what the path says, what the client says, or the default.
    fn first_value(
        &mut self,
        spot: &Spot<'a>,
        column: &ColumnSchema,
        given: Option<&Json>,
        at: &Pointer,
    ) -> Result<Option<Json>, DocumentError> {
        let table = &spot.endpoint.table;
        let given = match given.filter(|given| !given.is_null()) {
            Some(given) => Some(self.column_value(column, given, at)?),
            None => None,
        };
        let fixed = if spot.endpoint.via.as_ref() == Some(&column.name) {
            spot.above.as_ref().and_then(|above| above.values().first()).map(Value::to_json)
        } else if spot.endpoint.only_null.as_ref() == Some(&column.name) {
            Some(Json::Null)
        } else {
            None
        };
        match (fixed, given) {
            (Some(fixed), Some(given)) if given != fixed => {
                let (fixed, given) = (plain(&fixed), plain(&given));
                let problem = Problem::Contradiction { column: column.name.clone(), fixed, given };
                Err(DocumentError::at(&at.join(&column.name), problem))
            }
            (Some(fixed), _) => Ok(Some(fixed).filter(|fixed| !fixed.is_null())),
            (None, Some(given)) => {
                if column.default.as_ref() != Some(&given) {
                    self.check_right(table, column, &given, at)?;
                }
                Ok(Some(given))
            }
            (None, None) => Ok(column.default.clone()),
        }
    }

    /// What the cloud puts into columns that were left out: the hardware address of a vnic, in QEMU's range; the
    /// network identifier of a vxlan. (Addresses get theirs when the request is settled, for then their network is known.)
    fn generate(&mut self, table: &TableDef, columns: &mut Columns) {
        match table.name() {
            "vnic" if !columns.contains_key("macaddr") => {
                let [.., a, b, c] = self.fresh().into_bytes();
                let macaddr = format!("52:54:00:{a:02x}:{b:02x}:{c:02x}");
                columns.insert("macaddr".to_owned(), Json::String(macaddr));
            }
            "switch" if !columns.contains_key("tag") && columns.get("type") == Some(&Json::from("vxlan")) => {
                columns.extend(self.free_vni(table).map(|vni| ("tag".to_owned(), Json::from(vni))));
            }
            _ => {}
        }
    }

    /// A network identifier that no switch has. Where chance finds none, so many are in use that the user has to choose.
    fn free_vni(&mut self, switches: &TableDef) -> Option<i64> {
        let mut tries = (0..VNI_TRIES).map(|_| {
            let [.., a, b, c] = self.fresh().into_bytes();
            i64::from(u32::from_be_bytes([0, a, b, c]))
        });
        let tries: Vec<i64> = tries.by_ref().filter(|vni| *vni != 0).collect();
        tries.into_iter().find(|vni| self.find(switches.id(), "tag", &Value::Int(*vni)).is_empty())
    }

    /// The key of a new row.
    fn new_key(
        &mut self,
        spot: &Spot<'a>,
        name: Option<&str>,
        desired: &Map<String, Json>,
        at: &Pointer,
    ) -> Result<Key, DocumentError> {
        let table = &spot.endpoint.table;
        let open: Vec<&ColumnSchema> =
            spot.endpoint.open_key_places().filter_map(|place| table.schema().key.get(place)).collect();
        let given = |column: &ColumnSchema| desired.get(&column.name).filter(|value| !value.is_null());
        let text = match (name, open.as_slice()) {
            (Some(name), _) => name.to_owned(),
            (None, [column]) => match given(column) {
                Some(Json::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None if !table.schema().user_key && column.ty == ColumnType::Uuid => POSTED.to_owned(),
                None => return Err(missing(table, vec![column.name.clone()], at)),
            },
            (None, columns) => {
                let mut values = Vec::new();
                for column in columns {
                    let value = given(column).ok_or_else(|| missing(table, vec![column.name.clone()], at))?;
                    let value = self.column_value(column, value, at)?;
                    values.push(Value::from_json(&column.ty, &value).unwrap_or_default());
                }
                return Ok(assemble(spot.endpoint, spot.above.as_ref(), values));
            }
        };
        self.bind_new(spot, &text, at)
    }

    /// The key that a segment stands for, a placeholder getting its UUID now.
    fn bind_new(&mut self, spot: &Spot<'a>, text: &str, at: &Pointer) -> Result<Key, DocumentError> {
        let (endpoint, above) = (spot.endpoint, spot.above.as_ref());
        let bound = bind_key(self.tree, endpoint, above, text, &|placeholder| self.name(placeholder));
        let key = match bound.map_err(|problem| DocumentError::at(at, Problem::Key(problem)))? {
            Bound::Open(placeholder) => {
                return Ok(assemble(endpoint, above, vec![Value::Uuid(self.assign(&placeholder))]));
            }
            Bound::Key(key) => key,
        };
        let table = &endpoint.table;
        if key.values().iter().any(|value| value.as_text() == Some("")) {
            let problem =
                Problem::Shape { expected: "a key of at least one character", found: "an empty one" };
            return Err(DocumentError::at(at, problem));
        }
        let chosen = text.parse::<Uuid>().is_ok() && !table.schema().user_key;
        if chosen && self.desired(table.id(), &key).is_none() {
            let problem = Problem::ChosenUuid { table: table.name().to_owned(), uuid: text.to_owned() };
            return Err(DocumentError::at(at, problem));
        }
        Ok(key)
    }

    /// Refuses members of a desired part that are no columns, and key columns that contradict the key.
    pub(super) fn check_names(
        &mut self,
        table: &TableDef,
        key: &Key,
        desired: &Map<String, Json>,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        for (name, given) in desired {
            let schema = table.schema();
            if let Some(place) = schema.key.iter().position(|column| column.name == *name) {
                let (Some(column), Some(fixed)) = (schema.key.get(place), key.values().get(place)) else {
                    continue;
                };
                self.check_key_column(column, fixed, given, at)?;
            } else {
                self.check_name(table, name, at)?;
            }
        }
        Ok(())
    }

    /// Refuses what is no column that can be ordered.
    pub(super) fn check_name(&self, table: &TableDef, name: &str, at: &Pointer) -> Result<(), DocumentError> {
        let schema = table.schema();
        let columns = || schema.key.iter().chain(&schema.desired);
        if columns().any(|column| column.name == name) {
            return Ok(());
        }
        let problem = Problem::UnknownColumn {
            table: table.name().to_owned(),
            column: name.to_owned(),
            known: columns().map(|column| column.name.clone()).collect(),
        };
        Err(DocumentError::at(&at.join(name), problem))
    }

    fn check_key_column(
        &mut self,
        column: &ColumnSchema,
        fixed: &Value,
        given: &Json,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        if given.is_null() {
            return Ok(());
        }
        let same = match (column.ty == ColumnType::Uuid, given.as_str()) {
            (true, Some(text)) if text.parse::<Uuid>().is_err() => self.name(text).map(Value::Uuid),
            _ => Value::from_json(&column.ty, given).ok(),
        };
        if same.as_ref() == Some(fixed) {
            return Ok(());
        }
        let problem = Problem::Contradiction {
            column: column.name.clone(),
            fixed: self.shown(fixed),
            given: plain(given),
        };
        Err(DocumentError::at(&at.join(&column.name), problem))
    }

    /// A value as a column takes it, in its canonical form; placeholders in references get their UUIDs.
    pub(super) fn column_value(
        &mut self,
        column: &ColumnSchema,
        given: &Json,
        at: &Pointer,
    ) -> Result<Json, DocumentError> {
        if let (ColumnType::Uuid, Json::String(text), Some(table)) = (&column.ty, given, &column.references) {
            let table = self.tree.schema().table(table);
            let named = table.is_some_and(|table| !table.schema().user_key);
            if named && text.parse::<Uuid>().is_err() {
                return Ok(Json::String(self.assign(text).to_string()));
            }
        }
        let wrong = |problem: ValueError| {
            let problem = Problem::Value { column: column.name.clone(), problem };
            DocumentError::at(&at.join(&column.name), problem)
        };
        Value::from_json(&column.ty, given).map(|value| value.to_json()).map_err(wrong)
    }

    /// Refuses values of columns that the caller may not write although the mount lets the row be written.
    pub(super) fn check_right(
        &self,
        table: &TableDef,
        column: &ColumnSchema,
        value: &Json,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let owner =
            |tenant: Uuid| matches!(self.caller.role(tenant), Some(MemberRole::Owner | MemberRole::Admin));
        let what = |why: &str| Some(format!("set {} of this {}{why}", column.name, table.name()));
        let refused = match self.caller {
            caller if caller.is_alicorn() => None,
            Caller::Nobody => what(""),
            _ if is_alicorn_column(table.name(), &column.name) => what(": only operators of the cloud do"),
            _ if value.as_str().is_some_and(|it| is_alicorn_value(table.name(), &column.name, it)) => {
                what(" to a file of a host: only operators of the cloud do")
            }
            _ if column.references.as_deref() == Some("tenant")
                && !value.as_str().and_then(|text| text.parse().ok()).is_some_and(owner) =>
            {
                what(" to anything but a tenant whose things you may change")
            }
            _ => None,
        };
        match refused {
            Some(what) => Err(DocumentError::at(&at.join(&column.name), Problem::AccessDenied { what })),
            None => Ok(()),
        }
    }
}

/// Refuses members that entities do not have, and `current`.
pub(super) fn check_members(members: &Map<String, Json>, at: &Pointer) -> Result<(), DocumentError> {
    for name in members.keys() {
        match name.as_str() {
            "desired" | "children" => {}
            "current" => return Err(DocumentError::at(&at.join(name), Problem::CurrentIsReported)),
            _ => return Err(DocumentError::at(&at.join(name), Problem::UnknownMember(name.clone()))),
        }
    }
    Ok(())
}

/// What a row lacks.
pub(super) fn missing(table: &TableDef, columns: Vec<String>, at: &Pointer) -> DocumentError {
    DocumentError::at(at, Problem::MissingColumns { table: table.name().to_owned(), columns })
}

/// A value for a message.
fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}
