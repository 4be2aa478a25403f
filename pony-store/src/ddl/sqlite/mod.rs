//! The SQLite dialect.
//!
//! Everything is plain SQL that a `sqlite3` shell from 3.40 on understands: no function of this program is
//! needed to write to the file by hand, and every constraint holds there too. What SQLite has no words for is a
//! trigger: unchangeable columns, overlapping ranges, addresses and address ranges in their one right form
//! ([`address`]), items of lists. Two things that a shell may do would get past constraints and feed, and are
//! refused: writing while `PRAGMA foreign_keys` is off (that is the shell's default), and `INSERT OR REPLACE`
//! over an existing row.

mod address;
mod cell;
mod tag;
mod trigger;
mod types;

pub(crate) use cell::{Cell, decode, encode, to_value};
pub(crate) use tag::Tag;

use super::plan::{Plan, Reference, Table, Unique};
use super::{Statement, ident, idents};
use pony_state::OnDelete;

/// The tables of this crate's own: which steps the database has had, the counters, the feed.
const OWN_TABLES: [&str; 4] = [
    r#"CREATE TABLE "_migration" (
  "version" INTEGER PRIMARY KEY,
  "name" TEXT NOT NULL,
  "applied_at" TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT"#,
    // `txn`: the number of the transaction that writes. `trimmed`: the last position that the feed has
    // forgotten.
    r#"CREATE TABLE "_meta" (
  "one" INTEGER PRIMARY KEY CHECK ("one" = 1),
  "epoch" INTEGER NOT NULL,
  "txn" INTEGER NOT NULL,
  "trimmed" INTEGER NOT NULL
) STRICT"#,
    r#"INSERT INTO "_meta" ("one", "epoch", "txn", "trimmed") VALUES (1, 0, 0, 0)"#,
    // `row` holds values as the table does (so JSON as text), null where the row is gone.
    r#"CREATE TABLE "_outbox" (
  "seq" INTEGER PRIMARY KEY AUTOINCREMENT,
  "txn" INTEGER NOT NULL,
  "table" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "row" TEXT
) STRICT"#,
];

/// Whoever removes entries of the feed: it says up to where, so that readers who have not seen them load.
const FORGET: &str = r#"CREATE TRIGGER "_outbox.after.delete" AFTER DELETE ON "_outbox" BEGIN
  UPDATE "_meta" SET "trimmed" = OLD."seq" WHERE "trimmed" < OLD."seq";
END"#;

/// All statements that create an empty database.
pub(crate) fn statements(plan: &Plan) -> Vec<Statement> {
    let mut all: Vec<Statement> = OWN_TABLES.into_iter().map(Statement::data).collect();
    all.push(Statement::derived(FORGET));
    all.extend(address::statements().into_iter().map(Statement::derived));
    for table in &plan.tables {
        all.push(Statement::data(create_table(table)));
        all.extend(indexes(table).into_iter().map(Statement::derived));
        all.extend(trigger::statements(plan, table).into_iter().map(Statement::derived));
    }
    all
}

/// One line per column and constraint: migrations compare tables by these lines, whatever their order.
fn create_table(table: &Table) -> String {
    let mut lines: Vec<String> = table.columns.iter().map(|column| types::column(table, column)).collect();
    lines.push(format!("PRIMARY KEY ({})", idents("", table.key().iter().map(|it| &it.name))));
    for column in &table.columns {
        if let Some(reference) = &column.reference {
            lines.push(foreign_key(&column.name, reference));
        }
    }
    for check in &table.checks {
        let name = Tag::Check { table: &table.name, number: check.number }
            .message(&format!("{}: {}", table.name, check.message));
        lines.push(format!("CONSTRAINT {} CHECK ({})", ident(&name), check.sql));
    }
    format!("CREATE TABLE {} (\n  {}\n) STRICT", ident(&table.name), lines.join(",\n  "))
}

/// Checked when the transaction ends, so that rows may come in any order.
fn foreign_key(column: &str, reference: &Reference) -> String {
    let action = match reference.on_delete {
        OnDelete::Restrict => "NO ACTION",
        OnDelete::Cascade => "CASCADE",
        OnDelete::SetNull => "SET NULL",
    };
    format!(
        "FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {action} DEFERRABLE INITIALLY DEFERRED",
        ident(column),
        ident(&reference.table),
        ident(&reference.column)
    )
}

fn indexes(table: &Table) -> Vec<String> {
    let name = |what: &str, number: &str| ident(&format!("{}.{what}.{number}", table.name));
    let on = ident(&table.name);
    let unique = table.uniques.iter().map(|unique| {
        let columns = unique.columns.iter().map(|column| unique_term(unique, "", column));
        let columns: Vec<String> = columns.collect();
        let name = name("unique", &unique.number.to_string());
        format!("CREATE UNIQUE INDEX {name} ON {on} ({})", columns.join(", "))
    });
    let overlap = table.overlaps.iter().map(|overlap| {
        let name = name("overlap", &overlap.number.to_string());
        let start = trigger::range_start(&ident(&overlap.range));
        format!("CREATE INDEX {name} ON {on} ({}, {start})", ident(&overlap.within))
    });
    let references = table.unindexed_references().map(|column| {
        format!("CREATE INDEX {} ON {on} ({})", name("reference", &column.name), ident(&column.name))
    });
    unique.chain(overlap).chain(references).collect()
}

/// How a column stands in a unique set. Where nulls are equal, a blob stands for them, which no column can
/// hold.
fn unique_term(unique: &Unique, prefix: &str, column: &str) -> String {
    let column = format!("{prefix}{}", ident(column));
    if unique.nulls_equal { format!("ifnull({column}, x'')") } else { column }
}
