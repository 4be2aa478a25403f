//! Runs `qemu-img`: in a process group of its own, with limits, with the format always given, killed when the
//! future is dropped.

use super::attempt::Attempt;
use super::disk::{Disk, Role};
use super::error::StorageError;
use super::pool::{extension, free_bytes};
use super::size::MIB;
use super::stage::{Stage, while_moving};
use nix::libc::{SIGHUP, SIGINT, SIGKILL, SIGTERM};
use pony_core::host::VolumeFormat;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// Address space, bytes. What looks at a header needs little; what converts has buffers and threads.
const LOOK_MEMORY: u64 = 1024 * MIB;
pub(super) const CONVERT_MEMORY: u64 = 4096 * MIB;

/// CPU time of whatever is not a conversion, seconds: they take milliseconds.
const BRIEF_CPU_S: u64 = 30;

/// The same in time of day: a busy disk makes them wait.
const BRIEF: Duration = Duration::from_secs(60);

/// CPU time and time of day of a check, seconds: it reads the tables of an image, gigabytes at the most.
const CHECK_CPU_S: u64 = 120;
const CHECK: Duration = Duration::from_secs(600);

/// How `qemu-img check` ends where clusters are lost and nothing else is wrong.
const LEAKS: i32 = 3;

/// Output that is kept, bytes.
const OUTPUT_MAX: u64 = 1 << 20;

/// Longest reason in a message, characters.
const WHY_MAX: usize = 300;

/// What a process said, and how it ended.
struct Outcome {
    status: ExitStatus,
    output: Vec<u8>,
    complaints: String,
}

/// Describes an image, in JSON. `-U`: a look needs no lock.
pub(super) async fn info(
    attempt: &Attempt,
    path: &Path,
    format: VolumeFormat,
) -> Result<Vec<u8>, StorageError> {
    let args = ["-U", "-f", extension(format), "--output=json"].map(OsStr::new);
    let mut command = command("info", LOOK_MEMORY, Some(BRIEF_CPU_S));
    command.args(args).arg(path);
    judge(attempt, "info", path, run_within(BRIEF, "info", command).await?)
}

/// Checks that a qcow2 image is consistent, and has an end: QEMU would read zeroes behind a cut.
pub(super) async fn check(attempt: &Attempt, path: &Path) -> Result<(), StorageError> {
    let mut command = command("check", CONVERT_MEMORY, Some(CHECK_CPU_S));
    command.args(["-q", "-U", "-f", "qcow2"]).arg(path);
    let outcome = run_within(CHECK, "check", command).await?;
    match outcome.status.code() {
        Some(LEAKS) => Ok(()),
        _ => judge(attempt, "check", path, outcome).map(drop),
    }
}

/// Makes an empty qcow2 image.
pub(super) async fn create(attempt: &Attempt, path: &Path, bytes: u64) -> Result<(), StorageError> {
    let mut command = command("create", LOOK_MEMORY, Some(BRIEF_CPU_S));
    command.args(["-q", "-f", "qcow2"]).arg(path).arg(bytes.to_string());
    judge(attempt, "create", path, run_within(BRIEF, "create", command).await?).map(drop)
}

/// Grows a qcow2 image; refuses to shrink it.
pub(super) async fn resize(attempt: &Attempt, path: &Path, bytes: u64) -> Result<(), StorageError> {
    let mut command = command("resize", LOOK_MEMORY, Some(BRIEF_CPU_S));
    command.args(["-q", "-f", "qcow2"]).arg(path).arg(bytes.to_string());
    judge(attempt, "resize", path, run_within(BRIEF, "resize", command).await?).map(drop)
}

/// Writes an image anew in another format (or the same: nothing of the old one's structure is left then). A disk that is
/// there already is at least as large.
pub(super) async fn convert(
    attempt: &Attempt,
    (from, to): (&Disk, &Disk),
    stall: Duration,
    stage: &Stage,
) -> Result<(), StorageError> {
    let mut command = command("convert", CONVERT_MEMORY, None);
    command.arg("-p").args(from.flags(Role::From)).args(to.flags(Role::To));
    command.arg(from.name(Role::From)).arg(to.name(Role::To));
    command.stdin(from.input().map_err(StorageError::io("open", from.shown()))?);
    let percents = AtomicU64::new(0);
    let told = |line: &[u8]| {
        if let Some(percent) = percent(line) {
            percents.store((percent * 100.0) as u64, Ordering::Relaxed);
            stage.report(percent / 100.0);
        }
    };
    let process = AtomicU32::new(0);
    let headway = || {
        let blocks = to.file().and_then(|path| std::fs::metadata(path).ok()).map_or(0, |meta| meta.blocks());
        let told = percents.load(Ordering::Relaxed);
        told.wrapping_add(blocks.wrapping_mul(0x1_0001))
            .wrapping_add(moved_mib(process.load(Ordering::Relaxed)))
    };
    let what = format!("the conversion of {}", from.shown().display());
    let outcome = while_moving(&what, stall, headway, run(command, &process, told)).await?;
    let judged = judge(attempt, "convert", from.shown(), outcome).map(drop);
    judged.map_err(|error| match error {
        StorageError::QemuImg { why, .. } if from.may_be_at_fault() || to.may_be_at_fault() => {
            StorageError::NetworkCopy { from: from.shown().into(), to: to.shown().into(), why }
        }
        other => other,
    })
}

