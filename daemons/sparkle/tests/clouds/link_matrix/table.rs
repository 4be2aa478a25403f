//! What became of cells: kept from run to run until all are known, and then written for people.

use super::cell::Cell;
use std::path::{Path, PathBuf};

/// Where the part of the document begins that is written here. `daemons/pony/tests/e2e/matrix/table.rs` writes what is above.
const BEGINS: &str = "\n## Bonds and roles\n";

const HEAD: &str = "
Written by `make test-long`, in a guest with Debian's full kernel under emulation: Sparkle and Twilight as processes, joined by two
cables, the first of which is the host's way to Sparkle and is taken by the bond. Each change of bonds and roles meets each
fault, and one of the later orders, given 0, 0.3 or 1.5 s later: the state before, nothing at all, another state, the same again. It
has to be taken within 10 s, to be in the kernel and in the rows within its bound, with no link besides; then the host has to be
reached under it (nothing is rolled back); afterwards all is deleted, the card has what it had, no rule is left, and somebody
else's bridge, address and pair of links are as they were.

A step goes wrong until the later order has come to be, unless that may need the very step. What fails in the middle does so
after 1 to 36 turns of its work, another number in each cell; what is killed, or meets a kill or a cut (for 3 s) of others, stands
there. What hangs does so for 15 s, which is longer than any call of the driver. The bound is 30 s, 45 s more where somebody is
away, 15 s more for what hangs. A cell that fails prints the command that runs it alone.

| transition | at | fault | then | ms | its bound, ms |
|---|---|---|---|---|---|
";

/// How the row of a cell begins.
fn begins(cell: &Cell) -> String {
    format!("| {} |", cell.name().join(" | "))
}

/// A row.
pub(super) fn line(cell: &Cell, took: [u128; 2]) -> String {
    format!("{} {} | {} |", begins(cell), took[0], took[1])
}

/// The rows that are known.
pub(super) struct Rows {
    path: PathBuf,
    known: Vec<String>,
}

impl Rows {
    /// Those of runs before this one that were broken off.
    pub(super) fn kept() -> Self {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let path = target.join("later-order-links");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Self { path, known: text.lines().map(str::to_owned).collect() }
    }

    fn of(&self, cell: &Cell) -> Option<&String> {
        self.known.iter().find(|row| row.starts_with(&begins(cell)))
    }

    /// The numbers of cells of which nothing is known.
    pub(super) fn missing(&self) -> Vec<usize> {
        let all = Cell::all().into_iter().enumerate();
        all.filter(|(_, cell)| self.of(cell).is_none()).map(|(n, _)| n).collect()
    }

    /// Keeps the rows among all that was said.
    pub(super) fn keep(&mut self, said: &str) {
        let rows = said.lines().map(str::trim).filter(|line| line.starts_with("| "));
        self.known.extend(rows.map(str::to_owned));
        std::fs::write(&self.path, self.known.join("\n") + "\n").unwrap();
    }

    /// Writes them into the document, in the order of cells; the next run begins anew.
    pub(super) fn publish(self) {
        let path = root().join("docs/later-order-real.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let above = text.split(BEGINS).next().unwrap_or_default();
        let cells = Cell::all();
        let rows: String = cells.iter().filter_map(|cell| Some(format!("{}\n", self.of(cell)?))).collect();
        let end = format!("{} cells, all of them kept.\n", cells.len());
        std::fs::write(path, format!("{above}{BEGINS}{HEAD}{rows}\n{end}")).unwrap();
        std::fs::remove_file(self.path).unwrap();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
