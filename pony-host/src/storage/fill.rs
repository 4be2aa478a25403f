//! Makes the content of a new volume, from nothing, a URI or another volume.

use super::attempt::Attempt;
use super::dir::Shared;
use super::download::Download;
use super::error::StorageError;
use super::http::shown;
use super::inspect::{Image, inspect};
use super::pool::Found;
use super::qcow2::Header;
use super::stage::{Stage, while_moving};
use super::{copy, image_lock, local, qemu_img, size};
use pony_core::host::{Source, VolumeFormat, VolumeSpec};
use reqwest::Url;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The share of the whole that bringing an image here takes; the rest is left for converting it.
const BRINGING: f64 = 0.9;

/// A volume that is being filled.
pub(super) struct Fill<'a> {
    pub(super) shared: &'a Shared,
    pub(super) attempt: &'a Attempt,
    pub(super) spec: &'a VolumeSpec,
    /// Its ordered size, bytes.
    pub(super) ordered: Option<u64>,
    pub(super) stage: Stage,
}

impl Fill<'_> {
    /// Makes the content; answers the file that it is in, of the ordered format and size.
    pub(super) async fn run(&self, source: &Source) -> Result<PathBuf, StorageError> {
        let out = self.attempt.work("out");
        match source {
            Source::Empty => self.emptied(&out).await?,
            Source::Uri(uri) => self.fetched(uri, &out).await?,
            Source::Volume(volume) => self.copied(volume, &out).await?,
        }
        if let Some(bytes) = self.ordered {
            grow(self.attempt, out.clone(), self.spec.format, bytes).await?;
        }
        Ok(out)
    }

    async fn emptied(&self, out: &Path) -> Result<(), StorageError> {
        let bytes = self.ordered.ok_or(StorageError::NoSize)?;
        match self.spec.format {
            VolumeFormat::Qcow2 => qemu_img::create(self.attempt, out, bytes).await,
            VolumeFormat::Raw => {
                let path = out.to_owned();
                let make =
                    move |_: &Attempt| File::create_new(&path).map_err(StorageError::io("make", &path));
                self.attempt.blocking(make).await.map(drop)
            }
        }
    }

    async fn fetched(&self, text: &str, out: &Path) -> Result<(), StorageError> {
        let wrong = |why: &str| {
            let uri = text.chars().take(100).collect();
            StorageError::Uri { uri, why: format!("{why}; write http://…, https://… or file:///…") }
        };
        let uri = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let stage = self.stage.part(0.0, BRINGING);
        let (path, said_html) = match uri.scheme() {
            "http" | "https" => {
                let Shared { http, options, .. } = self.shared;
                let (attempt, ordered) = (self.attempt, self.ordered);
                let download = Download { http, options, attempt, uri: &uri, ordered, stage };
                let downloaded = download.run().await?;
                (downloaded.path, downloaded.said_html)
            }
            "file" => (self.bring_file(&uri, &stage).await?, false),
            _ => return Err(wrong("nothing here reads such an address")),
        };
        let image = inspect(self.attempt, path, &shown(&uri), said_html).await?;
        self.take(image, out).await
    }

    /// Copies a file from elsewhere on this host: it may change while one looks at it.
    async fn bring_file(&self, uri: &Url, stage: &Stage) -> Result<PathBuf, StorageError> {
        let (uri, roots) = (uri.clone(), self.shared.options.file_roots.clone());
        let file = self.attempt.pool.look(move |_| local::open(&uri, &roots)).await?;
        let len = file.metadata().map_err(StorageError::io("look at", &self.attempt.pool.path))?.len();
        let path = self.attempt.work("source");
        self.copy(file, path.clone(), len, stage).await?;
        Ok(path)
    }

    /// Makes an image that was brought here the content. It is used up where its bytes can be used as they are.
    async fn take(&self, image: Image, out: &Path) -> Result<(), StorageError> {
        size::check_fits(image.bytes, self.ordered)?;
        if (image.format, self.spec.format) != (VolumeFormat::Raw, VolumeFormat::Raw) {
            let stage = self.stage.part(BRINGING, 1.0);
            return self.convert((image.path, image.format), out, &stage).await;
        }
        let out = out.to_owned();
        let rename = move |attempt: &Attempt| {
            let synced = File::open(&image.path).and_then(|file| file.sync_all());
            synced.map_err(StorageError::io("sync", &image.path))?;
            let rename = || fs::rename(&image.path, &out).map_err(StorageError::io("take", &image.path));
            attempt.ticket.if_current(rename)
        };
        self.attempt.blocking(rename).await
    }

    async fn copied(&self, from: &VolumeSpec, out: &Path) -> Result<(), StorageError> {
        let volume = from.volume;
        if volume == self.spec.volume {
            return Err(StorageError::Itself { volume });
        }
        let pool = self.shared.pool(&from.pool)?;
        let found = pool.look(move |pool| {
            pool.check()?;
            pool.find(volume)?.ok_or(StorageError::NoSource { volume })
        });
        let found = found.await?;
        size::check_fits(found.bytes, self.ordered)?;
        let (found, file) = self.attempt.pool.look(move |_| open_source(found)).await?;
        if found.format != self.spec.format {
            return self.convert((found.path, found.format), out, &self.stage).await;
        }
        let len = file.metadata().map_err(StorageError::io("look at", &found.path))?.len();
        self.copy(file, out.to_owned(), len, &self.stage).await
    }

    async fn copy(&self, from: File, to: PathBuf, len: u64, stage: &Stage) -> Result<(), StorageError> {
        let done = Arc::new(AtomicU64::new(0));
        let what = format!("the copy for volume {}", self.spec.volume);
        let copied = done.clone();
        let work = self.attempt.blocking(move |attempt| {
            let made = File::create_new(&to).map_err(StorageError::io("make", &to))?;
            copy::copy(attempt, &from, &made, len, &copied)
        });
        let headway = || {
            let done = done.load(Ordering::Relaxed);
            stage.report_of(done, len);
            done
        };
        while_moving(&what, self.shared.options.copy_stall, headway, work).await
    }

    async fn convert(
        &self,
        from: (PathBuf, VolumeFormat),
        out: &Path,
        stage: &Stage,
    ) -> Result<(), StorageError> {
        let to = (out, self.spec.format);
        qemu_img::convert(self.attempt, (&from.0, from.1), to, self.shared.options.copy_stall, stage).await
    }
}

