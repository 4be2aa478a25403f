//! Waiting for an order to be carried out: with a limit, with progress, and never so that it cannot be left.

use crate::browse::{BrowseError, Browser};
use crate::cli::WaitArgs;
use crate::names::Names;
use crate::session::{Session, note};
use std::time::Duration;
use tokio::time::Instant;

/// Milliseconds between two looks.
const LOOK_MS: u64 = 500;

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whether it is as ordered.
    pub done: bool,
    /// What to tell about it.
    pub progress: String,
}

/// Why waiting ended without success. The order stands.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Not in time.
    #[error("{what} is not as ordered after {limit_s} s ({progress}); the order stands")]
    TooLong {
        /// What was waited for.
        what: String,
        /// How long.
        limit_s: u64,
        /// What was last seen.
        progress: String,
    },
    /// The user has had enough.
    #[error("no longer waiting for {what}; the order stands")]
    Interrupted {
        /// What was waited for.
        what: String,
    },
    /// The cloud could not be asked.
    #[error(transparent)]
    Browse(#[from] BrowseError),
}

/// Looks again and again until it is done; tells each progress once.
///
/// # Errors
/// See [`WaitError`]. A Sparkle that is away for a while is waited for, too.
pub async fn until(
    session: &Session,
    args: WaitArgs,
    what: &str,
    look: impl AsyncFnMut(&mut Browser<'_>) -> Result<Look, BrowseError>,
) -> Result<(), WaitError> {
    tokio::select! {
        result = look_until(session, args.timeout, what, look) => result,
        Ok(()) = tokio::signal::ctrl_c() => Err(WaitError::Interrupted { what: what.to_owned() }),
    }
}

/// A wait that only grows shorter is no news.
fn without_countdown(progress: &str) -> &str {
    progress.split(", next try in").next().unwrap_or_default()
}

/// Looks; what it tells has names where hosts know UUIDs only.
async fn look_once(
    session: &Session,
    look: &mut impl AsyncFnMut(&mut Browser<'_>) -> Result<Look, BrowseError>,
    names: &mut Names,
) -> Result<Look, BrowseError> {
    let mut browser = session.browser();
    let seen = look(&mut browser).await?;
    Ok(Look { progress: names.say(&mut browser, &seen.progress).await?, ..seen })
}

async fn look_until(
    session: &Session,
    limit_s: u64,
    what: &str,
    mut look: impl AsyncFnMut(&mut Browser<'_>) -> Result<Look, BrowseError>,
) -> Result<(), WaitError> {
    let end = Instant::now() + Duration::from_secs(limit_s);
    let (mut told, mut names) = (String::new(), Names::default());
    loop {
        let seen = match tokio::time::timeout_at(end, look_once(session, &mut look, &mut names)).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(BrowseError::Client(error))) if error.is_retryable() => {
                Look { done: false, progress: error.to_string() }
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => Look { done: false, progress: told.clone() },
        };
        if without_countdown(&seen.progress) != without_countdown(&told) {
            note(&format!("{what}: {}", seen.progress));
            told = seen.progress;
        }
        if seen.done {
            return Ok(());
        }
        if Instant::now() + Duration::from_millis(LOOK_MS) >= end {
            return Err(WaitError::TooLong { what: what.to_owned(), limit_s, progress: told });
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
}
