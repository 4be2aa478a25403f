//! Downloads a source into `partial/`: resumed where that is certain to be right, else from the start.

use super::attempt::Attempt;
use super::content::{self, HEAD};
use super::copy::{check_free, failure};
use super::error::StorageError;
use super::http::{Http, Resume, failed, shown, stalled};
use super::options::StorageOptions;
use super::partial::Note;
use super::size::{self, MIB, mib};
use super::stage::Stage;
use super::sweep;
use pony_core::host::VolumeFormat;
use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use reqwest::{Response, StatusCode, Url};
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that are gathered before they are written: one thread's work each.
const GATHER: usize = MIB as usize;

/// What the metadata of an image may add to its virtual size, bytes and a fraction of it.
const OVERHEAD: u64 = 64 * MIB;
const OVERHEAD_PART: u64 = 8;

/// What to download, for what.
pub(super) struct Download<'a> {
    pub(super) http: &'a Http,
    pub(super) options: &'a StorageOptions,
    pub(super) attempt: &'a Attempt,
    pub(super) uri: &'a Url,
    /// The most that the image may have, bytes.
    pub(super) ordered: Option<u64>,
    pub(super) stage: Stage,
}

/// Where it is, and whether the server called it a web page.
pub(super) struct Downloaded {
    pub(super) path: PathBuf,
    pub(super) said_html: bool,
}

/// A body that arrives.
struct Arriving {
    /// Where what is gathered belongs.
    at: u64,
    gathered: Vec<u8>,
    /// Bytes of the whole, where the server said so.
    total: Option<u64>,
    said_html: bool,
    note: Option<Note>,
    /// Once the start was found to be an image's.
    file: Option<Arc<File>>,
}

