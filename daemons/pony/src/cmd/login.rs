//! `pony login`

use crate::cli::LoginArgs;
use crate::client::Client;
use crate::credentials::{self, Credentials, DEFAULT_URL, Login};
use crate::escape;
use crate::session::{self, note, say};
use crate::terminal;
use anyhow::Context;

pub(super) async fn run(url: Option<&str>, args: &LoginArgs) -> anyhow::Result<()> {
    let path = credentials::login_path()?;
    // An unusable file is about to be replaced.
    let before = Login::load(&path).ok().flatten();
    let url =
        url.map(str::to_owned).or(before.map(|login| login.url)).unwrap_or_else(|| DEFAULT_URL.to_owned());
    let credentials = ask(args)?;
    let client = Client::new(&url, Some(credentials.clone()))?;
    if client.exposes_credentials() {
        note(&format!("the password goes to {url} unencrypted; use https"));
    }
    // Wrong credentials are refused wherever they are shown.
    client.list(&["tenant"]).await.with_context(|| format!("{} could not sign in", credentials.email()))?;
    let email = credentials.email().to_owned();
    Login { url: url.clone(), credentials }.store(&path)?;
    Ok(say(&escape::text(&format!("signed in at {url} as {email}; stored in {}", path.display())))?)
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
