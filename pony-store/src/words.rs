//! What a broken rule is called: which error it is and what to tell people, in the API's tables and columns, the same
//! whichever database keeps the rule.

use crate::ddl::plan::{Check, Inside, Overlap, Table, Unique};
use crate::ddl::quota::Quota;
use crate::error::{Broken, CommitError, Referrer, Violation, key_text, value_text};
use crate::op::{Site, given_key};
use pony_state::{Cidr, Inet, RowOp};
use serde_json::Value as Json;

/// Rows named as still referring to one that shall go; enough to see what it is about.
pub(crate) const REFERRERS_NAMED: usize = 5;

/// An operation that failed, and what its row has where the operation does not say.
pub(crate) struct Failed<'a> {
    pub(crate) site: Site<'a>,
    pub(crate) table: &'a Table,
    /// The row as it is stored, as far as it could be read: a message is better without a value than not made.
    pub(crate) stored: Option<pony_state::Columns>,
}

impl Failed<'_> {
    /// A row of this key is there.
    pub(crate) fn key_taken(&self) -> CommitError {
        let columns: Vec<&str> = self.table.key().iter().map(|column| column.name.as_str()).collect();
        let key = given_key(self.table, self.site.op).unwrap_or_default();
        let message =
            format!("{}.{}: `{}` exists already", self.table.name, columns.join(", "), key_text(&key));
        self.violation(&columns, Broken::Key, message)
    }

    /// "instance.name: `web` exists already in this tenant".
    pub(crate) fn unique_taken(&self, unique: &Unique) -> CommitError {
        let columns: Vec<&str> = unique.columns.iter().map(String::as_str).collect();
        let is_reference =
            |name: &str| self.table.column(name).is_some_and(|column| column.reference.is_some());
        let subject =
            columns.iter().rev().find(|name| !is_reference(name)).or(columns.last()).copied().unwrap_or("");
        let mut message = format!("{}.{subject}: {} exists already", self.table.name, self.value_of(subject));
        for (number, &other) in columns.iter().filter(|&&name| name != subject).enumerate() {
            let joint = if number == 0 { "" } else { " and" };
            if is_reference(other) {
                message.push_str(&format!("{joint} in this {other}"));
            } else {
                message.push_str(&format!("{joint} with {other} {}", self.value_of(other)));
            }
        }
        self.violation(&columns, Broken::Unique, message)
    }

    /// A condition over one row.
    pub(crate) fn check(&self, check: &Check) -> CommitError {
        self.violation(&[], Broken::Check, format!("{}: {}", self.table.name, check.message))
    }

    /// A value that does not fit its column.
    pub(crate) fn wrong_type(&self, column: &str) -> CommitError {
        let ty = self.table.column(column).map(|column| format!(" {}", column.ty)).unwrap_or_default();
        self.violation(&[column], Broken::Type, format!("{}.{column}: must be{ty}", self.table.name))
    }

    /// A column that does not change.
    pub(crate) fn immutable(&self, column: &str) -> CommitError {
        let message = format!("{}.{column}: cannot be changed", self.table.name);
        self.violation(&[column], Broken::Immutable, message)
    }

    /// A range that overlaps another.
    pub(crate) fn overlap(&self, rule: &Overlap) -> CommitError {
        let message = format!(
            "{}.{}: {} overlaps another range of the same {}",
            self.table.name,
            rule.range,
            self.value_of(&rule.range),
            rule.within
        );
        self.violation(&[&rule.range], Broken::Overlap, message)
    }

    /// The row's own address lies outside of its range.
    pub(crate) fn outside(&self, inside: &Inside) -> CommitError {
        let message = format!(
            "{}.{}: {} lies outside of the {} of its {}",
            self.table.name,
            inside.column,
            self.value_of(&inside.column),
            inside.range,
            inside.via
        );
        self.violation(&[&inside.column], Broken::Inside, message)
    }

    /// The row's range leaves out an address of a row that refers to it.
    pub(crate) fn leaves_out(&self) -> CommitError {
        let children = self.table.encloses.iter().map(|&(child, place)| {
            let child = &self.site.plan.tables[child];
            (&*child.name, &child.insides[place])
        });
        let broken: Vec<String> =
            children.clone().map(|(child, inside)| format!("{child}.{}", inside.column)).collect();
        let columns: Vec<&str> = children.map(|(_, inside)| inside.range.as_str()).take(1).collect();
        let message = format!(
            "{}.{}: a row that refers to it has an address outside of it ({})",
            self.table.name,
            columns.join(""),
            broken.join(" or ")
        );
        self.violation(&columns, Broken::Inside, message)
    }

    /// A limit of the owner's that would be exceeded.
    pub(crate) fn exceeded(&self, quota: &Quota, limit: f64, used: f64, asked: f64) -> CommitError {
        let (rule, owner) = (&quota.rule, quota.rule.owner.last().map_or("owner", String::as_str));
        let message = format!(
            "{}: the {owner} may have {limit} of {}, has {used}, and this would be {asked} more",
            self.table.name, rule.kind
        );
        let columns: Vec<&str> = rule.amount.iter().map(String::as_str).collect();
        let columns = if *self.table.name == *self.site.op.table() { columns } else { Vec::new() };
        self.violation(&columns, Broken::Quota { kind: rule.kind.clone(), limit, used, asked }, message)
    }

    /// Whether the row would keep the rule in that range, as far as can be told.
    pub(crate) fn lies_in(&self, inside: &Inside, range: Option<&str>) -> bool {
        let range = range.and_then(|range| range.parse::<Cidr>().ok());
        let address = self.value(&inside.column).and_then(|it| it.as_str()?.parse::<Inet>().ok());
        match (range, address) {
            (Some(range), Some(address)) => range.contains(address.addr()),
            _ => true,
        }
    }

    /// The value that the operation gives a column, or leaves it.
    pub(crate) fn value(&self, column: &str) -> Option<Json> {
        let given = match self.site.op {
            RowOp::Insert { row, .. } => row.get(column),
            RowOp::Update { columns, .. } => columns.get(column),
            RowOp::Delete { .. } => None,
        };
        let stored = || self.stored.as_ref()?.get(column);
        given.or_else(stored).filter(|value| !value.is_null()).cloned()
    }

    fn violation(&self, columns: &[&str], rule: Broken, message: String) -> CommitError {
        self.site.violation(self.table, columns, rule, message)
    }

    /// The same in words.
    fn value_of(&self, column: &str) -> String {
        match self.value(column) {
            Some(value) => format!("`{}`", value_text(&value)),
            None => "no value".to_owned(),
        }
    }
}

/// A reference that leads nowhere.
pub(crate) fn dangling(
    table: &Table,
    key: Vec<Json>,
    op: Option<usize>,
    (column, to): (&str, &str),
    value: Json,
) -> Violation {
    let message = format!("{}.{column}: there is no {to} `{}`", table.name, value_text(&value));
    Violation {
        op,
        table: table.name.to_string(),
        key: Some(key),
        columns: vec![column.to_owned()],
        rule: Broken::Reference { to: to.to_owned(), value },
        message,
    }
}

/// A row that cannot go, for these refer to it.
pub(crate) fn in_use(
    table: &Table,
    key: Vec<Json>,
    op: Option<usize>,
    referrers: Vec<Referrer>,
) -> Violation {
    let names: Vec<String> =
        referrers.iter().map(|it| format!("{} `{}`", it.table, key_text(&it.key))).collect();
    let more = if referrers.len() >= REFERRERS_NAMED { " and perhaps more" } else { "" };
    let message =
        format!("{}: `{}` is still in use by {}{more}", table.name, key_text(&key), names.join(", "));
    let rule = Broken::InUse { referrers };
    Violation { op, table: table.name.to_string(), key: Some(key), columns: Vec::new(), rule, message }
}
