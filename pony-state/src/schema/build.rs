//! Writing schemas in code: what the derives generate and what declares tables at run time.

use super::{ColumnSchema, ColumnType, OnDelete, PartKind, Scope, TableSchema};
use crate::column::Column;
use serde_json::Value as Json;
use std::ops::RangeInclusive;

impl ColumnSchema {
    /// A column that must not be null, with no further properties.
    ///
    /// ```
    /// use pony_state::{ColumnSchema, ColumnType};
    ///
    /// let percent = ColumnSchema::new("percent", ColumnType::Int);
    /// assert!(!percent.nullable && !percent.indexed);
    /// ```
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
            range: None,
        }
    }

    /// A column of a Rust type.
    ///
    /// ```
    /// use pony_state::{ColumnSchema, ColumnType};
    ///
    /// assert_eq!(ColumnSchema::of::<Option<u8>>("vlan"), ColumnSchema::new("vlan", ColumnType::Int).nullable());
    /// ```
    #[must_use]
    pub fn of<T: Column>(name: impl Into<String>) -> Self {
        Self { nullable: T::NULLABLE, ..Self::new(name, T::column_type()) }
    }

    /// The same, documented.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// assert_eq!(ColumnSchema::new("percent", ColumnType::Int).doc("How bright.").doc, "How bright.");
    /// ```
    #[must_use]
    pub fn doc(self, doc: impl Into<String>) -> Self {
        Self { doc: doc.into(), ..self }
    }

    /// The same, allowed to be absent.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// assert!(ColumnSchema::new("colour", ColumnType::Text).nullable().nullable);
    /// ```
    #[must_use]
    pub fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// The same, with what a creation that leaves it out means.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// assert_eq!(ColumnSchema::new("percent", ColumnType::Int).default(50).default, Some(50.into()));
    /// ```
    #[must_use]
    pub fn default(self, default: impl Into<Json>) -> Self {
        Self { default: Some(default.into()), ..self }
    }

    /// The same, with a default that is JSON text. The derives have checked it; any other text that is not JSON
    /// stands for itself, and the schema's check refuses it where the column takes no text.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// let options = ColumnSchema::new("options", ColumnType::Json).default_json(r#"{"quiet": true}"#);
    /// assert_eq!(options.default, Some(serde_json::json!({"quiet": true})));
    /// ```
    #[must_use]
    pub fn default_json(self, json: &str) -> Self {
        self.default(serde_json::from_str(json).unwrap_or_else(|_| Json::from(json)))
    }

    /// The same, holding the key of a row of `table`.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// let host = ColumnSchema::new("host", ColumnType::Uuid).references("host");
    /// assert!(host.indexed);
    /// ```
    #[must_use]
    pub fn references(self, table: impl Into<String>) -> Self {
        Self { references: Some(table.into()), indexed: true, ..self }
    }

    /// The same, with a reference that is not enforced.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// assert!(ColumnSchema::new("host", ColumnType::Uuid).references("host").soft().soft);
    /// ```
    #[must_use]
    pub fn soft(self) -> Self {
        Self { soft: true, ..self }
    }

    /// The same, with what the removal of the referenced row does.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType, OnDelete};
    /// let host = ColumnSchema::new("host", ColumnType::Uuid).references("host").on_delete(OnDelete::Cascade);
    /// assert_eq!(host.on_delete, OnDelete::Cascade);
    /// ```
    #[must_use]
    pub fn on_delete(self, on_delete: OnDelete) -> Self {
        Self { on_delete, ..self }
    }

    /// The same, with how replication follows the reference.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType, Scope};
    /// let host = ColumnSchema::new("host", ColumnType::Uuid).references("host").scope(Scope::Follows);
    /// assert_eq!(host.scope, Some(Scope::Follows));
    /// ```
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// The same, with an index.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// assert!(ColumnSchema::new("colour", ColumnType::Text).indexed().indexed);
    /// ```
    #[must_use]
    pub fn indexed(self) -> Self {
        Self { indexed: true, ..self }
    }

    /// The same, keeping its first value for ever.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// assert!(ColumnSchema::new("size_mib", ColumnType::Int).immutable().immutable);
    /// ```
    #[must_use]
    pub fn immutable(self) -> Self {
        Self { immutable: true, ..self }
    }

    /// The same, bounded on both sides.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// assert_eq!(ColumnSchema::new("percent", ColumnType::Int).range(0..=100).range, Some((0, 100)));
    /// ```
    #[must_use]
    pub fn range(self, range: RangeInclusive<i64>) -> Self {
        Self { range: Some(range.into_inner()), ..self }
    }

    /// The same, left out of everything that is shown.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType};
    /// assert!(ColumnSchema::new("password", ColumnType::Text).secret().secret);
    /// ```
    #[must_use]
    pub fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

