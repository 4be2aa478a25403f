//! The PostgreSQL dialect (15 and newer).
//!
//! Types are PostgreSQL's own (`uuid`, `inet`, `cidr`, `macaddr`, `int8range`, `jsonb`, arrays, enumerations). What a
//! constraint can say is one; its name says in the API's words what it asks for ([`name`]), for PostgreSQL's message
//! repeats it. What depends on other rows is decided when the transaction commits, by deferred triggers that hold one
//! lock, so that one transaction after the other decides on everything committed before ([`trigger`]).
//!
//! Names in functions are qualified by the schema: whoever writes may have any `search_path`, and temporary tables.

mod name;
mod quota;
mod trigger;
mod types;

pub(crate) use name::{Constraint, constraints};
pub(crate) use quota::STATE_QUOTA;
pub(crate) use trigger::{CHANNEL, STATE_FENCED, STATE_IMMUTABLE, STATE_INSIDE};

use super::plan::{Plan, Reference, Table, Unique};
use super::{Statement, ident, idents, literal};
use pony_state::OnDelete;

/// Where everything lies.
pub(crate) const SCHEMA: &str = "public";

/// The advisory lock under which transactions commit, one after the other: "Pony".
const COMMIT_LOCK: i64 = 0x506f_6e79;

/// All statements that create an empty database in that schema.
pub(crate) fn statements(plan: &Plan, schema: &str) -> Vec<Statement> {
    let mut all = Vec::new();
    if plan.tables.iter().any(|table| !table.overlaps.is_empty()) {
        all.push(Statement::data("CREATE EXTENSION IF NOT EXISTS btree_gist"));
    }
    all.extend(own_tables(schema).into_iter().map(Statement::data));
    all.extend(trigger::shared(schema).into_iter().map(Statement::derived));
    for table in &plan.tables {
        all.extend(types::enumerations(schema, table).into_iter().map(Statement::data));
        all.push(Statement::data(create_table(schema, table)));
    }
    // References last: tables may name each other in a circle.
    for table in &plan.tables {
        all.extend(references(schema, table).into_iter().map(Statement::data));
        all.extend(indexes(schema, table).into_iter().map(Statement::derived));
        all.extend(trigger::statements(schema, plan, table).into_iter().map(Statement::derived));
        all.extend(quota::statements(schema, plan, table).into_iter().map(Statement::derived));
    }
    all
}

/// A name in the schema, quoted.
pub(crate) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// The tables of this crate's own: which steps the database has had; who leads, and how far the feed was trimmed; the
/// feed. `identity` tells this database from any other, whatever its age.
fn own_tables(schema: &str) -> Vec<String> {
    let name = |name| qualified(schema, name);
    vec![
        format!(
            "CREATE TABLE {} (\n  \"version\" integer PRIMARY KEY,\n  \"name\" text NOT NULL,\n  \
             \"applied_at\" timestamptz NOT NULL DEFAULT now()\n)",
            name("_migration")
        ),
        format!(
            "CREATE TABLE {} (\n  \"one\" boolean PRIMARY KEY DEFAULT true CHECK (\"one\"),\n  \
             \"identity\" uuid NOT NULL DEFAULT gen_random_uuid(),\n  \"epoch\" bigint NOT NULL DEFAULT 0,\n  \
             \"holder\" uuid,\n  \"holder_name\" text,\n  \"expires\" timestamptz NOT NULL DEFAULT '-infinity',\n  \
             \"trimmed\" bigint NOT NULL DEFAULT 0\n)",
            name("_meta")
        ),
        format!("INSERT INTO {} DEFAULT VALUES", name("_meta")),
        format!(
            "CREATE TABLE {} (\n  \"seq\" bigint PRIMARY KEY,\n  \"txn\" bigint NOT NULL,\n  \
             \"table\" text NOT NULL,\n  \"key\" jsonb NOT NULL,\n  \"row\" jsonb\n)",
            name("_outbox")
        ),
        format!("CREATE SEQUENCE {}", name("_outbox_seq")),
    ]
}

/// One line per column and constraint, as in the other dialect.
fn create_table(schema: &str, table: &Table) -> String {
    let mut lines: Vec<String> =
        table.columns.iter().map(|column| types::column(schema, table, column)).collect();
    let constraint =
        |constraint, sql: String| format!("CONSTRAINT {} {sql}", ident(&name::of(table, constraint)));
    let key = idents("", table.key().iter().map(|it| &it.name));
    lines.push(constraint(Constraint::Key, format!("PRIMARY KEY ({key})")));
    for (place, column) in table.columns.iter().enumerate() {
        if let Some(check) = types::check(&column.ty, &ident(&column.name)) {
            lines.push(constraint(Constraint::Type(place), format!("CHECK ({check})")));
        }
    }
    for (place, check) in table.checks.iter().enumerate() {
        lines.push(constraint(Constraint::Check(place), format!("CHECK ({})", check.sql)));
    }
    for (place, unique) in table.uniques.iter().enumerate() {
        lines.push(constraint(Constraint::Unique(place), unique_set(unique)));
    }
    for (place, overlap) in table.overlaps.iter().enumerate() {
        let (within, range) = (ident(&overlap.within), ident(&overlap.range));
        let sql = format!("EXCLUDE USING gist ({within} WITH =, {range} WITH &&)");
        lines.push(constraint(Constraint::Overlap(place), sql));
    }
    format!("CREATE TABLE {} (\n  {}\n)", qualified(schema, &table.name), lines.join(",\n  "))
}

fn unique_set(unique: &Unique) -> String {
    let nulls = if unique.nulls_equal { "NULLS NOT DISTINCT " } else { "" };
    format!("UNIQUE {nulls}({})", idents("", &unique.columns))
}

fn references(schema: &str, table: &Table) -> Vec<String> {
    let references = table.columns.iter().enumerate().filter_map(|(place, column)| {
        let reference = column.reference.as_ref()?;
        let name = ident(&name::of(table, Constraint::Reference(place)));
        let key = foreign_key(schema, &column.name, reference);
        Some(format!("ALTER TABLE {} ADD CONSTRAINT {name} {key}", qualified(schema, &table.name)))
    });
    references.collect()
}

/// Checked when the transaction ends, so that rows may come in any order.
fn foreign_key(schema: &str, column: &str, reference: &Reference) -> String {
    let action = match reference.on_delete {
        OnDelete::Restrict => "NO ACTION",
        OnDelete::Cascade => "CASCADE",
        OnDelete::SetNull => "SET NULL",
    };
    format!(
        "FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {action} DEFERRABLE INITIALLY DEFERRED",
        ident(column),
        qualified(schema, &reference.table),
        ident(&reference.column)
    )
}

fn indexes(schema: &str, table: &Table) -> Vec<String> {
    let on = qualified(schema, &table.name);
    let references = table.unindexed_references().map(|column| {
        let name = ident(&name::clip(&format!("{}.{}: reference", table.name, column.name)));
        format!("CREATE INDEX {name} ON {on} ({})", ident(&column.name))
    });
    references.collect()
}
