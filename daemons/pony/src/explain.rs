//! Why a row is not as it was ordered, followed from one row to the next down to the last cause: an instance waits for a
//! volume, that for the image that fills it, that for a download. Rows go by their names.

use crate::browse::{BrowseError, Browser, Located};
use crate::names::Names;
use crate::overview;
use crate::row::Row;
use crate::why;
use std::collections::HashSet;

/// Links of a chain that are followed: longer ones do not come about but by rows that go round in circles.
const LINKS_MAX: usize = 32;

/// A row that is not as ordered, or one that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// How far from the row that was asked about.
    pub depth: usize,
    /// The table.
    pub table: String,
    /// What to call it.
    pub label: String,
    /// Its key.
    pub key: String,
    /// What was ordered of it, in a word.
    pub desired: Option<String>,
    /// What it is, in a word.
    pub current: Option<String>,
    /// Why it is not as ordered; empty when it is.
    pub why: String,
}

/// The chain from a row to what it waits for. The first link is the row itself.
///
/// # Errors
/// See [`BrowseError`].
pub async fn chain(
    browser: &mut Browser<'_>,
    table: &str,
    row: &Located,
    now_unix_s: i64,
) -> Result<Vec<Link>, BrowseError> {
    let mut explainer =
        Explainer { names: Names::default(), now_unix_s, links: Vec::new(), met: HashSet::new() };
    explainer.follow(browser, table, row, 0).await?;
    Ok(explainer.links)
}

/// The last cause: the deepest link that says why, the first of those that are as deep.
#[must_use]
pub fn last_cause(links: &[Link]) -> Option<&Link> {
    links.iter().filter(|link| !link.why.is_empty()).rev().max_by_key(|link| link.depth)
}

struct Explainer {
    names: Names,
    now_unix_s: i64,
    links: Vec<Link>,
    met: HashSet<String>,
}

impl Explainer {
    async fn follow(
        &mut self,
        browser: &mut Browser<'_>,
        table: &str,
        row: &Located,
        depth: usize,
    ) -> Result<(), BrowseError> {
        if self.links.len() >= LINKS_MAX || !self.met.insert(row.key.clone()) {
            return Ok(());
        }
        let why = match table {
            "instance" => self.instance(browser, row).await?,
            "volume" => why::volume(&row.row, self.now_unix_s),
            "image" => overview::image(browser, row, self.now_unix_s).await?.1,
            "switch" => self.switch(browser, row).await?,
            _ => other(&row.row, self.now_unix_s),
        };
        let link = Link {
            depth,
            table: table.to_owned(),
            label: row.label().to_owned(),
            key: row.key.clone(),
            desired: row.row.desired_text("state").map(str::to_owned),
            current: row.row.current_text("status").map(str::to_owned),
            why: self.names.say(browser, &why).await?,
        };
        let goes_on = !link.why.is_empty();
        self.links.push(link);
        if goes_on {
            for (table, cause) in causes(browser, table, row).await? {
                Box::pin(self.follow_if_late(browser, table, &cause, depth + 1)).await?;
            }
        }
        Ok(())
    }

    /// A cause that is as ordered is none.
    async fn follow_if_late(
        &mut self,
        browser: &mut Browser<'_>,
        table: &str,
        row: &Located,
        depth: usize,
    ) -> Result<(), BrowseError> {
        let late = match table {
            "volume" => row.row.current_text("status") != Some("ready"),
            "image" => overview::image(browser, row, self.now_unix_s).await?.0 != "ready",
            "host" => row.row.current_text("status") != Some("present"),
            "switch" => !self.switch(browser, row).await?.is_empty(),
            _ => !other(&row.row, self.now_unix_s).is_empty(),
        };
        if late { self.follow(browser, table, row, depth).await } else { Ok(()) }
    }

    /// A switch has no state of its own: what is wrong with it on a host, the host says. Only operators see that.
    async fn switch(&self, browser: &mut Browser<'_>, row: &Located) -> Result<String, BrowseError> {
        let views = match browser.views("host_switch", "switch", row).await {
            Err(BrowseError::Client(error)) if error.is_out_of_sight() => Vec::new(),
            views => views?,
        };
        let troubles = views.into_iter().map(|(host, view)| (host, why::trouble(&view, self.now_unix_s)));
        let first = troubles.into_iter().find(|(_, trouble)| !trouble.is_empty());
        Ok(first.map(|(host, trouble)| format!("on host {host}: {trouble}")).unwrap_or_default())
    }

    async fn instance(&self, browser: &mut Browser<'_>, row: &Located) -> Result<String, BrowseError> {
        let why = overview::instance(browser, row, self.now_unix_s).await?.why;
        Ok(if why.is_empty() { why::under_way(&row.row).to_owned() } else { why })
    }
}

/// What a row waits for, as far as the caller may see it.
async fn causes(
    browser: &mut Browser<'_>,
    table: &str,
    row: &Located,
) -> Result<Vec<(&'static str, Located)>, BrowseError> {
    let mut found = Vec::new();
    match table {
        "instance" => {
            let vdisks = browser.children(row, "vdisk").await?;
            for column in ["volume", "image"] {
                let keys = vdisks.iter().filter_map(|vdisk| vdisk.row.desired_text(column));
                found.extend(rows(browser, column, keys.collect()).await?);
            }
            let vnics = browser.children(row, "vnic").await?;
            let switches = vnics.iter().filter_map(|vnic| vnic.row.desired_text("switch"));
            found.extend(rows(browser, "switch", switches.collect()).await?);
            found.extend(rows(browser, "host", row.row.current_text("host").into_iter().collect()).await?);
        }
        "volume" => {
            let of = |column| row.row.desired_text(column).into_iter().collect();
            found.extend(rows(browser, "image", of("base_image")).await?);
            found.extend(rows(browser, "volume", of("base_volume")).await?);
            found.extend(rows(browser, "storage_pool", of("storage_pool")).await?);
        }
        "image" => {
            let volumes = overview::backing(browser, row).await?.unwrap_or_default();
            found.extend(volumes.into_iter().map(|volume| ("volume", volume)));
        }
        _ => {}
    }
    Ok(found)
}

/// Rows of a table by their keys.
async fn rows(
    browser: &mut Browser<'_>,
    table: &'static str,
    keys: Vec<&str>,
) -> Result<Vec<(&'static str, Located)>, BrowseError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let all = browser.rows_if_visible(table).await?;
    Ok(all.into_iter().filter(|row| keys.contains(&row.key.as_str())).map(|row| (table, row)).collect())
}

/// What rows of other tables say of themselves.
fn other(row: &Row, now_unix_s: i64) -> String {
    const FINE: [&str; 5] = ["present", "ready", "active", "running", "stopped"];
    let trouble = why::trouble(row, now_unix_s);
    match row.current_text("status") {
        _ if !trouble.is_empty() => trouble,
        Some(status) if !FINE.contains(&status) => format!("it is {status}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(depth: usize, label: &str, why: &str) -> Link {
        let (table, key) = ("volume".to_owned(), label.to_owned());
        Link { depth, table, label: label.to_owned(), key, desired: None, current: None, why: why.to_owned() }
    }

    #[test]
    fn the_last_cause_is_the_deepest_reason() {
        let links = [
            link(0, "web", "waits"),
            link(1, "boot", "waits"),
            link(2, "image", "no route"),
            link(1, "data", "x"),
        ];
        assert_eq!(last_cause(&links).map(|link| link.label.as_str()), Some("image"));
        assert_eq!(last_cause(&[link(0, "web", "")]), None);
    }
}
