//! What commands share: the client, the schema, and speaking to the user.

use crate::browse::Browser;
use crate::catalog::Catalog;
use crate::client::{Client, ClientError};
use crate::credentials::{self, Credentials, Login};
use crate::escape;
use anyhow::Context;
use serde_json::Value as Json;
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A cloud that commands are given to.
#[derive(Debug)]
pub struct Session {
    /// The way there.
    pub client: Client,
    /// What it consists of.
    pub catalog: Catalog,
    /// Whether answers are for programs.
    json: bool,
}

impl Session {
    /// Asks a Sparkle for its schema.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open(client: Client) -> Result<Self, ClientError> {
        let catalog = Catalog::read(&client.get(&["schema"]).await?);
        Ok(Self { client, catalog, json: false })
    }

    /// The same, answering in JSON or for people.
    #[must_use]
    pub fn answering(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// Whether answers are for programs.
    #[must_use]
    pub const fn answers_json(&self) -> bool {
        self.json
    }

    /// Tells what was done: a sentence for people, or a line of JSON for programs.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn tell(&self, sentence: &str, fact: &Json) -> io::Result<()> {
        tell(self.json, sentence, fact)
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
pub fn client(url: Option<&str>, certificates: Option<&Path>) -> anyhow::Result<Client> {
    let given = given_credentials()?;
    let token = std::env::var("PONY_TOKEN").ok().filter(|token| !token.is_empty());
    let login = match (given.is_some() || token.is_some(), url) {
        (true, Some(_)) => None,
        _ => Login::load(&credentials::login_path()?)?,
    };
    let (url, credentials) = credentials::choose(url, given, login);
    let mut client = Client::trusting(&url, credentials, certificates)?;
    if let Some(token) = token {
        client = client.with_token(&token);
    }
    if client.exposes_credentials() {
        note(&format!("what you sign in with goes to {url} unencrypted; use https"));
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

/// Tells something: a sentence for people, or a line of JSON for programs.
///
/// # Errors
/// When nobody reads it any more.
pub fn tell(json: bool, sentence: &str, fact: &Json) -> io::Result<()> {
    if json { say(&escape::json(&fact.to_string())) } else { say(&escape::text(sentence)) }
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
