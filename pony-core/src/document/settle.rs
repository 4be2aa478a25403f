//! What must hold when all of a request is done: references that lead somewhere, uniqueness, ranges, what nobody may
//! bring back. The database enforces most of it, too; here the client learns where in the request it went wrong.

use super::access::Grant;
use super::bounds;
use super::draft::{Draft, Entry};
use super::error::{DocumentError, Problem};
use super::lifecycle::is_going;
use super::pointer::Pointer;
use super::read::{Reader, is_indexed};
use super::resolve::root_keys;
use super::rows::{Cells, Rows};
use crate::host::SourceUri;
use crate::pool;
use crate::tables::{MemberRole, StoragePoolType, SwitchType};
use pony_state::{ColumnSchema, Columns, Key, PartKind, Rule, Scope, TableDef, TableId, Value};
use serde_json::Value as Json;
use std::collections::HashMap;
use uuid::Uuid;

/// Keys that a message about something in use names.
const NAMED_MAX: usize = 5;

/// Rows by what must be unique, for each group that was looked at: a request that makes a thousand rows in one
/// tenant reads those that are there once, not a thousand times.
#[derive(Default)]
struct Twins(HashMap<(TableId, Vec<String>, Value), Group>);

/// The keys of rows by the values that must be unique.
type Group = HashMap<Vec<Value>, Vec<Key>>;

