//! What a database has to hold for a set of tables, before any dialect: references resolved to the column that
//! they name, rules checked against the columns that they speak of, and who refers to whom.

use super::check;
use super::quota::{self, Quota};
use crate::error::SchemaError;
use pony_state::{ColumnSchema, ColumnType, OnDelete, Rule, Stored, TableSchema};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::Arc;

/// The tables of a database.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order of their declaration.
    pub(crate) tables: Vec<Table>,
    by_name: HashMap<Arc<str>, usize>,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: Arc<str>,
    /// The key's first, in order.
    pub(crate) columns: Vec<Column>,
    /// How many of them are the key.
    pub(crate) key_len: usize,
    pub(crate) uniques: Vec<Unique>,
    pub(crate) checks: Vec<Check>,
    pub(crate) overlaps: Vec<Overlap>,
    pub(crate) insides: Vec<Inside>,
    pub(crate) quotas: Vec<Quota>,
    /// The `Inside` rules of other tables whose range lies in this one: (table, number of the rule's place
    /// there).
    pub(crate) encloses: Vec<(usize, usize)>,
    /// Columns (of any table) that refer to this one: (table, column).
    pub(crate) referrers: Vec<(usize, usize)>,
}

/// One column.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: ColumnType,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Json>,
    /// Not set for key columns, whose immutability goes without saying.
    pub(crate) immutable: bool,
    pub(crate) reference: Option<Reference>,
}

/// A reference that the database enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) table: Arc<str>,
    pub(crate) column: String,
    pub(crate) on_delete: OnDelete,
}

/// A set of columns that is unique. `number`, here and below, counts the rules of the table's declaration.
#[derive(Debug)]
pub(crate) struct Unique {
    pub(crate) number: usize,
    pub(crate) columns: Vec<String>,
    pub(crate) nulls_equal: bool,
}

/// A condition over one row.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) number: usize,
    pub(crate) sql: String,
    pub(crate) message: String,
}

/// A range that does not overlap others of the same group.
#[derive(Debug)]
pub(crate) struct Overlap {
    pub(crate) number: usize,
    pub(crate) within: String,
    pub(crate) range: String,
}

/// An address inside a range of the row that it refers to.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) column: String,
    pub(crate) via: String,
    /// The table that `via` refers to, and its key column.
    pub(crate) parent: Reference,
    pub(crate) range: String,
}

impl Plan {
    /// Checks the tables and resolves what they say of each other.
    pub(crate) fn new(schemas: &[TableSchema]) -> Result<Self, SchemaError> {
        check::names(schemas)?;
        let stored: Vec<&TableSchema> = schemas.iter().filter(|schema| is_stored(schema)).collect();
        let mut tables = stored.iter().map(|schema| table(schema, schemas)).collect::<Result<Vec<_>, _>>()?;
        let by_name: HashMap<Arc<str>, usize> =
            tables.iter().enumerate().map(|(index, table)| (Arc::clone(&table.name), index)).collect();
        link(&mut tables, &by_name);
        Ok(Self { tables, by_name })
    }

    /// The table of that name.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.by_name.get(name).map(|&index| &self.tables[index])
    }
}

impl Table {
    /// The key columns.
    pub(crate) fn key(&self) -> &[Column] {
        &self.columns[..self.key_len]
    }

    /// The names of all columns, for whoever is given their values.
    pub(crate) fn column_names(&self) -> Arc<[String]> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The column of that name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// References whose columns no key or unique set finds already: they need an index, or else each removal of
    /// a referenced row would read the whole table.
    pub(crate) fn unindexed_references(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().enumerate().filter_map(|(place, column)| {
            let unique = self.uniques.iter().any(|it| !it.nulls_equal && it.columns[0] == column.name);
            (column.reference.is_some() && place != 0 && !unique).then_some(column)
        })
    }
}

/// Whether the database keeps rows of it.
pub(super) fn is_stored(schema: &TableSchema) -> bool {
    schema.has_desired && schema.stored == Stored::Database
}

fn table(schema: &TableSchema, schemas: &[TableSchema]) -> Result<Table, SchemaError> {
    check::shape(schema)?;
    let key = schema.key.iter().map(|it| column(schema, it, true, schemas));
    let desired = schema.desired.iter().map(|it| column(schema, it, false, schemas));
    let mut table = Table {
        name: Arc::from(schema.name.as_str()),
        columns: key.chain(desired).collect::<Result<_, _>>()?,
        key_len: schema.key.len(),
        uniques: Vec::new(),
        checks: Vec::new(),
        overlaps: Vec::new(),
        insides: Vec::new(),
        quotas: Vec::new(),
        encloses: Vec::new(),
        referrers: Vec::new(),
    };
    for (number, rule) in schema.rules.iter().enumerate() {
        add_rule(&mut table, number, rule, schemas)?;
    }
    let bounded = schema.desired.iter().filter_map(range_check);
    table.checks.extend(bounded.enumerate().map(|(at, (sql, message))| {
        let number = schema.rules.len() + at;
        Check { number, sql, message }
    }));
    Ok(table)
}

