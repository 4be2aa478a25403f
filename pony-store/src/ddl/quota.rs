//! Quotas in terms of SQL that both dialects share: who owns a row, what it counts, how much an owner has.

use super::ident;
use super::plan::{Plan, Table};
use crate::error::SchemaError;
use pony_state::{QuotaRule, Rule, TableSchema};
use std::sync::Arc;

/// A table's rows that count against limits of their owner.
#[derive(Debug)]
pub(crate) struct Quota {
    /// The number of the rule in the table's declaration.
    pub(crate) number: usize,
    pub(crate) rule: QuotaRule,
    /// The tables that lead to the owner: each column of the path but the last refers to the next of them.
    pub(crate) through: Vec<Hop>,
}

/// A table on the way to the owner.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) table: Arc<str>,
    /// Its key column.
    pub(crate) key: String,
}

/// The rule with its path resolved.
pub(super) fn resolve(
    table: &Table,
    number: usize,
    rule: &QuotaRule,
    schemas: &[TableSchema],
) -> Result<Quota, SchemaError> {
    let wrong = |table: &str, column: &str, problem| SchemaError::Rule {
        table: table.to_owned(),
        column: column.to_owned(),
        problem,
    };
    let count = |schema: &TableSchema| {
        let same =
            |it: &&Rule| matches!(it, Rule::Quota(it) if it.limits == rule.limits && it.kind == rule.kind);
        schema.rules.iter().filter(same).count()
    };
    if schemas.iter().map(count).sum::<usize>() != 1 {
        return Err(wrong(&table.name, &rule.kind, "is a kind that other rows count as, too"));
    }
    let limits = schemas.iter().find(|schema| schema.name == rule.limits);
    if limits.is_none_or(|limits| !super::plan::is_stored(limits)) {
        return Err(wrong(&rule.limits, "limit", "is not kept in the database"));
    }
    let find = |name: &str| schemas.iter().find(|schema| schema.name == name);
    let mut through = Vec::new();
    let mut at = find(&table.name).ok_or_else(|| wrong(&table.name, "", "is not there"))?;
    for (place, name) in rule.owner.iter().enumerate() {
        let column = at.key.iter().chain(&at.desired).find(|column| column.name == *name);
        let column = column.ok_or_else(|| wrong(&at.name, name, "is not there"))?;
        if place + 1 == rule.owner.len() {
            break;
        }
        let to = column.references.as_deref().filter(|_| !column.soft).and_then(find);
        at = to.ok_or_else(|| wrong(&at.name, name, "is not an enforced reference"))?;
        let [key] = at.key.as_slice() else {
            return Err(wrong(&at.name, name, "has a key of several columns"));
        };
        through.push(Hop { table: Arc::from(at.name.as_str()), key: key.name.clone() });
    }
    Ok(Quota { number, rule: rule.clone(), through })
}

/// How a dialect names tables.
pub(crate) type Names<'a> = &'a dyn Fn(&str) -> String;

impl Quota {
    /// The tables on the way to the owner, behind `JOIN`, for a row that is called `it`.
    pub(crate) fn joins(&self, names: Names<'_>) -> String {
        let mut from = "it".to_owned();
        let mut joins = String::new();
        for (place, (hop, column)) in self.through.iter().zip(&self.rule.owner).enumerate() {
            let alias = format!("p{place}");
            joins.push_str(&format!(
                " JOIN {} AS {alias} ON {alias}.{} = {from}.{}",
                names(&hop.table),
                ident(&hop.key),
                ident(column)
            ));
            from = alias;
        }
        joins
    }

    /// The owner of the row `it`, behind [`Quota::joins`].
    pub(crate) fn owner(&self) -> String {
        let from = match self.through.len() {
            0 => "it".to_owned(),
            hops => format!("p{}", hops - 1),
        };
        format!("{from}.{}", self.owner_column())
    }

    /// The owner's column, there and in the table of limits.
    pub(crate) fn owner_column(&self) -> String {
        ident(self.rule.owner.last().map_or("", String::as_str))
    }

    /// What a row counts.
    pub(crate) fn amount(&self, row: &str) -> String {
        match &self.rule.amount {
            Some(column) => format!("coalesce({row}.{}, 0)", ident(column)),
            None => "1".to_owned(),
        }
    }

    /// Whether a row counts, as a condition; nothing where all do.
    pub(crate) fn counts(&self, row: &str) -> Option<String> {
        let (column, word) = self.rule.when.as_ref()?;
        Some(format!("{row}.{} = {}", ident(column), super::literal(word)))
    }

    /// Whether the limit `q` is one for a row (or for rows of any kind of the narrowing column, without one).
    pub(crate) fn concerns(&self, row: &str) -> String {
        match &self.rule.by {
            Some(by) => format!(" AND (q.{0} IS NULL OR q.{0} = {row}.{0})", ident(by)),
            None => String::new(),
        }
    }

    /// How much the owner of the limit `q` has of what it limits, as a subquery.
    pub(crate) fn used(&self, names: Names<'_>, table: &Table) -> String {
        let counts = self.counts("it").map(|it| format!(" AND {it}")).unwrap_or_default();
        format!(
            "(SELECT coalesce(sum({amount}), 0) FROM {table} AS it{joins} WHERE {owner} = q.{owner_column}{counts}{concerns})",
            amount = self.amount("it"),
            table = names(&table.name),
            joins = self.joins(names),
            owner = self.owner(),
            owner_column = self.owner_column(),
            concerns = self.concerns("it"),
        )
    }

    /// The way that is left from that table on.
    pub(crate) fn rest(&self, place: usize) -> Self {
        let rule = QuotaRule { owner: self.rule.owner[place + 1..].to_vec(), ..self.rule.clone() };
        Self { number: self.number, rule, through: self.through[place + 1..].to_vec() }
    }

    /// Which limits are of this kind.
    pub(crate) fn of_kind(&self) -> String {
        format!("q.\"type\" = {}", super::literal(&self.rule.kind))
    }

    /// The columns of the table itself that decide what a row counts, and for whom.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let rule = &self.rule;
        let when = rule.when.as_ref().map(|(column, _)| column);
        let all = rule.owner.first().into_iter().chain(&rule.amount).chain(when).chain(&rule.by);
        all.map(String::as_str).collect()
    }
}

/// The quotas of other tables whose way to the owner leads through this one: (the table that counts, the quota, the
/// place of this table on the way).
pub(crate) fn passing<'p>(
    plan: &'p Plan,
    table: &Table,
) -> impl Iterator<Item = (&'p Table, &'p Quota, usize)> {
    let name = Arc::clone(&table.name);
    plan.tables.iter().flat_map(move |counting| {
        let name = Arc::clone(&name);
        counting.quotas.iter().flat_map(move |quota| {
            let name = Arc::clone(&name);
            let places = quota.through.iter().enumerate().filter(move |(_, hop)| hop.table == name);
            places.map(move |(place, _)| (counting, quota, place))
        })
    })
}