impl<R: Rows> Draft<'_, R> {
    /// Finishes what follows from the changes, and checks that what came out of them may be.
    pub(super) fn settle(&mut self) -> Result<(), DocumentError> {
        self.settle_volumes()?;
        self.settle_addresses()?;
        let mut twins = Twins::default();
        for ((id, key), entry) in self.entries() {
            let Some(table) = self.table(*id) else { continue };
            if self.is_unchanged(*id, key, entry) {
                continue;
            }
            match &entry.desired {
                Some(columns) => {
                    self.check_row(table, key, columns, &entry.path, &mut twins)?;
                    self.check_vlan(table, key, columns, &entry.path)?;
                }
                None => self.check_gone(table, key, &entry.path)?,
            }
            if entry.direct {
                self.check_owner(table, key, &entry.path)?;
            } else {
                self.check_dragged(table, key, &entry.path)?;
            }
            self.check_approved(table, key, &entry.path)?;
        }
        Ok(())
    }

    fn is_unchanged(&self, table: TableId, key: &Key, entry: &Entry) -> bool {
        self.base.columns(table, key, PartKind::Desired) == entry.desired
    }

    /// A volume that became `deleted` by whatever way is let go of; one that was stays so.
    fn settle_volumes(&mut self) -> Result<(), DocumentError> {
        let Some(table) = self.tree.schema().table("volume").cloned() else { return Ok(()) };
        let of_volumes = |((id, key), entry): (&(TableId, Key), &Entry)| {
            (*id == table.id()).then(|| (key.clone(), entry.clone()))
        };
        let touched: Vec<(Key, Entry)> = self.entries().iter().filter_map(of_volumes).collect();
        for (key, Entry { desired, path, .. }) in touched {
            let Some(columns) = desired else { continue };
            let was_going =
                self.base.columns(table.id(), &key, PartKind::Desired).is_some_and(|it| is_going(&it));
            match (was_going, is_going(&columns)) {
                (true, false) => {
                    let problem = Problem::VolumeGoing(key.to_string());
                    return Err(DocumentError::at(&path.join("state"), problem));
                }
                (false, true) => self.unplug(&table, &key, &path)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn check_row(
        &self,
        table: &TableDef,
        key: &Key,
        columns: &Columns,
        at: &Pointer,
        twins: &mut Twins,
    ) -> Result<(), DocumentError> {
        self.check_lengths(table, key, columns, at)?;
        for column in table.schema().desired.iter().filter(|column| !column.soft) {
            if let Some(value) = columns.get(&column.name) {
                self.check_reference(table, key, column, value, at)?;
            }
        }
        for (column, value) in table.schema().key.iter().zip(key.values()).filter(|(column, _)| !column.soft)
        {
            self.check_reference(table, key, column, &value.to_json(), at)?;
        }
        let wrong = match table.name() {
            "storage_pool" => pool_problem(columns),
            "image" => source_problem(columns),
            _ => None,
        };
        if let Some((column, problem)) = wrong {
            return Err(DocumentError::at(&at.join(column), problem));
        }
        for rule in &table.schema().rules {
            match rule {
                Rule::Unique(names) => self.check_unique(table, key, columns, (names, false), twins),
                Rule::UniqueNullsEqual(names) => self.check_unique(table, key, columns, (names, true), twins),
                _ => Ok(()),
            }
            .map_err(|problem| DocumentError::at(at, problem))?;
            self.check_rule(table, key, columns, rule, at)?;
        }
        Ok(())
    }

    /// What is longer than it may be, unless it is so already.
    fn check_lengths(
        &self,
        table: &TableDef,
        key: &Key,
        columns: &Columns,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let before = self.base.columns(table.id(), key, PartKind::Desired);
        let kept = |name: &str| before.as_ref().is_some_and(|it| it.get(name) == columns.get(name));
        let changed = table.schema().desired.iter().filter(|column| !kept(&column.name));
        for (column, value) in changed.filter_map(|column| Some((column, columns.get(&column.name)?))) {
            bounds::check(table.name(), column, value)
                .map_err(|problem| DocumentError::at(&at.join(&column.name), problem))?;
        }
        if before.is_some() {
            return Ok(());
        }
        for (column, value) in table.schema().key.iter().zip(key.values()) {
            bounds::check(table.name(), column, &value.to_json())
                .map_err(|problem| DocumentError::at(at, problem))?;
        }
        Ok(())
    }

    /// What a row refers to must have been ordered, and a caller must be able to see what it newly refers to:
    /// otherwise knowing a UUID would be enough to use what is somebody else's.
    fn check_reference(
        &self,
        table: &TableDef,
        key: &Key,
        column: &ColumnSchema,
        value: &Json,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let Some(target) = column.references.as_ref().and_then(|name| self.tree.schema().table(name)) else {
            return Ok(());
        };
        let target_key = Key::one(Value::from_json(&column.ty, value).unwrap_or_default());
        let before = self.base.columns(table.id(), key, PartKind::Desired);
        let kept = before.is_some_and(|before| before.get(&column.name) == Some(value));
        let there = self.has(target.id(), &target_key, PartKind::Desired)
            && (kept || target.name() == "user" || self.reachable(target.id(), &target_key));
        if there {
            return Ok(());
        }
        let problem = Problem::Dangling {
            column: column.name.clone(),
            table: target.name().to_owned(),
            key: self.shown_key(&target_key),
        };
        Err(DocumentError::at(&at.join(&column.name), problem))
    }

    /// Whether the caller may use a row: see it at some mount, or be one of those whom a switch is shared with.
    fn reachable(&self, table: TableId, key: &Key) -> bool {
        if self.caller.is_alicorn()
            || Reader::new(self.tree, self, self.caller).granted(table, key) >= Grant::Read
        {
            return true;
        }
        let schema = self.tree.schema();
        let (Some(def), Some(shares)) = (schema.get(table), schema.table("switch_tenant")) else {
            return false;
        };
        let Some(switch) = key.values().first().filter(|_| def.name() == "switch") else { return false };
        let shares = self.find(shares.id(), "switch", switch).into_iter();
        shares
            .filter_map(|share| share.values().get(1)?.as_uuid())
            .any(|tenant| self.caller.role(tenant).is_some())
    }

    /// Nothing that stays may refer to what goes.
    fn check_gone(&self, table: &TableDef, key: &Key, at: &Pointer) -> Result<(), DocumentError> {
        let referrers = self.referrers(table, key);
        if referrers.is_empty() {
            return Ok(());
        }
        let mut by: Vec<String> = referrers
            .iter()
            .take(NAMED_MAX)
            .map(|(other, _, key)| format!("{} {}", other.name(), self.called(other, key)))
            .collect();
        if let Some(more) = referrers.len().checked_sub(NAMED_MAX + 1) {
            by.push(format!("{} more", more + 1));
        }
        let right = match table.name() {
            "host" => "evacuate it first, or have it fenced",
            "image" => "wait until they are filled, or delete them",
            _ => "remove or change that first",
        };
        let problem = Problem::InUse {
            table: table.name().to_owned(),
            called: self.called(table, key),
            by: by.join(", "),
            right,
        };
        Err(DocumentError::at(at, problem))
    }

    /// What changes along with something else must be as much the caller's as that.
    fn check_dragged(&self, table: &TableDef, key: &Key, at: &Pointer) -> Result<(), DocumentError> {
        if self.caller.is_alicorn() {
            return Ok(());
        }
        let foreign = self.tenants(self.base, table, key).into_iter().find(|it| !self.manages(*it));
        match foreign {
            None => Ok(()),
            Some(_) => {
                let problem = Problem::AccessDenied {
                    what: format!("remove this: a {} of somebody else depends on it", table.name()),
                };
                Err(DocumentError::at(at, problem))
            }
        }
    }

    /// What goes with something else, as a card with its instance, is the owner's of that, at whichever mount it is seen:
    /// whoever owns a switch that is shared does not change what others plug into it. (Addresses are the network's, too.)
    fn check_owner(&self, table: &TableDef, key: &Key, at: &Pointer) -> Result<(), DocumentError> {
        let Some(before) = self.base.columns(table.id(), key, PartKind::Desired) else { return Ok(()) };
        if self.caller.is_alicorn() {
            return Ok(());
        }
        let is_followed =
            |column: &&ColumnSchema| matches!(column.scope, Some(Scope::Follows | Scope::FollowsOrAll));
        let follows = table.schema().desired.iter().filter(is_followed);
        for column in follows {
            let value = before.get(&column.name).and_then(|it| Value::from_json(&column.ty, it).ok());
            let target = column.references.as_ref().and_then(|name| self.tree.schema().table(name));
            let Some((target, value)) = target.zip(value) else { continue };
            let owners = self.tenants(self.base, target, &Key::one(value));
            if !owners.is_empty() && !owners.iter().any(|it| self.manages(*it)) {
                let what = format!("change this: it goes with the {} of somebody else", target.name());
                return Err(DocumentError::at(at, Problem::AccessDenied { what }));
            }
        }
        Ok(())
    }

    /// Which VLANs of the core network there are, and who is on them, is the affair of those who run the cables: a tenant's
    /// switch gets its tag from an operator, and keeps it whatever else the tenant changes.
    fn check_vlan(
        &self,
        table: &TableDef,
        key: &Key,
        columns: &Columns,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        if table.name() != "switch" || self.caller.is_alicorn() {
            return Ok(());
        }
        let bridge = Json::from(SwitchType::Bridge.as_str());
        let vlan = |columns: &Columns| {
            let tag = columns.get("tag").filter(|it| !it.is_null())?;
            (columns.get("type") == Some(&bridge)).then(|| tag.clone())
        };
        let before = self.base.columns(table.id(), key, PartKind::Desired);
        match vlan(columns) {
            Some(tag) if before.as_ref().and_then(vlan) != Some(tag.clone()) => {
                let what = format!("connect a switch to VLAN {tag} of the core network: ask an operator to");
                Err(DocumentError::at(&at.join("tag"), Problem::AccessDenied { what }))
            }
            _ => Ok(()),
        }
    }

    fn manages(&self, tenant: Uuid) -> bool {
        matches!(self.caller.role(tenant), Some(MemberRole::Owner | MemberRole::Admin))
    }

    /// Only operators of the cloud change anything in a tenant that they have not approved.
    fn check_approved(&self, table: &TableDef, key: &Key, at: &Pointer) -> Result<(), DocumentError> {
        if self.caller.is_alicorn() {
            return Ok(());
        }
        let Some(tenants) = self.tree.schema().table("tenant") else { return Ok(()) };
        let approved = |tenant: &Uuid| {
            let key = Key::one(Value::from(*tenant));
            self.base.value(tenants.id(), &key, PartKind::Desired, "approved") == Some(Value::Bool(true))
        };
        let concerned = [self.tenants(self.base, table, key), self.tenants(self, table, key)].concat();
        match concerned.into_iter().find(|it| !approved(it)) {
            None => Ok(()),
            Some(tenant) => Err(DocumentError::at(at, Problem::NotApproved { tenant })),
        }
    }

    /// The tenants that a row belongs to.
    fn tenants(&self, rows: &impl Rows, table: &TableDef, key: &Key) -> Vec<Uuid> {
        let mounts = self.tree.endpoints_of(table.id()).filter(|it| it.path.starts_with("/tenant"));
        mounts
            .flat_map(|endpoint| root_keys(self.tree, rows, endpoint, key))
            .filter_map(|tenant| tenant.values().first().and_then(Value::as_uuid))
            .collect()
    }

    fn check_rule(
        &self,
        table: &TableDef,
        key: &Key,
        columns: &Columns,
        rule: &Rule,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        match rule {
            Rule::NoOverlap { within, range } => self.check_overlap(table, key, columns, within, range, at),
            Rule::Inside { column, via, range } => self.check_inside(table, columns, column, via, range, at),
            // Uniqueness is looked at across rows; an SQL expression is the database's affair.
            // So are quotas, which only a transaction can decide.
            Rule::Unique(_) | Rule::UniqueNullsEqual(_) | Rule::Check { .. } | Rule::Quota(_) => Ok(()),
        }
    }

    /// Looks for a row with the same values, through an index; where none of the columns has one, the database looks.
    fn check_unique(
        &self,
        table: &TableDef,
        key: &Key,
        columns: &Columns,
        (names, nulls_equal): (&[String], bool),
        twins: &mut Twins,
    ) -> Result<(), Problem> {
        let values = values_of(table, key, columns, names);
        if !nulls_equal && values.iter().any(Value::is_null) {
            return Ok(());
        }
        let indexed = |(name, value): &(&String, &Value)| is_indexed(table, name) && !value.is_null();
        let Some((by, wanted)) = names.iter().zip(&values).find(indexed) else { return Ok(()) };
        let group = twins
            .0
            .entry((table.id(), names.to_vec(), wanted.clone()))
            .or_insert_with(|| self.group(table, by, wanted, names));
        match group.get(&values).and_then(|keys| keys.iter().find(|other| *other != key)) {
            None => Ok(()),
            Some(other) => {
                let other = self.called(table, other);
                let (table, columns) = (table.name().to_owned(), names.to_vec());
                Err(Problem::NotUnique { table, columns, other })
            }
        }
    }

    /// The rows with `wanted` in column `by`, by what must be unique.
    fn group(&self, table: &TableDef, by: &str, wanted: &Value, names: &[String]) -> Group {
        let mut group = Group::new();
        for key in self.find(table.id(), by, wanted) {
            if let Some(columns) = self.desired(table.id(), &key) {
                group.entry(values_of(table, &key, &columns, names)).or_default().push(key);
            }
        }
        group
    }

    fn check_overlap(
        &self,
        table: &TableDef,
        key: &Key,
        columns: &Columns,
        within: &str,
        range: &str,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let Value::Range(start, end) = column_value(table, key, columns, range) else { return Ok(()) };
        let group = column_value(table, key, columns, within);
        for other in self.find(table.id(), within, &group).into_iter().filter(|other| other != key) {
            let theirs = self.desired(table.id(), &other).unwrap_or_default();
            let Value::Range(from, to) = column_value(table, &other, &theirs, range) else { continue };
            if from < end && start < to {
                let other = self.called(table, &other);
                let problem = Problem::Overlap { column: range.to_owned(), other };
                return Err(DocumentError::at(&at.join(range), problem));
            }
        }
        Ok(())
    }

    fn check_inside(
        &self,
        table: &TableDef,
        columns: &Columns,
        column: &str,
        via: &str,
        range: &str,
        at: &Pointer,
    ) -> Result<(), DocumentError> {
        let references = table.column(via).and_then(|via| via.references.as_ref());
        let Some(target) = references.and_then(|name| self.tree.schema().table(name)) else { return Ok(()) };
        let target_key = Key::one(column_value(table, &Key::of([]), columns, via));
        let holder = self.value(target.id(), &target_key, PartKind::Desired, range);
        let address = column_value(table, &Key::of([]), columns, column);
        match (&address, holder) {
            (Value::Inet(inet), Some(Value::Cidr(cidr))) if !cidr.contains(inet.addr()) => {
                let (column, range) = (column.to_owned(), cidr.to_string());
                let problem = Problem::Outside { column, address: address.to_string(), range };
                Err(DocumentError::at(at, problem))
            }
            _ => Ok(()),
        }
    }
}

fn values_of(table: &TableDef, key: &Key, columns: &Columns, names: &[String]) -> Vec<Value> {
    names.iter().map(|name| column_value(table, key, columns, name)).collect()
}

/// The value of a column of the key or of a desired part; null where there is none.
fn column_value(table: &TableDef, key: &Key, columns: &Columns, name: &str) -> Value {
    if let Some(value) = table.places(name).and_then(|places| key.values().get(places.key?)) {
        return value.clone();
    }
    let column = table.schema().desired.iter().find(|column| column.name == name);
    let json = columns.get(name);
    column.zip(json).and_then(|(column, json)| Value::from_json(&column.ty, json).ok()).unwrap_or_default()
}

/// What is wrong with where an image comes from, and in which column.
fn source_problem(columns: &Columns) -> Option<(&'static str, Problem)> {
    let why = SourceUri::parse(columns.get("source_uri")?.as_str()?).err()?;
    Some(("source_uri", Problem::SourceUri(why)))
}

/// What is wrong with a pool by its type, and in which column.
fn pool_problem(columns: &Columns) -> Option<(&'static str, Problem)> {
    let kind = columns.get("type")?.as_str()?.parse::<StoragePoolType>().ok()?;
    let is_shared = columns.get("shareable") == Some(&Json::Bool(true));
    match pool::backend(kind, columns.get("config").unwrap_or(&Json::Null)) {
        Err(why) => Some(("config", Problem::PoolConfig(why))),
        Ok(made_of) if is_shared && !made_of.can_be_shared() => {
            Some(("shareable", Problem::PoolShared(kind.as_str())))
        }
        Ok(_) => None,
    }
}
