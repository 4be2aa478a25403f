//! Rows that somebody keeps: which ones, and the snapshot that they lie in.

use super::Snapshot;
use crate::codec::PartError;
use crate::read::{AnyRow, AnyTable, Read, TableName};
use crate::schema::{PartKind, TableId};
use crate::value::Value;

/// Rows of a table as they were at one moment, for those who cannot hold on to a borrow. Costs 4 bytes a row, and what
/// the snapshot keeps from being given back.
///
/// ```
/// # use pony_state::*;
/// # use pony_state_docs::*;
/// let shared = SharedState::new(house()?);
/// let mut lamps: RowList = shared.snapshot().list("lamp", &[])?;
/// shared.write(|tx| tx.remove_row("lamp", &Key::one("attic")))?;
/// lamps.sort();
/// assert!(lamps.iter().map(AnyRow::key).eq([Key::one("attic"), Key::one("hall")]));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RowList {
    snapshot: Snapshot,
    table: TableId,
    ids: Vec<u32>,
}

impl Snapshot {
    /// The rows for which every filter holds, in no meaningful order.
    ///
    /// # Errors
    /// [`PartError`], where there is no such table or column.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let state = house()?;
    /// assert_eq!(state.snapshot().list("lamp", &[("percent", 80.into())])?.len(), 1);
    /// assert!(state.snapshot().list("lamp", &[("percnet", 80.into())]).is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn list(self, table: impl TableName, filters: &[(&str, Value)]) -> Result<RowList, PartError> {
        let found = self.any(&table).ok_or_else(|| PartError::unknown_table(&table, self.schema()))?;
        let def = found.def();
        let ids = found.ids(filters).map_err(|error| def.unknown_column(&error.column, None))?;
        let (ids, table) = (ids.collect(), def.id());
        Ok(RowList { snapshot: self, table, ids })
    }
}

impl RowList {
    fn rows(&self) -> Option<AnyTable<'_>> {
        self.snapshot.any(self.table)
    }

    /// How many there are.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// assert_eq!(house()?.snapshot().list("lamp", &[])?.len(), 2);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// assert!(house()?.snapshot().list("lamp", &[("percent", 7.into())])?.is_empty());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// One of them, by its place in the list.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// let lamps = house()?.snapshot().list("lamp", &[("percent", 80.into())])?;
    /// assert_eq!(lamps.get(0).map(AnyRow::key), Some(Key::one("hall")));
    /// assert!(lamps.get(1).is_none());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn get(&self, place: usize) -> Option<AnyRow<'_>> {
        self.rows()?.by_id(*self.ids.get(place)?)
    }

    /// All of them.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// assert_eq!(house()?.snapshot().list("lamp", &[])?.iter().count(), 2);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = AnyRow<'_>> {
        let rows = self.rows();
        self.ids.iter().filter_map(move |id| rows?.by_id(*id))
    }

    /// One column of all of them, of the key or of a part: `None` where a row does not have that part.
    ///
    /// # Errors
    /// [`PartError::UnknownColumn`].
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// let mut lamps = house()?.snapshot().list("lamp", &[])?;
    /// lamps.sort();
    /// assert!(lamps.column(PartKind::Current, "percent")?.eq([None, Some(20.into())]));
    /// assert!(lamps.column(PartKind::Current, "percnet").is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn column(
        &self,
        kind: PartKind,
        column: &str,
    ) -> Result<impl Iterator<Item = Option<Value>>, PartError> {
        let def = self.snapshot.schema().get(self.table);
        let found = def.map(|def| def.places(column).ok_or_else(|| def.unknown_column(column, None)));
        let places = found.transpose()?.unwrap_or_default();
        Ok(self.iter().map(move |row| row.ops().value_at(kind, places)))
    }

    /// Puts them into the order of their keys.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// let mut lamps = house()?.snapshot().list("lamp", &[])?;
    /// lamps.sort();
    /// assert_eq!(lamps.get(0).map(AnyRow::key), Some(Key::one("attic")));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn sort(&mut self) {
        if let Some(rows) = self.snapshot.any(self.table) {
            rows.sort_ids(&mut self.ids);
        }
    }
}
