//! Which constraint was broken, by the SQLSTATE and the names that PostgreSQL gives beside its message. The transaction
//! is over by then: what rows were there before is asked anew.

use super::apply::{Failure, key_terms};
use super::binary::Parameter;
use super::outage::unavailable;
use super::rows;
use super::server::Session;
use crate::ddl::ident;
use crate::ddl::plan::{Column, Plan, Table};
use crate::ddl::postgres::{Constraint, STATE_IMMUTABLE, STATE_INSIDE, STATE_QUOTA, constraints};
use crate::ddl::quota::Quota;
use crate::error::{Broken, CommitError, Referrer};
use crate::op::{Cells, Site, given_key, op_on};
use crate::store::VALUE_BYTES_MAX;
use crate::words::{Failed, REFERRERS_NAMED, dangling, in_use};
use pony_state::{Columns, OnDelete, RowOp, Value};
use serde_json::Value as Json;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::ToSql;

/// What a request failed of, after its transaction was rolled back.
pub(super) async fn failure(session: &Session, plan: &Plan, ops: &[RowOp], failure: Failure) -> CommitError {
    let case = Case { session, plan, ops };
    match failure {
        Failure::Refused(error) => error,
        Failure::Missing(number) => case.missing(number),
        Failure::Database(number, error) => match error.as_db_error() {
            Some(said) => case.broken(number, said).await.unwrap_or_else(|| unavailable(&error).into()),
            None => unavailable(&error).into(),
        },
    }
}

struct Case<'a> {
    session: &'a Session,
    plan: &'a Plan,
    ops: &'a [RowOp],
}

