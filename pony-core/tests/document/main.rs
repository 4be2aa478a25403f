//! The document over the real tables: what reads show, what writes come to, what is refused and how.

mod cloud;
mod errors;
mod reading;
mod schema;
mod semantics;
mod writing;
