//! `pony get`

use crate::browse::{BrowseError, Browser, Located};
use crate::catalog::Table;
use crate::cli::{Format, GetArgs};
use crate::escape;
use crate::overview;
use crate::session::{Session, note, now_unix_s, say};
use crate::yaml;
use serde_json::{Map, Value as Json};
use std::io::IsTerminal;
use std::time::Duration;

/// Milliseconds between two looks of `--watch`.
const WATCH_MS: u64 = 1000;
/// What makes a terminal forget what it shows.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(super) async fn run(session: &Session, mut args: GetArgs) -> anyhow::Result<()> {
    if session.answers_json() && args.output == Format::Table {
        args.output = Format::Json;
    }
    let args = &args;
    let table = session.catalog.find(&args.table)?;
    if !args.watch {
        return Ok(say(&picture(&mut session.browser(), table, args).await?)?);
    }
    tokio::select! {
        result = watch(session, table, args) => result,
        Ok(()) = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn watch(session: &Session, table: &Table, args: &GetArgs) -> anyhow::Result<()> {
    let clear = args.output == Format::Table && std::io::stdout().is_terminal();
    let mut shown = String::new();
    loop {
        match picture(&mut session.browser(), table, args).await {
            Ok(picture) if picture != shown => {
                say(&format!("{}{picture}", if clear { CLEAR } else { "" }))?;
                shown = picture;
            }
            Ok(_) => {}
            Err(BrowseError::Client(error)) if error.is_retryable() => note(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_millis(WATCH_MS)).await;
    }
}

/// What there is to see, as text.
async fn picture(browser: &mut Browser<'_>, table: &Table, args: &GetArgs) -> Result<String, BrowseError> {
    let Some(word) = &args.key else {
        let rows = browser.rows(table).await?;
        return match args.output {
            Format::Table if rows.is_empty() => Ok(format!("no rows in {}", table.name)),
            Format::Table => Ok(overview::list(browser, table, &rows, now_unix_s()).await?.render()),
            format => Ok(document(&whole(&rows), format)),
        };
    };
    let row = browser.one(table, word).await?;
    if args.output != Format::Table {
        return Ok(document(&row.row.to_json(), args.output));
    }
    let line = overview::list(browser, table, std::slice::from_ref(&row), now_unix_s()).await?.render();
    Ok(format!("{line}\n{}", overview::detail(table, &row).render()))
}

/// The rows by key. Rows whose key is spread over the path go by what is unique: all of it.
fn whole(rows: &[Located]) -> Json {
    let mut keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    keys.sort_unstable();
    let unique = keys.windows(2).all(|pair| pair[0] != pair[1]);
    let key = |row: &Located| if unique { row.key.clone() } else { row.path.join("/") };
    Json::Object(rows.iter().map(|row| (key(row), row.row.to_json())).collect::<Map<_, _>>())
}

fn document(value: &Json, format: Format) -> String {
    match format {
        Format::Yaml => yaml::write(value),
        Format::Json | Format::Table => escape::json(&format!("{value:#}")).into_owned(),
    }
}
