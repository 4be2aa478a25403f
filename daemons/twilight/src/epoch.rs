//! The highest controller epoch that this host ever accepted, kept so that an older controller cannot command it
//! after a restart either.

use crate::durable::Durable;
use anyhow::Context;
use std::path::Path;

pub(crate) struct EpochFile(Durable);

impl EpochFile {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(Durable::new(dir, "epoch"))
    }

    /// The epoch; 0 when none was ever accepted.
    pub(crate) fn read(&self) -> anyhow::Result<u64> {
        let Some(text) = self.0.read()? else { return Ok(0) };
        text.trim().parse().with_context(|| format!("{}: it should hold one number", self.0.path().display()))
    }

    pub(crate) fn write(&self, epoch: u64) -> std::io::Result<()> {
        self.0.write(&epoch.to_string())
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
