//! Dual-state tables.

mod change;
mod codec;
mod column;
mod dynamic;
mod engine;
mod feed;
mod net;
mod read;
mod row;
mod row_op;
mod schema;
mod state;
pub mod sync;
mod table;
mod transaction;
mod value;

pub use change::{Change, Commit, RowChange};
pub use codec::{KeyColumns, PartError};
pub use column::{Column, Json, Range};
pub use dynamic::{DynPart, DynRow};
pub use feed::{FeedError, Subscription};
pub use net::{Cidr, Inet, Mac, NetError};
pub use pony_state_derive::{Entity, Enum, Part};
pub use read::{AnyRow, AnyRows, AnyTable, Joined, Read, Rows, Table, TableName, UnknownColumn, View};
pub use row::{ColumnError, Entity, NoPart, Part, PartValues, Row, read_column};
pub use row_op::{Columns, RowOp};
pub use schema::{
    ColumnPlaces, ColumnSchema, ColumnType, Mount, OnDelete, PartKind, Rule, Schema, SchemaError, Scope,
    Stored, TableDef, TableId, TableSchema,
};
pub use state::{SharedState, Snapshot, State, StateBuilder};
pub use table::InvariantError;
pub use transaction::Transaction;
pub use value::{Key, KeyError, Text, Value, ValueError};
