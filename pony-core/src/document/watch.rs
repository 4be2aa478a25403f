//! What one who watches the document is told of its changes: only what he may read, and only what he asked for.

use super::access::{Caller, Grant};
use super::error::{DocumentError, Problem};
use super::pointer::UrlPath;
use super::read::Reader;
use super::replay::{Event, Place};
use super::resolve::grant;
use super::rows::Rows;
use super::tree::{Endpoint, EndpointId, Tree};
use pony_state::{Key, TableId};
use std::collections::BTreeSet;

/// What an event is to somebody who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// None of his business.
    Nothing,
    /// A row that he sees: [`Event::shown`].
    Shown,
    /// A row that he saw and sees no more: [`Event::gone`].
    Gone,
    /// Rows came into sight, or went out of it, without having been changed themselves: he has to read anew.
    Reset,
}

/// Somebody who watches: who, and which part of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    caller: Caller,
    tables: BTreeSet<TableId>,
    below: Option<Below>,
}

/// A place in the document, and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Below {
    endpoint: EndpointId,
    keys: Vec<Key>,
}

impl Watch {
    /// All that `caller` may read; of these tables only, where any are named, and only at or below `path`.
    ///
    /// # Errors
    /// Where there is no such table or place, or it is not for the caller to see.
    pub fn new(
        tree: &Tree,
        rows: &impl Rows,
        caller: Caller,
        tables: &[String],
        path: Option<&UrlPath>,
    ) -> Result<Self, DocumentError> {
        let id = |name: &String| {
            let tables = tree.schema().tables().iter();
            let known = || tables.map(|table| table.name().to_owned()).collect::<Vec<_>>();
            let found = tree.schema().table(name).map(|table| table.id());
            found.ok_or_else(|| {
                let reason = format!("there is no table `{name}`; {}", super::error::listed(&known()));
                DocumentError::anywhere(Problem::Filter { column: "table".to_owned(), reason })
            })
        };
        let tables = tables.iter().map(id).collect::<Result<_, _>>()?;
        let below = path.map(|url| below(tree, rows, &caller, url)).transpose()?.flatten();
        Ok(Self { caller, tables, below })
    }

    /// Who watches.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether an event may have changed what the caller may see at all.
    #[must_use]
    pub fn rights_changed(&self, event: &Event) -> bool {
        let (Caller::User { email, .. } | Caller::InTenant { email, .. }) = &self.caller else {
            return false;
        };
        event.users.contains(email)
    }

    /// What an event is to him.
    #[must_use]
    pub fn sight(&self, tree: &Tree, event: &Event) -> Sight {
        let wanted = self.tables.is_empty() || self.tables.contains(&event.table);
        if !wanted && !event.moved {
            return Sight::Nothing;
        }
        let before = event.existed && self.sees(tree, &event.before);
        let after = event.exists && self.sees(tree, &event.after);
        match (before, after) {
            (before, after) if event.moved && before != after => Sight::Reset,
            _ if !wanted => Sight::Nothing,
            (_, true) => Sight::Shown,
            (true, false) => Sight::Gone,
            (false, false) => Sight::Nothing,
        }
    }

    fn sees(&self, tree: &Tree, places: &[Place]) -> bool {
        if self.below.is_none() && self.caller.is_alicorn() {
            return true;
        }
        places.iter().any(|place| {
            let endpoint = tree.get(place.endpoint);
            self.below.as_ref().is_none_or(|below| below.holds(tree, endpoint, &place.keys))
                && grant(endpoint, &self.caller, place.keys.first()) >= Grant::Read
        })
    }
}

impl Below {
    fn holds(&self, tree: &Tree, endpoint: &Endpoint, keys: &[Key]) -> bool {
        let mut at = Some(endpoint);
        while at.is_some_and(|it| it.id != self.endpoint) {
            at = at.and_then(|it| it.parent).map(|id| tree.get(id));
        }
        at.is_some() && keys.starts_with(&self.keys)
    }
}

/// The place that a URL names; nothing for the whole document.
fn below(
    tree: &Tree,
    rows: &impl Rows,
    caller: &Caller,
    url: &UrlPath,
) -> Result<Option<Below>, DocumentError> {
    let (path, steps) = Reader::new(tree, rows, caller).open(url)?;
    let keys = steps.into_iter().map(|step| step.key).collect();
    Ok(path.endpoint().map(|endpoint| Below { endpoint: endpoint.id, keys }))
}
