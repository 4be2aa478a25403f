//! Gets what is to become a volume: nothing, an image from a URI, or another volume.

use super::attempt::Attempt;
use super::backend::Content;
use super::download::Download;
use super::error::StorageError;
use super::files::{BRINGING, copy_file};
use super::host_storage::Shared;
use super::http::shown;
use super::inspect::{Image, inspect};
use super::pool::Found;
use super::stage::Stage;
use super::{checksum, local, size};
use pony_core::host::{Source, SourceScheme, SourceUri, VolumeSpec};
use reqwest::Url;
use std::path::PathBuf;

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
    /// What is to become the volume, found to fit into it.
    pub(super) async fn content(&self, source: &Source) -> Result<Content, StorageError> {
        let content = match source {
            Source::Empty => Content::Nothing,
            Source::Uri(uri) => Content::Own(self.fetched(uri).await?),
            Source::Volume(volume) => Content::Of(self.other(volume).await?),
            Source::Remote(from) => Content::Remote(Box::new(self.remote(from).await?)),
        };
        size::check_fits(content.bytes(), self.ordered)?;
        Ok(content)
    }

    async fn fetched(&self, text: &str) -> Result<Image, StorageError> {
        // What is no address may hold secrets anywhere.
        let named = || Url::parse(text).map_or_else(|_| "what was ordered".to_owned(), |uri| shown(&uri));
        let wrong = |why: String| StorageError::Uri { uri: named(), why };
        let source = SourceUri::parse(text).map_err(|error| wrong(error.to_string()))?;
        let uri = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        let stage = self.stage.part(0.0, BRINGING);
        let (path, said_html) = match source.scheme {
            SourceScheme::Http | SourceScheme::Https => {
                let Shared { http, options, .. } = self.shared;
                let (attempt, ordered) = (self.attempt, self.ordered);
                let download = Download { http, options, attempt, uri: &uri, ordered, stage };
                let downloaded = download.run().await?;
                (downloaded.path, downloaded.said_html)
            }
            SourceScheme::File => (self.bring_file(&uri, &stage).await?, false),
        };
        if let Some(checksum) = source.checksum {
            checksum::check(self.attempt, &path, checksum, shown(&uri)).await?;
        }
        inspect(self.attempt, path, &shown(&uri), said_html).await
    }

    /// Copies a file from elsewhere on this host: it may change while one looks at it.
    async fn bring_file(&self, uri: &Url, stage: &Stage) -> Result<PathBuf, StorageError> {
        let (uri, roots) = (uri.clone(), self.shared.options.file_roots.clone());
        let file = self.attempt.pool.look(move |_| local::open(&uri, &roots)).await?;
        let len = file.metadata().map_err(StorageError::io("look at", &self.attempt.pool.path))?.len();
        let path = self.attempt.work("source");
        copy_file(self, file, path.clone(), len, stage).await?;
        Ok(path)
    }

    async fn other(&self, from: &VolumeSpec) -> Result<Found, StorageError> {
        let volume = from.volume;
        if volume == self.spec.volume {
            return Err(StorageError::Itself { volume });
        }
        let found = self.shared.backend_of(from)?.find(volume).await?;
        found.ok_or(StorageError::NoSource { volume })
    }
}
