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

/// Until when a command waits, for all that it waits for.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    limit_s: u64,
    end: Instant,
}

impl Limit {
    /// As long as the user said, from now on.
    #[must_use]
    pub fn of(args: WaitArgs) -> Self {
        Self { limit_s: args.timeout, end: Instant::now() + Duration::from_secs(args.timeout) }
    }
}

/// Looks again and again until it is done; tells each progress once.
///
/// # Errors
/// See [`WaitError`]. A Sparkle that is away for a while is waited for, too.
pub async fn until(
    session: &Session,
    limit: Limit,
    what: &str,
    look: impl AsyncFnMut(&mut Browser<'_>) -> Result<Look, BrowseError>,
) -> Result<(), WaitError> {
    tokio::select! {
        result = look_until(session, limit, what, look) => result,
        Ok(()) = tokio::signal::ctrl_c() => Err(WaitError::Interrupted { what: what.to_owned() }),
    }
}

/// What is told without how long it has gone on, or is still to go: that alone is no news.
fn without_clock(progress: &str) -> String {
    let mut text = progress.to_owned();
    for before in ["next try in ", "tried again for "] {
        if let Some(at) = text.find(before).map(|at| at + before.len()) {
            let end = text[at..].find([')', ';']).map_or(text.len(), |length| at + length);
            text.replace_range(at..end, "");
        }
    }
    text
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
    limit: Limit,
    what: &str,
    mut look: impl AsyncFnMut(&mut Browser<'_>) -> Result<Look, BrowseError>,
) -> Result<(), WaitError> {
    let Limit { limit_s, end } = limit;
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
        if without_clock(&seen.progress) != without_clock(&told) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_passes_is_no_news() {
        let same = [
            ("no route (attempt 1, next try in 9 s)", "no route (attempt 1, next try in 2 min)"),
            (
                "being tried again for 1 s; before: x (attempt 1)",
                "being tried again for 9 s; before: x (attempt 1)",
            ),
        ];
        for (one, other) in same {
            assert_eq!(without_clock(one), without_clock(other));
        }
        assert_ne!(
            without_clock("x (attempt 1, next try in 9 s)"),
            without_clock("x (attempt 2, next try in 9 s)")
        );
        assert_eq!(without_clock("42 % filled"), "42 % filled");
    }
}
