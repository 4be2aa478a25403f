//! What goes along with rows that are removed, and who loses something by it: a switch takes the cards that are plugged
//! into it out of instances that stay. The cloud does as it is told, as the real one does; people want to be asked.
//!
//! Which rows go along, and whose they are, `/v1/schema` says (`on_delete`, `follows`).

use crate::browse::{BrowseError, Browser, Located};
use crate::catalog::{Catalog, Referrer};
use crate::text::short;
use std::collections::HashSet;

/// A row of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its table.
    pub table: String,
    /// The row.
    pub row: Located,
}

impl Item {
    fn id(&self) -> (String, String) {
        (self.table.clone(), self.row.key.clone())
    }

    /// What it is, for a list: `instance web (running)`.
    fn text(&self) -> String {
        let row = &self.row.row;
        let state = row.current_text("status").or_else(|| row.desired_text("state"));
        let state = state.map_or_else(String::new, |state| format!(" ({state})"));
        format!("{} {}{state}", self.table, self.word())
    }

    /// What to call it among others of its kind.
    fn word(&self) -> String {
        let row = &self.row.row;
        let own = row.name().or_else(|| row.alias()).map(str::to_owned);
        let numbered = || row.text("ip").or_else(|| row.text("index"));
        own.or_else(numbered).unwrap_or_else(|| short(&self.row.key).to_owned())
    }
}

/// What a removal comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fallout {
    /// What hosts have of their own, and goes along: the instances of a tenant.
    pub along: Vec<Item>,
    /// Who loses what, in a line each: what belongs to somebody who stays, or what goes along and was not named.
    pub losses: Vec<String>,
}

/// Finds out what goes along with some rows. The caller sees no more of it than of anything else; the API refuses what
/// is not the caller's to take.
///
/// # Errors
/// See [`BrowseError`].
pub async fn of(browser: &mut Browser<'_>, doomed: &[Item]) -> Result<Fallout, BrowseError> {
    let mut search = Search { met: doomed.iter().map(Item::id).collect(), found: Vec::new() };
    for item in doomed {
        search.follow(browser, item).await?;
    }
    let mut fallout = Fallout::default();
    for (referrer, item) in
        search.found.iter().filter(|(referrer, _)| browser.catalog().is_realized(&referrer.table))
    {
        // An image is its backing volumes: they are no news.
        if (referrer.table.as_str(), referrer.column.as_str()) != ("volume", "image") {
            fallout.losses.push(format!("{} goes along", item.text()));
        }
        fallout.along.push(item.clone());
    }
    fallout.losses.extend(search.taken(browser).await?);
    Ok(fallout)
}

struct Search {
    /// All rows that go.
    met: HashSet<(String, String)>,
    /// Those that go along, and by which of their columns.
    found: Vec<(Referrer, Item)>,
}

impl Search {
    /// Looks only where somebody may miss something: what is an instance's own goes without a question, and without a
    /// request.
    async fn follow(&mut self, browser: &mut Browser<'_>, item: &Item) -> Result<(), BrowseError> {
        for referrer in missed_along(browser.catalog(), &item.table) {
            for row in referring(browser, item, &referrer).await? {
                let along = Item { table: referrer.table.clone(), row };
                if self.met.insert(along.id()) {
                    self.found.push((referrer.clone(), along.clone()));
                    Box::pin(self.follow(browser, &along)).await?;
                }
            }
        }
        Ok(())
    }

    /// What is taken from rows that stay.
    async fn taken(&self, browser: &mut Browser<'_>) -> Result<Vec<String>, BrowseError> {
        let mut losses = Vec::new();
        // What hosts have of its own was told of as such: it is no loss of what it lies in.
        let taken = self.found.iter().filter(|(it, _)| !browser.catalog().is_realized(&it.table));
        for (referrer, item) in taken.collect::<Vec<_>>() {
            for column in browser.catalog().owners(&item.table).filter(|column| *column != referrer.column) {
                let owner = owner(browser, item, &column).await?;
                if let Some(owner) = owner.filter(|owner| !self.met.contains(&owner.id())) {
                    losses.push(format!("{} loses {} {}", owner.text(), item.table, item.word()));
                }
            }
        }
        losses.sort_unstable();
        losses.dedup();
        Ok(losses)
    }
}

/// The row that another one belongs to by a column; that which it belongs to in turn, where it has no name.
async fn owner(browser: &mut Browser<'_>, item: &Item, column: &str) -> Result<Option<Item>, BrowseError> {
    let described = browser.catalog().table(&item.table).and_then(|table| table.columns.get(column));
    let Some(table) = described.and_then(|column| column.references.clone()) else { return Ok(None) };
    let key =
        item.row.row.text(column).or_else(|| item.row.ancestor(&column.replace('_', "-")).map(str::to_owned));
    let Some(key) = key else { return Ok(None) };
    let rows = browser.rows_if_visible(&table).await?;
    let Some(row) = rows.into_iter().find(|row| row.key == key) else { return Ok(None) };
    let found = Item { table, row };
    if found.row.row.name().is_none() {
        let next = browser.catalog().owners(&found.table).next();
        if let Some(next) = next
            && let Some(owner) = Box::pin(owner(browser, &found, &next)).await?
        {
            return Ok(Some(owner));
        }
    }
    Ok(Some(found))
}

/// Where rows of a table take something along that somebody may miss, themselves or by what they take along in turn.
fn missed_along(catalog: &Catalog, table: &str) -> Vec<Referrer> {
    let is_missed = |it: &Referrer| {
        catalog.is_realized(&it.table) || catalog.owners(&it.table).any(|column| column != it.column)
    };
    let leads_on = |it: &Referrer| it.table != table && !missed_along(catalog, &it.table).is_empty();
    catalog.going_along(table).into_iter().filter(|it| is_missed(it) || leads_on(it)).collect()
}

/// The rows that refer to one by a column: below it, where they are mounted there, else among all.
async fn referring(
    browser: &mut Browser<'_>,
    item: &Item,
    referrer: &Referrer,
) -> Result<Vec<Located>, BrowseError> {
    for place in browser.catalog().places(&item.table, &item.row) {
        let Some(mount) = browser.catalog().child(&place, &referrer.table) else { continue };
        let at = Located { path: place, ..item.row.clone() };
        match browser.children(&at, &mount).await {
            Err(BrowseError::Client(error)) if error.is_out_of_sight() => {}
            rows => return Ok(rows?.into_iter().filter(|row| refers(row, item, referrer)).collect()),
        }
    }
    let rows = browser.rows_if_visible(&referrer.table).await?;
    let by_column = |row: &Located| row.row.text(&referrer.column).as_deref() == Some(&item.row.key);
    Ok(rows.into_iter().filter(by_column).collect())
}

/// Whether a row below another refers to it; what the path says, the row itself may leave out.
fn refers(row: &Located, item: &Item, referrer: &Referrer) -> bool {
    row.row.text(&referrer.column).is_none_or(|key| key == item.row.key)
}
