//! Daemons as processes of their own, which can be killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Lines of each log that a failure shows.
const LINES: usize = 60;

/// Waits until something holds; fails with what is told then, and the ends of logs.
pub(crate) async fn wait_until(
    what: &str,
    patience: Duration,
    holds: impl AsyncFn() -> bool,
    told: impl AsyncFn() -> String,
    logs: &[PathBuf],
) {
    let deadline = Instant::now() + patience;
    while !holds().await {
        if Instant::now() > deadline {
            let tails: Vec<String> = logs.iter().map(|log| tail(log)).collect();
            panic!("not within {patience:?}: {what}\n{}\n{}", told().await, tails.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The last lines of a log, under its name.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    // Not what was only asked, by this test above all.
    let lines: Vec<&str> = text.lines().filter(|it| !it.contains("method=GET")).collect();
    format!("--- {}\n{}", log.display(), lines[lines.len().saturating_sub(LINES)..].join("\n"))
}

/// A daemon; killed when dropped.
pub(crate) struct Daemon(Option<Child>);

impl Daemon {
    /// Not running.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Starts a daemon; its log goes to `log`.
    pub(crate) fn start(name: &str, args: &[String], log: &Path) -> Self {
        Self::spawn(Command::new(binary(name)).args(args), log)
    }

    /// The same by any command.
    pub(crate) fn spawn(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        let child = command
            .env("PONY_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(Some(child))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The binary of a daemon.
pub(crate) fn binary(name: &str) -> PathBuf {
    binaries().join(name)
}

/// Where the daemons' binaries are; builds them, since a test of one package has only that package's, unless `PONY_BUILT` says
/// that it is done.
fn binaries() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let pony = PathBuf::from(env!("CARGO_BIN_EXE_pony"));
    let dir = pony.parent().unwrap().to_owned();
    BUILT.get_or_init(|| {
        if std::env::var_os("PONY_BUILT").is_some() {
            return;
        }
        // What cargo tells this test of its own package would make other packages build anew what their scripts built.
        let mut cargo = Command::new(env!("CARGO"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_")) {
            cargo.env_remove(name);
        }
        let built = cargo
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_MANIFEST_LINKS")
            .args([
                "build",
                "--quiet",
                "--package",
                "sparkle",
                "--package",
                "twilight",
                "--bins",
                "--examples",
            ])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "building the daemons");
    });
    dir
}
