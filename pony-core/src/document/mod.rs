//! The cloud as one JSON document.
mod access;
mod describe;
mod error;
mod pointer;
mod query;
mod read;
mod resolve;
mod rows;
mod tree;
pub use access::*;
pub use error::*;
pub use pointer::*;
pub use query::*;
pub use read::*;
pub use rows::*;
pub use tree::*;
