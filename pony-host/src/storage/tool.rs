//! Runs the tools of a kind of pool: brief, blocking, bounded in time, also where they cannot even be killed. (`qemu_img` is another matter.)

use super::error::StorageError;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a tool may take, seconds; it is told to end then, and killed after as many more as stand behind it.
const PATIENCE_S: &str = "60";
const KILL_S: &str = "5";

/// How long it is waited for in all: a tool that waits for a disk which does not answer is not even killed before that does.
const GIVEN_UP: Duration = Duration::from_secs(70);

/// How `timeout` ends when it had to end the tool, and when there is no such tool.
const ENDED: i32 = 124;
const MISSING: i32 = 127;

/// How complaints begin that explain nothing.
const DULL: [&str; 3] = ["WARNING", "Command failed.", "iscsiadm: Could not log into all portals"];

/// Longest reason in a message, characters.
const WHY_MAX: usize = 300;

/// Runs a tool to its end, and gives what it wrote.
pub(super) fn run<'a>(
    tool: &'static str,
    package: &'static str,
    args: impl IntoIterator<Item = &'a OsStr>,
) -> Result<Vec<u8>, StorageError> {
    feed(tool, package, args, &[])
}

/// The same for one that reads something: no more than a pipe holds (64 KiB), since nobody waits for it to read.
pub(super) fn feed<'a>(
    tool: &'static str,
    package: &'static str,
    args: impl IntoIterator<Item = &'a OsStr>,
    input: &[u8],
) -> Result<Vec<u8>, StorageError> {
    let mut command = Command::new("timeout");
    command.args(["-k", KILL_S, PATIENCE_S, tool]).args(args).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = ended(command, input, GIVEN_UP).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StorageError::NoTool { tool: "timeout", package: "coreutils" },
        io::ErrorKind::TimedOut => stalled(tool),
        _ => StorageError::io("run", tool.as_ref())(error),
    })?;
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        Some(ENDED) => Err(stalled(tool)),
        Some(MISSING) => Err(StorageError::NoTool { tool, package }),
        _ => Err(StorageError::Tool { tool, why: why(&output.stderr, output.status.to_string()) }),
    }
}

fn stalled(tool: &str) -> StorageError {
    StorageError::Stalled { what: tool.to_owned(), seconds: 60 }
}

/// What came of a process. One that does not come to its end in time is left behind, with a thread that waits for it.
fn ended(mut command: Command, input: &[u8], patience: Duration) -> io::Result<Output> {
    let mut child = command.spawn()?;
    // What ends without reading says itself why.
    drop(child.stdin.take().map(|mut stdin| stdin.write_all(input)));
    let (told, heard) = mpsc::channel();
    std::thread::Builder::new().spawn(move || told.send(child.wait_with_output()))?;
    heard.recv_timeout(patience).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The last complaint that is no warning, nor says only that something was wrong: what went before explains less.
fn why(complaints: &[u8], ended: String) -> String {
    let text = String::from_utf8_lossy(complaints);
    let mut lines = text.lines().rev().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !DULL.iter().any(|dull| line.starts_with(dull)));
    line.map_or(ended, |line| line.chars().take(WHY_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_fails_says_why() {
        let said = run("ls", "coreutils", ["/no/such/thing".as_ref()]).unwrap_err().to_string();
        assert!(said.contains("ls") && said.contains("No such file"), "{said}");
        let none = run("pony-no-such-tool", "nothing", []).unwrap_err().to_string();
        assert!(none.contains("not installed"), "{none}");
        assert_eq!(run("printf", "coreutils", ["a".as_ref()]).unwrap(), b"a");
        assert_eq!(feed("cat", "coreutils", [], b"b").unwrap(), b"b");
    }

    #[test]
    fn the_last_words_are_not_always_the_reason() {
        let said = "iscsiadm: Could not login to [a].\niscsiadm: initiator reported error (24 - refused)\n\
                    iscsiadm: Could not log into all portals\n";
        assert_eq!(why(said.as_bytes(), String::new()), "iscsiadm: initiator reported error (24 - refused)");
        assert_eq!(why(b"WARNING: a\n", "exit status: 1".into()), "exit status: 1");
    }

    #[test]
    fn what_does_not_end_is_left_behind() {
        let mut command = Command::new("sh");
        command.args(["-c", "read line"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (reader, _writer) = io::pipe().unwrap();
        command.stdin(reader);
        let error = ended(command, b"", Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
