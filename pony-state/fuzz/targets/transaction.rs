//! `cargo fuzz run transaction`: see `entries/transaction.rs`.

#![no_main]

#[path = "../entries/transaction.rs"]
mod transaction;

libfuzzer_sys::fuzz_target!(|data: &[u8]| transaction::run(data));
