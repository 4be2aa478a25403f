//! What disks say of their own health (SMART), by `smartctl` where it is installed. Asked now and then, beside the looks:
//! a disk that is about to fail may take its time to answer.

use crate::block::files;
use serde::Deserialize;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// How long one disk may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest answer that is read, bytes.
const ANSWER_MAX: u64 = 1 << 20;

/// Longest text of a disk that is passed on, characters.
const TEXT_MAX: usize = 120;

/// Bit of `smartctl`'s exit status: the device could not be opened or asked.
const NOT_ASKED: i32 = 0b11;

/// What disks said last, by their identity. Those that did not complain are not in it.
#[derive(Debug, Default, Clone)]
pub(super) struct Health(Arc<Mutex<HashMap<String, String>>>);

#[derive(Deserialize)]
struct Answer {
    smart_status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    passed: bool,
    scsi: Option<Scsi>,
}

#[derive(Deserialize)]
struct Scsi {
    ie_string: Option<String>,
}

impl Health {
    /// Why this disk should not be relied on, as it said itself.
    pub(super) fn fault(&self, id: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Asks these disks (identity and device), one after the other; forgets all others. Says whether anything changed.
    pub(super) async fn ask(&self, smartctl: &Path, disks: Vec<(String, PathBuf)>) -> bool {
        let mut found = HashMap::new();
        for (id, device) in disks {
            let asked = tokio::time::timeout(PATIENCE, ask(smartctl, &device)).await;
            let fault = match asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(fault) => fault,
                // Not installed: nothing is known of any disk.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
                Err(error) => {
                    tracing::debug!("smartctl does not say how {} does: {error}", device.display());
                    self.fault(&id)
                }
            };
            found.extend(fault.map(|fault| (id, fault)));
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *known != found;
        *known = found;
        changed
    }
}

/// What a disk complains about. One that sleeps is not woken, and not complained about.
async fn ask(smartctl: &Path, device: &Path) -> io::Result<Option<String>> {
    let arguments = ["--json", "--health", "--nocheck=standby"];
    let command = Command::new(smartctl)
        .args(arguments)
        .arg(device)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = command?;
    let mut said = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(ANSWER_MAX).read_to_end(&mut said).await?;
    }
    let status = child.wait().await?;
    if status.code().is_none_or(|code| code & NOT_ASKED != 0) {
        return Ok(None);
    }
    let answer: Answer = serde_json::from_slice(&said)?;
    Ok(answer.smart_status.filter(|status| !status.passed).map(complaint))
}

fn complaint(status: Status) -> String {
    let why = status.scsi.and_then(|scsi| scsi.ie_string).map(|text| files::printable(&text));
    match why.filter(|why| !why.is_empty()) {
        Some(why) => {
            format!("it says that it is failing: {}", why.chars().take(TEXT_MAX).collect::<String>())
        }
        None => "it says that it is failing (SMART)".to_owned(),
    }
}
