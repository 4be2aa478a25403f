//! Steps that bring a database from one version of the schema to the next. What they *do* is SQL of one
//! dialect; this module only names them. Fresh databases are made from the tables themselves, not from the
//! steps.

use crate::ddl;
use crate::error::SchemaError;
use pony_state::TableSchema;
use std::borrow::Cow;

/// One step. The n-th of a list makes version n; the first creates everything.
///
/// A step changes tables and data only: indexes, triggers and views derive from the schema and are made anew
/// after the last step. References are checked at the end. `pony-store/migrations/README.md` says how to write
/// one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// What it does, in a few words.
    pub name: Cow<'static, str>,
    /// The SQL for SQLite.
    pub sqlite: Cow<'static, str>,
    /// The SQL for PostgreSQL.
    pub postgres: Cow<'static, str>,
}

impl Migration {
    /// The step that creates these tables, for an embedder whose schema has no history yet.
    ///
    /// # Errors
    /// [`SchemaError`], where the tables cannot be kept in a database.
    pub fn initial(tables: &[TableSchema]) -> Result<Self, SchemaError> {
        let (sqlite, postgres) = (Cow::Owned(ddl::sqlite(tables)?), Cow::Owned(ddl::postgres(tables)?));
        Ok(Self { name: Cow::Borrowed("initial"), sqlite, postgres })
    }
}

/// The version that the steps lead to.
pub(crate) fn version(migrations: &[Migration]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// The steps of the cloud's own tables (those of `pony-core`).
#[must_use]
pub fn cloud_migrations() -> Vec<Migration> {
    let step = |name, sqlite, postgres| Migration {
        name: Cow::Borrowed(name),
        sqlite: Cow::Borrowed(sqlite),
        postgres: Cow::Borrowed(postgres),
    };
    vec![step(
        "initial",
        include_str!("../migrations/sqlite/0001_initial.sql"),
        include_str!("../migrations/postgres/0001_initial.sql"),
    )]
}

/// What migrating did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrated {
    /// There was nothing; now there is an empty database.
    Created,
    /// The database was of version `from`.
    Upgraded {
        /// The version that it had.
        from: u32,
    },
    /// There was nothing to do.
    Current,
}
