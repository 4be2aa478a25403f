//! What is refused, with which code, path and message: a table of text.

use std::path::PathBuf;

/// Compares with a file beside the tests. To accept a change: `UPDATE_GOLDEN=1 cargo test`.
pub fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/document").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (line, (expected, found)) in expected.lines().zip(text.lines()).enumerate() {
        assert_eq!(found, expected, "{name}:{}", line + 1);
    }
    assert_eq!(text.lines().count(), expected.lines().count(), "{name}: lines are missing or too many");
}
