//! `DesiredStore`: the authoritative database of desired state.
//!
//! Only this crate knows SQL. It keeps rows as JSON columns by name, knows their types from
//! [`pony_state::TableSchema`], and holds every constraint of that schema in the database itself, so that
//! whoever writes past it (with the `sqlite3` shell) breaks none of them, and is followed like everybody else.
//!
//! - [`DesiredStore`] is the boundary: load everything, commit, follow the feed of changes, raise the epoch.
//! - [`SqliteStore`] keeps one file (feature `sqlite`, the default).
//! - [`ddl`] turns tables into SQL; [`Migration`]s bring a database of an older version to the present one.
//! - `conformance` (feature of that name) is the suite that every implementation runs.
//!
//! It does not evaluate patches, check access or keep rows in memory, and it stores no current state.

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "sqlite")]
pub mod ddl;
mod error;
#[cfg(feature = "sqlite")]
mod migration;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;

pub use error::{
    Broken, CommitError, FeedError, LoadError, MigrationFault, OpenError, Outage, Referrer, SchemaError,
    Unavailable, Violation,
};
#[cfg(feature = "sqlite")]
pub use migration::{Migration, cloud_migrations};
#[cfg(feature = "sqlite")]
pub use sqlite::{Migrated, SqliteConfig, SqliteStore};
pub use store::{
    BATCH_ROWS, Batch, COMMIT_OPS_MAX, Change, Changes, Committed, DesiredStore, LOAD_STALL_MS, Load,
    Position, VALUE_BYTES_MAX,
};
