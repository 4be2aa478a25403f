//! `file:` sources. They are as hostile as downloads, and may change while they are read: they are copied first.

use super::error::StorageError;
use super::http::shown;
use nix::libc::{ELOOP, ENOENT, O_NOFOLLOW, O_NONBLOCK};
use reqwest::Url;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Opens a regular file that really lies below one of the roots.
pub(super) fn open(uri: &Url, roots: &[PathBuf]) -> Result<File, StorageError> {
    let wrong = |why: String| StorageError::Uri { uri: shown(uri), why };
    let path = uri.to_file_path().map_err(|()| wrong("write file:///absolute/path".into()))?;
    let file = open_regular(&path).map_err(wrong)?;
    let real = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let real = real.map_err(|error| wrong(error.to_string()))?;
    let allowed = |root: &PathBuf| fs::canonicalize(root).is_ok_and(|root| real.starts_with(root));
    match roots.iter().any(allowed) {
        true => Ok(file),
        false => Err(wrong("this host takes no images from there".into())),
    }
}

/// Never waits (a FIFO would), and never follows a link to somewhere else.
fn open_regular(path: &Path) -> Result<File, String> {
    let opened = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(ENOENT) => "there is no such file on this host".to_owned(),
        Some(ELOOP) => "it is a symbolic link; name the file itself".to_owned(),
        _ => error.to_string(),
    })?;
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(file),
        Ok(_) => Err("it is no regular file".into()),
        Err(error) => Err(error.to_string()),
    }
}
