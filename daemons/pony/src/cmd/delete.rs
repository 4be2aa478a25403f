//! `pony delete`

use crate::browse::Located;
use crate::cli::KeysArgs;
use crate::session::Session;
use serde_json::{Value as Json, json};

pub(super) async fn run(session: &Session, table: &str, rows: &KeysArgs) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let table = session.catalog.find(table)?;
    let mut found: Vec<Located> = Vec::new();
    for word in &rows.keys {
        let row = browser.one(table, word).await?;
        if !found.iter().any(|known| known.path == row.path) {
            found.push(row);
        }
    }
    let operations: Vec<Json> = found.iter().map(|row| removal(&table.name, row)).collect();
    session.client.patch(&operations).await?;
    for row in found {
        tell_deleted(session, &table.name, &row)?;
    }
    Ok(())
}

/// Says that a row was removed.
pub(super) fn tell_deleted(session: &Session, table: &str, row: &Located) -> std::io::Result<()> {
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
