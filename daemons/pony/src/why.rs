//! Why something is not yet as it was ordered: pure judgement over rows, in a line for people.

use crate::browse::Located;
use crate::row::Row;
use crate::text::{percent, short, span};
use serde_json::Value as Json;

/// An instance on a host, as `host_instance` has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Placement {
    /// The host's key.
    pub host: String,
    /// The host's name.
    pub host_name: String,
    /// `present`, `missing`, `fenced`, where known.
    pub host_status: Option<String>,
    /// The row itself.
    pub row: Row,
}

impl Placement {
    /// Whether the host was told to let go of it.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.row.desired("released").and_then(Json::as_bool).unwrap_or_default()
    }

    /// What it is doing there.
    #[must_use]
    pub fn status(&self) -> Option<&str> {
        self.row.current_text("status")
    }
}

/// The placement that counts: where the instance is to be, else where it still is.
#[must_use]
pub fn main_placement(placements: &[Placement]) -> Option<&Placement> {
    placements.iter().find(|placement| !placement.is_released()).or_else(|| placements.first())
}

/// Data of an instance on their way: a volume and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeState {
    /// What to call it.
    pub label: String,
    /// The `host_volume` row, if any host knows it.
    pub row: Option<Row>,
}

impl VolumeState {
    /// Whether it can be used.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.current_text("status") == Some("ready"))
    }
}

/// Why an instance is not as ordered; empty when it is.
#[must_use]
pub fn instance(
    desired: Option<&str>,
    placements: &[Placement],
    volumes: &[VolumeState],
    now_unix_s: i64,
) -> String {
    let Some(placement) = main_placement(placements) else {
        return match desired {
            None | Some("stopped") => String::new(),
            Some(_) => format!("not placed on a host yet{}", prefixed("; ", &waiting_for(volumes))),
        };
    };
    let mut reasons = Vec::new();
    if let Some(status @ ("missing" | "fenced")) = placement.host_status.as_deref() {
        reasons.push(format!("host {} is {status}; this is what was last heard", placement.host_name));
    }
    let trouble = trouble(&placement.row, now_unix_s);
    let arrived = placement.status() == desired;
    if !arrived && trouble.is_empty() && desired != Some("stopped") {
        reasons.push(waiting_for(volumes));
    }
    reasons.push(trouble);
    if placement.is_released() && !arrived {
        reasons.push(format!("{} is letting go of it", placement.host_name));
    }
    reasons.retain(|reason| !reason.is_empty());
    reasons.join("; ")
}

/// Why a volume is not as ordered, by the hosts that know it; empty when it is.
#[must_use]
pub fn volume(state: Option<&str>, views: &[Row], now_unix_s: i64) -> String {
    if state == Some("deleted") {
        let trouble = views.iter().map(|view| trouble(view, now_unix_s)).find(|trouble| !trouble.is_empty());
        return trouble.unwrap_or_else(|| "being deleted".to_owned());
    }
    let Some(best) = best_view(views) else { return "no host has reported it yet".to_owned() };
    match (best.current_text("status"), trouble(best, now_unix_s)) {
        (Some("ready"), trouble) => trouble,
        (_, trouble) if !trouble.is_empty() => trouble,
        _ => filling(best),
    }
}

/// The view of the host where a volume (or image, or pool) is furthest.
#[must_use]
pub fn best_view(views: &[Row]) -> Option<&Row> {
    const ORDER: [&str; 6] = ["ready", "initializing", "pending", "broken", "unsupported", "absent"];
    let rank = |row: &&Row| {
        let status = row.current_text("status");
        ORDER.iter().position(|known| Some(*known) == status).unwrap_or(ORDER.len())
    };
    views.iter().min_by_key(rank)
}

/// The error that a host reports with a row, how often it tried and when it tries again.
#[must_use]
pub fn trouble(row: &Row, now_unix_s: i64) -> String {
    let Some(error) = row.current_text("error") else { return String::new() };
    let attempts = row.current("attempts").and_then(Json::as_i64).filter(|attempts| *attempts > 0);
    let retry = row.current("next_retry").and_then(Json::as_i64);
    let mut notes = Vec::new();
    notes.extend(attempts.map(|attempts| format!("attempt {attempts}")));
    notes.extend(retry.map(|at| match at - now_unix_s {
        ..=0 => "trying again now".to_owned(),
        seconds => format!("next try in {}", span(seconds)),
    }));
    if notes.is_empty() { error.to_owned() } else { format!("{error} ({})", notes.join(", ")) }
}

