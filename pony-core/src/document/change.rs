//! Other values for what is there: columns, whole parts, merges; removals.

use super::access::Grant;
use super::create::{Spot, check_members, missing, object, writable};
use super::draft::{Draft, Entry};
use super::error::{DocumentError, Problem};
use super::lifecycle::is_source_column;
use super::pointer::Pointer;
use super::resolve::{Bound, Step, appears, bind_key, grant, need, segment};
use super::rows::Rows;
use super::within;
use pony_state::{ColumnSchema, ColumnType, Key, TableDef};
use serde_json::{Map, Value as Json};

impl<'a, R: Rows> Draft<'a, R> {
    /// Gives columns of a desired part other values; null takes one away.
    pub(super) fn set_columns(
        &mut self,
        step: &Step<'a>,
        changes: &Map<String, Json>,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let table = &step.endpoint.table;
        writable(step.endpoint, at)?;
        let Some(mut columns) = self.desired(table.id(), &step.key) else {
            return Err(self.no_desired(step, at));
        };
        self.check_names(table, &step.key, changes, at)?;
        for column in &table.schema().desired {
            let Some(given) = changes.get(&column.name) else { continue };
            let old = columns.get(&column.name).cloned();
            let new = self.next_value(table, column, given, at)?;
            if old == new {
                continue;
            }
            self.check_mutable(table, column, old.as_ref(), new.as_ref(), at)?;
            self.check_right(table, column, new.as_ref().unwrap_or(&Json::Null), at)?;
            match new {
                Some(new) => columns.insert(column.name.clone(), new),
                None => columns.remove(&column.name),
            };
        }
        self.put(table.id(), &step.key, Entry { desired: Some(columns), path: at.clone(), direct: true })
    }

    fn next_value(
        &mut self,
        table: &TableDef,
        column: &ColumnSchema,
        given: &Json,
        at: &Pointer,
    ) -> Result<Option<Json>, DocumentError> {
        if !given.is_null() {
            return self.column_value(column, given, at).map(Some);
        }
        if column.nullable {
            return Ok(None);
        }
        Err(missing(table, vec![column.name.clone()], &at.join(&column.name)))
    }

    fn check_mutable(
        &self,
        table: &TableDef,
        column: &ColumnSchema,
        old: Option<&Json>,
        new: Option<&Json>,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let parent = self.tree.is_parent_column(table.id(), &column.name);
        let hint = if column.immutable || is_source_column(table.name(), &column.name) {
            "; make a new one"
        } else if parent && old.is_some() && new.is_some() {
            "; `move` the entity below its new parent"
        } else {
            return Ok(());
        };
        let problem = Problem::Immutable { column: column.name.clone(), hint };
        Err(DocumentError::at(&at.join(&column.name), problem))
    }

    pub(super) fn no_desired(&self, step: &Step<'a>, at: &Pointer) -> DocumentError {
        let (table, key) =
            (step.endpoint.table.name().to_owned(), segment(step.endpoint, &step.key).to_string());
        DocumentError::at(at, Problem::NoDesired { table, key })
    }

    /// Changes what stands within one column.
    pub(super) fn edit_column(
        &mut self,
        step: &Step<'a>,
        name: &str,
        at: &Pointer,
        part_at: &Pointer,
        edit: impl FnOnce(&mut Json) -> Result<(), within::NoSuchMember>,
    ) -> Result<(), DocumentError> {
        let table = &step.endpoint.table;
        let Some(columns) = self.desired(table.id(), &step.key) else {
            return Err(self.no_desired(step, at));
        };
        self.check_name(table, name, part_at)?;
        let mut value = columns.get(name).cloned().unwrap_or(Json::Null);
        edit(&mut value)
            .map_err(|within::NoSuchMember(name)| DocumentError::at(at, Problem::NoMember { name }))?;
        self.set_columns(step, &Map::from_iter([(name.to_owned(), value)]), part_at)
    }

    /// Makes a desired part exactly what is given, but for what the path says anyway.
    pub(super) fn replace_part(
        &mut self,
        step: &Step<'a>,
        desired: &Map<String, Json>,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let mut changes = desired.clone();
        for column in &step.endpoint.table.schema().desired {
            let fixed = step.endpoint.via.as_ref() == Some(&column.name);
            if !fixed && !changes.contains_key(&column.name) {
                changes.insert(column.name.clone(), column.default.clone().unwrap_or(Json::Null));
            }
        }
        self.set_columns(step, &changes, at)
    }

