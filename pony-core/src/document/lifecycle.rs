//! What a removal takes along, and the rows that do not simply go.
//!
//! Whatever `on_delete` says happens here as it will happen in the database. Beyond that: data are not forgotten with
//! their row. Removing a volume orders it `deleted`, and the row goes once a host says that the data are gone; so
//! removing a tenant or an image orders its volumes deleted and lets go of them. A pool can be removed, also
//! with its host, when the volumes in it were given up: then they go with it, as nobody will ever report on them.

use super::draft::{Draft, Entry};
use super::error::{DocumentError, Problem};
use super::pointer::Pointer;
use super::rows::Rows;
use pony_state::{Columns, Key, OnDelete, TableDef, Value};
use serde_json::Value as Json;

/// Columns that say what something new is filled from: Sparkle nulls them when that is done, users never change them.
const SOURCE_COLUMNS: &[(&str, &str)] =
    &[("volume", "base_image"), ("volume", "base_volume"), ("image", "source_uri")];

/// Whether that column says what something new is filled from.
pub(super) fn is_source_column(table: &str, column: &str) -> bool {
    SOURCE_COLUMNS.contains(&(table, column))
}

/// Whether a volume is on its way out.
pub(super) fn is_going(volume: &Columns) -> bool {
    volume.get("state").and_then(Json::as_str) == Some("deleted")
}

impl<'a, R: Rows> Draft<'a, R> {
    /// The enforced references to a row: the table, its column, the key of the row there.
    pub(super) fn referrers(&self, table: &TableDef, key: &Key) -> Vec<(&'a TableDef, String, Key)> {
        let Some(value) = key.values().first().filter(|_| key.values().len() == 1) else { return Vec::new() };
        let mut found = Vec::new();
        for (id, name) in self.tree.schema().referencing(table.id()) {
            let Some(referrer) = self.table(*id) else { continue };
            let schema = referrer.schema();
            let column = schema.key.iter().chain(&schema.desired).find(|column| column.name == *name);
            if column.is_some_and(|column| !column.soft && column.references.as_deref() == Some(table.name()))
            {
                let keys = self.find(*id, name, value).into_iter();
                let keys = keys.filter(|key| self.refers(referrer, key, name, value));
                found.extend(keys.map(|key| (referrer, name.clone(), key)));
            }
        }
        found
    }

    /// Whether what was ordered of a row refers to another: what a host reports does not count.
    fn refers(&self, table: &TableDef, key: &Key, column: &str, value: &Value) -> bool {
        let Some(desired) = self.desired(table.id(), key) else { return false };
        match table.places(column).and_then(|places| places.key) {
            Some(place) => key.values().get(place) == Some(value),
            None => desired.get(column) == Some(&value.to_json()),
        }
    }

    /// Removes what was ordered of a row, and what belongs to it.
    pub(super) fn remove_row(
        &mut self,
        table: &TableDef,
        key: &Key,
        at: &Pointer,
        direct: bool,
    ) -> Result<(), DocumentError> {
        let Some(columns) = self.desired(table.id(), key) else { return Ok(()) };
        match table.name() {
            "volume" => return self.give_up_volume(table, key, columns, at, direct),
            "tenant" => self.let_go_of_volumes(table, key, "tenant", at)?,
            "image" => self.let_go_of_volumes(table, key, "image", at)?,
            "storage_pool" => self.drop_given_up_volumes(table, key, at)?,
            _ => {}
        }
        self.drop_row(table, key, at, direct)
    }

    /// Takes a row out, and does to those that refer to it what they say.
    fn drop_row(
        &mut self,
        table: &TableDef,
        key: &Key,
        at: &Pointer,
        direct: bool,
    ) -> Result<(), DocumentError> {
        self.put(table.id(), key, Entry { desired: None, path: at.clone(), direct })?;
        for (referrer, name, key) in self.referrers(table, key) {
            match referrer.column(&name).map(|column| column.on_delete) {
                Some(OnDelete::Cascade) => self.remove_row(referrer, &key, at, false)?,
                Some(OnDelete::SetNull) => self.change(referrer, &key, at, |columns| {
                    columns.remove(&name);
                })?,
                // Whether something is left that must not refer to it is seen when all is done.
                Some(OnDelete::Restrict) | None => {}
            }
        }
        Ok(())
    }

    /// Changes a desired part along with another.
    fn change(
        &mut self,
        table: &TableDef,
        key: &Key,
        at: &Pointer,
        change: impl FnOnce(&mut Columns),
    ) -> Result<(), DocumentError> {
        let Some(mut columns) = self.desired(table.id(), key) else { return Ok(()) };
        change(&mut columns);
        self.put(table.id(), key, Entry { desired: Some(columns), path: at.clone(), direct: false })
    }

    /// Orders a volume deleted. One that nobody has heard of yet just goes.
    fn give_up_volume(
        &mut self,
        table: &TableDef,
        key: &Key,
        mut columns: Columns,
        at: &Pointer,
        direct: bool,
    ) -> Result<(), DocumentError> {
        if !self.base.has(table.id(), key, pony_state::PartKind::Desired) {
            return self.drop_row(table, key, at, direct);
        }
        columns.insert("state".to_owned(), Json::from("deleted"));
        self.put(table.id(), key, Entry { desired: Some(columns), path: at.clone(), direct })?;
        self.unplug(table, key, at)
    }

    /// What becomes of a volume whose state became `deleted`, however that came about: nothing is filled any more,
    /// and no instance has it.
    pub(super) fn unplug(&mut self, table: &TableDef, key: &Key, at: &Pointer) -> Result<(), DocumentError> {
        self.change(table, key, at, |columns| {
            columns.remove("base_image");
            columns.remove("base_volume");
        })?;
        for (referrer, name, key) in self.referrers(table, key) {
            if (referrer.name(), name.as_str()) == ("vdisk", "volume") {
                self.remove_row(referrer, &key, at, false)?;
            }
        }
        Ok(())
    }

    /// Orders the volumes deleted whose `column` refers to a row that goes, and takes the reference away.
    fn let_go_of_volumes(
        &mut self,
        table: &TableDef,
        key: &Key,
        column: &str,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        for (referrer, name, key) in self.referrers(table, key) {
            if (referrer.name(), name.as_str()) == ("volume", column) {
                self.remove_row(referrer, &key, at, false)?;
                self.change(referrer, &key, at, |columns| {
                    columns.remove(column);
                })?;
            }
        }
        Ok(())
    }

    /// Removes the rows of volumes in a pool that goes, if all of them were given up.
    fn drop_given_up_volumes(
        &mut self,
        table: &TableDef,
        key: &Key,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        for (referrer, name, volume) in self.referrers(table, key) {
            if (referrer.name(), name.as_str()) != ("volume", "storage_pool") {
                continue;
            }
            if !self.desired(referrer.id(), &volume).is_some_and(|columns| is_going(&columns)) {
                let problem = Problem::InUse {
                    table: table.name().to_owned(),
                    called: self.called(table, key),
                    by: format!("volume {}", self.called(referrer, &volume)),
                    right: "delete its volumes first",
                };
                return Err(DocumentError::at(at, problem));
            }
            self.drop_row(referrer, &volume, at, false)?;
        }
        Ok(())
    }
}
