//! What a write does to desired parts, as data: the language between whoever evaluates a write and whoever makes
//! it durable. It knows neither of them, and applies nothing itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// A JSON object of columns, by name. Nulls are written out where they matter (an update to null).
///
/// ```
/// let columns: pony_state::Columns = serde_json::from_str(r#"{"percent": 80}"#)?;
/// assert_eq!(columns["percent"], 80);
/// # Ok::<_, serde_json::Error>(())
/// ```
pub type Columns = Map<String, Json>;

/// One change of one desired part.
///
/// A list of them is applied in its order, in one transaction: whoever makes the list puts referenced rows before
/// the rows that reference them, and removals of dependent rows before the removal of what they depend on.
///
/// ```
/// use pony_state::RowOp;
///
/// let op = r#"{"op":"delete","table":"lamp","key":{"room":"hall"}}"#;
/// let delete: RowOp = serde_json::from_str(op)?;
/// assert!(matches!(&delete, RowOp::Delete { key, .. } if key["room"] == "hall"));
/// assert_eq!(serde_json::to_string(&delete)?, op);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "op")]
pub enum RowOp {
    /// A desired part that was not there.
    Insert {
        /// The table.
        table: String,
        /// All columns, the key's included; columns that are null may be left out.
        row: Columns,
    },
    /// Other values for some columns of a desired part.
    Update {
        /// The table.
        table: String,
        /// The key columns.
        key: Columns,
        /// The columns that change, none of the key; null where the column becomes null.
        columns: Columns,
    },
    /// No desired part any more.
    Delete {
        /// The table.
        table: String,
        /// The key columns.
        key: Columns,
    },
}

impl RowOp {
    /// The table that it concerns.
    ///
    /// ```
    /// let op = pony_state::RowOp::Delete { table: "lamp".into(), key: Default::default() };
    /// assert_eq!(op.table(), "lamp");
    /// ```
    #[must_use]
    pub fn table(&self) -> &str {
        match self {
            RowOp::Insert { table, .. } | RowOp::Update { table, .. } | RowOp::Delete { table, .. } => table,
        }
    }
}
