//! The cloud as one JSON document over the rows: paths, reading, and requests that change it as pure functions.
//!
//! - [`Tree`] is the tree of endpoints, computed from the mounts of the schema; [`Tree::describe`] shows it.
//! - [`Reader`] reads entities and collections as one [`Caller`] may see them.
//! - [`Replay`] turns commits into [`Event`]s, of which a [`Watch`] says what they are to somebody who watches.
//! - [`evaluate`] turns a request into its [`Effect`], operations on rows, or says why not. It works on a draft over
//!   the rows: every operation of a patch sees what those before it did, and nothing is changed by a refused one.
//!
//! It performs no I/O and makes nothing durable: whoever calls it commits the effect (`pony-store`) and brings
//! memory up to date. It does not decide who the caller is, and knows nothing of HTTP but the shape of URLs.

mod access;
mod addresses;
mod apply;
mod body;
mod bounds;
mod called;
mod change;
mod create;
mod describe;
mod draft;
mod effect;
mod error;
mod lifecycle;
mod list;
mod number;
mod operation;
mod pointer;
mod query;
mod read;
mod replay;
mod resolve;
mod rows;
mod settle;
mod tree;
mod verify;
mod watch;
mod within;
mod write;

pub use access::{AccessMode, Caller, Grant};
pub use body::{DEPTH_MAX, check_body, parse_body};
pub use bounds::{JSON_BYTES_MAX, LIST_ITEMS_MAX, TEXT_CHARS_MAX, text_chars_max};
pub use draft::ROWS_MAX;
pub use effect::Effect;
pub use error::{DocumentError, ErrorCode, Problem};
pub use list::Listing;
pub use operation::OPERATIONS_MAX;
pub use pointer::{PATH_TOKENS_MAX, Pointer, UrlPath};
pub use query::Query;
pub use read::{PlaceKind, Reader, show_part};
pub use replay::{Event, Replay};
pub use rows::{Cells, Rows};
pub use tree::{Endpoint, EndpointId, Tree, TreeError};
pub use watch::{Sight, Watch};
pub use write::{Write, evaluate};
