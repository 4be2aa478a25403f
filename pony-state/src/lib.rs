//! Dual-state tables: every row has a *desired* part (what somebody ordered) and a *current* part (what is), either
//! of which may be absent, under one primary key.
//!
//! The crate holds such tables in memory for one writer and many readers: indexes over both parts, N:M joins,
//! transactions, a feed of changes, snapshots in O(1). It opens no file or socket, reads no clock and draws no
//! randomness. Durability is somebody else's: it enforces neither references nor rules, it only knows that they were
//! declared.
//!
//! # Declaring tables
//!
//! A table is a struct of key fields and one or two parts. Everything else follows from it: typed access, access
//! without Rust types (for the wire, documents, bindings), the schema as data ([`TableSchema`]) for DDL and endpoints.
//!
//! ```
//! use pony_state::{Entity, Enum, Mac, Part, Read, State, Text};
//! use uuid::Uuid;
//!
//! /// A machine.
//! #[derive(Debug, Clone, PartialEq, Entity)]
//! #[entity(table = "host", user_key, mount(path = "/host", access = "protected"))]
//! struct Host {
//!     #[entity(key)]
//!     uuid: Uuid,
//!     desired: Option<HostDesired>,
//! }
//!
//! #[derive(Debug, Clone, PartialEq, Part)]
//! struct HostDesired {
//!     #[part(index)]
//!     name: Option<Text>,
//! }
//!
//! /// An Ethernet card.
//! #[derive(Debug, Clone, PartialEq, Entity)]
//! #[entity(table = "nic", user_key, mount(path = "/host/nic", access = "protected", via = "host"))]
//! struct Nic {
//!     #[entity(key)]
//!     hwaddr: Mac,
//!     desired: Option<NicDesired>,
//!     current: Option<NicCurrent>,
//! }
//!
//! #[derive(Debug, Clone, PartialEq, Part)]
//! struct NicDesired {
//!     /// The host that it should sit in.
//!     #[part(references = "host", on_delete = "cascade", scope = "follows")]
//!     host: Uuid,
//! }
//!
//! #[derive(Debug, Clone, PartialEq, Part)]
//! struct NicCurrent {
//!     /// The host that it does sit in.
//!     #[part(references = "host")]
//!     host: Uuid,
//!     status: NicStatus,
//! }
//!
//! #[derive(Debug, Clone, Copy, PartialEq, Enum)]
//! enum NicStatus {
//!     Missing,
//!     Ready,
//! }
//!
//! let mut state = State::builder().table::<Host>().table::<Nic>().build()?;
//!
//! let (nic, ordered, found) = (Mac([2, 0, 0, 0, 0, 1]), Uuid::from_u128(1), Uuid::from_u128(2));
//! let mut tx = state.transaction();
//! tx.set_desired::<Nic>(&nic, NicDesired { host: ordered });
//! tx.set_current::<Nic>(&nic, NicCurrent { host: found, status: NicStatus::Ready });
//! let commit = tx.commit();
//! assert_eq!(commit.len(), 1);
//!
//! // A look-up finds a row by either part.
//! assert_eq!(state.table::<Nic>().find("host", ordered).count(), 1);
//! assert_eq!(state.table::<Nic>().find("host", found).count(), 1);
//!
//! // A snapshot never changes.
//! let snapshot = state.snapshot();
//! let mut tx = state.transaction();
//! tx.remove::<Nic>(&nic);
//! tx.commit();
//! assert!(snapshot.get::<Nic>(&nic).is_some() && state.get::<Nic>(&nic).is_none());
//! # Ok::<_, pony_state::SchemaError>(())
//! ```
//!
//! See [`derive@Entity`], [`derive@Part`] and [`derive@Enum`] for all attributes, [`Column`] for the types that
//! columns may have, [`as_text`] and [`as_json`] for those of other crates. Tables that are known only at run time are
//! declared by [`StateBuilder::table_dyn`].
//!
//! # The examples
//!
//! Most items are shown with lamps: a `Lamp` has its room as key and a `Light` in either part, with `percent` and
//! `colour` (there is an index of that); a `Switch` has a name; a `Wire` joins switches with lamps. In the `state` that
//! the examples begin with, version 1, the lamp in the hall should shine with 80 percent and does with 20, the one in the
//! attic should with 50 and does not; a wire leads from the switch at the door to the lamp in the hall. `light(80)` is a
//! `Light` of 80 percent without colour.
//!
//! # The two doors
//!
//! [`Read`] (of a [`State`], [`Transaction`], [`Snapshot`] or [`View`]) and [`Transaction`] offer everything twice:
//!
//! | | typed | by name |
//! |---|---|---|
//! | a table | [`Read::table`]: [`Table`] | [`Read::any`], [`View::tables`]: [`AnyTable`] |
//! | a row | [`Read::get`]: the entity itself | [`AnyTable::get`]: [`AnyRow`]; [`Key`], [`Value`], JSON |
//! | look-ups | [`Table::find`], [`Table::filter`], [`Table::select`] | [`AnyTable::find`], [`AnyTable::filter`], [`AnyTable::select`] |
//! | in order | [`Table::ordered`], [`Table::after`] | [`AnyTable::ordered`], [`AnyTable::after`] |
//! | joins | [`Read::joined`] | [`View::joined_any`] |
//! | a whole row | [`Transaction::put`], [`Transaction::remove`] | [`Transaction::put_values`], [`Transaction::put_json`], [`Transaction::remove_row`] |
//! | a part | [`Transaction::set_desired`], [`Transaction::set_current`] | [`Transaction::set`], [`Transaction::set_json`] |
//! | some columns | [`Transaction::update_desired`], [`Transaction::update_current`] | [`Transaction::patch_json`], [`Transaction::apply_op`] |
//! | no part | [`Transaction::remove_desired`], [`Transaction::remove_current`] | [`Transaction::remove_part`] |
//! | changes | [`Change::row`] | [`Change::before`], [`Change::after`] |
//!
//! What a caller gets wrong in the program (a table that the schema lacks, a column that the table lacks) is a panic at
//! the typed door, and an error at the other, where names come from outside. Both look at the same tables: a table with a
//! row type has both, one declared at run time the second (with [`DynRow`] as its rows).
//!
//! # How it is built
//!
//! Rows lie in pages that are copied on write, and only where a living snapshot shares them; nothing is published
//! at a commit. Indexes hold 32-bit row ids. [`Read::check_invariants`] recomputes all of them from the rows.
//!
//! [`sync`] replicates parts between two processes; it shares nothing with the tables but the vocabulary.

