//! The triggers of a table. Before a write they refuse what must not be attempted; after it they check what
//! SQLite's constraints cannot say, and write the change into the feed. Removals by a reference's ON DELETE
//! fire them as well.

use super::{Tag, types, unique_term};
use crate::ddl::plan::{Column, Inside, Overlap, Plan, Table, Unique};
use crate::ddl::quota::{self, Names, Quota};
use crate::ddl::{ident, idents, literal};
use pony_state::{ColumnType, OnDelete};

/// When a trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Insert,
    Update,
}

pub(super) fn statements(plan: &Plan, table: &Table) -> Vec<String> {
    vec![
        trigger(table, "before", "insert", &before_insert(table)),
        trigger(table, "before", "update", &before_update(table)),
        trigger(table, "before", "delete", &[foreign_keys_guard()]),
        trigger(table, "after", "insert", &after_write(plan, table, Event::Insert)),
        trigger(table, "after", "update", &after_write(plan, table, Event::Update)),
        trigger(table, "after", "delete", &[outbox_delete(table)]),
    ]
}

fn trigger(table: &Table, time: &str, event: &str, body: &[String]) -> String {
    let name = ident(&format!("{}.{time}.{event}", table.name));
    let body: String = body.iter().map(|statement| format!("  {statement};\n")).collect();
    let (time, event) = (time.to_uppercase(), event.to_uppercase());
    format!("CREATE TRIGGER {name} {time} {event} ON {} BEGIN\n{body}END", ident(&table.name))
}

/// The statement that refuses the write where `condition` holds.
fn refuse(tag: Tag<'_>, words: &str, condition: &str) -> String {
    format!("SELECT RAISE(ABORT, {}) WHERE {condition}", literal(&tag.message(words)))
}

/// A connection that does not enforce references would not fire their actions either.
fn foreign_keys_guard() -> String {
    refuse(
        Tag::ForeignKeys,
        "references are not enforced on this connection: say PRAGMA foreign_keys = ON first",
        "(SELECT \"foreign_keys\" FROM pragma_foreign_keys) = 0",
    )
}

fn before_insert(table: &Table) -> Vec<String> {
    let key = table.key().iter().map(|it| it.name.as_str());
    let taken =
        format!("EXISTS (SELECT 1 FROM {} WHERE {})", ident(&table.name), same("", "NEW.", key.clone()));
    let columns = dotted(&table.name, key);
    let mut body = vec![foreign_keys_guard()];
    body.push(refuse(Tag::Key { table: &table.name }, &format!("{columns}: exists already"), &taken));
    body.extend(table.uniques.iter().map(|unique| refuse_taken(table, unique, "")));
    body
}

fn before_update(table: &Table) -> Vec<String> {
    let mut body = vec![foreign_keys_guard()];
    let immutable = table.columns.iter().enumerate().filter(|(at, it)| *at < table.key_len || it.immutable);
    body.extend(immutable.map(|(_, column)| refuse_change(table, column)));
    body.extend(table.uniques.iter().map(|unique| {
        let changed = format!("({}) AND ", differ(unique.columns.iter().map(String::as_str)));
        refuse_taken(table, unique, &changed)
    }));
    body
}

/// Uniqueness is the index's affair; this forestalls `INSERT OR REPLACE`, which removes the row in the way
/// silently.
fn refuse_taken(table: &Table, unique: &Unique, condition: &str) -> String {
    let terms: Vec<String> = unique
        .columns
        .iter()
        .map(|column| {
            format!("{} = {}", unique_term(unique, "", column), unique_term(unique, "NEW.", column))
        })
        .collect();
    refuse(
        Tag::Unique { table: &table.name, number: unique.number },
        &format!("{}: exists already", dotted(&table.name, unique.columns.iter().map(String::as_str))),
        &format!("{condition}EXISTS (SELECT 1 FROM {} WHERE {})", ident(&table.name), terms.join(" AND ")),
    )
}

/// A reference that becomes null because the referenced row went is no change of the user's.
fn refuse_change(table: &Table, column: &Column) -> String {
    let name = ident(&column.name);
    let mut condition = format!("OLD.{name} IS NOT NEW.{name}");
    if let Some(reference) = &column.reference
        && reference.on_delete == OnDelete::SetNull
    {
        let (parent, key) = (ident(&reference.table), ident(&reference.column));
        condition.push_str(&format!(
            " AND (NEW.{name} IS NOT NULL OR EXISTS (SELECT 1 FROM {parent} WHERE {key} = OLD.{name}))"
        ));
    }
    let tag = Tag::Immutable { table: &table.name, column: &column.name };
    refuse(tag, &format!("{}.{}: cannot be changed", table.name, column.name), &condition)
}

