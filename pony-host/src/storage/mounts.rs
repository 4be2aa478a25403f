//! Directories that are mounted below one of this host's own, each called as its pool.

use super::error::StorageError;
use super::idle::Setup;
use super::layout::is_mount_point;
use super::tool;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// See the module.
pub(super) struct Mounts {
    root: PathBuf,
}

impl Mounts {
    /// `root`: where they are.
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where that of a pool is.
    pub(super) fn of(&self, pool: Uuid) -> PathBuf {
        self.root.join(pool.to_string())
    }
}

impl Setup for Mounts {
    const WHAT: &'static str = "a mount";

    fn pools(&self) -> Vec<Uuid> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|it| Uuid::try_parse(it.file_name().to_str()?).ok()).collect()
    }

    fn end(&self, pool: Uuid) -> Result<bool, StorageError> {
        let dir = self.of(pool);
        let is_there = is_mount_point(&dir);
        if is_there {
            tool::run("umount", "mount", ["-i".as_ref(), dir.as_os_str()])?;
        }
        Ok(is_there)
    }
}