#![forbid(unsafe_code)]

mod change;
mod codec;
mod column;
#[doc(hidden)]
pub mod derived;
mod doors;
mod dynamic;
mod engine;
mod feed;
mod foreign;
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
pub use codec::{KeyColumns, PartError, RowValues};
pub use column::{Column, Json, Range};
pub use dynamic::{DynPart, DynRow};
pub use feed::{FeedError, Subscription};
pub use foreign::{as_json, as_text};
pub use net::{Cidr, Inet, Mac, NetError};
pub use pony_state_derive::{Entity, Enum, Part};
pub use read::{
    AnyRow, AnyRows, AnyTable, Finder, Joined, Joiner, Read, Rows, Table, TableName, UnknownColumn, View,
};
pub use row::{ColumnError, Entity, NoPart, Part, PartValues, Row, read_column};
pub use row_op::{Columns, RowOp};
pub use schema::{
    ColumnPlaces, ColumnSchema, ColumnType, Mount, OnDelete, PartKind, QuotaRule, Rule, Schema, SchemaError,
    Scope, Stored, TableDef, TableId, TableSchema,
};
pub use state::{Draft, RowList, SharedState, Snapshot, State, StateBuilder};
pub use table::InvariantError;
pub use transaction::Transaction;
pub use value::{Key, KeyError, Text, Value, ValueError};

/// The README's example is true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
