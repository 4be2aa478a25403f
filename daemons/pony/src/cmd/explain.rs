//! `pony explain`

use crate::browse::{self, Browser, Located};
use crate::cli::ExplainArgs;
use crate::escape;
use crate::explain::{Link, chain, last_cause};
use crate::session::{Session, now_unix_s, say, say_json};
use anyhow::{Context, bail};
use serde_json::{Value as Json, json};

pub(super) async fn run(session: &Session, args: &ExplainArgs) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let (table, row) = place(&mut browser, &args.place).await?;
    let links = chain(&mut browser, &table, &row, now_unix_s()).await?;
    if session.answers_json() {
        return Ok(say_json(
            &json!({"chain": links.iter().map(fact).collect::<Vec<_>>(), "cause": last_cause(&links).map(fact)}),
        )?);
    }
    let mut text: Vec<String> = links.iter().map(sentence).collect();
    if let Some(cause) = last_cause(&links).filter(|cause| cause.depth > 0) {
        text.push(format!("last cause: {} {}: {}", cause.table, cause.label, cause.why));
    }
    let text: Vec<_> = text.iter().map(|line| escape::text(line)).collect();
    Ok(say(&text.join("\n"))?)
}

/// The row that is meant, and its table.
async fn place(browser: &mut Browser<'_>, words: &[String]) -> anyhow::Result<(String, Located)> {
    match words {
        [table, row] => {
            let table = browser.catalog().find(table)?;
            Ok((table.name.clone(), browser.one(table, row).await?))
        }
        [path] => by_path(browser, path).await,
        _ => bail!("name a path, or a table and a row"),
    }
}

/// Goes down a path step by step; each row may be named as everywhere.
async fn by_path(browser: &mut Browser<'_>, path: &str) -> anyhow::Result<(String, Located)> {
    let path = path.trim_start_matches("/v1/").trim_matches('/');
    if path.is_empty() || path == "v1" {
        bail!("`/` is the whole cloud; name a row in it, as in /tenant/acme/instance/web");
    }
    let steps: Vec<&str> = path.split('/').filter(|step| *step != "children").collect();
    let mut found: Option<(String, Located)> = None;
    for pair in steps.chunks(2) {
        let [mount, word] = pair else {
            bail!("`{path}` ends in a collection; name a row in it, as in /tenant/acme/instance/web")
        };
        let names: Vec<String> = found
            .iter()
            .flat_map(|(_, row)| row.path.iter().step_by(2).cloned())
            .chain([(*mount).to_owned()])
            .collect();
        let known = browser
            .catalog()
            .mount(&names)
            .with_context(|| {
                let place = names.split_last().map_or_else(String::new, |(_, above)| above.join("/"));
                format!("there is no collection `{mount}` in /{place}; `pony explain TABLE ROW` finds a row wherever it is")
            })?;
        let table = known.table.clone();
        let rows = match &found {
            None => browser.root(mount).await?,
            Some((_, above)) => browser.children(above, mount).await?,
        };
        let row = browse::choose(browser.catalog().find(&table)?, &rows, word)?;
        found = Some((table, row));
    }
    found.context("name a row, as in /tenant/acme/instance/web")
}

fn sentence(link: &Link) -> String {
    let indent = "  ".repeat(link.depth);
    let states = match (&link.desired, &link.current) {
        (Some(desired), Some(current)) => format!("ordered {desired}, is {current}"),
        (None, Some(current)) => format!("is {current}"),
        (Some(desired), None) => format!("ordered {desired}, nothing is reported"),
        (None, None) => "nothing is reported".to_owned(),
    };
    let why = if link.why.is_empty() { "as ordered" } else { &link.why };
    format!("{indent}{} {}: {states}: {why}", link.table, link.label)
}

fn fact(link: &Link) -> Json {
    json!({
        "table": link.table, "name": link.label, "key": link.key, "depth": link.depth, "desired": link.desired,
        "current": link.current, "why": link.why,
    })
}
