//! Dual-state tables.

mod row_op;

pub use row_op::{Columns, RowOp};
