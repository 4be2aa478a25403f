//! Which desired rows go to which hosts, kept up to date by repairing exactly what a change damaged.
//!
//! The rules are the schema's [`Scope`]s: a row goes where the row that it *follows* goes, and a row that another
//! one *brings* goes along with that one. A host's own row goes to that host. Rows of tables that are declared
//! `everywhere`, and a row that names no host where it could, go to all hosts; what follows such a row does not, unless it
//! says so. Nothing else decides; there is no list of tables here.
//!
//! Tables are ranked so that whatever a row's hosts are computed from ranks lower. Damage is repaired in rank order,
//! hence each row once per transaction, and a row is computed from rows that are repaired already.

use pony_state::{AnyRow, Change, Key, Read, Schema, Value};
use pony_state::{PartKind, Scope, TableId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// A row with a desired part.
pub(crate) type RowRef = (TableId, Key);

/// The schema's scopes do not say clearly where rows go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DistributionError {
    /// There is no such table.
    #[error("rows are to be distributed by table `{0}`, which the schema does not have")]
    NoRoot(String),
    /// Tables follow or bring each other in a circle.
    #[error("the scopes of table `{0}` lead back to it")]
    Circle(String),
}

/// A host must be told again about a row: that it is there, has changed, or concerns it no more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delivery {
    pub(crate) host: Uuid,
    pub(crate) table: TableId,
    pub(crate) key: Key,
    pub(crate) reach: Reach,
}

/// How a row's going to a host changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// It goes there from now on.
    Began,
    /// It went there before.
    Stays,
    /// It goes there no more.
    Ceased,
}

/// How one table's rows are connected with others.
#[derive(Debug, Default, Clone)]
struct Edges {
    rank: u16,
    /// Columns whose referenced row decides where this table's rows go.
    follows: Vec<(String, TableId)>,
    /// Those of them that mean all hosts where they are null.
    or_all: Vec<String>,
    /// Columns whose referenced row goes along.
    brings: Vec<(String, TableId)>,
    /// Those of them that make the row go everywhere with what it follows.
    widely: Vec<String>,
    /// Columns of other tables that follow this table's rows.
    followers: Vec<(TableId, String)>,
    /// Columns of other tables that bring this table's rows.
    bringers: Vec<(TableId, String)>,
    /// Whether this table's rows go to all hosts.
    everywhere: bool,
}