/// The bounds of a column as a condition, and what to say where they are broken.
fn range_check(column: &ColumnSchema) -> Option<(String, String)> {
    let (min, max) = column.range?;
    let name = &column.name;
    let or_null = if column.nullable { format!("\"{name}\" IS NULL OR ") } else { String::new() };
    let sql = format!("{or_null}\"{name}\" BETWEEN {min} AND {max}");
    Some((sql, format!("{name} must be {min} to {max}")))
}

fn column(
    schema: &TableSchema,
    column: &ColumnSchema,
    is_key: bool,
    schemas: &[TableSchema],
) -> Result<Column, SchemaError> {
    check::column(schema, column)?;
    Ok(Column {
        name: column.name.clone(),
        ty: column.ty.clone(),
        nullable: column.nullable && !is_key,
        default: column.default.clone(),
        immutable: column.immutable && !is_key,
        reference: reference(schema, column, schemas)?,
    })
}

/// What the column refers to, where the database can and shall enforce that.
fn reference(
    schema: &TableSchema,
    column: &ColumnSchema,
    schemas: &[TableSchema],
) -> Result<Option<Reference>, SchemaError> {
    let Some(to) = &column.references else { return Ok(None) };
    let wrong = |problem| SchemaError::Reference {
        table: schema.name.clone(),
        column: column.name.clone(),
        to: to.clone(),
        problem,
    };
    let target = schemas.iter().find(|it| it.name == *to).ok_or_else(|| wrong("is not declared"))?;
    if column.soft {
        return Ok(None);
    }
    if !is_stored(target) {
        return Err(wrong("is not kept in the database: declare the reference `soft`"));
    }
    let [key] = target.key.as_slice() else { return Err(wrong("has a key of several columns")) };
    if key.ty != column.ty {
        return Err(wrong("has a key of another type"));
    }
    if column.on_delete == OnDelete::SetNull && !column.nullable {
        return Err(wrong("cannot null it when it goes: the column must have a value"));
    }
    let reference =
        Reference { table: Arc::from(to.as_str()), column: key.name.clone(), on_delete: column.on_delete };
    Ok(Some(reference))
}

fn add_rule(
    table: &mut Table,
    number: usize,
    rule: &Rule,
    schemas: &[TableSchema],
) -> Result<(), SchemaError> {
    match rule {
        Rule::Unique(columns) | Rule::UniqueNullsEqual(columns) => {
            check::rule_columns(table, columns)?;
            let nulls_equal = matches!(rule, Rule::UniqueNullsEqual(_));
            table.uniques.push(Unique { number, columns: columns.clone(), nulls_equal });
        }
        Rule::Check { sql, message } => {
            table.checks.push(Check { number, sql: sql.clone(), message: message.clone() });
        }
        Rule::NoOverlap { within, range } => {
            check::rule_column(table, within, None)?;
            check::rule_column(table, range, Some(&ColumnType::Range))?;
            table.overlaps.push(Overlap { number, within: within.clone(), range: range.clone() });
        }
        Rule::Inside { column, via, range } => {
            check::rule_column(table, column, Some(&ColumnType::Inet))?;
            let parent = check::rule_column(table, via, None)?.reference.clone();
            let parent = parent.ok_or_else(|| SchemaError::Rule {
                table: table.name.to_string(),
                column: via.clone(),
                problem: "is not an enforced reference",
            })?;
            check::parent_range(schemas, &parent, range)?;
            let (column, via, range) = (column.clone(), via.clone(), range.clone());
            table.insides.push(Inside { column, via, parent, range });
        }
        Rule::Quota(rule) => table.quotas.push(quota::resolve(table, number, rule, schemas)?),
    }
    Ok(())
}

/// Writes down who refers to whom.
fn link(tables: &mut [Table], by_name: &HashMap<Arc<str>, usize>) {
    let mut referrers = Vec::new();
    let mut encloses = Vec::new();
    for (index, table) in tables.iter().enumerate() {
        for (place, column) in table.columns.iter().enumerate() {
            if let Some(reference) = &column.reference {
                referrers.push((by_name[&reference.table], (index, place)));
            }
        }
        for (place, inside) in table.insides.iter().enumerate() {
            encloses.push((by_name[&inside.parent.table], (index, place)));
        }
    }
    for (parent, from) in referrers {
        tables[parent].referrers.push(from);
    }
    for (parent, from) in encloses {
        tables[parent].encloses.push(from);
    }
}
