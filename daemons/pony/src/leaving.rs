//! Rows that are on their way out: what is still there of them, and why. A row that was removed is gone from what was
//! ordered at once; hosts have something of it until they are done.

use crate::browse::{BrowseError, Browser, Located};
use crate::fallout::Item;
use crate::session::now_unix_s;
use crate::wait::Look;
use crate::why;

/// What hosts have of their own, whatever was ordered of it: only the order goes.
const OF_HOSTS: [&str; 4] = ["host", "nic", "disk", "cpu_profile"];

/// A row that is to go, and where something of it was when that was ordered.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaving {
    item: Item,
    /// Where hosts say what they have of it: paths of rows.
    views: Vec<Vec<String>>,
}

impl Leaving {
    /// Notes who has something of a row, before it is removed: afterwards nothing leads there.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn note(browser: &mut Browser<'_>, item: Item) -> Result<Self, BrowseError> {
        let view = format!("host_{}", item.table);
        // The row of a volume stays as long as there is anything of it.
        let is_told = item.table == "volume" || OF_HOSTS.contains(&item.table.as_str());
        let Some(mount) =
            browser.catalog().child(&["host".to_owned(), String::new()], &view).filter(|_| !is_told)
        else {
            return Ok(Self { item, views: Vec::new() });
        };
        let views = match browser.views(&view, &item.table, &item.row).await {
            Err(BrowseError::Client(error)) if error.is_out_of_sight() => Vec::new(),
            views => views?,
        };
        let mut hosts: Vec<String> = Vec::new();
        for (host, row) in views {
            // Of an instance that moves, its target has something, too.
            hosts.extend(row.desired_text("target").map(str::to_owned).into_iter().chain([host]));
        }
        hosts.sort_unstable();
        hosts.dedup();
        let path = |host| vec!["host".to_owned(), host, mount.clone(), item.row.key.clone()];
        Ok(Self { views: hosts.into_iter().map(path).collect(), item })
    }

    /// What to call it.
    #[must_use]
    pub fn what(&self) -> String {
        format!("{} {}", self.item.table, self.item.row.label())
    }

    /// What is still there of it.
    ///
    /// # Errors
    /// See [`BrowseError`].
    pub async fn look(&self, browser: &mut Browser<'_>) -> Result<Look, BrowseError> {
        let only_ordered = OF_HOSTS.contains(&self.item.table.as_str());
        let mut there = browser.entity_if_visible(&self.item.row.path).await?;
        if there.is_none() && self.item.table == "volume" {
            // One whose image went lies elsewhere from then on.
            let volumes = browser.rows_if_visible("volume").await?;
            there = volumes.into_iter().find(|it| it.key == self.item.row.key);
        }
        if let Some(row) = there
            && (row.row.desired.is_some() || !only_ordered)
        {
            return Ok(Look { done: false, progress: self.why(&row) });
        }
        let mut hidden = false;
        for path in &self.views {
            match browser.entity(path).await {
                Ok(row) => {
                    let progress = at_host(browser, &path[1], &row).await?;
                    return Ok(Look { done: false, progress });
                }
                Err(BrowseError::Client(error)) if error.is_out_of_sight() => {
                    hidden |= error.status() != Some(404);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Look { done: true, progress: self.farewell(hidden).to_owned() })
    }

    /// What to say once nothing is told of it any more. `hidden`: of what hosts have, the caller may not know.
    fn farewell(&self, hidden: bool) -> &'static str {
        match self.item.table.as_str() {
            _ if hidden => "gone; when its host is done with it, only operators of the cloud see",
            // Their rows stand for what may still be at a host, and go with it.
            "instance" | "volume" => "gone",
            _ if self.views.is_empty() => "gone",
            _ => "gone; hosts that had it clear it away",
        }
    }

    fn why(&self, row: &Located) -> String {
        let now = now_unix_s();
        let why = if self.item.table == "volume" {
            why::volume(&row.row, now)
        } else {
            why::trouble(&row.row, now)
        };
        let status = row.row.current_text("status").unwrap_or("there");
        if why.is_empty() { status.to_owned() } else { format!("{status}: {why}") }
    }
}

/// What a host still has, and what keeps it.
async fn at_host(browser: &mut Browser<'_>, host: &str, row: &Located) -> Result<String, BrowseError> {
    let status = row.row.current_text("status").unwrap_or("not reported yet");
    let trouble = why::trouble(&row.row, now_unix_s());
    let trouble = if trouble.is_empty() { trouble } else { format!(": {trouble}") };
    let known = browser.entity_if_visible(&["host".to_owned(), host.to_owned()]).await?;
    let absent = known.as_ref().and_then(|it| it.row.current_text("status")).filter(|it| *it != "present");
    let absent = absent.map_or_else(String::new, |it| format!("; that host is {it}"));
    Ok(format!("still at host {host} ({status}){trouble}{absent}"))
}