impl TableSchema {
    /// A table with no columns yet.
    ///
    /// ```
    /// use pony_state::TableSchema;
    ///
    /// assert_eq!(TableSchema::new("lamp").name, "lamp");
    /// ```
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same, with one more key column.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType, TableSchema};
    /// let id = |name| ColumnSchema::new(name, ColumnType::Text);
    /// let wire = TableSchema::new("wire").key(id("switch")).key(id("lamp"));
    /// assert!(wire.key.iter().all(|column| column.immutable));
    /// ```
    #[must_use]
    pub fn key(mut self, column: ColumnSchema) -> Self {
        self.key.push(ColumnSchema { indexed: true, immutable: true, ..column });
        self
    }

    /// The same, with a desired part of these columns.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType, TableSchema};
    /// let lamp = TableSchema::new("lamp").desired([ColumnSchema::new("percent", ColumnType::Int)]);
    /// assert!(lamp.has_desired && !lamp.has_current);
    /// // A part may be without columns: it is there, or it is not.
    /// assert!(TableSchema::new("switch").desired([]).has_desired);
    /// ```
    #[must_use]
    pub fn desired(self, columns: impl Into<Vec<ColumnSchema>>) -> Self {
        Self { desired: columns.into(), has_desired: true, ..self }
    }

    /// The same, with a current part of these columns.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType, TableSchema};
    /// let lamp = TableSchema::new("lamp").current([ColumnSchema::new("percent", ColumnType::Int)]);
    /// assert!(lamp.has_current);
    /// ```
    #[must_use]
    pub fn current(self, columns: impl Into<Vec<ColumnSchema>>) -> Self {
        Self { current: columns.into(), has_current: true, ..self }
    }

    /// The same, connecting the rows that these two reference columns hold.
    ///
    /// ```
    /// # use pony_state::{ColumnSchema, ColumnType, TableSchema};
    /// let wire = TableSchema::new("wire")
    ///     .key(ColumnSchema::new("switch", ColumnType::Text).references("switch"))
    ///     .key(ColumnSchema::new("lamp", ColumnType::Text).references("lamp"))
    ///     .desired([])
    ///     .join("switch", "lamp");
    /// assert!(wire.join.is_some());
    /// ```
    #[must_use]
    pub fn join(self, left: impl Into<String>, right: impl Into<String>) -> Self {
        Self { join: Some((left.into(), right.into())), ..self }
    }

    /// The columns of a part, without the key's.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let lamp = state.table::<Lamp>().def().schema();
    /// assert_eq!(lamp.part(PartKind::Current)[0].name, "percent");
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub fn part(&self, kind: PartKind) -> &[ColumnSchema] {
        match kind {
            PartKind::Desired => &self.desired,
            PartKind::Current => &self.current,
        }
    }

    /// Whether rows have that part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let switch = state.table::<Switch>().def().schema();
    /// assert!(switch.has_part(PartKind::Desired) && !switch.has_part(PartKind::Current));
    /// # Ok::<_, SchemaError>(())
    /// ```
    #[must_use]
    pub const fn has_part(&self, kind: PartKind) -> bool {
        match kind {
            PartKind::Desired => self.has_desired,
            PartKind::Current => self.has_current,
        }
    }

    /// Every column: those of the key, of the desired part, of the current part.
    ///
    /// ```
    /// # use pony_state::*;
    /// # use pony_state_docs::*;
    /// # let mut state = house()?;
    /// let wire = state.table::<Wire>().def().schema();
    /// assert!(wire.columns().map(|column| &*column.name).eq(["switch", "lamp"]));
    /// # Ok::<_, SchemaError>(())
    /// ```
    pub fn columns(&self) -> impl Iterator<Item = &ColumnSchema> {
        self.key.iter().chain(&self.desired).chain(&self.current)
    }
}
