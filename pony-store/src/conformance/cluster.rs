//! A private PostgreSQL server for tests: Debian's package `postgresql-15`, its own data, its own socket, run by a user
//! without privileges. It goes with the process that started it, however that ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The user whose server it is, in it. (In the system it is `postgres`, where the tests are root's.)
pub const USER: &str = "pony";

/// Attempts at starting after a kill: the processes of the one before need a moment to notice.
const START_ATTEMPTS: usize = 40;

/// A server.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    /// Waits for the end of its input, then stops the server and removes all of it.
    keeper: Child,
}

/// How it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended first.
    Fast,
    /// As if the power had failed, but for what the operating system still writes.
    Kill,
}

impl Cluster {
    /// A new one with these settings (`name=value`).
    ///
    /// # Errors
    /// Why there can be none here, in words: the test is to be skipped.
    ///
    /// # Panics
    /// Where the programs are there and do not work.
    pub fn start(settings: &[&str]) -> Result<Self, String> {
        let cluster = Self::prepare()?;
        let data = cluster.data();
        cluster.must(
            "initdb",
            &["-D", &data, "-A", "trust", "-U", USER, "-E", "UTF8", "--no-locale", "--no-sync"],
        );
        cluster.configure(settings);
        Ok(cluster.started())
    }

    /// All but the data.
    fn prepare() -> Result<Self, String> {
        let bin = bin_dir()?;
        let dir = make_dir().map_err(|error| format!("no directory for a database can be made: {error}"))?;
        let keeper = keeper(&bin, &dir).map_err(|error| format!("setpriv, from util-linux: {error}"))?;
        Ok(Self { bin, dir, port: free_port(), keeper })
    }

    fn started(self) -> Self {
        self.restart();
        self
    }

    /// Adds settings; they count from the next start on.
    ///
    /// # Panics
    /// Where its configuration cannot be written.
    pub fn configure(&self, settings: &[&str]) {
        let path = self.dir.join("data/postgresql.conf");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(&format!(
            "\nlisten_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n",
            self.port,
            self.dir.display()
        ));
        settings.iter().for_each(|setting| text.push_str(&format!("{setting}\n")));
        std::fs::write(path, text).unwrap();
    }

    /// A standby of it: a copy that repeats what it does, and serves reads.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    ///
    /// # Panics
    /// Where the copy cannot be made.
    pub fn standby(&self) -> Result<Self, String> {
        let copy = self.base_backup(&["--write-recovery-conf"])?;
        copy.configure(&[]);
        Ok(copy.started())
    }

