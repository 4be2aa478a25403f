//! `cargo fuzz run message`: see `entries/message.rs`.

#![no_main]

#[path = "../entries/message.rs"]
mod message;

libfuzzer_sys::fuzz_target!(|data: &[u8]| message::run(data));
