//! Small texts that Twilight must not forget, each in a file of its own.

use anyhow::Context;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

pub(crate) struct Durable(PathBuf);

impl Durable {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        Self(dir.join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The text; `None` where none was ever written.
    pub(crate) fn read(&self) -> anyhow::Result<Option<String>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", self.0.display())),
        }
    }

    /// Writes it so that it survives a crash at any moment, as itself or as the one before.
    pub(crate) fn write(&self, text: &str) -> std::io::Result<()> {
        let partial = self.0.with_extension("partial");
        let mut file = std::fs::File::create(&partial)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        std::fs::rename(&partial, &self.0)?;
        let dir = self.0.parent().unwrap_or(Path::new("."));
        std::fs::File::open(dir)?.sync_all()
    }
}