    /// A base backup, not started.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn base_backup(&self, arguments: &[&str]) -> Result<Self, String> {
        let copy = Self::prepare()?;
        let (data, port) = (copy.data(), self.port.to_string());
        let dir = self.dir.to_string_lossy().into_owned();
        let own = ["-h", &dir, "-p", &port, "-U", USER, "-D", &data, "--checkpoint=fast", "--no-sync"];
        copy.must("pg_basebackup", &[&own, arguments].concat());
        Ok(copy)
    }

    /// Starts a base backup, to be brought to where the settings say.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn recover(&self, settings: &[&str]) {
        self.configure(settings);
        std::fs::write(self.dir.join("data/recovery.signal"), "").unwrap();
        self.restart();
    }

    /// Makes a standby hear nothing more of its primary.
    ///
    /// # Panics
    /// Where it does not do so.
    pub fn forget_primary(&self) {
        self.psql("postgres", "ALTER SYSTEM SET primary_conninfo = ''").expect("a setting is changed");
        self.psql("postgres", "SELECT pg_reload_conf()").expect("settings are read");
        let receives = || self.psql("postgres", "SELECT count(*) FROM pg_stat_wal_receiver");
        while receives().expect("it is asked") != "0" {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes a standby a server of its own.
    ///
    /// # Panics
    /// Where that fails.
    pub fn promote(&self) {
        let data = self.data();
        self.must("pg_ctl", &["-D", &data, "-w", "promote"]);
    }

    /// The directory of everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The TCP port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a database, by the socket.
    #[must_use]
    pub fn address(&self, database: &str) -> String {
        let dir = self.dir.to_string_lossy().replace('/', "%2F");
        format!("postgresql://{USER}@{dir}:{}/{database}", self.port)
    }

    /// The same by TCP.
    #[must_use]
    pub fn tcp_address(&self, database: &str) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database.
    ///
    /// # Panics
    /// Where that fails.
    pub fn create(&self, database: &str) {
        self.psql("postgres", &format!("CREATE DATABASE \"{database}\"")).expect("a database is made");
    }

    /// Runs SQL by `psql`, as somebody who knows nothing of the store.
    ///
    /// # Errors
    /// What it says.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let address = self.address(database);
        let output =
            self.run("psql", &["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &address, "-c", sql]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Starts it again after a stop.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&self) {
        let log = self.dir.join("log");
        let (data, log) = (self.data(), log.to_string_lossy().into_owned());
        for attempt in 1..=START_ATTEMPTS {
            let output = self.run("pg_ctl", &["-D", &data, "-l", &log, "-w", "-t", "60", "start"]);
            if output.status.success() {
                return;
            }
            assert!(
                attempt < START_ATTEMPTS,
                "{output:?}\n{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Stops it.
    ///
    /// # Panics
    /// Where it does not stop.
    pub fn stop(&self, how: Stop) {
        if how == Stop::Fast {
            let data = self.data();
            self.must("pg_ctl", &["-D", &data, "-m", "fast", "-w", "stop"]);
            return;
        }
        let file = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap_or_default();
        let first = file.lines().next().unwrap_or_default().to_owned();
        // Stopped first, so that it makes no more. Sessions would notice its death by themselves, but only soon, and
        // commit what comes meanwhile.
        signal("STOP", std::slice::from_ref(&first));
        let all: Vec<String> = children(&first).chain([first.clone()]).collect();
        signal("KILL", &all);
        for _ in 0..GONE_ATTEMPTS {
            if !all.iter().any(|pid| stat(pid).is_some_and(|(state, _)| state != "Z")) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("killed processes are still there: {all:?}");
    }

    /// Runs a program of PostgreSQL's as the server's user.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = unprivileged(&self.bin.join(program));
        command.args(arguments).current_dir(&self.dir).stdin(Stdio::null());
        command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    fn must(&self, program: &str, arguments: &[&str]) {
        let output = self.run(program, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {said}{}", String::from_utf8_lossy(&output.stdout));
    }

    fn data(&self) -> String {
        self.dir.join("data").to_string_lossy().into_owned()
    }
}

/// How often is looked whether killed processes are gone, 10 ms apart: a busy machine may take a while.
const GONE_ATTEMPTS: u32 = 3000;

fn signal(name: &str, processes: &[String]) {
    let sent = Command::new("kill").arg(format!("-{name}")).args(processes).status();
    assert!(sent.is_ok(), "kill -{name} {processes:?}: {sent:?}");
}

/// State and parent of a process; `None` where there is none.
fn stat(process: &str) -> Option<(String, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned);
    Some((fields.next()?, fields.next()?))
}

fn children(process: &str) -> impl Iterator<Item = String> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(move |pid| stat(pid).is_some_and(|(_, parent)| parent == process))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Where the programs are. `psql` alone may be in the path; the server's are not.
fn bin_dir() -> Result<PathBuf, String> {
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    let asked = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut candidates: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    candidates.sort();
    candidates.extend(asked);
    let found = candidates.into_iter().rev().find(|dir| dir.join("initdb").exists());
    found.ok_or_else(|| "the package postgresql-15 is not installed".to_owned())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0)
}

/// A program, run by the server's user: it refuses to be root's.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

/// A directory that the server's user owns. Short: the name of a socket has 107 bytes.
fn make_dir() -> io::Result<PathBuf> {
    let dir = tempfile::Builder::new().prefix("pony-pg-").tempdir()?.keep();
    if is_root() {
        let status = Command::new("chown").arg("postgres:postgres").arg(&dir).status()?;
        if !status.success() {
            return Err(io::Error::other("there is no user `postgres`"));
        }
    }
    Ok(dir)
}

/// Cleans up behind this process: it outlives it.
fn keeper(bin: &Path, dir: &Path) -> io::Result<Child> {
    let script = "cat >/dev/null; \"$1\" -D \"$2/data\" -m immediate -w stop >/dev/null 2>&1; rm -rf \"$2\"";
    let mut command = unprivileged(Path::new("/bin/sh"));
    command.args(["-c", script, "sh"]).arg(bin.join("pg_ctl")).arg(dir).stdin(Stdio::piped());
    // An interrupt from the terminal is for the tests; this one acts when they are gone.
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    listener.and_then(|it| it.local_addr()).map_or(0, |address| address.port())
}
