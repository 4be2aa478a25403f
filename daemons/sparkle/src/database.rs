//! Which database: what the command line says, opened, migrated, checked.

use anyhow::Context;
use pony_core::tables;
use pony_store::{
    DesiredStore, Migrated, OpenError, PostgresConfig, PostgresStore, Server, SqliteConfig, SqliteStore,
    cloud_migrations,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The environment variable with the password.
const PASSWORD_VARIABLE: &str = "PONY_DATABASE_PASSWORD";

/// Bytes of a file with a password; a larger one is no such file.
const PASSWORD_FILE_BYTES_MAX: u64 = 4096;

/// What the command line says of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DatabaseArgs {
    /// Where desired state is: `sqlite:FILE`, or `postgresql://USER@HOST/DATABASE` (without a password: that is in the
    /// environment variable PONY_DATABASE_PASSWORD or in a file). Without it, a file in the state directory
    #[arg(long, env = "PONY_DATABASE", global = true)]
    pub database: Option<String>,
    /// The file that holds the database's password
    #[arg(long, env = "PONY_DATABASE_PASSWORD_FILE", global = true)]
    pub database_password_file: Option<PathBuf>,
}

/// A database of the cloud's tables.
#[derive(Debug)]
pub(crate) enum Database {
    Sqlite(SqliteConfig),
    Postgres(Box<PostgresConfig>),
}

impl Database {
    /// The one that is meant; `dir` is the state directory.
    ///
    /// # Errors
    /// When the address is none, or the password cannot be read.
    pub(crate) fn new(args: &DatabaseArgs, dir: &Path) -> anyhow::Result<Self> {
        let (schema, steps) = (tables::table_schemas(), cloud_migrations());
        let sqlite = |path| Self::Sqlite(SqliteConfig::new(path, schema.clone(), steps.clone()));
        match args.database.as_deref() {
            None => Ok(sqlite(dir.join("sparkle.db"))),
            Some(address) => match address.strip_prefix("sqlite:") {
                Some(path) => Ok(sqlite(PathBuf::from(path))),
                None if address.starts_with("postgresql://") || address.starts_with("postgres://") => {
                    let server = Server::new(address, args.password()?.as_deref())?;
                    Ok(Self::Postgres(Box::new(PostgresConfig::new(server, schema, steps))))
                }
                None => anyhow::bail!("--database is sqlite:FILE or postgresql://USER@HOST/DATABASE"),
            },
        }
    }

    /// Opens it. An embedded one is made or migrated first: nobody else has it.
    ///
    /// # Errors
    /// When it cannot be used; the message says what to do about it.
    pub(crate) async fn open(self) -> anyhow::Result<Arc<dyn DesiredStore>> {
        match self {
            Self::Sqlite(config) => {
                // File I/O: not on the threads that serve.
                let store = tokio::task::spawn_blocking(move || -> anyhow::Result<SqliteStore> {
                    if let Migrated::Upgraded { from } = SqliteStore::migrate(&config)? {
                        tracing::info!("the database was upgraded from version {from}");
                    }
                    Ok(SqliteStore::open(&config)?)
                });
                Ok(Arc::new(store.await??))
            }
            Self::Postgres(config) => match PostgresStore::open(&config).await {
                Ok(store) => Ok(Arc::new(store)),
                Err(error @ (OpenError::Absent(_) | OpenError::Outdated { .. })) => {
                    Err(anyhow::Error::from(error)
                        .context("the database has to be prepared: run `sparkle migrate`"))
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Makes it, or brings it up to the present version.
    ///
    /// # Errors
    /// When it cannot be; it is as it was then.
    pub(crate) async fn migrate(self) -> anyhow::Result<Migrated> {
        match self {
            Self::Sqlite(config) => {
                Ok(tokio::task::spawn_blocking(move || SqliteStore::migrate(&config)).await??)
            }
            Self::Postgres(config) => Ok(PostgresStore::migrate(&config).await?),
        }
    }

    /// Whether it could be opened as it is.
    ///
    /// # Errors
    /// When it could not; the message says what to do about it.
    pub(crate) async fn check(self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(config) => {
                tokio::task::spawn_blocking(move || SqliteStore::open(&config).map(drop)).await??;
            }
            Self::Postgres(config) => PostgresStore::check(&config).await?,
        }
        Ok(())
    }
}

impl DatabaseArgs {
    /// The password, from the file or the environment.
    fn password(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.database_password_file else {
            return Ok(std::env::var(PASSWORD_VARIABLE).ok());
        };
        let wrong = || format!("reading the database's password from {}", path.display());
        let length = std::fs::metadata(path).with_context(wrong)?.len();
        anyhow::ensure!(length <= PASSWORD_FILE_BYTES_MAX, "{} is too large for a password", path.display());
        let text = std::fs::read_to_string(path).with_context(wrong)?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}
