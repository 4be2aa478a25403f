//! The highest controller epoch that this host ever accepted, kept so that an older controller cannot command it
//! after a restart either.

use anyhow::Context;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) struct EpochFile(PathBuf);

impl EpochFile {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.join("epoch"))
    }

    /// The epoch; 0 when none was ever accepted.
    pub(crate) fn read(&self) -> anyhow::Result<u64> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => text
                .trim()
                .parse()
                .with_context(|| format!("{}: it should hold one number", self.0.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).with_context(|| format!("reading {}", self.0.display())),
        }
    }

    /// Writes it so that it survives a crash at any moment, as itself or as the one before.
    pub(crate) fn write(&self, epoch: u64) -> std::io::Result<()> {
        let partial = self.0.with_extension("partial");
        let mut file = std::fs::File::create(&partial)?;
        writeln!(file, "{epoch}")?;
        file.sync_all()?;
        std::fs::rename(&partial, &self.0)?;
        let dir = self.0.parent().unwrap_or(Path::new("."));
        std::fs::File::open(dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_kept_and_nonsense_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = EpochFile::new(dir.path());
        assert_eq!(file.read().unwrap(), 0);
        file.write(7).unwrap();
        assert_eq!(EpochFile::new(dir.path()).read().unwrap(), 7);
        std::fs::write(dir.path().join("epoch"), "x").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("one number"));
    }
}
