//! The documents for people name files and functions: those must be there, or nobody believes the rest.

use crate::sources::{files, read, root};

const DOCUMENTS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];

/// What stands in backticks, outside of code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// A path of the repository, if that is one: it begins with a directory or file at the top.
fn path(word: &str) -> Option<&str> {
    let is_plain = |it: char| it.is_alphanumeric() || "_-./".contains(it);
    let top = word.split('/').next().filter(|top| !top.is_empty() && *top != "target")?;
    (word.contains('/') && word.chars().all(is_plain) && root().join(top).exists()).then_some(word)
}

/// The name of an item, if that is one: `Type::item`, or `function()`.
fn item(word: &str) -> Option<&str> {
    let name = match word.rsplit_once("::") {
        Some((_, name)) => name.trim_end_matches("()"),
        None => word.strip_suffix("()")?,
    };
    let is_name = name.chars().all(|it| it.is_alphanumeric() || it == '_') && !name.is_empty();
    (is_name && !word.starts_with("std::")).then_some(name)
}

/// Whether a source defines something of that name.
fn defines(source: &str, name: &str) -> bool {
    let kinds = ["fn", "struct", "enum", "trait", "const", "static", "mod", "type"];
    let ends = |rest: &str| !rest.starts_with(|it: char| it.is_alphanumeric() || it == '_');
    let item = |kind: &&str| {
        let head = format!("{kind} {name}");
        source.match_indices(&head).any(|(at, _)| ends(&source[at + head.len()..]))
    };
    let variant = |line: &str| line.trim_start().strip_prefix(name).is_some_and(ends);
    kinds.iter().any(item) || source.lines().any(variant)
}

#[test]
fn paths_in_the_documents_are_there() {
    for document in DOCUMENTS {
        let text = read(document);
        let gone: Vec<&str> =
            quoted(&text).into_iter().filter_map(path).filter(|it| !root().join(it).exists()).collect();
        assert!(gone.is_empty(), "{document} names what is not there: {gone:?}");
    }
}

#[test]
fn items_in_the_documents_are_there() {
    let sources: Vec<String> = files("", ".rs").iter().map(read).collect();
    for document in DOCUMENTS {
        let text = read(document);
        let is_gone = |name: &&str| !sources.iter().any(|source| defines(source, name));
        let gone: Vec<&str> = quoted(&text).into_iter().filter_map(item).filter(is_gone).collect();
        assert!(gone.is_empty(), "{document} names what is not there: {gone:?}");
    }
}

#[test]
fn words_are_told_apart() {
    assert_eq!(quoted("a `b` c\n```\n`d`\n```\n`e` f `g`"), ["b", "e", "g"]);
    assert_eq!(path("pony-core/src/lib.rs"), Some("pony-core/src/lib.rs"));
    assert_eq!((path("tenant/user"), path("pony-core/{a,b}.rs"), path("pony-core")), (None, None, None));
    assert_eq!(item("Controller::absorb"), Some("absorb"));
    assert_eq!((item("follow()"), item("follow"), item("std::fs")), (Some("follow"), None, None));
    assert!(defines("pub(crate) fn follow(a: u8)", "follow") && !defines("fn followed()", "follow"));
    assert!(defines("enum A {\n    Back,\n}", "Back") && !defines("// going Back", "Back"));
}
