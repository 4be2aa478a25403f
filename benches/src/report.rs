//! What a bench found: a table for people, and a JSON file for programs.

use serde_json::{Map, Value as Json, json};
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a report was not written.
#[derive(Debug)]
pub struct ReportError {
    path: PathBuf,
    source: io::Error,
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write {}", self.path.display())
    }
}

impl std::error::Error for ReportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// On which side of its bound a target should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// At least the bound.
    Min,
    /// At most the bound.
    Max,
}

/// A figure with a promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// What it is.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// What was promised.
    pub bound: f64,
    /// On which side of it.
    pub sense: Sense,
}

impl Target {
    /// Whether the promise is kept.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match self.sense {
            Sense::Min => self.value >= self.bound,
            Sense::Max => self.value <= self.bound,
        }
    }

    fn to_json(&self) -> Json {
        let sense = if self.sense == Sense::Min { "min" } else { "max" };
        json!({ "name": self.name, "value": self.value, "bound": self.bound, "sense": sense })
    }
}

/// The figures and targets of one bench.
#[derive(Debug, Clone)]
pub struct Report {
    name: &'static str,
    unit: &'static str,
    /// By operation, in the order of measuring: by peer.
    figures: Vec<(String, Vec<(String, f64)>)>,
    targets: Vec<Target>,
}

impl Report {
    /// An empty report of the bench `name`, whose figures are in `unit`.
    #[must_use]
    pub const fn new(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, figures: Vec::new(), targets: Vec::new() }
    }

    /// Adds an operation, with the median of each peer.
    pub fn figures<P: Into<String>>(&mut self, op: &str, medians: impl IntoIterator<Item = (P, f64)>) {
        let medians = medians.into_iter().map(|(peer, median)| (peer.into(), median)).collect();
        self.figures.push((op.to_owned(), medians));
    }

    /// Adds a target.
    pub fn target(&mut self, name: impl Into<String>, value: f64, bound: f64, sense: Sense) {
        self.targets.push(Target { name: name.into(), value, bound, sense });
    }

    /// The figure of one peer in one operation.
    #[must_use]
    pub fn figure(&self, op: &str, peer: &str) -> Option<f64> {
        let (_, medians) = self.figures.iter().find(|(name, _)| name == op)?;
        medians.iter().find(|(name, _)| name == peer).map(|(_, median)| *median)
    }

    /// Adds the target that in `op` the peer `ours` is at least `bound` times as fast as `theirs`.
    pub fn at_least_as_fast(&mut self, op: &str, ours: &str, theirs: &str, bound: f64) {
        if let (Some(our), Some(their)) = (self.figure(op, ours), self.figure(op, theirs)) {
            self.target(format!("{op}: speed against {theirs}"), their / our, bound, Sense::Min);
        }
    }

    /// The form that all benches share.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let object = |medians: &[(String, f64)]| -> Json {
            medians
                .iter()
                .map(|(peer, median)| (peer.clone(), Json::from(*median)))
                .collect::<Map<_, _>>()
                .into()
        };
        let figures: Map<_, _> =
            self.figures.iter().map(|(op, medians)| (op.clone(), object(medians))).collect();
        json!({ "figures": figures, "targets": self.targets.iter().map(Target::to_json).collect::<Vec<_>>() })
    }

    /// The form for people.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut text = String::new();
        let mut peers: Vec<&str> = Vec::new();
        for (peer, _) in self.figures.iter().flat_map(|(_, medians)| medians) {
            if !peers.contains(&peer.as_str()) {
                peers.push(peer);
            }
        }
        let _ = write!(text, "{:32}", format!("{} ({})", self.name, self.unit));
        peers.iter().for_each(|peer| text.push_str(&format!("{peer:>14}")));
        for (op, _) in &self.figures {
            let _ = write!(text, "\n{op:32}");
            for peer in &peers {
                let shown = self.figure(op, peer).map_or("-".to_owned(), shown);
                let _ = write!(text, "{shown:>14}");
            }
        }
        text.push('\n');
        for target in &self.targets {
            let sign = if target.sense == Sense::Min { ">=" } else { "<=" };
            let (value, bound) = (shown(target.value), shown(target.bound));
            let verdict = if target.is_met() { "met" } else { "MISSED" };
            let _ = write!(text, "\n{:54}{value:>12} {sign} {bound:<8} {verdict}", target.name);
        }
        text.push('\n');
        text
    }

    /// Prints the table and writes `target/bench/NAME.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(&self) -> Result<(), ReportError> {
        println!("{}", self.to_table());
        let path = target_dir().join("bench").join(format!("{}.json", self.name));
        self.write(&path).map_err(|source| ReportError { path: path.clone(), source })?;
        println!("written to {}", path.display());
        Ok(())
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, format!("{:#}\n", self.to_json()))
    }
}

/// Four significant digits, as far as they stand before the point.
fn shown(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

/// Cargo's target directory: the bench itself lies in `deps` of a profile in it. (Cargo marks it with a file, but not
/// where somebody made the directory before.)
fn target_dir() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let deps = own.parent().filter(|dir| dir.ends_with("deps"));
    deps.and_then(|deps| deps.ancestors().nth(2)).map_or_else(|| PathBuf::from("target"), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new("demo", "ns");
        report.figures("get", [("pony", 50.0), ("sqlite", 1500.0)]);
        report.figures("snapshot", [("pony", 4.26)]);
        report.at_least_as_fast("get", "pony", "sqlite", 5.0);
        report.target("snapshot", 4.26, 1.0, Sense::Max);
        report
    }

    #[test]
    fn json() {
        let expected = json!({
            "figures": { "get": { "pony": 50.0, "sqlite": 1500.0 }, "snapshot": { "pony": 4.26 } },
            "targets": [
                { "name": "get: speed against sqlite", "value": 30.0, "bound": 5.0, "sense": "min" },
                { "name": "snapshot", "value": 4.26, "bound": 1.0, "sense": "max" },
            ],
        });
        assert_eq!(report().to_json(), expected);
    }

    #[test]
    fn table() {
        let table = report().to_table();
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["demo", "(ns)", "pony", "sqlite"]);
        assert_eq!(lines[2], ["snapshot", "4.26", "-"]);
        assert!(
            table.contains("30.0 >= 5.00     met") && table.contains("4.26 <= 1.00     MISSED"),
            "{table}"
        );
    }

    #[test]
    fn the_file_lies_in_the_target_directory() {
        // Once it lay below the working directory, which is the package's: in `benches/target`.
        assert!(target_dir().is_absolute(), "{}", target_dir().display());
        let dir = target_dir().join("bench").join(format!("test-{}", std::process::id()));
        report().write(&dir.join("demo.json")).unwrap();
        let text = fs::read_to_string(dir.join("demo.json")).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), report().to_json());
    }
}