    /// Merges a desired part: members of JSON columns one by one, other columns as wholes.
    pub(super) fn merge_part(
        &mut self,
        step: &Step<'a>,
        patch: &Map<String, Json>,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let table = &step.endpoint.table;
        let old = self.desired(table.id(), &step.key).unwrap_or_default();
        let mut changes = patch.clone();
        for column in table.schema().desired.iter().filter(|column| column.ty == ColumnType::Json) {
            if let Some(change) = changes.get_mut(&column.name).filter(|change| !change.is_null()) {
                let mut merged = old.get(&column.name).cloned().unwrap_or(Json::Null);
                within::merge(&mut merged, change);
                *change = merged;
            }
        }
        self.set_columns(step, &changes, at)
    }

    /// Merges a collection: what is null is removed, what is there is merged, what is not is made.
    pub(super) fn merge_collection(&mut self, spot: &Spot<'a>, patch: &Json) -> Result<(), DocumentError> {
        for (name, entity) in object(patch, "an object of entities", &spot.at)? {
            self.permit_member(spot, name)?;
            match (self.member(spot, name), entity) {
                (Some(key), Json::Null) => {
                    let step = Step { endpoint: spot.endpoint, key };
                    self.delete(&step, &spot.at.join(name))?;
                }
                (None, Json::Null) => {}
                (Some(key), _) => self.merge_entity(spot, name, key, entity)?,
                (None, _) => {
                    // What is merged into nothing is made without the nulls (RFC 7396).
                    let mut made = Json::Null;
                    within::merge(&mut made, entity);
                    self.create(spot, Some(name), &made)?;
                }
            }
        }
        Ok(())
    }

    /// The row that a segment stands for in a collection, if it is there.
    fn member(&self, spot: &Spot<'a>, name: &str) -> Option<Key> {
        let above = spot.above.as_ref();
        match bind_key(self.tree, spot.endpoint, above, name, &|placeholder| self.name(placeholder)) {
            Ok(Bound::Key(key)) if appears(self, spot.endpoint, above, &key) => Some(key),
            _ => None,
        }
    }

    /// Refuses what the caller may not change, whether or not it is there. A new entity at the root has no key yet:
    /// whose it is, is seen when it is made.
    fn permit_member(&self, spot: &Spot<'a>, name: &str) -> Result<(), DocumentError> {
        let placeholders = |placeholder: &str| self.name(placeholder);
        let root = match &spot.root {
            Some(root) => Some(root.clone()),
            None => match bind_key(self.tree, spot.endpoint, None, name, &placeholders) {
                Ok(Bound::Key(key)) => Some(key),
                _ => None,
            },
        };
        let at = spot.at.join(name);
        need(self.caller, grant(spot.endpoint, self.caller, root.as_ref()), Grant::Write, &at)
    }

    /// Merges an entity that is there.
    pub(super) fn merge_entity(
        &mut self,
        spot: &Spot<'a>,
        name: &str,
        key: Key,
        patch: &Json,
    ) -> Result<(), DocumentError> {
        let at = spot.at.join(name);
        let members = object(patch, "an entity, an object", &at)?;
        check_members(members, &at)?;
        let step = Step { endpoint: spot.endpoint, key: key.clone() };
        if let Some(desired) = members.get("desired") {
            self.merge_desired(spot, &step, desired, &at.join("desired"))?;
        }
        if let Some(children) = members.get("children") {
            let root = spot.root.clone().unwrap_or_else(|| key.clone());
            let parent = Spot { endpoint: spot.endpoint, root: Some(root), above: Some(key), at };
            self.merge_children(&parent, children)?;
        }
        Ok(())
    }

    /// Merges the desired part of an entity, which may have none yet; null removes it.
    pub(super) fn merge_desired(
        &mut self,
        spot: &Spot<'a>,
        step: &Step<'a>,
        patch: &Json,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        if patch.is_null() {
            return self.delete(step, at);
        }
        let patch = object(patch, "an object of columns", at)?;
        if self.desired(step.endpoint.table.id(), &step.key).is_some() {
            return self.merge_part(step, patch, at);
        }
        writable(step.endpoint, at)?;
        let mut made = Json::Null;
        within::merge(&mut made, &Json::Object(patch.clone()));
        self.create_part(spot, &step.key, object(&made, "an object of columns", at)?, at)
    }

    pub(super) fn merge_children(&mut self, parent: &Spot<'a>, patch: &Json) -> Result<(), DocumentError> {
        for (name, collection) in object(patch, "an object of collections", &parent.at.join("children"))? {
            let spot = self.child_spot(parent, name)?;
            self.merge_collection(&spot, collection)?;
        }
        Ok(())
    }

    /// Removes what was ordered of a row, and what belongs to it.
    pub(super) fn delete(&mut self, step: &Step<'a>, at: &Pointer) -> Result<(), DocumentError> {
        writable(step.endpoint, at)?;
        if self.desired(step.endpoint.table.id(), &step.key).is_none() {
            return Err(self.no_desired(step, at));
        }
        self.remove_row(&step.endpoint.table, &step.key, at, true)
    }
}
