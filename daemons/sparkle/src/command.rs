//! What `sparkle` can be told to do besides serving: migrate, export, import.

use crate::Config;
use crate::database::Database;
use crate::{create_dir, transfer};
use anyhow::Context;
use pony_store::Migrated;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// A command.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Create the database's tables, or bring them up to this version
    Migrate {
        /// Only say whether that is needed: 0 means that nothing is
        #[arg(long)]
        check: bool,
    },
    /// Write the whole desired state as one JSON document, password hashes included
    Export {
        /// The file to make, for its owner only; the standard output where it is left out
        file: Option<PathBuf>,
    },
    /// Read such a document into a new database
    Import {
        /// The file; the standard input where it is left out
        file: Option<PathBuf>,
    },
}

impl Command {
    /// Does it, and says what was done in words.
    ///
    /// # Errors
    /// When it cannot be done; the message says why.
    pub async fn run(self, config: &Config) -> anyhow::Result<String> {
        create_dir(&config.dir)?;
        let database = Database::new(&config.database, &config.dir)?;
        match self {
            Self::Migrate { check: true } => {
                database.check().await?;
                Ok("the database is of this version".to_owned())
            }
            Self::Migrate { check: false } => Ok(match database.migrate().await? {
                Migrated::Created => "the database was created".to_owned(),
                Migrated::Upgraded { from } => format!("the database was upgraded from version {from}"),
                Migrated::Current => "the database is of this version already".to_owned(),
            }),
            Self::Export { file } => {
                let store = database.open().await?;
                let count = match file {
                    Some(path) => transfer::export(&*store, &mut BufWriter::new(make(&path)?)).await?,
                    None => transfer::export(&*store, &mut BufWriter::new(io::stdout())).await?,
                };
                Ok(format!("{count} rows were exported"))
            }
            Self::Import { file } => {
                let store = database.open().await?;
                let count = match file {
                    Some(path) => {
                        let opened = File::open(&path);
                        let file = opened.with_context(|| format!("reading {}", path.display()))?;
                        transfer::import(&*store, file).await?
                    }
                    None => transfer::import(&*store, io::stdin()).await?,
                };
                Ok(format!("{count} rows were imported"))
            }
        }
    }
}

/// A new file for its owner only.
fn make(path: &std::path::Path) -> anyhow::Result<File> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.with_context(|| format!("making {}", path.display()))
}
