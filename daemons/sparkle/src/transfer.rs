//! The whole desired state as one JSON document, from any database and into any:
//!
//! ```json
//! {"ponycloud": "desired-state", "version": 1, "tables": {"tenant": [{"uuid": "…", "name": "…"}]}}
//! ```
//!
//! It holds everything, password hashes included.

use anyhow::Context;
use pony_core::tables;
use pony_state::{Columns, RowOp, Rule, TableSchema};
use pony_store::{Claim, DesiredStore, Lead};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Read, Write};
use uuid::Uuid;

/// The form of the document.
const VERSION: u32 = 1;
/// Milliseconds for which an import keeps Sparkles from leading: so long, and so much longer for each row. Whoever takes
/// the database over before it is done makes it fail.
const CLAIM_TTL_MS: u64 = 60_000;
const CLAIM_TTL_MS_PER_ROW: u64 = 2;

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    ponycloud: Kind,
    version: u32,
    tables: BTreeMap<String, Vec<Columns>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    DesiredState,
}

/// Writes everything that the database has, as of one moment. Says how many rows.
///
/// # Errors
/// When the database cannot be read, or the output not be written.
pub(crate) async fn export(store: &dyn DesiredStore, out: &mut impl Write) -> anyhow::Result<usize> {
    let mut document = Document { ponycloud: Kind::DesiredState, version: VERSION, tables: BTreeMap::new() };
    let mut load = store.load().await?;
    let mut count = 0;
    while let Some(batch) = load.next().await? {
        let rows = document.tables.entry(batch.table.to_string()).or_default();
        rows.extend(batch.rows().map(|row| batch.to_columns(row)));
        count += batch.len();
    }
    serde_json::to_writer_pretty(&mut *out, &document).context("writing the document")?;
    writeln!(out).and_then(|()| out.flush()).context("writing the document")?;
    Ok(count)
}

/// Reads a document into a database that has nothing yet: all of it, or nothing. Says how many rows.
///
/// # Errors
/// When the document is none, the database is not empty, somebody works with it, or refuses a row.
pub(crate) async fn import(store: &dyn DesiredStore, input: impl Read) -> anyhow::Result<usize> {
    let document: Document = serde_json::from_reader(std::io::BufReader::new(input))
        .context("this is not an export of desired state")?;
    anyhow::ensure!(
        document.version == VERSION,
        "the document is of version {}, this program reads {VERSION}",
        document.version
    );
    let rows = ordered(document.tables)?;
    let total = rows.len();
    let mut load = store.load().await?;
    anyhow::ensure!(load.next().await?.is_none(), "the database is not empty; import into a new one");
    drop(load);
    let ttl_ms = CLAIM_TTL_MS + CLAIM_TTL_MS_PER_ROW * total as u64;
    let claim = Claim { holder: Uuid::new_v4(), name: "an import".to_owned(), ttl_ms };
    if let Lead::Others { name } = store.take_lead(&claim).await? {
        anyhow::bail!("a Sparkle works with this database ({name}): stop it first");
    }
    let ops = rows.into_iter().map(|(table, row)| RowOp::Insert { table, row }).collect();
    let imported = store.import(ops).await;
    store.resign().await;
    imported.context("nothing was imported")?;
    Ok(total)
}

/// All rows, referenced ones before those that refer to them, limits behind what they limit.
fn ordered(tables: BTreeMap<String, Vec<Columns>>) -> anyhow::Result<Vec<(String, Columns)>> {
    let schemas = tables::table_schemas();
    let find = |name: &str| schemas.iter().find(|schema| schema.name == name);
    let mut by_key: HashMap<(&str, String), usize> = HashMap::new();
    let mut rows: Vec<(&TableSchema, Columns)> = Vec::new();
    for (table, columns) in tables {
        let schema = find(&table).with_context(|| format!("`{table}` is not a table"))?;
        for row in columns {
            if let [key] = schema.key.as_slice() {
                by_key.insert((schema.name.as_str(), text(row.get(&key.name))), rows.len());
            }
            rows.push((schema, row));
        }
    }
    let limits: HashSet<&str> = schemas
        .iter()
        .flat_map(|schema| &schema.rules)
        .filter_map(|rule| match rule {
            Rule::Quota(quota) => Some(quota.limits.as_str()),
            _ => None,
        })
        .collect();
    let (mut order, mut seen) = (Vec::with_capacity(rows.len()), vec![false; rows.len()]);
    let (late, early): (Vec<usize>, Vec<usize>) =
        (0..rows.len()).partition(|at| limits.contains(rows[*at].0.name.as_str()));
    for first in early.into_iter().chain(late) {
        // References between rows form no circles; where a document has one all the same, the database refuses it.
        let mut stack = vec![(first, false)];
        while let Some((at, ready)) = stack.pop() {
            if ready {
                order.push(at);
            } else if !std::mem::replace(&mut seen[at], true) {
                stack.push((at, true));
                let (schema, row) = &rows[at];
                let references = schema.key.iter().chain(&schema.desired).filter(|column| !column.soft);
                stack.extend(references.filter_map(|column| {
                    let to = column.references.as_deref()?;
                    Some((*by_key.get(&(to, text(row.get(&column.name))))?, false))
                }));
            }
        }
    }
    let mut rows: Vec<Option<(&TableSchema, Columns)>> = rows.into_iter().map(Some).collect();
    let taken = order.into_iter().filter_map(|at| rows[at].take());
    Ok(taken.map(|(schema, row)| (schema.name.clone(), row)).collect())
}

fn text(value: Option<&Json>) -> String {
    value.filter(|it| !it.is_null()).map(ToString::to_string).unwrap_or_default()
}
