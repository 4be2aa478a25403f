//! What requests come to.
