//! What the fuzz targets do (`pony-state/fuzz`, `make fuzz`), without a fuzzer: over their seeds, and over what chance
//! makes of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helper fails the test")]

#[path = "../fuzz/entries/message.rs"]
mod message;
mod seeds;
#[path = "../fuzz/entries/transaction.rs"]
mod transaction;

use std::fs;
use std::path::Path;

/// Inputs that chance makes, for each target.
const INPUTS: u64 = 3_000;

/// Words that a message is made of; chance alone would hardly find them.
const WORDS: [&str; 24] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-",
    "1e999",
    "0",
    "1",
    "\\u0000",
    "\\ud800",
    "\n",
    "\"event\":\"twilight-update-state\"",
    "\"seq\":",
    "\"full\":",
    "\"piece\":",
    "\"more\":true",
    "\"changes\":[",
    "[\"t\",\"k\",\"desired\",",
    "\"epoch\":9",
];

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort_unstable();
    assert!(paths.len() >= 4, "{target} has seeds");
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// An input that was cut, grown, spliced and struck at some places.
fn mutated(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut input = corpus[rng.below(corpus.len())].clone();
    for _ in 0..1 + rng.below(6) {
        let at = rng.below(input.len() + 1);
        match rng.below(7) {
            0 => input.truncate(at),
            1 => input.insert(at, rng.below(256) as u8),
            2 if at < input.len() => input[at] = rng.below(256) as u8,
            3 if at < input.len() => input[at] ^= 1 << rng.below(8),
            4 => drop(input.splice(at..at, WORDS[rng.below(WORDS.len())].bytes())),
            5 => {
                let end = (at + rng.below(16)).min(input.len());
                drop(input.drain(at..end));
            }
            _ => {
                let other = &corpus[rng.below(corpus.len())];
                let from = rng.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input
}

fn fuzz(target: &str, entry: fn(&[u8])) {
    let corpus = corpus(target);
    corpus.iter().for_each(|input| entry(input));
    seeds::run(INPUTS, |seed| {
        let mut input = mutated(&corpus, seed);
        if seed % 4 == 0 && target == "transaction" {
            let mut rng = Rng(seed + 1);
            input = (0..rng.below(300)).map(|_| rng.below(256) as u8).collect();
        }
        entry(&input);
    });
}

#[test]
fn messages() {
    fuzz("message", message::run);
}

#[test]
fn transactions() {
    fuzz("transaction", transaction::run);
}
