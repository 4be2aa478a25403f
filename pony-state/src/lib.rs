//! Dual-state tables.

mod row_op;
pub mod schema;
pub mod sync;

pub use row_op::{Columns, RowOp};
pub use schema::PartKind;
