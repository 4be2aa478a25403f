//! Column values without their Rust types: what indexes, keys, the wire, SQL and bindings are made of.

use crate::net::{Cidr, Inet, Mac};
use serde_json::Value as Json;
use std::sync::Arc;
use uuid::Uuid;

/// A shared, immutable string: cloning one costs a reference count, not an allocation.
pub type Text = Arc<str>;

/// The value of one column.
///
/// `Null` stands for an absent member; it is never stored in a column that is not nullable.
/// Values are totally ordered (by kind first), so that they can key an index and sort a listing;
/// floats order by [`f64::total_cmp`].
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// Truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number; never NaN or infinite once it passed a schema.
    Float(f64),
    /// A UUID.
    Uuid(Uuid),
    /// Text; also the value of an enumeration.
    Text(Text),
    /// An address with an optional prefix length.
    Inet(Inet),
    /// An address range in CIDR notation.
    Cidr(Cidr),
    /// A MAC address.
    Mac(Mac),
    /// A half-open range of whole numbers, `start..end`.
    Range(i64, i64),
    /// A JSON value with no further schema.
    Json(Arc<Json>),
    /// A list of values of one type.
    List(Arc<[Value]>),
}

/// A primary key: the values of the key columns in declaration order (mostly one, sometimes two).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub Box<[Value]>);
