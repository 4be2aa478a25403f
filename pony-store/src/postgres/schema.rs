//! Creating, migrating and checking the schema. What a database should look like is asked of PostgreSQL itself: the
//! statements are run in a schema of their own, in a transaction that is rolled back, and what that has is compared
//! with what the database has.

use super::PostgresConfig;
use super::load::NEWEST;
use super::outage::unavailable;
use super::rows::History;
use super::server::Session;
use crate::ddl::plan::Plan;
use crate::ddl::postgres::{SCHEMA, statements};
use crate::ddl::{Kind, ident, literal};
use crate::error::{MigrationFault, OpenError, Unavailable};
use crate::migration::{Migrated, Migration, version};
use crate::store::Position;
use std::collections::BTreeMap;
use tokio_postgres::Error;

/// Where the statements are tried out.
const TRIAL: &str = "_pony_trial";

/// A session that migrates: others who do so are waited for, and so are those who use a table, but not for ever.
const SETTINGS: &str = "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '5min'";

/// The lock of those who migrate: "Pony", and something more.
const MIGRATE_LOCK: i64 = 0x506f_6e79_0001;

/// Everything in a schema: kind, name, and what it is. Names of the schema itself are taken out.
const OBJECTS: &str = "
SELECT 'column ' || c.relname || '.' || a.attname,
       format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
       || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') || coalesce(' COLLATE ' || l.collname, '')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  LEFT JOIN pg_collation l ON l.oid = a.attcollation AND l.collname <> 'default'
  WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint ' || c.relname || ' ' || o.conname, pg_get_constraintdef(o.oid)
  FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid WHERE c.relnamespace = $1::text::regnamespace AND o.contype <> 't'
UNION ALL
SELECT 'index ' || i.relname, pg_get_indexdef(i.oid)
  FROM pg_class i WHERE i.relnamespace = $1::text::regnamespace AND i.relkind = 'i'
UNION ALL
SELECT 'trigger ' || c.relname || ' ' || t.tgname, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = $1::text::regnamespace AND NOT t.tgisinternal
UNION ALL
SELECT 'function ' || p.proname, p.prosrc
  FROM pg_proc p WHERE p.pronamespace = $1::text::regnamespace AND p.proname LIKE '\\_%'
UNION ALL
SELECT 'type ' || t.typname, string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder)
  FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid WHERE t.typnamespace = $1::text::regnamespace GROUP BY t.typname
UNION ALL
SELECT 'sequence ' || c.relname, '' FROM pg_class c WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'S'";

/// What a database was found to be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) history: History,
    pub(super) newest: Position,
    pub(super) trimmed: i64,
    pub(super) epoch: i64,
}

/// The database that errors speak of, and a session with it.
struct At<'a> {
    config: &'a PostgresConfig,
    session: Session,
}

pub(super) async fn migrate(config: &PostgresConfig, plan: &Plan) -> Result<Migrated, OpenError> {
    let at = At::open(config).await?;
    let lock = format!("SELECT pg_advisory_lock({MIGRATE_LOCK})");
    at.run(&lock).await?;
    let wanted = version(&config.migrations);
    let Some(found) = at.version(plan).await? else {
        at.create(plan).await?;
        return Ok(Migrated::Created);
    };
    if found > wanted {
        return Err(OpenError::Newer { path: config.name(), found, known: wanted });
    }
    if found < wanted {
        at.upgrade(plan, found).await?;
        return Ok(Migrated::Upgraded { from: found });
    }
    at.compare(plan).await?;
    Ok(Migrated::Current)
}

/// Checks that the database is of the present version and has its schema.
pub(super) async fn check(config: &PostgresConfig, plan: &Plan) -> Result<Found, OpenError> {
    let at = At::open(config).await?;
    let (wanted, path) = (version(&config.migrations), config.name());
    match at.version(plan).await? {
        None => return Err(OpenError::Absent(path)),
        Some(found) if found > wanted => return Err(OpenError::Newer { path, found, known: wanted }),
        Some(found) if found < wanted => return Err(OpenError::Outdated { path, found, wanted }),
        Some(_) => {}
    }
    at.compare(plan).await?;
    at.found().await.map_err(|error| at.sql(&error))
}

