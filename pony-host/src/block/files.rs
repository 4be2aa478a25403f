//! Reads small attribute files below a root, with bounds.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Longest attribute that is read, bytes: `/proc/stat` of a machine with thousands of CPUs fits.
const ATTRIBUTE_MAX: u64 = 4 << 20;

/// Most entries of one class (network links, disks) that are looked at: a machine with more is not one.
const ENTRIES_MAX: usize = 16_384;

/// Reads an attribute as text, without the white space around it.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(ATTRIBUTE_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The same for an attribute that may be missing, unreadable or empty: they all mean "not known".
pub(crate) fn known(path: &Path) -> Option<String> {
    read(path).ok().filter(|text| !text.is_empty())
}

/// A number, where it is one.
pub(crate) fn number(path: &Path) -> Option<i64> {
    known(path)?.parse().ok()
}

/// The entries of a class directory, by name. A class that the kernel does not have has no entries.
pub(crate) fn entries(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let listing = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    let mut found = Vec::new();
    for entry in listing.take(ENTRIES_MAX) {
        let entry = entry?;
        found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    found.sort();
    Ok(found)
}

/// The name of what a symbolic link leads to.
pub(crate) fn target(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned())
}

/// What of a text may be shown: devices say what they like.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect::<String>().trim().to_owned()
}
