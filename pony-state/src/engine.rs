//! The data structures under the tables: copy-on-write in pages, so that a snapshot costs one reference count and
//! a commit copies only the pages that a living snapshot still shares.
//!
//! Rows lie in a [`slab::Slab`] and are named by `u32` row ids; everything else holds row ids only: the primary
//! hash index, the order of keys, a posting list per index value. Nothing here knows of transactions.

pub(crate) mod hash_index;
pub(crate) mod id_set;
pub(crate) mod index;
pub(crate) mod paged;
pub(crate) mod slab;
pub(crate) mod sorted;