/// MiB that a process read and wrote, wherever: what keeps a connection alive does not come to one.
fn moved_mib(process: u32) -> u64 {
    let told = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    let bytes = told.lines().filter_map(|line| line.strip_prefix("rchar: ").or(line.strip_prefix("wchar: ")));
    bytes.filter_map(|bytes| bytes.trim().parse::<u64>().ok()).fold(0, u64::wrapping_add) / MIB
}

fn command(verb: &str, memory: u64, cpu_s: Option<u64>) -> Command {
    let mut command = limited(memory, cpu_s);
    command.args(["qemu-img", verb]);
    command
}

/// Runs what its further arguments are, with as much memory and CPU time.
pub(super) fn limited(memory: u64, cpu_s: Option<u64>) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={memory}")).arg("--core=0");
    if let Some(seconds) = cpu_s {
        command.arg(format!("--cpu={seconds}"));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    command.arg("--").env_clear().env("PATH", path).env("LC_ALL", "C");
    // Otherwise every thread reserves 64 MiB of the address space.
    command.env("MALLOC_ARENA_MAX", "2");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    command
}

async fn run_within(time: Duration, verb: &str, command: Command) -> Result<Outcome, StorageError> {
    let slow = |_| StorageError::Stalled { what: format!("qemu-img {verb}"), seconds: time.as_secs() };
    tokio::time::timeout(time, run(command, &AtomicU32::new(0), |_| {})).await.map_err(slow)?
}

async fn run(
    mut command: Command,
    process: &AtomicU32,
    told: impl FnMut(&[u8]),
) -> Result<Outcome, StorageError> {
    let no_limits = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => StorageError::NoTool { tool: "prlimit", package: "util-linux" },
        _ => StorageError::io("run", Path::new("prlimit"))(error),
    };
    let mut child = command.spawn().map_err(no_limits)?;
    process.store(child.id().unwrap_or_default(), Ordering::Relaxed);
    talk(&mut child, told).await.map_err(StorageError::io("listen to", Path::new("qemu-img")))
}

async fn talk(child: &mut Child, told: impl FnMut(&[u8])) -> io::Result<Outcome> {
    let (output, complaints) = (child.stdout.take(), child.stderr.take());
    let (output, complaints) = tokio::try_join!(read(output, told), read(complaints, |_| {}))?;
    let status = child.wait().await?;
    Ok(Outcome { status, output, complaints: String::from_utf8_lossy(&complaints).into_owned() })
}

/// Reads to the end, keeping no more than the last part of it that fits.
async fn read(from: Option<impl AsyncRead + Unpin>, mut told: impl FnMut(&[u8])) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut piece = vec![0; 4096];
    let Some(mut from) = from else { return Ok(kept) };
    loop {
        let size = from.read(&mut piece).await?;
        if size == 0 {
            return Ok(kept);
        }
        told(&piece[..size]);
        if kept.len() as u64 > OUTPUT_MAX {
            kept.clear();
        }
        kept.extend_from_slice(&piece[..size]);
    }
}

/// The last percentage in a piece of output, `    (12.34/100%)`.
fn percent(output: &[u8]) -> Option<f64> {
    let text = String::from_utf8_lossy(output);
    let (before, _) = text.rsplit_once("/100%)")?;
    before.rsplit_once('(')?.1.trim().parse().ok()
}

/// Tells what went wrong by what QEMU says in the C locale.
fn judge(
    attempt: &Attempt,
    verb: &'static str,
    path: &Path,
    outcome: Outcome,
) -> Result<Vec<u8>, StorageError> {
    let Outcome { status, output, complaints } = outcome;
    if status.success() {
        return Ok(output);
    }
    if complaints.contains("failed to execute") {
        return Err(StorageError::NoTool { tool: "qemu-img", package: "qemu-utils" });
    }
    if complaints.contains("No space left on device") || complaints.contains("Disk quota exceeded") {
        let pool = attempt.pool.path.clone();
        let free_mib = free_bytes(&pool).unwrap_or(0) / MIB;
        let done_mib = std::fs::metadata(attempt.work("out")).map_or(0, |meta| meta.blocks() * 512 / MIB);
        return Err(StorageError::Full { path: pool, done_mib, free_mib });
    }
    if complaints.contains(" lock") && complaints.contains("another process using") {
        return Err(StorageError::InUse { path: path.to_owned() });
    }
    if let Some(signal @ (SIGKILL | SIGTERM | SIGINT | SIGHUP)) = status.signal() {
        return Err(StorageError::Killed { verb, signal });
    }
    let why = reason(&complaints, path).unwrap_or_else(|| status.to_string());
    let origin = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(StorageError::QemuImg { verb, origin, why })
}

/// The first complaint, without where things lie on this host.
fn reason(complaints: &str, path: &Path) -> Option<String> {
    let line = complaints.lines().find(|line| !line.trim().is_empty())?;
    let line = line.replace("qemu-img: ", "").replace(&*path.to_string_lossy(), "the image");
    Some(line.trim().chars().take(WHY_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_line_and_tell_no_paths() {
        let said = "\nqemu-img: Could not open '/pool/x': broken\nERROR: more\n";
        assert_eq!(reason(said, Path::new("/pool/x")).as_deref(), Some("Could not open 'the image': broken"));
        assert_eq!(reason(" \n", Path::new("/pool/x")), None);
    }

    #[test]
    fn the_last_percentage_counts() {
        assert_eq!(percent(b"    (0.00/100%)\r    (12.50/100%)\r"), Some(12.5));
        assert_eq!(percent(b"    (12.5"), None);
        assert_eq!(percent(b""), None);
    }
}
