//! Why something is not yet as it was ordered: pure judgement over rows, in a line for people.

use crate::browse::Located;
use crate::row::Row;
use crate::text::{percent, short, span};
use serde_json::Value as Json;

/// The host of an instance, as far as the caller may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    /// What to call it.
    pub label: String,
    /// `present`, `missing`, `fenced`.
    pub status: Option<String>,
}

/// Data of an instance on their way: a volume and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct VolumeState {
    /// Its UUID, by which hosts speak of it.
    pub key: String,
    /// What to call it.
    pub label: String,
    /// The volume.
    pub row: Row,
}

/// Why an instance is not as ordered, and what of its order waits for a restart; empty when it is as ordered.
#[must_use]
pub fn instance(row: &Row, host: Option<&HostState>, volumes: &[VolumeState], now_unix_s: i64) -> String {
    let (desired, status) = (row.desired_text("state"), row.current_text("status"));
    let mut reasons = Vec::new();
    if let Some(HostState { label, status: Some(status) }) = host
        && ["missing", "fenced"].contains(&status.as_str())
    {
        reasons.push(format!("host {label} is {status}; this is what was last heard"));
    }
    let mut told = volumes.iter().fold(trouble(row, now_unix_s), |told, it| told.replace(&it.key, &it.label));
    if status != desired && desired != Some("stopped") {
        let named = told.clone();
        for (volume, waiting) in
            volumes.iter().filter_map(|it| waiting_for(it, now_unix_s).map(|waiting| (it, waiting)))
        {
            // Not twice: the host's word stands, unless it is only the beginning of what is known.
            if waiting.starts_with(&named) {
                told.clear();
            } else if named.contains(&volume.label) {
                continue;
            }
            reasons.push(waiting);
        }
    }
    reasons.push(told);
    reasons.extend(row.current_text("pending_restart").map(|what| format!("pending restart: {what}")));
    reasons.retain(|reason| !reason.is_empty());
    reasons.join("; ")
}

/// What goes on with an instance that is not as ordered, where nobody says more; empty when it is as ordered.
#[must_use]
pub fn under_way(row: &Row) -> &'static str {
    let (desired, status) = (row.desired_text("state"), row.current_text("status"));
    match (desired, status) {
        (None, _) => "",
        _ if desired == status || (desired, status) == (Some("stopped"), None) => "",
        (Some("stopped"), Some(_)) => "its host is switching it off",
        (Some("paused"), Some("running")) => "its host is pausing it",
        (Some("running"), Some("paused")) => "its host is letting it go on",
        (_, Some(_)) => "its host is starting it",
        (_, None) => "nobody has seen to it yet",
    }
}

/// Why a volume is not as ordered; empty when it is.
#[must_use]
pub fn volume(row: &Row, now_unix_s: i64) -> String {
    let trouble = trouble(row, now_unix_s);
    match (row.desired_text("state"), row.current_text("status")) {
        (Some("deleted"), _) if trouble.is_empty() => "being deleted".to_owned(),
        (Some("deleted"), _) | (_, Some("ready")) => trouble,
        _ => filling(row, now_unix_s),
    }
}

/// Of rows about the same thing, seen by several hosts or kept in several pools, the one that is furthest.
#[must_use]
pub fn best(rows: &[Row]) -> Option<&Row> {
    const ORDER: [&str; 6] = ["ready", "initializing", "pending", "broken", "unsupported", "absent"];
    let rank = |row: &&Row| {
        let status = row.current_text("status");
        ORDER.iter().position(|known| Some(*known) == status).unwrap_or(ORDER.len())
    };
    rows.iter().min_by_key(rank)
}

/// The error that a host reports with a row, how often it tried and when it tries again.
#[must_use]
pub fn trouble(row: &Row, now_unix_s: i64) -> String {
    match (failure(row, now_unix_s), tried_again_s(row, now_unix_s)) {
        (failure, Some(seconds)) if !failure.is_empty() => {
            format!("being tried again for {}; before: {failure}", span(seconds))
        }
        (failure, _) => failure,
    }
}

/// What went wrong, how often it was tried, and when it is tried next.
fn failure(row: &Row, now_unix_s: i64) -> String {
    let Some(error) = row.current_text("error") else { return String::new() };
    let attempts = row.current("attempts").and_then(Json::as_i64).filter(|attempts| *attempts > 0);
    let wait_s = next_retry(row).map(|at| at - now_unix_s).filter(|seconds| *seconds > 0);
    let attempts = attempts.map(|attempts| format!("attempt {attempts}"));
    let next = wait_s.map(|seconds| format!("next try in {}", span(seconds)));
    let notes: Vec<String> = attempts.into_iter().chain(next).collect();
    if notes.is_empty() { error.to_owned() } else { format!("{error} ({})", notes.join(", ")) }
}

fn next_retry(row: &Row) -> Option<i64> {
    row.current("next_retry").and_then(Json::as_i64)
}

/// For how many seconds a failed order is being tried again, if it is: hosts leave standing when the try was due.
fn tried_again_s(row: &Row, now_unix_s: i64) -> Option<i64> {
    next_retry(row).map(|at| now_unix_s - at).filter(|seconds| *seconds >= 0)
}

fn waiting_for(volume: &VolumeState, now_unix_s: i64) -> Option<String> {
    if volume.row.current_text("status") == Some("ready") {
        return None;
    }
    Some(format!("waiting for volume {}: {}", volume.label, filling(&volume.row, now_unix_s)))
}