impl<'a> At<'a> {
    async fn open(config: &'a PostgresConfig) -> Result<Self, OpenError> {
        let session = config.server.session(SETTINGS).await;
        let session = session.map_err(|source| OpenError::Unavailable { path: config.name(), source })?;
        Ok(Self { config, session })
    }

    fn outage(&self, source: Unavailable) -> OpenError {
        OpenError::Unavailable { path: self.config.name(), source }
    }

    fn sql(&self, error: &Error) -> OpenError {
        self.outage(unavailable(error))
    }

    async fn run(&self, sql: &str) -> Result<(), OpenError> {
        self.session.client.batch_execute(sql).await.map_err(|error| self.sql(&error))
    }

    async fn found(&self) -> Result<Found, Error> {
        let client = &self.session.client;
        let row = client.query_one(NEWEST, &[]).await?;
        let epoch = client.query_one("SELECT \"epoch\" FROM \"_meta\"", &[]).await?.try_get(0)?;
        let history = History::read(client).await?;
        Ok(Found { history, newest: Position(row.try_get(0)?), trimmed: row.try_get(1)?, epoch })
    }

    /// The version that the database has; `None` where there is nothing of ours, nor anything in the way.
    async fn version(&self, plan: &Plan) -> Result<Option<u32>, OpenError> {
        let sql =
            "SELECT to_regclass('public._migration') IS NOT NULL AND to_regclass('public._meta') IS NOT NULL";
        let row = self.session.client.query_one(sql, &[]).await.map_err(|error| self.sql(&error))?;
        if row.try_get(0).map_err(|error| self.sql(&error))? {
            let sql = "SELECT max(\"version\") FROM \"_migration\"";
            let row = self.session.client.query_one(sql, &[]).await.map_err(|error| self.sql(&error))?;
            let found: Option<i32> = row.try_get(0).map_err(|error| self.sql(&error))?;
            return match found.and_then(|found| u32::try_from(found).ok()) {
                Some(found) => Ok(Some(found)),
                None => Err(self.foreign("it says no version")),
            };
        }
        let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')";
        let rows = self.session.client.query(sql, &[]).await.map_err(|error| self.sql(&error))?;
        for row in rows {
            let name: String = row.try_get(0).map_err(|error| self.sql(&error))?;
            if plan.table(&name).is_some() {
                return Err(self.foreign(&format!("it has a table `{name}`, and no `_migration`")));
            }
        }
        Ok(None)
    }

    fn foreign(&self, reason: &str) -> OpenError {
        OpenError::Foreign { path: self.config.name(), reason: reason.to_owned() }
    }

    async fn create(&self, plan: &Plan) -> Result<(), OpenError> {
        let mut sql = String::from("BEGIN;\n");
        for statement in statements(plan, SCHEMA) {
            sql.push_str(&statement.sql);
            sql.push_str(";\n");
        }
        for (index, migration) in self.config.migrations.iter().enumerate() {
            sql.push_str(&record(index, migration));
        }
        sql.push_str("COMMIT;\n");
        self.run(&sql).await
    }

    /// Runs the steps after `found`. All or nothing; what derives from the schema is made anew at the end.
    async fn upgrade(&self, plan: &Plan, found: u32) -> Result<(), OpenError> {
        self.run("BEGIN").await?;
        self.drop_derived().await?;
        for (index, migration) in self.config.migrations.iter().enumerate().skip(found as usize) {
            let step = self.session.client.batch_execute(&migration.postgres).await;
            step.map_err(|error| {
                let message = error.as_db_error().map_or(error.to_string(), |it| it.message().to_owned());
                let version = version(&self.config.migrations[..=index]);
                let source = MigrationFault::Step { version, name: migration.name.to_string(), message };
                OpenError::Migration { path: self.config.name(), source }
            })?;
            self.run(&record(index, migration)).await?;
        }
        for statement in statements(plan, SCHEMA).iter().filter(|it| it.kind == Kind::Derived) {
            self.run(&statement.sql).await?;
        }
        // What is deferred (references of rows that a step moved) is decided now.
        self.session.client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(
            |error| match error.as_db_error() {
                Some(said) if said.code().code().starts_with("23") => {
                    let (table, parent) = (said.table().unwrap_or("?"), said.constraint().unwrap_or("?"));
                    let source =
                        MigrationFault::Dangling { table: table.to_owned(), parent: parent.to_owned() };
                    OpenError::Migration { path: self.config.name(), source }
                }
                _ => self.sql(&error),
            },
        )?;
        self.difference(plan).await?;
        self.run("COMMIT").await
    }

