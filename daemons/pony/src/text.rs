//! Figures and columns as text for people.

use crate::escape;

/// Characters of one cell; more of a note belongs into `-o yaml`.
const CELL_CHARS_MAX: usize = 200;

/// A size in the largest unit that does not hide much of it.
#[must_use]
pub fn size_mib(mib: i64) -> String {
    const UNITS: [&str; 4] = ["MiB", "GiB", "TiB", "PiB"];
    let mut size = mib as f64;
    let mut unit = 0;
    while size.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if size.fract().abs() < 0.05 {
        format!("{size:.0} {}", UNITS[unit])
    } else {
        format!("{size:.1} {}", UNITS[unit])
    }
}

/// A share of one as per cent.
#[must_use]
pub fn percent(share: f64) -> String {
    // Rounded down: what is not finished must not look so.
    format!("{:.0} %", (share.clamp(0.0, 1.0) * 100.0).floor())
}

/// A span of time, coarsely.
#[must_use]
pub fn span(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min", s / 60),
        s @ 7200..=172_799 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// The beginning of a UUID, which commands take for all of it; other keys as they are.
#[must_use]
pub fn short(key: &str) -> &str {
    if uuid::Uuid::try_parse(key).is_ok() { key.get(..8).unwrap_or(key) } else { key }
}

/// A table of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grid {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// An empty table with these columns.
    #[must_use]
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; of any origin, since cells are made harmless when they are shown.
    pub fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as lines, columns aligned. Columns that are empty in all rows are left out, but for the first.
    #[must_use]
    pub fn render(&self) -> String {
        let rows: Vec<Vec<String>> = std::iter::once(&self.header)
            .chain(&self.rows)
            .map(|row| row.iter().map(|cell| show(cell)).collect())
            .collect();
        let used = |column: &usize| {
            *column == 0 || rows[1..].iter().any(|row| row.get(*column).is_some_and(|cell| !cell.is_empty()))
        };
        let columns: Vec<usize> = (0..self.header.len()).filter(used).collect();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = columns.iter().map(|column| width(*column).unwrap_or(0)).collect();
        let line = |row: &Vec<String>| {
            let cells = columns
                .iter()
                .zip(&widths)
                .map(|(column, &width)| format!("{:width$}", row.get(*column).map_or("", String::as_str)));
            let mut line = cells.collect::<Vec<_>>().join("  ").trim_end().to_owned();
            line.push('\n');
            line
        };
        rows.iter().map(line).collect()
    }
}

fn show(cell: &str) -> String {
    let shown = escape::text(cell);
    if shown.chars().count() <= CELL_CHARS_MAX {
        return shown.into_owned();
    }
    shown.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(
            [0, 512, 1024, 1536, 10 << 10, 1 << 20].map(size_mib),
            ["0 MiB", "512 MiB", "1 GiB", "1.5 GiB", "10 GiB", "1 TiB"]
        );
        assert_eq!([0.0, 0.424, 0.999, 1.0, 7.0].map(percent), ["0 %", "42 %", "99 %", "100 %", "100 %"]);
        assert_eq!([-4, 5, 130, 7300, 200_000].map(span), ["0 s", "5 s", "2 min", "2 h", "2 d"]);
        assert_eq!(short("5f0c1d0e-0000-4000-8000-000000000000"), "5f0c1d0e");
        assert_eq!(short("me@example.org"), "me@example.org");
    }

    #[test]
    fn columns_line_up_and_hostile_cells_cannot_break_out() {
        let mut grid = Grid::new(&["NAME", "EMPTY", "WHY"]);
        grid.push(vec!["web".into(), String::new(), "all\nis \u{1b}[31mwell".into()]);
        grid.push(vec!["grün-漢".into(), String::new(), "x".repeat(300)]);
        let text = grid.render();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "NAME    WHY");
        assert_eq!(lines[1], "web     all\\u{a}is \\u{1b}[31mwell");
        assert!(lines[2].starts_with("grün-漢  xxx") && lines[2].ends_with('…'));
        assert_eq!(lines.len(), 3);
    }
}
