//! The repository as text.

use std::fs;
use std::path::{Path, PathBuf};

/// Directories that are not sources; those with a leading dot neither.
const NOT_OURS: [&str; 3] = ["target", "node_modules", "__pycache__"];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a directory of the repository whose name ends like this, relative to the repository.
pub(crate) fn files(below: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(below)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else if name.ends_with(ending) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert!(ending != ".rs" || !found.is_empty(), "no source below {below}: is this run elsewhere?");
    found.sort();
    found
}

/// Whether a file holds tests only.
pub(crate) fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// The code of a source file, line by line with its number: no comments of their own lines, no test module at its end.
pub(crate) fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().enumerate().map(|(number, line)| (number + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}