/// Opens a volume to copy from; nobody can write to it while the file is open.
fn open_source(found: Found) -> Result<(Found, File), StorageError> {
    let file = File::open(&found.path).map_err(StorageError::io("open", &found.path))?;
    image_lock::for_reading(&file, &found.path)?;
    if found.format == VolumeFormat::Qcow2 {
        let header = Header::read(&file).map_err(StorageError::io("read", &found.path))?;
        if let Some(why) = header.and_then(|header| header.objection()) {
            let origin = found.path.display().to_string();
            return Err(StorageError::Refused { origin, why: why.into() });
        }
    }
    Ok((found, file))
}

/// Grows an image, if it is smaller. Never shrinks it.
pub(super) async fn grow(
    attempt: &Attempt,
    path: PathBuf,
    format: VolumeFormat,
    bytes: u64,
) -> Result<(), StorageError> {
    let file = path.clone();
    let has = attempt.blocking(move |_| image_bytes(&file, format)).await?;
    match format {
        _ if has >= bytes => Ok(()),
        VolumeFormat::Qcow2 => qemu_img::resize(attempt, &path, bytes).await,
        VolumeFormat::Raw => {
            let extend = move |attempt: &Attempt| {
                attempt.ticket.if_current(|| {
                    let file = File::options().write(true).open(&path);
                    let grown = file.and_then(|file| file.set_len(bytes));
                    grown.map_err(|error| copy::failure(attempt, error, 0))
                })
            };
            attempt.blocking(extend).await
        }
    }
}

fn image_bytes(path: &Path, format: VolumeFormat) -> Result<u64, StorageError> {
    let file = File::open(path).map_err(StorageError::io("open", path))?;
    let header = match format {
        VolumeFormat::Raw => None,
        VolumeFormat::Qcow2 => Header::read(&file).map_err(StorageError::io("read", path))?,
    };
    let len = file.metadata().map_err(StorageError::io("look at", path))?.len();
    Ok(header.map_or(len, |header| header.virtual_size))
}