impl Download<'_> {
    pub(super) async fn run(&self) -> Result<Downloaded, StorageError> {
        let (mut answer, mut arriving) = self.ask().await?;
        let path = self.attempt.pool.download(self.attempt.volume());
        self.receive(&mut answer, &mut arriving).await?;
        Ok(Downloaded { path, said_html: arriving.said_html })
    }

    /// Asks for the rest of what is here already, where there is some and the server still has the same, or
    /// else for all of it.
    async fn ask(&self) -> Result<(Response, Arriving), StorageError> {
        let (uri, volume) = (self.uri.to_string(), self.attempt.volume());
        let known = self.attempt.pool.look(move |pool| Ok(Note::load(pool, volume, &uri))).await?;
        if let Some((note, done)) = known {
            // The last byte again: a range must not be empty, and a complete download is checked as any other.
            let from = done - 1;
            let resume = Resume { from, validator: &note.validator };
            let answer = self.http.get(self.uri, Some(resume), self.options).await?;
            match answer.status() {
                StatusCode::PARTIAL_CONTENT if continues(answer.headers(), from, note.length) => {
                    return self.resumed(answer, note, from).await;
                }
                StatusCode::OK => return self.fresh(answer),
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {}
                _ => return Err(self.refused(&answer)),
            }
        }
        let answer = self.http.get(self.uri, None, self.options).await?;
        match answer.status() {
            StatusCode::OK => self.fresh(answer),
            _ => Err(self.refused(&answer)),
        }
    }

    async fn resumed(
        &self,
        answer: Response,
        note: Note,
        from: u64,
    ) -> Result<(Response, Arriving), StorageError> {
        let volume = self.attempt.volume();
        let open = move |attempt: &Attempt| {
            let path = attempt.pool.download(volume);
            let opened = File::options().write(true).open(&path);
            opened.map(Arc::new).map_err(StorageError::io("open", &path))
        };
        let file = Some(self.attempt.blocking(open).await?);
        let pool = self.attempt.pool.path.clone();
        let rest = note.length - from;
        self.attempt.blocking(move |_| check_free(&pool, rest)).await?;
        let (total, said_html) = (Some(note.length), says_html(answer.headers()));
        let arriving = Arriving { at: from, gathered: Vec::new(), total, said_html, note: Some(note), file };
        Ok((answer, arriving))
    }

    fn fresh(&self, answer: Response) -> Result<(Response, Arriving), StorageError> {
        let headers = answer.headers();
        let total = answer.content_length();
        let coded = |name| {
            headers.get(name).is_some_and(|coding: &reqwest::header::HeaderValue| {
                !coding.as_bytes().eq_ignore_ascii_case(b"identity")
            })
        };
        if coded(CONTENT_ENCODING) {
            let why = "the server insists on a content encoding".into();
            return Err(StorageError::Http { uri: shown(self.uri), why });
        }
        if total.is_none() && !coded(TRANSFER_ENCODING) {
            return Err(StorageError::NoLength { uri: shown(self.uri) });
        }
        let note = Note::of(self.uri.as_str(), headers, total);
        let said_html = says_html(headers);
        let arriving = Arriving { at: 0, gathered: Vec::new(), total, said_html, note, file: None };
        Ok((answer, arriving))
    }

    fn refused(&self, answer: &Response) -> StorageError {
        let hint = match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => ": there is nothing at this address",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": it may not be read",
            status if status.is_server_error() => ": the server has a problem",
            _ => "",
        };
        StorageError::Status { uri: shown(self.uri), status: answer.status().as_u16(), hint }
    }

    /// Receives to the end. What came before a failure is kept.
    async fn receive(&self, answer: &mut Response, arriving: &mut Arriving) -> Result<(), StorageError> {
        loop {
            let stall = self.options.http_stall;
            let chunk = match tokio::time::timeout(stall, answer.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => return Err(self.broken(arriving, error).await),
                Err(_) => {
                    self.keep(arriving).await?;
                    return Err(stalled(self.uri, stall));
                }
            };
            // A chunk is what one read of the socket brought: small.
            arriving.gathered.extend_from_slice(&chunk);
            if arriving.file.is_none() && arriving.gathered.len() >= HEAD || arriving.gathered.len() >= GATHER
            {
                self.keep(arriving).await?;
            }
        }
        self.admit(arriving).await?;
        self.keep(arriving).await?;
        match arriving.total {
            Some(total) if total != arriving.at => Err(self.cut_off(arriving)),
            _ => Ok(()),
        }
    }

    async fn broken(&self, arriving: &mut Arriving, error: reqwest::Error) -> StorageError {
        match self.keep(arriving).await {
            Err(error) => error,
            Ok(()) if arriving.at == 0 => failed(self.uri, error),
            Ok(()) => self.cut_off(arriving),
        }
    }

    fn cut_off(&self, arriving: &Arriving) -> StorageError {
        let of = arriving.total.map(|total| format!(" of {total}")).unwrap_or_default();
        StorageError::CutOff { uri: shown(self.uri), got: arriving.at, of }
    }

    /// Looks at the start, once: what is no image, or too large, is not even written.
    async fn admit(&self, arriving: &mut Arriving) -> Result<(), StorageError> {
        if arriving.file.is_some() {
            return Ok(());
        }
        let head = &arriving.gathered[..arriving.gathered.len().min(HEAD)];
        let wrong = |found| StorageError::NotAnImage { origin: shown(self.uri), found };
        let format = content::format_of(head, arriving.total, arriving.said_html).map_err(wrong)?;
        if let Some(total) = arriving.total {
            let most = if format == VolumeFormat::Raw { self.ordered } else { Some(self.most()) };
            size::check_fits(total, most)?;
        }
        let (note, need) = (arriving.note.clone(), arriving.total.unwrap_or_default());
        arriving.file = Some(self.attempt.blocking(move |attempt| begin(attempt, note, need)).await?);
        Ok(())
    }

    /// The longest file that can be an image of the ordered size, bytes.
    fn most(&self) -> u64 {
        let ordered = self.ordered.unwrap_or(size::VOLUME_MAX_MIB * MIB);
        ordered + ordered / OVERHEAD_PART + OVERHEAD
    }

    /// Writes what is gathered.
    async fn keep(&self, arriving: &mut Arriving) -> Result<(), StorageError> {
        if arriving.file.is_none() && arriving.gathered.len() < HEAD {
            return Ok(());
        }
        self.admit(arriving).await?;
        let (at, bytes) = (arriving.at, std::mem::take(&mut arriving.gathered));
        let Some(file) = arriving.file.clone() else { return Ok(()) };
        arriving.at += bytes.len() as u64;
        if arriving.at > self.most() {
            return Err(StorageError::Endless { uri: shown(self.uri), max_mib: mib(self.most()) });
        }
        self.attempt.blocking(move |attempt| write(attempt, &file, &bytes, at)).await?;
        if let Some(total) = arriving.total {
            self.stage.report_of(arriving.at, total);
        }
        Ok(())
    }
}

/// Begins a download file, in place of an earlier one.
fn begin(attempt: &Attempt, note: Option<Note>, need: u64) -> Result<Arc<File>, StorageError> {
    let (pool, volume) = (&attempt.pool, attempt.volume());
    attempt.ticket.if_current(|| {
        sweep::remove_download(pool, volume)?;
        check_free(&pool.path, need)?;
        note.map_or(Ok(()), |note| note.save(pool, volume))?;
        let path = pool.download(volume);
        // A file of its own: whoever was abandoned while it wrote the earlier one does not write into this.
        let made = File::options().write(true).create_new(true).mode(0o600).open(&path);
        made.map(Arc::new).map_err(StorageError::io("make", &path))
    })
}

/// Writes at an offset; zeroes at the end become a hole.
fn write(attempt: &Attempt, file: &File, bytes: &[u8], at: u64) -> Result<(), StorageError> {
    let end = at + bytes.len() as u64;
    let zeroes = bytes.iter().all(|byte| *byte == 0);
    let written = match file.metadata() {
        Ok(meta) if zeroes && meta.len() == at => file.set_len(end),
        Ok(_) => file.write_all_at(bytes, at),
        Err(error) => Err(error),
    };
    written.map_err(|error| failure(attempt, error, at))
}

/// Whether a partial answer is the rest of the same whole: `Content-Range: bytes 5-9/10`.
fn continues(headers: &HeaderMap, from: u64, length: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let last = length.saturating_sub(1);
    range.is_some_and(|range| range.trim() == format!("bytes {from}-{last}/{length}"))
}

fn says_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/html")
}
