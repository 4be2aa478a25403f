//! What became of cells, as a file that several processes write to and a later run reads: a line each.

use super::cell::{Cell, Took};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) struct Notes {
    path: PathBuf,
    /// Where they are for this run alone.
    _dir: Option<tempfile::TempDir>,
}

impl Notes {
    /// Those that outlive this run, or none yet.
    pub(super) fn open(is_kept: bool) -> Self {
        if is_kept {
            let target = std::env::var_os("CARGO_TARGET_DIR");
            let target = target
                .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into(), PathBuf::from);
            return Self::at(target.join("later-order-real"));
        }
        let dir = tempfile::tempdir().unwrap();
        Self { path: dir.path().join("notes"), _dir: Some(dir) }
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, _dir: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn add(&self, cell: &Cell, took: Took) {
        let mut file = std::fs::File::options().append(true).create(true).open(&self.path).unwrap();
        // In one write: others write at the same time.
        let line = format!("{}\t{}\t{}\n", cell.name(), took.ms, took.bound_ms);
        file.write_all(line.as_bytes()).unwrap();
    }

    fn read(&self) -> BTreeMap<String, Took> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let took = |line: &str| {
            let mut parts = line.split('\t');
            let name = parts.next()?.to_owned();
            let (ms, bound_ms) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some((name, Took { ms, bound_ms }))
        };
        text.lines().filter_map(took).collect()
    }

    /// The cells of which nothing is known.
    pub(super) fn missing(&self, cells: Vec<usize>) -> Vec<usize> {
        let (known, all) = (self.read(), Cell::all());
        cells.into_iter().filter(|n| !known.contains_key(&all[*n].name())).collect()
    }

    /// What is known, in the order of cells.
    pub(super) fn results(&self) -> Vec<(Cell, Took)> {
        let known = self.read();
        Cell::all().into_iter().filter_map(|cell| Some((cell.clone(), *known.get(&cell.name())?))).collect()
    }

    /// The next run begins anew.
    pub(super) fn forget(self) {
        let _ = std::fs::remove_file(self.path);
    }
}

/// Numbers of cells as a text, and back.
pub(super) fn join(cells: &[usize]) -> String {
    cells.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn split(text: &str) -> Vec<usize> {
    text.split_whitespace().filter_map(|it| it.parse().ok()).collect()
}