impl<'a> Case<'a> {
    fn site(&self, number: usize) -> Option<Site<'a>> {
        Some(Site { plan: self.plan, number, op: self.ops.get(number)? })
    }

    fn missing(&self, number: usize) -> CommitError {
        let missing = self.site(number).and_then(|site| Some(site.missing(site.table().ok()?)));
        missing.unwrap_or_else(|| CommitError::Missing { op: number, table: String::new(), key: Vec::new() })
    }

    async fn broken(&self, number: Option<usize>, said: &DbError) -> Option<CommitError> {
        let code = said.code();
        if *code == SqlState::FOREIGN_KEY_VIOLATION {
            return self.reference(said).await;
        }
        let number = match number {
            Some(number) => number,
            None => self.named(said)?,
        };
        let site = self.site(number)?;
        let table = said.table().and_then(|name| self.plan.table(name)).or_else(|| site.table().ok())?;
        let failed = Failed { site, table, stored: self.stored(site, table).await };
        if *code == SqlState::NOT_NULL_VIOLATION {
            return Some(site.null(table, table.column(said.column()?)?));
        }
        if code.code() == STATE_IMMUTABLE {
            return Some(failed.immutable(said.column()?));
        }
        if code.code() == STATE_INSIDE {
            let own = table.insides.iter().find(|inside| Some(&*inside.column) == said.column());
            return Some(own.map_or_else(|| failed.leaves_out(), |inside| failed.outside(inside)));
        }
        if code.code() == STATE_QUOTA {
            return self.exceeded(site, table, said).await;
        }
        if code.code().starts_with("23") {
            return named_constraint(&failed, said.constraint()?);
        }
        if *code == SqlState::PROGRAM_LIMIT_EXCEEDED {
            let message =
                format!("{}: the row is too large; {VALUE_BYTES_MAX} bytes are the most", table.name);
            return Some(site.violation(table, &[], Broken::TooLarge, message));
        }
        // Values were checked before; a few are fine with everybody but the database (U+0000 within JSON).
        code.code().starts_with("22").then(|| {
            let message = format!("{}: a value cannot be kept ({})", table.name, said.message());
            site.violation(table, &[], Broken::Type, message)
        })
    }

    /// The operation on the row that a deferred trigger names.
    fn named(&self, said: &DbError) -> Option<usize> {
        let table = self.plan.table(said.table()?)?;
        let detail: Json = serde_json::from_str(said.detail()?).ok()?;
        // Of a quota, the key of the limit stands beside it.
        let key = detail.get("key").unwrap_or(&detail).to_string();
        let key = values(table, &rows::key(table, &key))?;
        let direct = op_on(table, &key, self.ops);
        direct.or_else(|| self.ops.iter().position(|op| *op.table() == *table.name)).or(Some(0))
    }

    /// A limit that the transaction would have exceeded. What its owner has is asked now, without it.
    async fn exceeded(&self, site: Site<'_>, table: &Table, said: &DbError) -> Option<CommitError> {
        let (counting, number) = said.constraint()?.split_once(' ')?;
        let counting = self.plan.table(counting)?;
        let quota = counting.quotas.iter().find(|quota| quota.number.to_string() == number)?;
        let detail: Json = serde_json::from_str(said.detail()?).ok()?;
        let (limit, used) = self.used(counting, quota, &detail.get("limit")?.to_string()).await?;
        let asked = detail.get("used")?.as_f64()? - used;
        let failed = Failed { site, table, stored: None };
        Some(failed.exceeded(quota, limit, used, asked))
    }

    /// A limit, and how much of it is used.
    async fn used(&self, counting: &Table, quota: &Quota, key: &str) -> Option<(f64, f64)> {
        let limits = self.plan.table(&quota.rule.limits)?;
        let key = values(limits, &rows::key(limits, key))?;
        let key: Cells<'_> = limits.key().iter().zip(key).collect();
        let sql = format!(
            "SELECT jsonb_build_array(q.\"limit\"::float8, {}::float8)::text FROM {} AS q WHERE {}",
            quota.used(&|name| ident(name), counting),
            ident(&limits.name),
            key_terms(&key, 1)
        );
        let row = self.query(&sql, key).await.ok()?.into_iter().next()?;
        serde_json::from_str(&row).ok()
    }

    /// The operation's row as it is. Errors are none here: see [`Failed::stored`].
    async fn stored(&self, site: Site<'_>, table: &Table) -> Option<Columns> {
        let key = values(table, &given_key(table, site.op)?)?;
        let key: Cells<'_> = table.key().iter().zip(key).collect();
        let sql = format!(
            "SELECT to_jsonb(it)::text FROM {} AS it WHERE {}",
            ident(&table.name),
            key_terms(&key, 1)
        );
        let row = self.query(&sql, key).await.ok()?.into_iter().next()?;
        Some(rows::columns(table, &row))
    }

    /// The first column of what a query gives.
    async fn query(&self, sql: &str, cells: Cells<'_>) -> Result<Vec<String>, Error> {
        let parameters: Vec<Parameter> = cells.into_iter().map(|(_, value)| Parameter(value)).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|it| it as &(dyn ToSql + Sync)).collect();
        let rows = self.session.client.query(sql, &parameters).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// A reference that dangled when the transaction ended: because of who refers, or because of what went.
    async fn reference(&self, said: &DbError) -> Option<CommitError> {
        let child = self.plan.table(said.table()?)?;
        let Constraint::Reference(place) = *constraints(child).get(said.constraint()?)? else { return None };
        let column = child.columns.get(place)?;
        let parent = self.plan.table(&column.reference.as_ref()?.table)?;
        if let Some(error) = self.refers_to_nothing(child, column, parent).await {
            return Some(error);
        }
        if let Some(error) = self.still_in_use(parent).await {
            return Some(error);
        }
        // Something that went along with what was removed.
        let number = self.ops.iter().position(|op| matches!(op, RowOp::Delete { .. }))?;
        let site = self.site(number)?;
        let table = site.table().ok()?;
        let message = format!(
            "{}: a {} that would go along is still in use by {}.{}",
            table.name, parent.name, child.name, column.name
        );
        Some(site.violation(table, &[], Broken::InUse { referrers: Vec::new() }, message))
    }

    /// An operation that leaves a reference to what is not there.
    async fn refers_to_nothing(&self, child: &Table, column: &Column, parent: &Table) -> Option<CommitError> {
        for (number, op) in self.ops.iter().enumerate().filter(|(_, op)| *op.table() == *child.name) {
            let (RowOp::Insert { row: columns, .. } | RowOp::Update { columns, key: _, .. }) = op else {
                continue;
            };
            let key = given_key(child, op)?;
            let in_key =
                || child.key().iter().zip(&key).find(|(it, _)| it.name == column.name).map(|(_, it)| it);
            let Some(json) = columns.get(&column.name).or_else(in_key).filter(|json| !json.is_null()) else {
                continue;
            };
            let value = Value::from_json(&column.ty, json).ok()?;
            if !self.is_there(parent, &value).await {
                let names = (column.name.as_str(), &*parent.name);
                let violation = dangling(child, key, Some(number), names, value.to_json());
                return Some(CommitError::from_violation(violation));
            }
        }
        None
    }

    /// Whether the row would be there after the operations.
    async fn is_there(&self, table: &Table, key: &Value) -> bool {
        let own = self
            .ops
            .iter()
            .rev()
            .find(|op| op_on(table, std::slice::from_ref(key), std::slice::from_ref(op)).is_some());
        match own {
            Some(op) => !matches!(op, RowOp::Delete { .. }),
            None => {
                let sql = format!(
                    "SELECT 'x' FROM {} WHERE {}",
                    ident(&table.name),
                    key_terms(&[(&table.key()[0], Value::Null)], 1)
                );
                let cells = vec![(&table.key()[0], key.clone())];
                self.query(&sql, cells).await.is_ok_and(|rows| !rows.is_empty())
            }
        }
    }

    /// An operation that removes what others refer to.
    async fn still_in_use(&self, parent: &Table) -> Option<CommitError> {
        for (number, op) in self.ops.iter().enumerate() {
            if !matches!(op, RowOp::Delete { .. }) || *op.table() != *parent.name {
                continue;
            }
            let key = given_key(parent, op)?;
            let value = values(parent, &key)?.into_iter().next()?;
            let mut referrers = Vec::new();
            for &(child, place) in &parent.referrers {
                let child = &self.plan.tables[child];
                self.referrers(child, &child.columns[place], &value, &mut referrers).await;
            }
            if !referrers.is_empty() {
                let violation = in_use(parent, key, Some(number), referrers);
                return Some(CommitError::from_violation(violation));
            }
        }
        None
    }

    /// The rows that keep one from going, without those that the request removes.
    async fn referrers(&self, child: &Table, column: &Column, key: &Value, found: &mut Vec<Referrer>) {
        let keeps = column.reference.as_ref().is_some_and(|it| it.on_delete == OnDelete::Restrict);
        if !keeps {
            return;
        }
        let names: Vec<String> = child.key().iter().map(|it| ident(&it.name)).collect();
        let sql = format!(
            "SELECT jsonb_build_array({0})::text FROM {1} WHERE {2} = $1 ORDER BY {0} LIMIT {3}",
            names.join(", "),
            ident(&child.name),
            ident(&column.name),
            REFERRERS_NAMED + self.ops.len().min(REFERRERS_NAMED)
        );
        let rows = self.query(&sql, vec![(column, key.clone())]).await.unwrap_or_default();
        let keys = rows.iter().map(|row| rows::key(child, row));
        let stays = |key: &Vec<Json>| {
            let op = values(child, key).and_then(|key| op_on(child, &key, self.ops));
            !op.is_some_and(|op| matches!(self.ops[op], RowOp::Delete { .. }))
        };
        let left = REFERRERS_NAMED.saturating_sub(found.len());
        found.extend(keys.filter(stays).take(left).map(|key| Referrer {
            table: child.name.to_string(),
            column: column.name.clone(),
            key,
        }));
    }
}

/// A constraint that the DDL named.
fn named_constraint(failed: &Failed<'_>, name: &str) -> Option<CommitError> {
    let table = failed.table;
    Some(match *constraints(table).get(name)? {
        Constraint::Key => failed.key_taken(),
        Constraint::Type(place) => failed.wrong_type(&table.columns.get(place)?.name),
        Constraint::Check(place) => failed.check(table.checks.get(place)?),
        Constraint::Unique(place) => failed.unique_taken(table.uniques.get(place)?),
        Constraint::Overlap(place) => failed.overlap(table.overlaps.get(place)?),
        Constraint::Reference(_) => return None,
    })
}

fn values(table: &Table, key: &[Json]) -> Option<Vec<Value>> {
    let columns = table.key().iter().zip(key);
    columns.map(|(column, json)| Value::from_json(&column.ty, json).ok()).collect()
}
