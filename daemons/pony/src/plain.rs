//! The list of a table that has none of its own: its key and the first plain columns of both parts. What it refers to
//! goes by its name.

use crate::browse::{BrowseError, Browser, Located};
use crate::catalog::{Column, Table};
use crate::names::Names;
use crate::overview::text;
use crate::text::{Grid, short};
use crate::why;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Columns that are shown of each part.
const COLUMNS_MAX: usize = 6;
/// Columns that every list shows at places of their own, or not at all.
const ELSEWHERE: [&str; 7] = ["name", "state", "status", "error", "attempts", "next_retry", "data"];

/// The list.
///
/// # Errors
/// See [`BrowseError`].
pub(crate) async fn list(
    browser: &mut Browser<'_>,
    table: &Table,
    rows: &[Located],
    now_unix_s: i64,
) -> Result<Grid, BrowseError> {
    let (desired, current) = (shown(table, "desired"), shown(table, "current"));
    let title = |name: &&str| name.to_uppercase();
    let keys: Vec<&str> = table.key.iter().map(String::as_str).collect();
    let mut header = if keys.len() > 1 { keys.iter().map(title).collect() } else { vec!["KEY".to_owned()] };
    header.extend(["NAME", "DESIRED", "CURRENT"].map(str::to_owned));
    header.extend(desired.iter().map(title));
    header.extend(current.iter().map(|name| format!("({})", title(name))));
    header.push("WHY".to_owned());
    let mut grid = Grid::new(&header.iter().map(String::as_str).collect::<Vec<_>>());
    let columns = keys.iter().chain(&desired).chain(&current);
    let labels = Labels::read(browser, table, columns.filter(|_| !rows.is_empty())).await?;
    let mut names = Names::default();
    for row in rows {
        let mut cells: Vec<String> = match keys.as_slice() {
            [_] => vec![short(&row.key).to_owned()],
            keys => keys.iter().map(|name| labels.cell(name, key_part(row, name).as_ref())).collect(),
        };
        let part = |name: &str| text(row.row.desired(name));
        cells.extend([part("name"), part("state"), text(row.row.current("status"))]);
        cells.extend(desired.iter().map(|name| labels.cell(name, row.row.desired(name))));
        cells.extend(current.iter().map(|name| labels.cell(name, row.row.current(name))));
        cells.push(names.say(browser, &why::trouble(&row.row, now_unix_s)).await?);
        grid.push(cells);
    }
    Ok(grid)
}

fn shown<'t>(table: &'t Table, part: &str) -> Vec<&'t str> {
    let belongs = |(name, column): &(&String, &Column)| {
        column.parts.iter().any(|own| own == part)
            && column.kind != "json"
            && !ELSEWHERE.contains(&name.as_str())
            && !table.key.contains(name)
    };
    table.columns.iter().filter(belongs).map(|(name, _)| name.as_str()).take(COLUMNS_MAX).collect()
}

/// A column of a key of several: the row itself says it, or the path, or it is what the path does not give.
fn key_part(row: &Located, name: &str) -> Option<Json> {
    let above = row.ancestor(&name.replace('_', "-")).map(str::to_owned);
    row.row.text(name).or(above).or_else(|| Some(row.key.clone())).map(Json::from)
}

/// What rows are called that columns refer to, by column and key, as far as the caller may see them.
struct Labels(BTreeMap<String, BTreeMap<String, String>>);

impl Labels {
    async fn read<'c>(
        browser: &mut Browser<'_>,
        table: &Table,
        columns: impl Iterator<Item = &'c &'c str>,
    ) -> Result<Self, BrowseError> {
        let mut labels = BTreeMap::new();
        for column in columns {
            let Some(target) = table.columns.get(*column).and_then(|it| it.references.as_ref()) else {
                continue;
            };
            let rows = match browser.rows_if_visible(target).await {
                // A list without names is better than none.
                Err(BrowseError::TooMany { .. }) => Vec::new(),
                rows => rows?,
            };
            let called = |row: Located| {
                let label = row.row.name().or_else(|| row.row.alias()).map(str::to_owned)?;
                Some((row.key, label))
            };
            labels.insert((*column).to_owned(), rows.into_iter().filter_map(called).collect());
        }
        Ok(Self(labels))
    }

    /// A value; of a reference, what that row is called.
    fn cell(&self, column: &str, value: Option<&Json>) -> String {
        let key = value.and_then(Json::as_str);
        let label = self.0.get(column).zip(key).and_then(|(labels, key)| labels.get(key));
        label.cloned().unwrap_or_else(|| text(value))
    }
}
