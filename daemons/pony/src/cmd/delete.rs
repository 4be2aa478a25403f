//! `pony delete`, and how every other command removes rows: it asks where somebody loses something by it, and waits
//! until nothing is left, if told to.

use crate::browse::Located;
use crate::cli::{DeleteArgs, KeysArgs, RemovalArgs};
use crate::escape;
use crate::fallout::{self, Item};
use crate::leaving::Leaving;
use crate::session::{Session, note};
use crate::terminal;
use crate::wait::{self, Limit};
use anyhow::{bail, ensure};
use serde_json::{Value as Json, json};
use std::io::{self, IsTerminal};

/// Losses that are listed; of more, the number is told.
const LOSSES_SHOWN: usize = 12;

pub(super) async fn run(session: &Session, args: &DeleteArgs) -> anyhow::Result<()> {
    rows(session, &args.table, &args.rows, args.removal).await
}

/// Removes rows of a table.
pub(super) async fn rows(
    session: &Session,
    table: &str,
    rows: &KeysArgs,
    args: RemovalArgs,
) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let table = session.catalog.find(table)?;
    let mut doomed: Vec<Item> = Vec::new();
    for word in &rows.keys {
        let row = browser.one(table, word).await?;
        if !doomed.iter().any(|known| known.row.path == row.path) {
            doomed.push(Item { table: table.name.clone(), row });
        }
    }
    remove(session, doomed, args).await
}

/// Removes rows in one transaction.
pub(super) async fn remove(session: &Session, doomed: Vec<Item>, args: RemovalArgs) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let mut leaving = Vec::new();
    if args.wait.wait || !args.yes {
        let fallout = fallout::of(&mut browser, &doomed).await?;
        if !args.yes && !fallout.losses.is_empty() {
            confirm(&fallout.losses)?;
        }
        let watched = doomed.iter().cloned().chain(fallout.along).filter(|_| args.wait.wait);
        for item in watched {
            leaving.push(Leaving::note(&mut browser, item).await?);
        }
    }
    let operations: Vec<Json> = doomed.iter().map(|item| removal(&item.table, &item.row)).collect();
    session.client.patch(&operations).await?;
    for item in &doomed {
        tell_deleted(session, &item.table, &item.row)?;
    }
    let limit = Limit::of(args.wait);
    for row in leaving {
        wait::until(session, limit, &row.what(), async |browser| row.look(browser).await).await?;
    }
    Ok(())
}

/// Asks whether it is worth that; where nobody can be asked, it is not.
fn confirm(losses: &[String]) -> anyhow::Result<()> {
    let mut listed: Vec<String> = losses.iter().take(LOSSES_SHOWN).cloned().collect();
    if let Some(more) = losses.len().checked_sub(LOSSES_SHOWN).filter(|more| *more > 0) {
        listed.push(format!("{more} more"));
    }
    if !io::stdin().is_terminal() {
        bail!("nothing was deleted: {}; --yes deletes nevertheless", listed.join(", "));
    }
    for line in &listed {
        note(&escape::text(line));
    }
    let answer = terminal::ask("Delete nevertheless? [y/N]", false)?;
    ensure!(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()), "nothing was deleted");
    Ok(())
}

/// Says that a row was removed.
pub(super) fn tell_deleted(session: &Session, table: &str, row: &Located) -> io::Result<()> {
    let sentence = format!("deleted {table} {} ({})", row.label(), row.key);
    session.tell(&sentence, &json!({"deleted": table, "name": row.label(), "key": row.key}))
}

/// The operation that removes a row. A volume is ordered away: its row goes once its data are gone.
pub(super) fn removal(table: &str, row: &Located) -> Json {
    if table == "volume" {
        return json!({"op": "x-merge", "path": row.pointer(), "value": {"desired": {"state": "deleted"}}});
    }
    json!({"op": "remove", "path": row.pointer()})
}
