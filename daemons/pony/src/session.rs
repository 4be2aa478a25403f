//! What commands share: the client, the schema, and speaking to the user.

use crate::browse::Browser;
use crate::catalog::Catalog;
use crate::client::{Client, ClientError};
use crate::credentials::{self, Credentials, Login};
use crate::escape;
use anyhow::Context;
use serde_json::Value as Json;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// A cloud that commands are given to.
#[derive(Debug)]
pub struct Session {
    /// The way there.
    pub client: Client,
    /// What it consists of.
    pub catalog: Catalog,
}

impl Session {
    /// Asks a Sparkle for its schema.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open(client: Client) -> Result<Self, ClientError> {
        let catalog = Catalog::read(&client.get(&["schema"]).await?);
        Ok(Self { client, catalog })
    }

    /// A fresh look at the cloud.
    #[must_use]
    pub fn browser(&self) -> Browser<'_> {
        Browser::new(&self.client, &self.catalog)
    }
}

/// The client that the command line, the environment and the login file ask for.
///
/// # Errors
/// An unusable URL, `PONY_AUTH` or login file.
pub fn client(url: Option<&str>) -> anyhow::Result<Client> {
    let given = given_credentials()?;
    let login = match (&given, url) {
        (Some(_), Some(_)) => None,
        _ => Login::load(&credentials::login_path()?)?,
    };
    let (url, credentials) = credentials::choose(url, given, login);
    let client = Client::new(&url, credentials)?;
    if client.exposes_credentials() {
        note(&format!("the password goes to {url} unencrypted; use https"));
    }
    Ok(client)
}

/// The credentials in `PONY_AUTH`; none when it is not set, or empty.
///
/// # Errors
/// When it is not `email:password`.
pub fn given_credentials() -> anyhow::Result<Option<Credentials>> {
    let text = std::env::var("PONY_AUTH").ok().filter(|text| !text.is_empty());
    text.map(|text| text.parse().context("PONY_AUTH is not usable")).transpose()
}

/// Says something on standard output, as it is: the caller has made it harmless.
///
/// # Errors
/// When nobody reads it any more.
pub fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Shows a value as JSON.
///
/// # Errors
/// When nobody reads it any more.
pub fn say_json(value: &Json) -> io::Result<()> {
    say(&escape::json(&format!("{value:#}")))
}

/// Remarks something on standard error.
pub fn note(text: &str) {
    // There is nobody to tell when that fails.
    let _ = writeln!(io::stderr().lock(), "pony: {}", escape::text(text));
}

/// This machine's clock, Unix time in seconds.
#[must_use]
pub fn now_unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
