//! Names of constraints. PostgreSQL's messages repeat them, so they say in the API's words what is asked for:
//! `instance: rcpu must not exceed vcpu`. A name takes 63 bytes; a longer one is cut, and numbered where the rest
//! would not tell it from another.

use crate::ddl::plan::Table;
use std::collections::HashMap;

/// Bytes of an identifier that PostgreSQL keeps.
const NAME_BYTES_MAX: usize = 63;

/// A constraint of a table, by its place among those of its kind; those of columns by the column's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constraint {
    Key,
    Type(usize),
    Check(usize),
    Unique(usize),
    Overlap(usize),
    Reference(usize),
}

/// All constraints of a table by their names.
pub(crate) fn constraints(table: &Table) -> HashMap<String, Constraint> {
    all(table).into_iter().map(|(constraint, name)| (name, constraint)).collect()
}

/// The name of one.
pub(super) fn of(table: &Table, constraint: Constraint) -> String {
    let found = all(table).into_iter().find(|(it, _)| *it == constraint);
    found.map(|(_, name)| name).unwrap_or_default()
}

fn all(table: &Table) -> Vec<(Constraint, String)> {
    let mut named: Vec<(Constraint, String)> = Vec::new();
    for (constraint, text) in texts(table) {
        let mut name = clip(&text);
        if named.iter().any(|(_, other)| *other == name) {
            let number = format!("~{}", named.len());
            let mut end = NAME_BYTES_MAX - number.len();
            while !name.is_char_boundary(end.min(name.len())) {
                end -= 1;
            }
            name.truncate(end);
            name.push_str(&number);
        }
        named.push((constraint, name));
    }
    named
}

fn texts(table: &Table) -> Vec<(Constraint, String)> {
    let name = &table.name;
    let mut all = vec![(Constraint::Key, format!("{name}: the key must be unique"))];
    for (place, column) in table.columns.iter().enumerate() {
        all.push((Constraint::Type(place), format!("{name}.{}: must be {}", column.name, column.ty)));
        if let Some(reference) = &column.reference {
            let text = format!("{name}.{}: needs its {}", column.name, reference.table);
            all.push((Constraint::Reference(place), text));
        }
    }
    let checks = table.checks.iter().enumerate();
    all.extend(checks.map(|(place, check)| (Constraint::Check(place), format!("{name}: {}", check.message))));
    let uniques = table.uniques.iter().enumerate();
    all.extend(uniques.map(|(place, unique)| {
        (Constraint::Unique(place), format!("{name}.{}: must be unique", unique.columns.join(", ")))
    }));
    let overlaps = table.overlaps.iter().enumerate();
    all.extend(overlaps.map(|(place, overlap)| {
        let text = format!("{name}.{}: must not overlap in one {}", overlap.range, overlap.within);
        (Constraint::Overlap(place), text)
    }));
    all
}

/// What is left of a text as a name.
pub(super) fn clip(text: &str) -> String {
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
