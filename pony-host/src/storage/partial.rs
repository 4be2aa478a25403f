//! The note beside a download: what it is a part of. Only a download that certainly is a part of what the server
//! has now is resumed.

use super::error::StorageError;
use super::pool::Pool;
use reqwest::header::{DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use uuid::Uuid;

/// What a download is a part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// As ordered.
    pub(super) uri: String,
    /// What `If-Range` names: a strong entity tag, or a date that is as good as one.
    pub(super) validator: String,
    /// Bytes of the whole.
    pub(super) length: u64,
    /// After a power cut, a file may be as long as it was and empty all the same: only what this boot wrote counts.
    boot: String,
}

impl Note {
    /// The note for an answer. `None`: what it brings could not be resumed.
    pub(super) fn of(uri: &str, headers: &HeaderMap, length: Option<u64>) -> Option<Self> {
        Some(Self { uri: uri.to_owned(), validator: validator(headers)?, length: length?, boot: boot()? })
    }

    /// The note beside what was downloaded of this URI, and how many bytes that is.
    pub(super) fn load(pool: &Pool, volume: Uuid, uri: &str) -> Option<(Self, u64)> {
        let note: Self = serde_json::from_slice(&fs::read(pool.note(volume)).ok()?).ok()?;
        let done = fs::symlink_metadata(pool.download(volume)).ok()?.len();
        let fits =
            note.uri == uri && Some(&note.boot) == boot().as_ref() && (1..=note.length).contains(&done);
        fits.then_some((note, done))
    }

    /// Writes it beside a download that begins. It is read whole or not at all.
    pub(super) fn save(&self, pool: &Pool, volume: Uuid) -> Result<(), StorageError> {
        let path = pool.note(volume);
        let text = serde_json::to_vec(self).unwrap_or_default();
        // The URI may hold a password.
        let opened = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        opened.and_then(|mut file| file.write_all(&text)).map_err(StorageError::io("write", &path))
    }
}

/// RFC 9110, 13.1.5: a strong entity tag, or a modification date that is older than the answer.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::to_owned);
    if let Some(tag) = text(ETAG).filter(|tag| tag.starts_with('"')) {
        return Some(tag);
    }
    text(LAST_MODIFIED).filter(|modified| text(DATE).is_some_and(|date| date != *modified))
}

fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}