    /// Removes all triggers, functions and indexes of ours (not those that a constraint implies).
    async fn drop_derived(&self) -> Result<(), OpenError> {
        let sql = "SELECT format('DROP FUNCTION %s CASCADE', p.oid::regprocedure) FROM pg_proc p
            WHERE p.pronamespace = 'public'::regnamespace AND p.proname LIKE '\\_%'
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
          UNION ALL SELECT format('DROP INDEX %s', i.indexrelid::regclass) FROM pg_index i
            JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace
            AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid)";
        let rows = self.session.client.query(sql, &[]).await.map_err(|error| self.sql(&error))?;
        for row in rows {
            self.run(row.try_get(0).map_err(|error| self.sql(&error))?).await?;
        }
        Ok(())
    }

    /// Everything that the schema asks for is there as it should be. A server that can only be read is not asked: it
    /// repeats one that was.
    async fn compare(&self, plan: &Plan) -> Result<(), OpenError> {
        let row = self.session.client.query_one("SELECT pg_is_in_recovery()", &[]).await;
        if row.and_then(|row| row.try_get(0)).map_err(|error| self.sql(&error))? {
            return Ok(());
        }
        self.run("BEGIN").await?;
        let result = self.difference(plan).await;
        self.run("ROLLBACK").await?;
        result
    }

    /// The same within a transaction. More than is asked for (somebody's own index) is welcome, but not in our tables.
    async fn difference(&self, plan: &Plan) -> Result<(), OpenError> {
        let mut sql = format!("SAVEPOINT trial; CREATE SCHEMA {};\n", ident(TRIAL));
        for statement in statements(plan, TRIAL).iter().filter(|it| !it.sql.starts_with("CREATE EXTENSION")) {
            sql.push_str(&statement.sql);
            sql.push_str(";\n");
        }
        self.run(&sql).await?;
        let wanted = self.objects(TRIAL).await?;
        self.run("ROLLBACK TO SAVEPOINT trial").await?;
        let found = self.objects(SCHEMA).await?;
        let missing = wanted.iter().find_map(|(name, wanted)| match found.get(name) {
            None => Some(format!("`{name}` is missing")),
            Some(found) if found != wanted => {
                Some(format!("`{name}` is `{}` instead of `{}`", short(found), short(wanted)))
            }
            Some(_) => None,
        });
        let added = || {
            let ours = |name: &str| {
                plan.tables.iter().any(|table| name.starts_with(&format!("column {}.", table.name)))
            };
            let extra = found.keys().find(|name| ours(name) && !wanted.contains_key(*name))?;
            Some(format!("`{extra}` is there in addition"))
        };
        match missing.or_else(added) {
            None => Ok(()),
            Some(difference) => {
                let version = version(&self.config.migrations);
                Err(OpenError::Differs { path: self.config.name(), version, difference })
            }
        }
    }

    /// Everything in a schema, with names as if nobody had to say which.
    async fn objects(&self, schema: &str) -> Result<BTreeMap<String, String>, OpenError> {
        self.run(&format!("SET LOCAL search_path = {}", ident(schema))).await?;
        let rows = self.session.client.query(OBJECTS, &[&schema]).await.map_err(|error| self.sql(&error))?;
        self.run(&format!("SET LOCAL search_path = {}", ident(SCHEMA))).await?;
        let (quoted, plain) = (format!("{}.", ident(schema)), format!("{schema}."));
        let mut objects = BTreeMap::new();
        for row in rows {
            let name: String = row.try_get(0).map_err(|error| self.sql(&error))?;
            let text: Option<String> = row.try_get(1).map_err(|error| self.sql(&error))?;
            objects.insert(name, text.unwrap_or_default().replace(&quoted, "").replace(&plain, ""));
        }
        Ok(objects)
    }
}

/// A definition, for a message.
fn short(text: &str) -> String {
    text.split_whitespace().take(40).collect::<Vec<_>>().join(" ")
}

fn record(index: usize, migration: &Migration) -> String {
    format!(
        "INSERT INTO \"_migration\" (\"version\", \"name\") VALUES ({}, {});\n",
        index + 1,
        literal(&migration.name)
    )
}
