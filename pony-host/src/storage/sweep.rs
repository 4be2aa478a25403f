//! Clears away what is unfinished.
//!
//! In `partial/`, everything begins with the uuid of its volume: `<uuid>.download` and `<uuid>.json` are a
//! download and its note, `<uuid>.<process>-<number>/` an attempt.

use super::error::StorageError;
use super::pool::{Pool, is_missing, sync_dir};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Entries of `partial/` that one sweep looks at; a later one sees the rest.
const ENTRIES_MAX: usize = 65_536;

/// Removes the attempts at a volume that are left from before.
pub(super) fn clear_attempts(pool: &Pool, volume: Uuid) -> Result<(), StorageError> {
    for (_, path) in unfinished(pool, Some(volume))?.into_iter().filter(|(_, path)| path.is_dir()) {
        remove(&path)?;
    }
    Ok(())
}

/// Removes everything of a volume, finished or not.
pub(super) fn remove_volume(pool: &Pool, volume: Uuid) -> Result<(), StorageError> {
    let changed = pool.layout.remove(&pool.volumes(), volume)?;
    for (_, path) in unfinished(pool, Some(volume))? {
        remove(&path)?;
    }
    if changed {
        sync_dir(&pool.volumes())?;
    }
    Ok(())
}

/// Removes a download and its note.
pub(super) fn remove_download(pool: &Pool, volume: Uuid) -> Result<(), StorageError> {
    remove(&pool.download(volume))?;
    remove(&pool.note(volume)).map(drop)
}

/// Removes what nobody has touched for a while and nobody is at work on: orders that were withdrawn while the
/// agent was away.
pub(super) fn forgotten(pool: &Pool) -> Result<(), StorageError> {
    for (volume, path) in unfinished(pool, None)? {
        if !pool.slots.is_busy(volume) && age(&path).is_some_and(|age| age >= pool.keep) {
            tracing::info!(path = %path.display(), "unfinished work that nobody asks for is removed");
            remove(&path)?;
        }
    }
    Ok(())
}

/// What is unfinished, of one volume or of all.
fn unfinished(pool: &Pool, volume: Option<Uuid>) -> Result<Vec<(Uuid, PathBuf)>, StorageError> {
    let dir = pool.partial();
    let listing = match fs::read_dir(&dir) {
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        listing => listing.map_err(StorageError::io("list", &dir))?,
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(StorageError::io("list", &dir))?;
        let name = entry.file_name();
        let uuid = name.to_str().and_then(|name| Uuid::try_parse(name.split('.').next()?).ok());
        found.extend(
            uuid.filter(|uuid| volume.is_none_or(|one| one == *uuid)).map(|uuid| (uuid, entry.path())),
        );
        if found.len() == ENTRIES_MAX {
            break;
        }
    }
    Ok(found)
}

/// Since the last change of a file, or of the newest one in a directory.
fn age(path: &Path) -> Option<Duration> {
    let touched = |path: &Path| fs::symlink_metadata(path).and_then(|meta| meta.modified()).ok();
    let inside =
        fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| touched(&entry.path()));
    inside.chain(touched(path)).max()?.elapsed().ok()
}

/// Removes a file or a directory; says whether there was one.
fn remove(path: &Path) -> Result<bool, StorageError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // Somebody abandoned wrote into it meanwhile; it goes with the last of them.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(true),
        Err(source) => Err(StorageError::Io { step: "remove", path: path.to_owned(), source }),
    }
}