fn after_write(plan: &Plan, table: &Table, event: Event) -> Vec<String> {
    let mut body: Vec<String> =
        table.columns.iter().filter_map(|column| check_value(table, column, event)).flatten().collect();
    body.extend(table.overlaps.iter().map(|overlap| check_overlap(table, overlap)));
    body.extend(table.insides.iter().map(check_inside));
    body.extend(table.encloses.iter().map(|&(child, place)| {
        let child = &plan.tables[child];
        check_encloses(child, &child.insides[place])
    }));
    body.extend(table.quotas.iter().map(|quota| check_quota(table, quota, event)));
    body.extend(quota::passing(plan, table).map(|passing| check_passing(passing, event)));
    body.push(outbox_write(table, event));
    body
}

/// A row that counts (more than before, or for somebody else) must not exceed a limit of its owner.
fn check_quota(table: &Table, quota: &Quota, event: Event) -> String {
    let names: Names<'_> = &|name| ident(name);
    let mut conditions: Vec<String> = quota.counts("NEW").into_iter().collect();
    if event == Event::Update {
        let others = quota.columns().into_iter().filter(|it| Some(*it) != quota.rule.amount.as_deref());
        let grows =
            quota.rule.amount.is_some().then(|| format!("{} > {}", quota.amount("NEW"), quota.amount("OLD")));
        let moves = differ(others);
        conditions.push(format!(
            "({})",
            [Some(moves), grows].into_iter().flatten().collect::<Vec<_>>().join(" OR ")
        ));
    }
    let same: Vec<String> =
        table.key().iter().map(|it| ident(&it.name)).map(|it| format!("it.{it} = NEW.{it}")).collect();
    let owner = format!(
        "(SELECT {} FROM {} AS it{} WHERE {})",
        quota.owner(),
        ident(&table.name),
        quota.joins(names),
        same.join(" AND ")
    );
    conditions.push(exceeds(table, quota, &owner, &quota.concerns("NEW")));
    refuse_quota(table, quota, &conditions.join(" AND "))
}

/// The same where a row leads to the owner of those that count.
fn check_passing((counting, quota, place): (&Table, &Quota, usize), event: Event) -> String {
    let column = &quota.rule.owner[place + 1];
    let rest = quota.rest(place);
    let hop = &quota.through[place];
    let owner = format!(
        "(SELECT {} FROM {} AS it{} WHERE it.{} = NEW.{})",
        rest.owner(),
        ident(&hop.table),
        rest.joins(&|name| ident(name)),
        ident(&hop.key),
        ident(&hop.key)
    );
    let mut conditions = Vec::new();
    if event == Event::Update {
        conditions.push(format!("({})", differ(std::iter::once(column.as_str()))));
    }
    conditions.push(exceeds(counting, quota, &owner, ""));
    refuse_quota(counting, quota, &conditions.join(" AND "))
}

fn exceeds(counting: &Table, quota: &Quota, owner: &str, concerns: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM {limits} AS q WHERE {kind} AND q.{owner_column} = {owner}{concerns} AND q.\"limit\" < {used})",
        limits = ident(&quota.rule.limits),
        kind = quota.of_kind(),
        owner_column = quota.owner_column(),
        used = quota.used(&|name| ident(name), counting),
    )
}

fn refuse_quota(counting: &Table, quota: &Quota, condition: &str) -> String {
    let words =
        format!("{}: a {} of {} would be exceeded", counting.name, quota.rule.limits, quota.rule.kind);
    refuse(Tag::Quota { table: &counting.name, number: quota.number }, &words, condition)
}

/// What a CHECK cannot say of a column's type, for it takes a subquery.
fn check_value(table: &Table, column: &Column, event: Event) -> Option<Vec<String>> {
    let name = ident(&column.name);
    let changed = match event {
        Event::Insert => String::new(),
        Event::Update => format!(" WHERE NEW.{name} IS NOT OLD.{name}"),
    };
    let procedure = |ty: &ColumnType| match ty {
        ColumnType::Inet => Some("_inet"),
        ColumnType::Cidr => Some("_cidr"),
        _ => None,
    };
    if let ColumnType::List(item) = &column.ty {
        let tag = Tag::Type { table: &table.name, column: &column.name };
        let words = format!("{}.{}: must be {}", table.name, column.name, column.ty);
        let wrong =
            format!("EXISTS (SELECT 1 FROM json_each(NEW.{name}) WHERE NOT ({}))", types::item_check(item));
        let mut body = vec![refuse(tag, &words, &wrong)];
        if let Some(procedure) = procedure(item) {
            body.push(format!(
                "INSERT INTO \"{procedure}\" (\"value\") SELECT \"value\" FROM json_each(NEW.{name}){changed}"
            ));
        }
        return Some(body);
    }
    let procedure = procedure(&column.ty)?;
    Some(vec![format!("INSERT INTO \"{procedure}\" (\"value\") SELECT NEW.{name}{changed}")])
}