/// What keeps a volume from being ready, or how far it is. Once bytes come again, what went wrong before is history.
fn filling(row: &Row, now_unix_s: i64) -> String {
    let failure = failure(row, now_unix_s);
    let comes = row.current("progress").and_then(Json::as_f64).is_some_and(|progress| progress > 0.0);
    match failure.is_empty() {
        true => progress(row),
        false if comes && tried_again_s(row, now_unix_s).is_some() => {
            format!("{}; before: {failure}", progress(row))
        }
        false => trouble(row, now_unix_s),
    }
}

fn progress(view: &Row) -> String {
    match (view.current("progress").and_then(Json::as_f64), view.current_text("status")) {
        (Some(progress), Some("initializing")) => format!("{} filled", percent(progress)),
        (_, Some("absent") | None) => "not there yet".to_owned(),
        (_, Some(status)) => status.to_owned(),
    }
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

    fn row(desired: &str, current: impl Into<Json>) -> Row {
        Row::from(json!({"desired": {"state": desired}, "current": current.into()}))
    }

    fn volume_state(status: &str, progress: f64) -> VolumeState {
        let current = json!({"status": status, "progress": progress});
        VolumeState { key: "5f0c".to_owned(), label: "boot".to_owned(), row: row("present", current) }
    }

    #[test]
    fn instances() {
        let (filling, ready) = ([volume_state("initializing", 0.4299)], [volume_state("ready", 1.0)]);
        let host = |status: &str| HostState { label: "box-1".to_owned(), status: Some(status.to_owned()) };
        let broken = json!({"status": "broken", "error": "no bridge", "attempts": 3, "next_retry": 1005});
        let told = json!({"status": "starting", "error": "volume boot is not ready"});
        let waits = json!({"status": "starting", "error": "waiting for volume 5f0c"});
        for (desired, current, status, volumes, expected) in [
            (
                "running",
                json!({"status": "starting", "error": "no host fits"}),
                "present",
                &ready,
                "no host fits",
            ),
            ("stopped", json!({"status": "stopped"}), "present", &filling, ""),
            ("running", json!({"status": "running"}), "present", &ready, ""),
            (
                "running",
                json!({"status": "starting"}),
                "present",
                &filling,
                "waiting for volume boot: 42 % filled",
            ),
            ("running", json!({"status": "starting"}), "present", &ready, ""),
            ("running", told, "present", &filling, "volume boot is not ready"),
            ("running", waits.clone(), "present", &filling, "waiting for volume boot: 42 % filled"),
            ("running", waits, "present", &ready, "waiting for volume boot"),
            ("stopped", json!({"status": "stopping"}), "present", &filling, ""),
            (
                "running",
                json!({"status": "running", "pending_restart": "mem: running with 64, 128 after the next stop/start"}),
                "present",
                &ready,
                "pending restart: mem: running with 64, 128 after the next stop/start",
            ),
            ("running", broken, "present", &ready, "no bridge (attempt 3, next try in 5 s)"),
            (
                "running",
                json!({"status": "running"}),
                "missing",
                &ready,
                "host box-1 is missing; this is what was last heard",
            ),
        ] {
            let row = row(desired, current);
            assert_eq!(instance(&row, Some(&host(status)), volumes, 1000), expected, "{row:?}");
        }
        assert_eq!(instance(&row("running", json!(null)), None, &[], 1000), "");
    }

    #[test]
    fn an_instance_that_is_not_as_ordered_never_goes_without_a_reason() {
        for (desired, status, expected) in [
            ("running", json!("running"), ""),
            ("running", json!("starting"), "its host is starting it"),
            ("running", json!("stopping"), "its host is starting it"),
            ("running", json!("paused"), "its host is letting it go on"),
            ("paused", json!("running"), "its host is pausing it"),
            ("stopped", json!("stopping"), "its host is switching it off"),
            ("running", json!(null), "nobody has seen to it yet"),
            ("stopped", json!(null), ""),
        ] {
            assert_eq!(under_way(&row(desired, json!({ "status": status }))), expected, "{desired} {status}");
        }
    }

    #[test]
    fn volumes() {
        let broken = || json!({"status": "broken", "error": "disk full", "attempts": 2, "next_retry": 900});
        let again = |progress: f64, at: i64| json!({"status": "initializing", "error": "no route", "attempts": 1, "next_retry": at, "progress": progress});
        for (state, current, expected) in [
            ("present", json!(null), "not there yet"),
            ("present", json!({"status": "ready"}), ""),
            ("present", json!({"status": "initializing", "progress": 0.5}), "50 % filled"),
            ("present", broken(), "being tried again for 100 s; before: disk full (attempt 2)"),
            ("present", again(0.0, 900), "being tried again for 100 s; before: no route (attempt 1)"),
            ("present", again(0.0, 1000), "being tried again for 0 s; before: no route (attempt 1)"),
            ("present", again(0.5, 900), "50 % filled; before: no route (attempt 1)"),
            ("present", again(0.5, 1002), "no route (attempt 1, next try in 2 s)"),
            ("present", json!({"status": "absent"}), "not there yet"),
            ("deleted", json!({"status": "ready"}), "being deleted"),
            ("deleted", broken(), "being tried again for 100 s; before: disk full (attempt 2)"),
        ] {
            assert_eq!(volume(&row(state, current), 1000), expected);
        }
    }

    #[test]
    fn the_furthest_speaks_for_all() {
        let rows = ["absent", "broken", "ready", "initializing"]
            .map(|status| row("present", json!({"status": status})));
        assert_eq!(best(&rows).and_then(|row| row.current_text("status")), Some("ready"));
        assert_eq!(best(&rows[..2]).and_then(|row| row.current_text("status")), Some("broken"));
        assert_eq!(best(&[]), None);
    }
}
