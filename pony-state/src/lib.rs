//! Dual-state tables.
