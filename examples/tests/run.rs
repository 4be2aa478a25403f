//! Runs the examples as their readers would, and looks at what they print.
#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::path::PathBuf;
use std::process::Command;

/// Cargo builds the examples beside the tests: `target/PROFILE/{examples,deps}`.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: `cargo test` without `--test` builds it", path.display());
    path
}

fn run(name: &str) -> String {
    let output = Command::new(example(name)).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{err}", output.status);
    out.into_owned()
}

#[test]
fn inventory() {
    let out = run("inventory");
    assert!(out.contains(r#"whole: "bike""#) && out.contains(r#"name: "wheel""#), "{out}");
    assert_eq!(out.lines().count(), 1, "one piece: {out}");
}

#[test]
fn inventory_is_short() {
    let code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    assert!(include_str!("../inventory.rs").lines().filter(code).count() <= 30);
}

#[test]
fn watch() {
    let out = run("watch");
    assert!(out.starts_with("at version 1: {}\n"), "{out}");
    let last = r#"{"attic": 0, "cellar": 0, "hall": 0}"#;
    assert!(out.contains(&format!("at version 82: {last}\nwatched:       {last}\n")), "{out}");
}

#[test]
fn replicate() {
    let lamps = ["attic", "cellar", "hall"].map(|room| format!("{room}: ordered true, is true\n"));
    assert_eq!(run("replicate"), lamps.concat());
}
