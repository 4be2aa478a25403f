//! The library's documentation shows what it speaks of: every public item of `pony-state` has an example.

use crate::sources::{code, files, read};

/// Not documented: what the derives generate calls of.
const HIDDEN: &str = "pony-state/src/derived.rs";

/// The public items of a source that want an example: types, traits, functions, methods of traits.
fn items(text: &str) -> Vec<(usize, &str)> {
    let mut in_trait = false;
    let mut found = Vec::new();
    for (number, line) in code(text) {
        in_trait = (in_trait || line.starts_with("pub trait ")) && line != "}";
        let item = line.trim_start();
        let head =
            item.strip_prefix("pub ").map(|it| it.trim_start_matches("const ").trim_start_matches("async "));
        let kinds = ["fn ", "struct ", "enum ", "trait ", "type "];
        let public = head.is_some_and(|head| kinds.iter().any(|kind| head.starts_with(kind)));
        if public || in_trait && item.starts_with("fn ") {
            found.push((number, item));
        }
    }
    found
}

/// Whether the comment above a line has an example, or is hidden. Attributes may stand in between.
fn has_example(text: &str, number: usize) -> bool {
    let above: Vec<&str> = text.lines().take(number - 1).map(str::trim_start).collect();
    let belongs = |line: &&&str| !line.is_empty() && !line.ends_with(';') && !line.ends_with('}');
    above.iter().rev().take_while(belongs).any(|line| ["/// ```", "#[doc(hidden)]"].contains(line))
}

#[test]
fn every_public_item_of_the_library_has_an_example() {
    let mut without = Vec::new();
    for path in files("pony-state/src", ".rs").into_iter().filter(|path| path != HIDDEN) {
        let text = read(&path);
        let missing = items(&text).into_iter().filter(|(number, _)| !has_example(&text, *number));
        without.extend(missing.map(|(number, item)| format!("{path}:{number}: {item}")));
    }
    assert!(without.is_empty(), "{} items have no example:\n{}", without.len(), without.join("\n"));
}

#[test]
fn items_and_examples_are_seen() {
    let text = "/// A.\n///\n/// ```\n/// ```\n#[must_use]\npub const fn a() {}\n\n/// B.\npub trait B {\n    \
                /// C.\n    fn c();\n}\n\nfn d() {}\npub(crate) fn e() {}\npub struct F;\n";
    let seen: Vec<_> =
        items(text).into_iter().map(|(number, _)| (number, has_example(text, number))).collect();
    assert_eq!(seen, [(6, true), (9, false), (11, false), (16, false)]);
}
