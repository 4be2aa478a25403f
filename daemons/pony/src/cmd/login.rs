//! `pony login`

use crate::cli::LoginArgs;
use crate::client::Client;
use crate::credentials::{self, Credentials, DEFAULT_URL, Login};
use crate::session::{self, note, tell};
use crate::terminal;
use anyhow::Context;
use serde_json::json;
use std::path::Path;

pub(super) async fn run(
    url: Option<&str>,
    certificates: Option<&Path>,
    json: bool,
    args: &LoginArgs,
) -> anyhow::Result<()> {
    let path = credentials::login_path()?;
    // An unusable file is about to be replaced.
    let before = Login::load(&path).ok().flatten();
    let url =
        url.map(str::to_owned).or(before.map(|login| login.url)).unwrap_or_else(|| DEFAULT_URL.to_owned());
    let credentials = ask(args)?;
    let client = Client::trusting(&url, Some(credentials.clone()), certificates)?;
    if client.exposes_credentials() {
        note(&format!("the password goes to {url} unencrypted; use https"));
    }
    // Wrong credentials are refused wherever they are shown.
    client.list(&["tenant"]).await.with_context(|| format!("{} could not sign in", credentials.email()))?;
    let email = credentials.email().to_owned();
    Login { url: url.clone(), credentials }.store(&path)?;
    let sentence = format!("signed in at {url} as {email}; stored in {}", path.display());
    Ok(tell(json, &sentence, &json!({"signed_in": email, "url": url, "stored": path}))?)
}

/// What the command line says goes before what the environment says.
fn ask(args: &LoginArgs) -> anyhow::Result<Credentials> {
    if let Some(email) = &args.email {
        return Ok(Credentials::new(email, &terminal::ask("Password", true)?));
    }
    if args.password_stdin {
        return terminal::ask("email:password", true)?.parse().context("standard input is not usable");
    }
    if let Some(credentials) = session::given_credentials()? {
        return Ok(credentials);
    }
    let email = terminal::ask("E-mail", false)?;
    Ok(Credentials::new(&email, &terminal::ask("Password", true)?))
}
