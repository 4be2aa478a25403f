//! What a URL's query asks of a collection: filters, pages, fields.

use super::describe::shown;
use super::error::{DocumentError, Problem};
use super::pointer::Pointer;
use pony_state::{PartKind, TableDef, Value};

/// `?column=value…&limit=N&after=KEY&fields=a,b`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Columns and the text of the values that they must have, in either part.
    pub filters: Vec<(String, String)>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Only those beyond this one.
    pub after: Option<String>,
    /// Only these columns.
    pub fields: Option<Vec<String>>,
}

impl Query {
    /// Reads the pairs of a query. Everything but `limit`, `after` and `fields` is a filter.
    ///
    /// # Errors
    /// [`Problem::Filter`], where the limit is not a positive whole number.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, DocumentError> {
        let mut query = Self::default();
        for (name, value) in pairs {
            match name {
                "limit" => match value.parse() {
                    Ok(limit) if limit > 0 => query.limit = Some(limit),
                    _ => {
                        let reason = "a positive whole number is needed".to_owned();
                        let problem = Problem::Filter { column: "limit".to_owned(), reason };
                        return Err(DocumentError::anywhere(problem));
                    }
                },
                "after" => query.after = Some(value.to_owned()),
                "fields" => query.fields = Some(value.split(',').map(str::to_owned).collect()),
                column => query.filters.push((column.to_owned(), value.to_owned())),
            }
        }
        Ok(query)
    }

    /// The filters as values of a table's columns. Checks the fields, too.
    pub(super) fn resolve(
        &self,
        table: &TableDef,
        at: &Pointer,
    ) -> Result<Vec<(String, Value)>, DocumentError> {
        for field in self.fields.iter().flatten() {
            known(table, field, at)?;
        }
        let filter = |(column, text): &(String, String)| {
            known(table, column, at)?;
            let value = table.parse_filter(column, text).map_err(|problem| {
                DocumentError::at(at, Problem::Filter { column: column.clone(), reason: problem.to_string() })
            })?;
            Ok((column.clone(), value))
        };
        self.filters.iter().map(filter).collect()
    }
}

/// Refuses columns that are not there, or not shown: a filter must not find out what cannot be seen.
pub(super) fn known(table: &TableDef, column: &str, at: &Pointer) -> Result<(), DocumentError> {
    let schema = table.schema();
    let mut names: Vec<&str> = schema.key.iter().map(|it| it.name.as_str()).collect();
    for kind in PartKind::BOTH {
        names.extend(shown(schema, kind).map(|it| it.name.as_str()));
    }
    if names.contains(&column) {
        return Ok(());
    }
    names.dedup();
    let problem = Problem::UnknownField {
        table: table.name().to_owned(),
        column: column.to_owned(),
        known: names.into_iter().map(str::to_owned).collect(),
    };
    Err(DocumentError::at(at, problem))
}
