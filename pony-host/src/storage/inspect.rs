//! Finds out what a file from elsewhere is, before anything is done with it.

use super::attempt::Attempt;
use super::content::{self, HEAD};
use super::error::StorageError;
use super::qcow2::Header;
use super::{qemu_img, size};
use pony_core::host::VolumeFormat;
use serde::Deserialize;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// An image on this host that was found harmless.
pub(super) struct Image {
    pub(super) path: PathBuf,
    pub(super) format: VolumeFormat,
    /// Virtual size, bytes.
    pub(super) bytes: u64,
}

/// The part of `qemu-img info --output=json` that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    backing_filename: Option<serde_json::Value>,
    full_backing_filename: Option<serde_json::Value>,
    #[serde(default)]
    encrypted: bool,
    format_specific: Option<FormatSpecific>,
}

#[derive(Deserialize)]
struct FormatSpecific {
    data: Option<Specific>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Specific {
    data_file: Option<serde_json::Value>,
    #[serde(default)]
    corrupt: bool,
}

/// Finds out what a file is. `origin` names it in messages; `said_html` is what a server said of it.
pub(super) async fn inspect(
    attempt: &Attempt,
    path: PathBuf,
    origin: &str,
    said_html: bool,
) -> Result<Image, StorageError> {
    let name = origin.to_owned();
    let image = attempt.blocking(move |_| look(path, name, said_html)).await?;
    if image.format == VolumeFormat::Qcow2 {
        ask_qemu(attempt, &image, origin).await?;
        check(attempt, &image, origin).await?;
    }
    Ok(image)
}

/// Reads the start. QEMU does not see the file before this: opening it would already open what it refers to.
fn look(path: PathBuf, origin: String, said_html: bool) -> Result<Image, StorageError> {
    let file = File::open(&path).map_err(StorageError::io("open", &path))?;
    let (head, len) = start(&file).map_err(StorageError::io("read", &path))?;
    let format = match content::format_of(&head, Some(len), said_html) {
        Ok(format) => format,
        Err(found) => return Err(StorageError::NotAnImage { origin, found }),
    };
    let bytes = match format {
        VolumeFormat::Raw => len,
        VolumeFormat::Qcow2 => header_size(&file, &path, origin)?,
    };
    size::check_fits(bytes, None)?;
    Ok(Image { path, format, bytes })
}

fn start(file: &File) -> std::io::Result<(Vec<u8>, u64)> {
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while filled < HEAD {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            size => filled += size,
        }
    }
    head.truncate(filled);
    Ok((head, file.metadata()?.len()))
}

/// The virtual size of a qcow2 image that leads nowhere else.
fn header_size(file: &File, path: &Path, origin: String) -> Result<u64, StorageError> {
    let header = Header::read(file).map_err(StorageError::io("read", path))?;
    let Some(header) = header else {
        return Err(StorageError::Refused { origin, why: "with a header that makes no sense".into() });
    };
    match header.objection() {
        Some(why) => Err(StorageError::Refused { origin, why: why.into() }),
        None => Ok(header.virtual_size),
    }
}

/// A second opinion, on what the header did not tell; with limits, as QEMU reads hostile data here.
async fn ask_qemu(attempt: &Attempt, image: &Image, origin: &str) -> Result<(), StorageError> {
    let refused = |why: String| StorageError::Refused { origin: origin.to_owned(), why };
    let info = qemu_img::info(attempt, &image.path, image.format).await;
    let json = info.map_err(|error| refuse(error, origin, "that QEMU cannot open"))?;
    let info: Info =
        serde_json::from_slice(&json).map_err(|error| refused(format!("not understood: {error}")))?;
    let specific = info.format_specific.and_then(|specific| specific.data);
    let leads_out = info.backing_filename.is_some()
        || info.full_backing_filename.is_some()
        || specific.as_ref().is_some_and(|specific| specific.data_file.is_some());
    if leads_out || info.encrypted || specific.is_some_and(|specific| specific.corrupt) {
        return Err(refused("that refers to other files, is encrypted or corrupt".into()));
    }
    if info.virtual_size.abs_diff(image.bytes) >= size::SECTOR {
        return Err(refused("whose size is read in two ways".into()));
    }
    Ok(())
}

/// Half an image is not one, however well it begins.
async fn check(attempt: &Attempt, image: &Image, origin: &str) -> Result<(), StorageError> {
    let checked = qemu_img::check(attempt, &image.path).await;
    checked.map_err(|error| refuse(error, origin, "that is damaged or incomplete"))
}

/// What QEMU complains of is the image's fault.
fn refuse(error: StorageError, origin: &str, what: &str) -> StorageError {
    match error {
        StorageError::QemuImg { why, .. } => {
            StorageError::Refused { origin: origin.to_owned(), why: format!("{what}: {why}") }
        }
        other => other,
    }
}
