//! The pure crates open nothing, read no clock and draw no randomness: time, seeds and ids are arguments. This is what
//! makes their tests replayable.

use crate::sources::{code, files, is_test, read};

const PURE: [&str; 3] = ["pony-state/src", "pony-state/derive/src", "pony-core/src"];

/// What pure code must not name, and what is wrong with it.
const BANNED: [(&str, &str); 31] = [
    ("std::fs", "files"),
    ("fs::", "files"),
    ("File::", "files"),
    ("OpenOptions", "files"),
    ("std::env", "the environment"),
    ("env::var", "the environment"),
    ("std::process", "processes"),
    ("Command::new", "processes"),
    ("std::thread", "threads"),
    ("thread::", "threads"),
    ("tokio", "an executor"),
    ("std::os", "the operating system"),
    ("libc::", "the operating system"),
    ("nix::", "the operating system"),
    ("TcpStream", "sockets"),
    ("TcpListener", "sockets"),
    ("UdpSocket", "sockets"),
    ("UnixStream", "sockets"),
    ("UnixListener", "sockets"),
    ("UnixDatagram", "sockets"),
    ("ToSocketAddrs", "name look-ups"),
    ("Instant", "a clock"),
    ("SystemTime", "a clock"),
    ("stdin()", "standard input"),
    ("stdout()", "standard output"),
    ("println!", "standard output"),
    ("eprint", "standard error"),
    ("dbg!", "standard error"),
    ("getrandom", "randomness"),
    ("new_v4", "randomness"),
    ("rand::", "randomness"),
];

/// What a text names that it must not.
fn offences(text: &str) -> Vec<(usize, &'static str)> {
    let banned = |line: &str| BANNED.iter().find(|(word, _)| names(line, word)).map(|(_, what)| *what);
    code(text).filter_map(|(number, line)| Some((number, banned(line)?))).collect()
}

/// Whether the word stands in the line, and not as the end of a longer one.
fn names(line: &str, word: &str) -> bool {
    let is_part = |before: char| before.is_alphanumeric() || before == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_part))
}

#[test]
fn pure_crates_neither_open_nor_read_a_clock_nor_draw_lots() {
    let mut found = Vec::new();
    for path in PURE.iter().flat_map(|below| files(below, ".rs")).filter(|path| !is_test(path)) {
        let here = offences(&read(&path));
        found.extend(here.iter().map(|(line, what)| format!("{path}:{line}: {what}")));
    }
    assert!(found.is_empty(), "pure code takes these as arguments:\n{}", found.join("\n"));
}

/// A scan that finds nothing proves something only if it would have found it.
#[test]
fn the_scan_sees_what_it_is_for() {
    let text = "//! Not std::fs.\nuse std::fs;\nlet now = std::time::Instant::now();\nlet id = Uuid::new_v4();\n\
                let offs::set = my_println!();\n#[cfg(test)]\nmod tests {\nuse std::fs;\n}\n";
    assert_eq!(offences(text), [(2, "files"), (3, "a clock"), (4, "randomness")]);
}

/// Grouped imports (`use std::{fs, io}`) would get past the scan.
#[test]
fn the_standard_library_is_imported_item_by_item() {
    let all = PURE.iter().flat_map(|below| files(below, ".rs"));
    let grouped: Vec<String> = all.filter(|path| read(path).contains("use std::{")).collect();
    assert!(grouped.is_empty(), "{grouped:?}");
}
