//! The hosts that the controller talks with: a session for each, what it may read, and what it may write.
//!
//! A host reads the desired rows that [`Distribution`] gives it, and writes current parts of its own rows: its
//! `host` row, rows whose `host` column names it, and (where a table has no such column) rows that were
//! distributed to it. Everything else that it sends is refused, row by row, and reported.

use super::clocks::ClockWatch;
use super::distribution::Distribution;
use pony_state::sync::{FullRows, Held, Part, RowId, Session, SnapshotRows, Source, SourceRow, WireChange};
use pony_state::{AnyRow, Columns, Key, KeyColumns, Read, Snapshot, Value};
use pony_state::{PartKind, TableDef, TableId};
use serde_json::Value as Json;
use uuid::Uuid;

/// Tables whose current parts the controller composes itself; no host writes them.
pub(crate) const COMPOSED: [&str; 3] = ["disk", "instance", "volume"];

/// Rows that one host may tell of: as many as it may have in a full state.
pub const HOST_ROWS_MAX: usize = pony_state::sync::FULL_ROWS_MAX;

/// A host that is ordered.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) session: Session,
    /// How many rows it has told of, at most; counted anew with each full state.
    pub(crate) rows_told: usize,
    pub(crate) clock: ClockWatch,
}

impl Peer {
    pub(crate) fn state(&self) -> SessionState {
        if self.session.is_missing() {
            SessionState::Missing
        } else if self.session.is_synchronized() {
            SessionState::Synchronized
        } else {
            SessionState::Catching
        }
    }
}

/// How it stands with the exchange with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SessionState {
    /// Nothing was heard for too long, or never.
    Missing,
    /// It talks, and one side does not have all of the other yet.
    Catching,
    /// Each side has what the other told it.
    Synchronized,
}

impl SessionState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Missing, Self::Catching, Self::Synchronized];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Catching => "catching-up",
            Self::Synchronized => "synchronized",
        }
    }
}

/// What one host is sent: its rows of a snapshot.
pub(crate) struct HostRows<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) distribution: &'a Distribution,
    pub(crate) host: Uuid,
}

impl Source for HostRows<'_> {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let (table, key) = locate(self.snapshot, row)?;
        let place = (table, key);
        let concerns = self.distribution.concerns(self.host, &place);
        concerns.then(|| self.snapshot.any(table)?.get(&place.1).map(SourceRow::Row))?
    }

    fn full(&self) -> Box<dyn FullRows> {
        let keys = self.distribution.rows_of(self.host);
        Box::new(SnapshotRows::of(self.snapshot.clone(), keys))
    }
}

/// A row as the wire names it.
pub(crate) fn row_id(view: &impl Read, table: TableId, key: &Key) -> Option<RowId> {
    Some(RowId::of(view.any(table)?.def(), key))
}

/// The row that the wire names.
pub(crate) fn locate(view: &impl Read, row: &RowId) -> Option<(TableId, Key)> {
    let def = view.any(&*row.table)?.def();
    Some((def.id(), row.key(def).ok()?))
}

/// Why a host's change of a row is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It wrote a desired part.
    #[error("a host writes current parts only")]
    Desired,
    /// It wrote a row that is not its own.
    #[error("the row does not belong to this host")]
    Foreign,
    /// No host writes that table, or there is no such table.
    #[error("hosts do not write this table")]
    Table,
    /// It has told of as many rows as it may.
    #[error("a host tells of {HOST_ROWS_MAX} rows at most")]
    TooMany,
    /// The part does not fit the table.
    #[error("{0}")]
    Part(String),
}

/// A change that a host may make, ready to be written.
pub(crate) struct Accepted {
    pub(crate) table: TableId,
    pub(crate) key: Key,
    pub(crate) part: Option<Json>,
}

