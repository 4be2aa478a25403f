//! Runs the tools of a kind of pool: brief, blocking, bounded in time. (`qemu_img` is another matter.)

use super::error::StorageError;
use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// How long a tool may take, seconds; it is told to end then, and killed after as many more as stand behind it.
const PATIENCE_S: &str = "60";
const KILL_S: &str = "5";

/// How `timeout` ends when it had to end the tool, and when there is no such tool.
const ENDED: i32 = 124;
const MISSING: i32 = 127;

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
    let output = command.spawn().and_then(|mut child| {
        // What ends without reading says itself why.
        drop(child.stdin.take().map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output()
    });
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StorageError::NoTool { tool: "timeout", package: "coreutils" },
        _ => StorageError::io("run", tool.as_ref())(error),
    })?;
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        Some(ENDED) => Err(StorageError::Stalled { what: tool.to_owned(), seconds: 60 }),
        Some(MISSING) => Err(StorageError::NoTool { tool, package }),
        _ => Err(StorageError::Tool { tool, why: why(&output.stderr, output.status.to_string()) }),
    }
}

/// The last complaint that is no warning: what went before explains less.
fn why(complaints: &[u8], ended: String) -> String {
    let text = String::from_utf8_lossy(complaints);
    let mut lines = text.lines().rev().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with("WARNING"));
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
}
