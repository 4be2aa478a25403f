//! Why a request failed.

use serde::Deserialize;
use std::error::Error;
use std::io;
use std::path::PathBuf;

/// What the API says when it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// The code, such as `path-not-found`.
    #[serde(default)]
    pub error: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Where in the document.
    pub path: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.message.as_str(), self.error.as_str()) {
            ("", "") => write!(f, "refused with HTTP status {}", self.status)?,
            ("", code) => write!(f, "refused: {code}")?,
            (message, _) => f.write_str(message)?,
        }
        self.path.as_ref().map_or(Ok(()), |path| write!(f, " (at {path})"))
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is none.
    #[error("`{url}` is no URL of Sparkle; expected something like http://127.0.0.1:9860")]
    Url {
        /// What was given.
        url: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// The certificates to trust cannot be used.
    #[error("cannot use the certificates in {path}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nobody answered, or not in time.
    #[error("no answer from {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Somebody answered, but not in TLS.
    #[error("{url} does not speak TLS; write http:// instead of https://, if nobody between can listen")]
    Plain {
        /// Where.
        url: String,
    },
    /// The API refused, as nobody said who asks.
    #[error("{url} needs to know who asks: set PONY_AUTH=email:password or PONY_TOKEN, or run `pony login`")]
    NoCredentials {
        /// Where.
        url: String,
    },
    /// The API refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer is no JSON of the expected shape: not Sparkle, or not of this version.
    #[error("{url} answered something else than Sparkle does: {what}")]
    Answer {
        /// Where.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// The answer is longer than a client should hold.
    #[error("the answer from {url} is longer than {max_mib} MiB; ask for less")]
    TooLong {
        /// Where.
        url: String,
        /// The limit.
        max_mib: usize,
    },
}

impl ClientError {
    /// What to say of a request that got no answer from `url`.
    pub(super) fn unanswered(url: String, source: reqwest::Error) -> Self {
        // What an I/O error holds is not what it calls its source.
        fn cause<'a>(of: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
            let held = of.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            held.map(|it| it as &(dyn Error + 'static)).or_else(|| (*of).source())
        }
        let speaks_no_tls = |error: &(dyn Error + 'static)| {
            matches!(error.downcast_ref(), Some(rustls::Error::InvalidMessage(_)))
        };
        let mut causes = std::iter::successors(Some(&source as &(dyn Error + 'static)), cause);
        if causes.any(speaks_no_tls) { Self::Plain { url } } else { Self::Unreachable { url, source } }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            Self::NoCredentials { .. } => Some(401),
            _ => None,
        }
    }

    /// Whether the same request may work later: the server is away, overloaded or without its database.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. }) || matches!(self.status(), Some(429 | 502 | 503 | 504))
    }

    /// Whether the caller may not see what was asked for, or it is not there.
    #[must_use]
    pub fn is_out_of_sight(&self) -> bool {
        matches!(self.status(), Some(401 | 403 | 404))
    }
}