impl Edges {
    fn may_go_everywhere(&self) -> bool {
        self.everywhere || !self.or_all.is_empty()
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Distribution {
    root: TableId,
    edges: Vec<Edges>,
    /// All that are ordered.
    roots: BTreeSet<Uuid>,
    /// Rows that go to all of them.
    everywhere: BTreeSet<(u16, TableId, Key)>,
    hosts: HashMap<RowRef, BTreeSet<Uuid>>,
    rows: HashMap<Uuid, BTreeSet<(u16, TableId, Key)>>,
}

impl Distribution {
    /// `root` is the table whose rows are the hosts.
    pub(crate) fn new(schema: &Schema, root: &str) -> Result<Self, DistributionError> {
        let root = schema.table(root).ok_or_else(|| DistributionError::NoRoot(root.to_owned()))?.id();
        let mut edges = connect(schema);
        rank(schema, root, &mut edges)?;
        Ok(Self::empty(root, edges))
    }

    fn empty(root: TableId, edges: Vec<Edges>) -> Self {
        let (roots, everywhere) = (BTreeSet::new(), BTreeSet::new());
        Self { root, edges, roots, everywhere, hosts: HashMap::new(), rows: HashMap::new() }
    }

    /// The rows for `host`, those that others depend on first.
    pub(crate) fn rows_of(&self, host: Uuid) -> impl Iterator<Item = (TableId, &Key)> {
        self.rows.get(&host).into_iter().flatten().map(|(_, table, key)| (*table, key))
    }

    /// Whether the row goes to `host`.
    pub(crate) fn concerns(&self, host: Uuid, row: &RowRef) -> bool {
        self.hosts.get(row).is_some_and(|hosts| hosts.contains(&host))
    }

    /// The hosts that the row goes to.
    pub(crate) fn hosts_of(&self, row: &RowRef) -> Vec<Uuid> {
        self.hosts.get(row).into_iter().flatten().copied().collect()
    }

    /// Takes in changes that `view` shows already. The answer has each row and host once.
    pub(crate) fn repair(&mut self, view: &impl Read, changes: &[Change]) -> Vec<Delivery> {
        let mut damaged = BTreeSet::new();
        let mut changed = BTreeSet::new();
        for change in changes.iter().filter(|change| change.part_changed(PartKind::Desired)) {
            let row = (change.table().id(), change.key());
            for version in [change.before(), change.after()].into_iter().flatten() {
                for (target, key) in self.brought_by(row.0, |column| version.value(PartKind::Desired, column))
                {
                    damaged.insert((self.rank(target), target, key));
                }
            }
            damaged.insert((self.rank(row.0), row.0, row.1.clone()));
            changed.insert(row);
        }
        let mut deliveries = Vec::new();
        while let Some((_, table, key)) = damaged.pop_first() {
            let row = (table, key);
            self.repair_row(view, &row, changed.contains(&row), &mut deliveries, &mut damaged);
        }
        deliveries
    }

    /// Takes in all that `view` shows, where nothing was known before: what goes nowhere is not looked at.
    pub(crate) fn load(&mut self, view: &impl Read) {
        let all = |(index, edges): (usize, &Edges)| edges.may_go_everywhere().then_some(index);
        let tables: Vec<usize> = self.edges.iter().enumerate().filter_map(all).collect();
        let tables = view.view().tables().filter(|it| {
            let id = it.def().id();
            id == self.root || tables.contains(&id.index())
        });
        let mut damaged: BTreeSet<_> = tables
            .flat_map(|it| it.iter().map(move |row| (it.def().id(), row.key())))
            .map(|(id, key)| (self.rank(id), id, key))
            .collect();
        while let Some((_, table, key)) = damaged.pop_first() {
            self.repair_row(view, &(table, key), false, &mut Vec::new(), &mut damaged);
        }
    }

    fn repair_row(
        &mut self,
        view: &impl Read,
        row: &RowRef,
        changed: bool,
        deliveries: &mut Vec<Delivery>,
        damaged: &mut BTreeSet<(u16, TableId, Key)>,
    ) {
        let broader = self.note_everywhere(view, row);
        let now = self.compute(view, row);
        let before = self.hosts.get(row).cloned().unwrap_or_default();
        for host in now.union(&before) {
            let reach = match (before.contains(host), now.contains(host)) {
                (false, _) => Reach::Began,
                (true, true) => Reach::Stays,
                (true, false) => Reach::Ceased,
            };
            if changed || reach != Reach::Stays {
                deliveries.push(Delivery { host: *host, table: row.0, key: row.1.clone(), reach });
            }
        }
        if now == before && !broader {
            return;
        }
        if row.0 == self.root {
            self.roots.retain(|host| !before.contains(host));
            self.roots.extend(&now);
            damaged.extend(self.everywhere.iter().cloned());
        }
        self.record(row, &before, now);
        self.damage_dependents(view, row, damaged);
    }

    /// Notes whether the row goes everywhere, and says whether that is news.
    fn note_everywhere(&mut self, view: &impl Read, (table, key): &RowRef) -> bool {
        let edges = &self.edges[table.index()];
        if !edges.may_go_everywhere() {
            return false;
        }
        let row = view.any(*table).and_then(|table| table.get(key));
        let is_null = |row: &AnyRow<'_>, column: &String| {
            row.value(PartKind::Desired, column).is_none_or(|value| value == Value::Null)
        };
        let row = row.filter(|row| row.has(PartKind::Desired));
        let everywhere = row
            .is_some_and(|row| edges.everywhere || edges.or_all.iter().any(|column| is_null(&row, column)));
        let entry = (self.rank(*table), *table, key.clone());
        if everywhere { self.everywhere.insert(entry) } else { self.everywhere.remove(&entry) }
    }

    fn is_everywhere(&self, table: TableId, key: &Key) -> bool {
        self.edges[table.index()].may_go_everywhere()
            && self.everywhere.contains(&(self.rank(table), table, key.clone()))
    }

    fn compute(&self, view: &impl Read, (table, key): &RowRef) -> BTreeSet<Uuid> {
        let row = view.any(*table).and_then(|table| table.get(key));
        let Some(row) = row.filter(|row| row.has(PartKind::Desired)) else { return BTreeSet::new() };
        if *table == self.root {
            return single(key).and_then(as_uuid).into_iter().collect();
        }
        if self.is_everywhere(*table, key) {
            return self.roots.clone();
        }
        let mut hosts = BTreeSet::new();
        let edges = &self.edges[table.index()];
        let named = |column: &str| row.value(PartKind::Desired, column).filter(|value| *value != Value::Null);
        let widely = edges.widely.iter().any(|column| named(column).is_some());
        for (column, target) in &edges.follows {
            let followed = named(column).map(|value| (*target, Key::one(value)));
            let followed = followed.filter(|(table, key)| widely || !self.is_everywhere(*table, key));
            hosts.extend(followed.and_then(|row| self.hosts.get(&row)).into_iter().flatten());
        }
        for (bringer, column) in &edges.bringers {
            for row in referring(view, *bringer, column, key) {
                hosts.extend(self.hosts.get(&(*bringer, row)).into_iter().flatten());
            }
        }
        hosts
    }

    fn record(&mut self, row: &RowRef, before: &BTreeSet<Uuid>, now: BTreeSet<Uuid>) {
        let entry = (self.rank(row.0), row.0, row.1.clone());
        for host in before.difference(&now) {
            if let Some(rows) = self.rows.get_mut(host) {
                rows.remove(&entry);
                if rows.is_empty() {
                    self.rows.remove(host);
                }
            }
        }
        for host in now.difference(before) {
            self.rows.entry(*host).or_default().insert(entry.clone());
        }
        if now.is_empty() {
            self.hosts.remove(row);
        } else {
            self.hosts.insert(row.clone(), now);
        }
    }

    fn damage_dependents(&self, view: &impl Read, row: &RowRef, damaged: &mut BTreeSet<(u16, TableId, Key)>) {
        for (follower, column) in &self.edges[row.0.index()].followers {
            let rank = self.rank(*follower);
            damaged.extend(
                referring(view, *follower, column, &row.1).into_iter().map(|key| (rank, *follower, key)),
            );
        }
        let Some(found) = view.any(row.0).and_then(|table| table.get(&row.1)) else { return };
        for (target, key) in self.brought_by(row.0, |column| found.value(PartKind::Desired, column)) {
            damaged.insert((self.rank(target), target, key));
        }
    }

    fn brought_by(&self, table: TableId, value: impl Fn(&str) -> Option<Value>) -> Vec<RowRef> {
        let brings = &self.edges[table.index()].brings;
        let target = |(column, target): &(String, TableId)| {
            value(column).filter(|value| *value != Value::Null).map(|value| (*target, Key::one(value)))
        };
        brings.iter().filter_map(target).collect()
    }

    fn rank(&self, table: TableId) -> u16 {
        self.edges[table.index()].rank
    }

    /// Compares with what a computation from nothing gives. For tests: it reads every row. The error says what
    /// differs.
    pub(crate) fn check(&self, view: &impl Read) -> Result<(), String> {
        let mut fresh = Self::empty(self.root, self.edges.clone());
        let mut damaged: BTreeSet<_> = BTreeSet::new();
        for table in view.view().tables() {
            let id = table.def().id();
            damaged.extend(table.iter().map(|row| (fresh.rank(id), id, row.key())));
        }
        while let Some((_, table, key)) = damaged.pop_first() {
            fresh.repair_row(view, &(table, key), false, &mut Vec::new(), &mut BTreeSet::new());
        }
        if self.hosts != fresh.hosts {
            return Err(format!("hosts of rows: {:?}, computed from nothing: {:?}", self.hosts, fresh.hosts));
        }
        if self.rows != fresh.rows {
            return Err(format!("rows of hosts: {:?}, computed from nothing: {:?}", self.rows, fresh.rows));
        }
        Ok(())
    }
}

/// Keys of the rows of `table` whose desired part (or key) has `key` in `column`.
fn referring(view: &impl Read, table: TableId, column: &str, key: &Key) -> Vec<Key> {
    let Some(value) = single(key) else { return Vec::new() };
    let Some(rows) = view.any(table).and_then(|table| table.find(column, value).ok()) else {
        return Vec::new();
    };
    rows.filter(|row| {
        row.has(PartKind::Desired) && row.value(PartKind::Desired, column).as_ref() == Some(value)
    })
    .map(AnyRow::key)
    .collect()
}

fn single(key: &Key) -> Option<&Value> {
    match key.values() {
        [value] => Some(value),
        _ => None,
    }
}

fn as_uuid(value: &Value) -> Option<Uuid> {
    match value {
        Value::Uuid(uuid) => Some(*uuid),
        _ => None,
    }
}

fn connect(schema: &Schema) -> Vec<Edges> {
    let mut edges = vec![Edges::default(); schema.tables().len()];
    for table in schema.tables().iter().filter(|table| table.schema().has_desired) {
        edges[table.id().index()].everywhere = table.schema().everywhere;
        for column in table.schema().key.iter().chain(&table.schema().desired) {
            let Some(target) = column.references.as_deref().and_then(|name| schema.table(name)) else {
                continue;
            };
            let (this, that) = (table.id(), target.id());
            let Some(scope) = column.scope else { continue };
            match scope {
                Scope::Follows | Scope::FollowsOrAll | Scope::FollowsWidely => {
                    edges[this.index()].follows.push((column.name.clone(), that));
                    edges[that.index()].followers.push((this, column.name.clone()));
                }
                Scope::Brings | Scope::BringsWidely => {
                    edges[this.index()].brings.push((column.name.clone(), that));
                    edges[that.index()].bringers.push((this, column.name.clone()));
                }
            }
            match scope {
                Scope::FollowsOrAll => edges[this.index()].or_all.push(column.name.clone()),
                Scope::FollowsWidely | Scope::BringsWidely => {
                    edges[this.index()].widely.push(column.name.clone());
                }
                Scope::Follows | Scope::Brings => {}
            }
        }
    }
    edges
}

/// Ranks tables by what they depend on.
fn rank(schema: &Schema, root: TableId, edges: &mut [Edges]) -> Result<(), DistributionError> {
    let names: BTreeMap<TableId, &str> =
        schema.tables().iter().map(|table| (table.id(), table.name())).collect();
    let mut open: BTreeSet<TableId> = names.keys().copied().collect();
    let mut rank = 0;
    while !open.is_empty() {
        let free = |id: &TableId| {
            let edges = &edges[id.index()];
            let depends =
                edges.follows.iter().map(|(_, id)| id).chain(edges.bringers.iter().map(|(id, _)| id));
            let on_hosts = edges.everywhere && open.contains(&root);
            !on_hosts && !depends.into_iter().any(|on| open.contains(on))
        };
        let ready: Vec<TableId> = open.iter().filter(|id| free(id)).copied().collect();
        if ready.is_empty() {
            let first = open.first().and_then(|id| names.get(id)).copied().unwrap_or_default();
            return Err(DistributionError::Circle(first.to_owned()));
        }
        for id in ready {
            edges[id.index()].rank = rank;
            open.remove(&id);
        }
        rank += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
