//! `DesiredStore`: the authoritative database of desired state.
//!
//! Only this crate knows SQL. It keeps rows as JSON columns by name, knows their types from
//! [`pony_state::TableSchema`], and holds every constraint of that schema in the database itself, so that
//! whoever writes past it (with the `sqlite3` or `psql` shell) breaks none of them, and is followed like everybody else.
//!
//! - [`DesiredStore`] is the boundary: load everything, commit, follow the feed of changes, lead.
//! - [`SqliteStore`] keeps one file (feature `sqlite`, the default).
//! - `PostgresStore` uses a PostgreSQL server (feature `postgres`).
//! - [`ddl`] turns tables into SQL; [`Migration`]s bring a database of an older version to the present one.
//! - `conformance` (feature of that name) is the suite that every implementation runs.
//!
//! It does not evaluate patches, check access or keep rows in memory, and it stores no current state.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod ddl;
mod error;
mod migration;
mod op;
#[cfg(feature = "postgres")]
mod postgres;
mod queue;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store;
mod words;

pub use error::{
    Broken, CommitError, FeedError, LoadError, MigrationFault, OpenError, Outage, Referrer, SchemaError,
    Unavailable, Violation,
};
pub use migration::{Migrated, Migration, cloud_migrations};
#[cfg(feature = "postgres")]
pub use postgres::{AddressError, PostgresConfig, PostgresStore, Server};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteConfig, SqliteStore};
pub use store::{
    BATCH_ROWS, Batch, COMMIT_OPS_MAX, Change, Changes, Claim, Committed, DesiredStore, LOAD_STALL_MS, Lead,
    Load, Position, VALUE_BYTES_MAX,
};
