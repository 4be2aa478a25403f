//! Writing schemas in code: what the derives generate and what declares tables at run time.

use super::{ColumnSchema, ColumnType, OnDelete, PartKind, Scope, TableSchema};
use crate::column::Column;
use serde_json::Value as Json;

impl ColumnSchema {
    /// A column that must not be null, with no further properties.
    #[must_use]
    pub fn new(name: impl Into<String>, ty: ColumnType) -> Self {
        Self {
            name: name.into(),
            doc: String::new(),
            ty,
            nullable: false,
            default: None,
            references: None,
            soft: false,
            on_delete: OnDelete::default(),
            scope: None,
            indexed: false,
            immutable: false,
            secret: false,
        }
    }

    /// A column of a Rust type.
    #[must_use]
    pub fn of<T: Column>(name: impl Into<String>) -> Self {
        Self { nullable: T::NULLABLE, ..Self::new(name, T::column_type()) }
    }

    /// The same, documented.
    #[must_use]
    pub fn doc(self, doc: impl Into<String>) -> Self {
        Self { doc: doc.into(), ..self }
    }

    /// The same, allowed to be absent.
    #[must_use]
    pub fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// The same, with what a creation that leaves it out means.
    #[must_use]
    pub fn default(self, default: impl Into<Json>) -> Self {
        Self { default: Some(default.into()), ..self }
    }

    /// The same, with a default that is JSON text. The derives have checked it; any other text that is not JSON
    /// stands for itself, and the schema's check refuses it where the column takes no text.
    #[must_use]
    pub fn default_json(self, json: &str) -> Self {
        self.default(serde_json::from_str(json).unwrap_or_else(|_| Json::from(json)))
    }

    /// The same, holding the key of a row of `table`.
    #[must_use]
    pub fn references(self, table: impl Into<String>) -> Self {
        Self { references: Some(table.into()), indexed: true, ..self }
    }

    /// The same, with a reference that is not enforced.
    #[must_use]
    pub fn soft(self) -> Self {
        Self { soft: true, ..self }
    }

    /// The same, with what the removal of the referenced row does.
    #[must_use]
    pub fn on_delete(self, on_delete: OnDelete) -> Self {
        Self { on_delete, ..self }
    }

    /// The same, with how replication follows the reference.
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// The same, with an index.
    #[must_use]
    pub fn indexed(self) -> Self {
        Self { indexed: true, ..self }
    }

    /// The same, keeping its first value for ever.
    #[must_use]
    pub fn immutable(self) -> Self {
        Self { immutable: true, ..self }
    }

    /// The same, left out of everything that is shown.
    #[must_use]
    pub fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

impl TableSchema {
    /// A table with no columns yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same, with one more key column.
    #[must_use]
    pub fn key(mut self, column: ColumnSchema) -> Self {
        self.key.push(ColumnSchema { indexed: true, immutable: true, ..column });
        self
    }

    /// The same, with a desired part of these columns.
    #[must_use]
    pub fn desired(self, columns: impl Into<Vec<ColumnSchema>>) -> Self {
        Self { desired: columns.into(), has_desired: true, ..self }
    }

    /// The same, with a current part of these columns.
    #[must_use]
    pub fn current(self, columns: impl Into<Vec<ColumnSchema>>) -> Self {
        Self { current: columns.into(), has_current: true, ..self }
    }

    /// The same, connecting the rows that these two reference columns hold.
    #[must_use]
    pub fn join(self, left: impl Into<String>, right: impl Into<String>) -> Self {
        Self { join: Some((left.into(), right.into())), ..self }
    }

    /// The columns of a part, without the key's.
    #[must_use]
    pub fn part(&self, kind: PartKind) -> &[ColumnSchema] {
        match kind {
            PartKind::Desired => &self.desired,
            PartKind::Current => &self.current,
        }
    }

    /// Whether rows have that part.
    #[must_use]
    pub const fn has_part(&self, kind: PartKind) -> bool {
        match kind {
            PartKind::Desired => self.has_desired,
            PartKind::Current => self.has_current,
        }
    }

    /// Every column: those of the key, of the desired part, of the current part.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnSchema> {
        self.key.iter().chain(&self.desired).chain(&self.current)
    }
}
