//! Quotas, checked when the transaction ends, under the lock of those who commit: on rows as they are then, by whoever
//! adds to what an owner has.
//!
//! A check sums up all that an owner has, so it is done once for all rows that the transaction had written by then, not
//! once for each. Which limits were looked at is noted in a setting, `pony._checked`, that ends with the transaction and goes
//! back with a savepoint: the number of the command after which they were, which is above that of all rows that were
//! summed up, then the limits. A row that was written later begins it anew.

use super::trigger::{deferred, function, key_array};
use super::{ident, literal, qualified};
use crate::ddl::plan::{Plan, Table};
use crate::ddl::quota::{Names, Quota, passing};

/// The SQLSTATE of a quota that would be exceeded; the message's detail is a JSON object with the keys of the row and
/// of the limit.
pub(crate) const STATE_QUOTA: &str = "23PY3";

/// Characters of `pony._checked` beyond which it begins anew: it is searched for each row.
const CHECKED_CHARS_MAX: usize = 16_384;

pub(super) fn statements(schema: &str, plan: &Plan, table: &Table) -> Vec<String> {
    let limits = |quota: &Quota| plan.table(&quota.rule.limits);
    let own = table.quotas.iter().filter_map(|quota| Some(counting(schema, limits(quota)?, table, quota)));
    let others =
        passing(plan, table).filter_map(|passing| Some(through(schema, limits(passing.1)?, passing)));
    own.chain(others).flatten().collect()
}

/// Rows that count: new ones, and those that count more than before, or for somebody else.
fn counting(schema: &str, limits: &Table, table: &Table, quota: &Quota) -> Vec<String> {
    let names: Names<'_> = &|name| qualified(schema, name);
    let same: Vec<String> =
        table.key().iter().map(|it| ident(&it.name)).map(|it| format!("it.{it} = NEW.{it}")).collect();
    let counts = quota.counts("it").map(|it| format!(" AND {it}")).unwrap_or_default();
    let from = format!(
        "{} AS it{} JOIN {} AS q ON q.{} = {}{}",
        names(&table.name),
        quota.joins(names),
        names(&quota.rule.limits),
        quota.owner_column(),
        quota.owner(),
        quota.concerns("it")
    );
    let row = format!("{}{counts}", same.join(" AND "));
    let body = once(schema, (quota, table, limits), &from, &row);
    let function_name = qualified(schema, &format!("_quota_{}_{}", table.name, quota.number));
    let others = quota.columns().into_iter().filter(|it| Some(*it) != quota.rule.amount.as_deref());
    let mut grows: Vec<String> =
        others.map(ident).map(|it| format!("OLD.{it} IS DISTINCT FROM NEW.{it}")).collect();
    if quota.rule.amount.is_some() {
        grows.push(format!("{} > {}", quota.amount("NEW"), quota.amount("OLD")));
    }
    let when = format!("WHEN ({}) ", grows.join(" OR "));
    let name = |event: &str| format!("quota {} {event}", quota.rule.kind);
    vec![
        function(&function_name, "()", "trigger", &body),
        deferred(schema, &name("insert"), "INSERT", &table.name, "", &function_name),
        deferred(schema, &name("update"), "UPDATE", &table.name, &when, &function_name),
    ]
}

/// Rows that lead to the owner of those that count.
fn through(schema: &str, limits: &Table, (counting, quota, place): (&Table, &Quota, usize)) -> Vec<String> {
    let names: Names<'_> = &|name| qualified(schema, name);
    let (hop, rest) = (&quota.through[place], quota.rest(place));
    let from = format!(
        "{} AS it{} JOIN {} AS q ON q.{} = {}",
        names(&hop.table),
        rest.joins(names),
        names(&quota.rule.limits),
        quota.owner_column(),
        rest.owner()
    );
    let (key, column) = (ident(&hop.key), ident(&quota.rule.owner[place + 1]));
    let key_of = format!("jsonb_build_array(it.{key})");
    let body = check(
        (quota, counting, limits),
        names,
        &from,
        &format!("it.{key} = NEW.{key}"),
        &key_of,
        &Around::default(),
    );
    let function_name = qualified(schema, &format!("_quota_{}_{}_{place}", counting.name, quota.number));
    let event = format!("INSERT OR UPDATE OF {column}");
    let name = format!("quota {} of {}", quota.rule.kind, counting.name);
    vec![
        function(&function_name, "()", "trigger", &body),
        deferred(schema, &name, &event, &hop.table, "", &function_name),
    ]
}

/// The check of rows that count, once for each limit and for all rows that were written before it.
fn once(schema: &str, (quota, table, limits): (&Quota, &Table, &Table), from: &str, row: &str) -> String {
    let names: Names<'_> = &|name| qualified(schema, name);
    let entry = format!(
        "{} || {}::text || ';'",
        literal(&format!("{} {}", table.name, quota.number)),
        key_array(limits, "q")
    );
    let is_due = format!("strpos(checked, ';' || {entry}) = 0");
    let around = Around {
        declares: " checked text := coalesce(current_setting('pony._checked', true), ''); due text;",
        before: format!(
            "IF checked = '' OR length(checked) > {CHECKED_CHARS_MAX}
    OR split_part(checked, ';', 1)::bigint <= (SELECT it.cmin::text::bigint FROM {from} WHERE {row} LIMIT 1) THEN
    checked := coalesce((SELECT o.cmin::text FROM {outbox} AS o WHERE o.seq = currval({sequence})), '-1') || ';';
  END IF;
  ",
            outbox = names("_outbox"),
            sequence = literal(&names("_outbox_seq")),
        ),
        after: format!(
            "SELECT string_agg({entry}, '') INTO due FROM {from} WHERE {row} AND {kind} AND {is_due};
  IF due IS NOT NULL THEN
    PERFORM set_config('pony._checked', checked || due, true);
  END IF;
  ",
            kind = quota.of_kind(),
        ),
    };
    let row = format!("{row} AND {is_due}");
    check((quota, table, limits), names, from, &row, &key_array(table, "it"), &around)
}

/// What is around a check.
#[derive(Debug, Default)]
struct Around {
    declares: &'static str,
    before: String,
    after: String,
}

fn check(
    (quota, counting, limits): (&Quota, &Table, &Table),
    names: Names<'_>,
    from: &str,
    row: &str,
    key: &str,
    around: &Around,
) -> String {
    format!(
        "DECLARE worst record;{declares}
BEGIN
  PERFORM {order}();
  {before}SELECT {key} AS row_key, {limit_key} AS limit_key, q.\"limit\" AS most, u.used INTO worst
    FROM {from}
    CROSS JOIN LATERAL (SELECT {used} AS used) AS u
    WHERE {row} AND {kind} AND q.\"limit\" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION {words}, worst.most, worst.used
      USING ERRCODE = '{STATE_QUOTA}', TABLE = TG_TABLE_NAME, CONSTRAINT = {constraint}, DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  {after}RETURN NULL;
END",
        declares = around.declares,
        before = around.before,
        after = around.after,
        order = names("_order"),
        limit_key = key_array(limits, "q"),
        used = quota.used(names, counting),
        kind = quota.of_kind(),
        words = literal(&format!(
            "{}: a {} of {} would be exceeded: it is %, and there would be %",
            counting.name, quota.rule.limits, quota.rule.kind
        )),
        constraint = literal(&format!("{} {}", counting.name, quota.number)),
    )
}