fn waiting_for(volumes: &[VolumeState]) -> String {
    let waiting: Vec<String> = volumes
        .iter()
        .filter(|volume| !volume.is_ready())
        .map(|volume| {
            let how_far = volume.row.as_ref().map_or_else(
                || "not there yet".to_owned(),
                |row| {
                    let error = row.current_text("error").map(str::to_owned);
                    error.unwrap_or_else(|| filling(row))
                },
            );
            format!("waiting for volume {}: {how_far}", volume.label)
        })
        .collect();
    waiting.join("; ")
}

fn filling(view: &Row) -> String {
    match (view.current("progress").and_then(Json::as_f64), view.current_text("status")) {
        (Some(progress), Some("initializing")) => format!("{} filled", percent(progress)),
        (_, Some("absent") | None) => "not there yet".to_owned(),
        (_, Some(status)) => status.to_owned(),
    }
}

fn prefixed(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}

/// What to call a row that another one refers to: its name with a beginning of its key, or the key.
#[must_use]
pub fn label(rows: &[Located], key: &str) -> String {
    let row = rows.iter().find(|row| row.key == key);
    row.and_then(|row| row.row.name().or_else(|| row.row.alias())).unwrap_or_else(|| short(key)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn placement(row: Json) -> Placement {
        let (host, host_name) = ("h".to_owned(), "box-1".to_owned());
        Placement { host, host_name, host_status: Some("present".to_owned()), row: Row::from(row) }
    }

    fn volume_state(status: &str, progress: f64) -> VolumeState {
        let current = json!({"status": status, "progress": progress});
        VolumeState { label: "boot".to_owned(), row: Some(Row::from(json!({"current": current}))) }
    }

    #[test]
    fn instances() {
        let filling = || volume_state("initializing", 0.4299);
        let ready = || volume_state("ready", 1.0);
        let missing = Placement {
            host_status: Some("missing".to_owned()),
            ..placement(json!({"desired": {}, "current": {"status": "running"}}))
        };
        let here =
            |current: Json| vec![placement(json!({"desired": {"released": false}, "current": current}))];
        let going = placement(json!({"desired": {"released": true}, "current": {"status": "running"}}));
        for (desired, placements, volumes, expected) in [
            ("running", vec![], vec![ready()], "not placed on a host yet"),
            (
                "running",
                vec![],
                vec![filling()],
                "not placed on a host yet; waiting for volume boot: 42 % filled",
            ),
            ("stopped", vec![], vec![filling()], ""),
            ("running", here(json!({"status": "running"})), vec![ready()], ""),
            (
                "running",
                here(json!({"status": "starting"})),
                vec![filling()],
                "waiting for volume boot: 42 % filled",
            ),
            ("running", here(json!({"status": "starting"})), vec![ready()], ""),
            ("stopped", here(json!({"status": "stopping"})), vec![filling()], ""),
            (
                "running",
                here(json!({"status": "broken", "error": "no bridge", "attempts": 3, "next_retry": 1005})),
                vec![ready()],
                "no bridge (attempt 3, next try in 5 s)",
            ),
            ("running", vec![missing], vec![], "host box-1 is missing; this is what was last heard"),
            ("stopped", vec![going], vec![], "box-1 is letting go of it"),
        ] {
            assert_eq!(
                instance(Some(desired), &placements, &volumes, 1000),
                expected,
                "{desired} {placements:?}"
            );
        }
    }

    #[test]
    fn volumes() {
        let view = |current: Json| Row::from(json!({"current": current}));
        let broken =
            || view(json!({"status": "broken", "error": "disk full", "attempts": 2, "next_retry": 900}));
        for (state, views, expected) in [
            ("present", vec![], "no host has reported it yet"),
            ("present", vec![view(json!({"status": "ready"}))], ""),
            ("present", vec![broken(), view(json!({"status": "ready"}))], ""),
            ("present", vec![view(json!({"status": "initializing", "progress": 0.5}))], "50 % filled"),
            ("present", vec![broken()], "disk full (attempt 2, trying again now)"),
            ("present", vec![view(json!({"status": "absent"}))], "not there yet"),
            ("deleted", vec![view(json!({"status": "ready"}))], "being deleted"),
            ("deleted", vec![broken()], "disk full (attempt 2, trying again now)"),
        ] {
            assert_eq!(volume(Some(state), &views, 1000), expected);
        }
    }
}
