//! What either door has so that nobody has to change doors for it. All of it is made of what the doors offer already.

use crate::codec::{KeyColumns, PartError};
use crate::read::{AnyRow, AnyTable, Read, TableName};
use crate::schema::{PartKind, TableDef};
use crate::transaction::Transaction;
use crate::value::{Key, Value};
use serde_json::Value as Json;

impl AnyTable<'_> {
    /// Whether there is a row of that key.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamps = state.any("lamp").unwrap();
    /// assert!(lamps.contains(&Key::one("hall")) && !lamps.contains(&Key::one("cellar")));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn contains(self, key: &Key) -> bool {
        self.get(key).is_some()
    }
}

impl AnyRow<'_> {
    /// The row as JSON, without its key: an object of those parts that it has. [`Transaction::put_json`] takes it.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamp = state.any("lamp").and_then(|lamps| lamps.get(&Key::one("hall"))).unwrap();
    /// assert_eq!(
    ///     lamp.to_json(),
    ///     serde_json::json!({"desired": {"percent": 80}, "current": {"percent": 20}})
    /// );
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn to_json(self) -> Json {
        let part = |kind: PartKind| {
            let columns = self.def().part_to_json(self, kind)?;
            Some((kind.as_str().to_owned(), Json::Object(columns)))
        };
        Json::Object(PartKind::BOTH.into_iter().filter_map(part).collect())
    }
}

impl Transaction<'_> {
    /// Makes a whole row what a JSON object of parts says; a part that is not in it, or null, is removed. Says whether
    /// that changed anything.
    ///
    /// # Errors
    /// [`PartError`], where table, key or a part do not fit; nothing has changed then.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let mut tx = state.transaction();
    /// let row = serde_json::json!({"desired": {"percent": 10}});
    /// assert!(tx.put_json("lamp", &Key::one("hall"), &row)?);
    /// tx.commit();
    /// let lamp = state.get::<Lamp>(&"hall".into()).unwrap();
    /// assert_eq!((&lamp.desired, &lamp.current), (&Some(light(10)), &None));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_json(&mut self, table: impl TableName, key: &Key, row: &Json) -> Result<bool, PartError> {
        let def = self.def(table)?;
        def.check_key(key)?;
        let is_part = |name: &String| PartKind::BOTH.iter().any(|kind| kind.as_str() == name);
        let parts = row.as_object().filter(|parts| parts.keys().all(is_part));
        let parts = parts.ok_or_else(|| def.not_a_row(row))?;
        let values = |kind: PartKind| match parts.get(kind.as_str()) {
            None | Some(Json::Null) => Ok(None),
            Some(part) => def.part_from_json(kind, part, KeyColumns::Check(key)).map(Some),
        };
        let [desired, current] = PartKind::BOTH.map(values);
        let (desired, current) = (desired?, current?);
        let before = self.any(def.id()).and_then(|table| table.get(key)?.part(PartKind::Desired));
        let changed = self.set_or_remove(&def, key, PartKind::Desired, desired.as_deref())?;
        match self.set_or_remove(&def, key, PartKind::Current, current.as_deref()) {
            Ok(other) => Ok(changed || other),
            // A column's Rust type may refuse what its column type admits.
            Err(error) => {
                self.set_or_remove(&def, key, PartKind::Desired, before.as_deref())?;
                Err(error)
            }
        }
    }

    fn set_or_remove(
        &mut self,
        def: &TableDef,
        key: &Key,
        kind: PartKind,
        part: Option<&[Value]>,
    ) -> Result<bool, PartError> {
        match part {
            Some(values) => self.set(def.id(), key, kind, values),
            None => self.remove_part(def.id(), key, kind),
        }
    }
}