/// The start of a range.
pub(super) fn range_start(range: &str) -> String {
    format!("json_extract({range}, '$[0]')")
}

fn range_end(range: &str) -> String {
    format!("json_extract({range}, '$[1]')")
}

/// As other ranges do not overlap each other, only the last one that starts before this one's end can overlap
/// it.
fn check_overlap(table: &Table, overlap: &Overlap) -> String {
    let (range, within) = (ident(&overlap.range), ident(&overlap.within));
    let new = format!("NEW.{range}");
    let key = table.key().iter().map(|it| it.name.as_str());
    let condition = format!(
        "(SELECT {end} FROM {name} WHERE {within} = NEW.{within} AND {start} < {new_end} AND NOT ({same}) \
         ORDER BY {start} DESC LIMIT 1) > {new_start}",
        end = range_end(&range),
        start = range_start(&range),
        name = ident(&table.name),
        new_end = range_end(&new),
        new_start = range_start(&new),
        same = same("", "NEW.", key),
    );
    refuse(
        Tag::Overlap { table: &table.name, number: overlap.number },
        &format!("{}.{}: overlaps another of the same {}", table.name, overlap.range, overlap.within),
        &condition,
    )
}

fn check_inside(inside: &Inside) -> String {
    let (column, range) = (ident(&inside.column), ident(&inside.range));
    format!(
        "INSERT INTO \"_inside\" (\"address\", \"range\") SELECT NEW.{column}, {range} FROM {parent} \
         WHERE {key} = NEW.{via} AND {range} IS NOT NULL AND NEW.{column} IS NOT NULL",
        parent = ident(&inside.parent.table),
        key = ident(&inside.parent.column),
        via = ident(&inside.via),
    )
}

/// The same from the other side: the row with the range comes later, or its range changes.
fn check_encloses(child: &Table, inside: &Inside) -> String {
    let (column, range) = (ident(&inside.column), ident(&inside.range));
    format!(
        "INSERT INTO \"_inside\" (\"address\", \"range\") SELECT {column}, NEW.{range} FROM {child} \
         WHERE {via} = NEW.{key} AND {column} IS NOT NULL AND NEW.{range} IS NOT NULL",
        child = ident(&child.name),
        via = ident(&inside.via),
        key = ident(&inside.parent.column),
    )
}

const OUTBOX: &str = "INSERT INTO \"_outbox\" (\"txn\", \"table\", \"key\", \"row\") SELECT \"txn\"";

/// An update that changes nothing is no change.
fn outbox_write(table: &Table, event: Event) -> String {
    let cells: Vec<String> = table.columns.iter().map(outbox_cell).collect();
    let condition = match event {
        Event::Insert => String::new(),
        Event::Update => format!(" WHERE {}", differ(table.columns.iter().map(|it| it.name.as_str()))),
    };
    format!(
        "{OUTBOX}, {}, {}, json_object({}) FROM \"_meta\"{condition}",
        literal(&table.name),
        outbox_key(table, "NEW."),
        cells.join(", ")
    )
}

fn outbox_delete(table: &Table) -> String {
    format!("{OUTBOX}, {}, {}, NULL FROM \"_meta\"", literal(&table.name), outbox_key(table, "OLD."))
}

fn outbox_key(table: &Table, prefix: &str) -> String {
    format!("json_array({})", idents(prefix, table.key().iter().map(|it| &it.name)))
}

/// A float is given with all its digits, as text: JSON functions round it. JSON is given as text too, whatever
/// SQLite remembers of where the text came from: readers take cells apart alike, here and in tables.
fn outbox_cell(column: &Column) -> String {
    let (name, value) = (literal(&column.name), format!("NEW.{}", ident(&column.name)));
    match column.ty {
        ColumnType::Float => {
            format!("{name}, CASE WHEN {value} IS NOT NULL THEN printf('%!.17g', {value}) END")
        }
        ColumnType::Json | ColumnType::Range | ColumnType::List(_) => format!("{name}, {value} || ''"),
        _ => format!("{name}, {value}"),
    }
}

/// Whether two rows have the same values in these columns.
fn same<'a>(left: &str, right: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let terms: Vec<String> =
        columns.map(ident).map(|column| format!("{left}{column} = {right}{column}")).collect();
    terms.join(" AND ")
}

/// Whether an update changes one of these columns.
fn differ<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    let terms: Vec<String> =
        columns.map(ident).map(|column| format!("OLD.{column} IS NOT NEW.{column}")).collect();
    terms.join(" OR ")
}

/// `table.a, table.b`.
fn dotted<'a>(table: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = columns.map(|column| format!("{table}.{column}")).collect();
    names.join(", ")
}
