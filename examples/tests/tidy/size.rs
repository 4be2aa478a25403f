//! What can be read in one go: the sizes of files and functions, a beginning that says what a module is for.

use crate::sources::{code, files, is_test, read};

/// Lines of a source file, without the examples in its documentation.
const FILE_LINES_MAX: usize = 600;
/// Lines between a function's first line and its closing brace.
const FUNCTION_LINES_MAX: usize = 80;
/// Lines of a program's `main.rs`: parse, start, report.
const MAIN_LINES_MAX: usize = 100;
/// The only files that may hold unsafe code; each says at its top why.
const UNSAFE: [&str; 4] = [
    "benches/src/heap.rs",
    "pony-host/src/hypervisor/ffi.rs",
    "pony-host/src/network/tun.rs",
    "pony-state/tests/sync_memory.rs",
];

/// The crates in which the compiler itself refuses unsafe code, without exceptions.
const FORBIDDING: [&str; 2] = ["pony-state/src/lib.rs", "pony-state/derive/src/lib.rs"];

/// The functions of a formatted source: the line of the name, and how many lines follow up to the closing brace.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let head = code
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ");
        let head =
            head.trim_start_matches("const ").trim_start_matches("async ").trim_start_matches("unsafe ");
        if !head.starts_with("fn ") || code.ends_with(';') || code.ends_with('}') {
            continue;
        }
        let end = format!("{indent}}}");
        let length = lines[at..].iter().position(|line| *line == end);
        found.extend(length.map(|length| (at + 1, length - 1)));
    }
    found
}

/// The lines that are not between two marks of an example.
fn lines_without_examples(text: &str) -> usize {
    let mut in_example = false;
    let counts = |line: &&str| {
        let mark = line.trim_start().starts_with("/// ```");
        in_example ^= mark;
        !in_example && !mark
    };
    text.lines().filter(counts).count()
}

#[test]
fn examples_do_not_count() {
    assert_eq!(lines_without_examples("/// A.\n/// ```\n/// a();\n/// ```\nfn a() {}\n"), 2);
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for path in files("", ".rs").into_iter().chain(files("", ".py")) {
        let text = read(&path);
        let lines = lines_without_examples(&text);
        let most = if path.ends_with("src/main.rs") { MAIN_LINES_MAX } else { FILE_LINES_MAX };
        if lines > most {
            long.push(format!("{path}: {lines} lines; {most} at most"));
        }
        let too_long = functions(&text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        long.extend(too_long.map(|(at, lines)| {
            format!("{path}:{at}: a function of {lines} lines; {FUNCTION_LINES_MAX} at most")
        }));
    }
    assert!(long.is_empty(), "split these:\n{}", long.join("\n"));
}

#[test]
fn functions_are_measured() {
    let text = "fn a() {}\nimpl X {\n    pub(crate) async fn b(\n        c: u8,\n    ) {\n        d();\n    }\n}\nfn e();\n";
    assert_eq!(functions(text), [(3, 3)]);
}

/// A module says what it is for before it does anything.
#[test]
fn modules_say_what_they_are_for() {
    let silent: Vec<String> = files("", ".rs")
        .into_iter()
        .filter(|path| path.contains("/src/") && !is_test(path))
        .filter(|path| !read(path).starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "these begin without `//!`: {silent:?}");
}

#[test]
fn unsafe_code_stands_where_it_is_announced() {
    let kinds = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    let is_unsafe = |path: &String| {
        let text = read(path);
        code(&text).any(|(_, line)| kinds.iter().any(|kind| line.contains(kind)))
    };
    let sources = files("", ".rs").into_iter().filter(|path| !path.contains("/tidy/"));
    let found: Vec<String> = sources.filter(is_unsafe).collect();
    assert_eq!(found, UNSAFE, "unsafe code stands elsewhere than announced");
}

#[test]
fn the_library_forbids_unsafe_code() {
    for path in FORBIDDING {
        assert!(read(path).lines().any(|line| line == "#![forbid(unsafe_code)]"), "{path} must forbid it");
    }
}