/// Checks one change of a host.
pub(crate) fn accept(
    view: &impl Read,
    distribution: &Distribution,
    host: Uuid,
    change: WireChange,
) -> Result<Accepted, Refusal> {
    if change.kind == PartKind::Desired {
        return Err(Refusal::Desired);
    }
    let table = view.any(&*change.row.table).ok_or(Refusal::Table)?;
    let def = table.def();
    if !is_told(def) {
        return Err(Refusal::Table);
    }
    let unreadable = |error: &dyn std::error::Error| Refusal::Part(error.to_string());
    let key = change.row.key(def).map_err(|error| unreadable(&error))?;
    let part = change.part.map(|part| part.columns()).transpose().map_err(|error| unreadable(&error))?;
    let part = part.map(Json::Object);
    let held = table.get(&key);
    if part.is_none() && !held.as_ref().is_some_and(|row| row.has(PartKind::Current)) {
        // It is gone already, with what was ordered of it.
        return Ok(Accepted { table: def.id(), key, part });
    }
    let owned_before =
        held.is_none_or(|row| !row.has(PartKind::Current) || owns(distribution, host, def, &key, Some(row)));
    let owned_after = part.as_ref().is_none_or(|part| names_host(def, part, host).unwrap_or(true));
    let row_is_its = is_its(distribution, host, def, &key).unwrap_or(true);
    if !(owned_before && owned_after && row_is_its) {
        return Err(Refusal::Foreign);
    }
    let part = if def.name() == "host" { Some(talking(part)) } else { part };
    Ok(Accepted { table: def.id(), key, part })
}

/// A host's word about itself: whether it talks is not its to say, and it stays while it is ordered.
fn talking(part: Option<Json>) -> Json {
    let mut part = part.unwrap_or_else(|| Json::Object(Columns::new()));
    if let Some(columns) = part.as_object_mut() {
        columns.insert("status".to_owned(), Json::from("present"));
    }
    part
}

/// Whether key or distribution say whose row it is; `None` where only the part's own `host` column tells.
fn is_its(distribution: &Distribution, host: Uuid, def: &TableDef, key: &Key) -> Option<bool> {
    if def.name() == "host" {
        return Some(key.values() == [Value::Uuid(host)]);
    }
    let places = def.places("host").unwrap_or_default();
    if let Some(place) = places.key {
        return Some(key.values().get(place) == Some(&Value::Uuid(host)));
    }
    match places.current {
        Some(_) => None,
        None => Some(distribution.concerns(host, &(def.id(), key.clone()))),
    }
}

/// Whether hosts tell what is of the table's rows.
pub(crate) fn is_told(def: &TableDef) -> bool {
    def.schema().has_current && !COMPOSED.contains(&def.name())
}

/// Whether the table's rows say themselves which host tells them; else that follows from the distribution.
pub(crate) fn names_hosts(def: &TableDef) -> bool {
    let places = def.places("host").unwrap_or_default();
    def.name() == "host" || places.key.is_some() || places.current.is_some()
}

fn names_host(def: &TableDef, part: &Json, host: Uuid) -> Option<bool> {
    def.places("host")?.current?;
    Some(part.get("host").and_then(Json::as_str).and_then(|text| text.parse().ok()) == Some(host))
}

fn owns(distribution: &Distribution, host: Uuid, def: &TableDef, key: &Key, row: Option<AnyRow<'_>>) -> bool {
    is_its(distribution, host, def, key).unwrap_or_else(|| {
        row.and_then(|row| row.value(PartKind::Current, "host")) == Some(Value::Uuid(host))
    })
}

/// Every row of which a current part is held from `host`.
pub(crate) fn held(view: &impl Read, distribution: &Distribution, host: Uuid) -> Vec<RowId> {
    let mut held = Vec::new();
    for table in view.view().tables() {
        let def = table.def();
        if !is_told(def) {
            continue;
        }
        let mut note = |row: AnyRow<'_>| {
            let key = row.key();
            if row.has(PartKind::Current) && owns(distribution, host, def, &key, Some(row)) {
                held.extend(row_id(view, def.id(), &key));
            }
        };
        if def.name() == "host" {
            table.get(&Key::one(host)).into_iter().for_each(&mut note);
        } else if let Some(rows) =
            names_hosts(def).then(|| table.find("host", &Value::Uuid(host)).ok()).flatten()
        {
            rows.for_each(&mut note);
        } else {
            let own = distribution.rows_of(host).filter(|(id, _)| *id == def.id());
            own.filter_map(|(_, key)| table.get(key)).for_each(&mut note);
        }
    }
    held
}

/// Whether the held current part of a row is what the host says.
pub(crate) fn compare(view: &impl Read, row: &RowId, part: &Part) -> Held {
    let same = locate(view, row).and_then(|(table, key)| {
        let table = view.any(table)?;
        let held = table.get(&key)?.part(PartKind::Current)?;
        let said = table.def().part_from_text(PartKind::Current, part.text(), KeyColumns::Ignore).ok()?;
        (held == said).then_some(())
    });
    if same.is_some() { Held::Same } else { Held::Different }
}
