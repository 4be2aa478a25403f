//! hashicorp/go-memdb, in a process of its own: built here where Debian's `golang` and
//! `golang-github-hashicorp-go-memdb-dev` are installed, left out elsewhere.

use crate::peer::{Beside, Driver, Outcome, Work};
use anyhow::{Context, ensure};
use pony_benches::workload::{Cloud, Member};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use uuid::Uuid;

/// Where Debian installs sources of Go libraries.
const DEBIAN_GOPATH: &str = "/usr/share/gocode";

pub(crate) struct Memdb {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Memdb {
    pub(crate) const NAME: &'static str = "memdb";
}

/// Builds the peer. `None`, with the reason printed, where that cannot be done.
fn build(dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !Path::new(DEBIAN_GOPATH).join("src/github.com/hashicorp/go-memdb").exists() {
        println!("no go-memdb: install golang and golang-github-hashicorp-go-memdb-dev for this peer");
        return Ok(None);
    }
    let binary = dir.join("memdb");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&binary)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("state/memdb"))
        .env("GO111MODULE", "off")
        .env("GOPATH", DEBIAN_GOPATH)
        .env("GOCACHE", dir.join("go-cache"))
        .output();
    match built {
        Ok(output) if output.status.success() => Ok(Some(binary)),
        Ok(output) => anyhow::bail!("go build: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            println!("no go-memdb: cannot run go: {error}");
            Ok(None)
        }
    }
}

fn write_member(out: &mut impl Write, member: &Member) -> std::io::Result<()> {
    fn text(out: &mut impl Write, text: &str) -> std::io::Result<()> {
        out.write_all(&(text.len() as i64).to_le_bytes())?;
        out.write_all(text.as_bytes())
    }
    let (Some(desired), Some(current)) = (&member.instance.desired, &member.instance.current) else {
        return Ok(());
    };
    for id in [&member.instance.uuid, &desired.tenant, &desired.host] {
        out.write_all(id.as_bytes())?;
    }
    text(out, &desired.name)?;
    for number in [desired.vcpu, desired.mem, desired.priority] {
        out.write_all(&number.to_le_bytes())?;
    }
    out.write_all(current.host.as_bytes())?;
    out.write_all(&current.attempts.to_le_bytes())?;
    for (index, volume) in member.volumes.iter().enumerate() {
        let (Some(part), Some(vnic)) = (&volume.desired, &member.vnics[index].desired) else { continue };
        out.write_all(volume.uuid.as_bytes())?;
        out.write_all(part.storage_pool.as_bytes())?;
        text(out, &part.name)?;
        out.write_all(&part.size_mib.to_le_bytes())?;
        for id in [&member.vdisks[index].uuid, &member.vnics[index].uuid, &vnic.switch] {
            out.write_all(id.as_bytes())?;
        }
    }
    let serial = member.placement.desired.as_ref().map_or(0, |part| part.serial);
    out.write_all(&serial.to_le_bytes())
}

fn write_rows(path: &Path, cloud: &Cloud) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(&(cloud.members.len() as i64).to_le_bytes())?;
    cloud.members.iter().try_for_each(|member| write_member(&mut out, member))?;
    out.flush()
}

impl Memdb {
    pub(crate) fn load(dir: &Path, cloud: &Cloud) -> anyhow::Result<Option<Self>> {
        let Some(binary) = build(dir)? else { return Ok(None) };
        let rows = dir.join("rows");
        write_rows(&rows, cloud).context("writing the rows for go-memdb")?;
        let mut process =
            Command::new(binary).arg(&rows).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (input, output) = pipes.context("go-memdb's process has no pipes")?;
        let mut memdb = Self { process, input, output: BufReader::new(output) };
        memdb.ask("load")?;
        Ok(Some(memdb))
    }

    /// Sends a line and gives the two numbers of the answer.
    fn ask(&mut self, line: &str) -> anyhow::Result<(f64, f64)> {
        writeln!(self.input, "{line}")?;
        self.input.flush()?;
        let mut answer = String::new();
        ensure!(self.output.read_line(&mut answer)? > 0, "go-memdb ended: {}", self.process.wait()?);
        let mut numbers = answer.split_whitespace().map(str::parse::<f64>);
        let mut number = || numbers.next().context("go-memdb answered too little").and_then(|it| Ok(it?));
        Ok((number()?, number()?))
    }
}

impl Drop for Memdb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn line(name: &str, keys: impl IntoIterator<Item = Uuid>) -> String {
    let mut line = name.to_owned();
    for key in keys {
        let _ = write!(line, " {}", key.simple());
    }
    line
}

fn flat(moves: &[(Uuid, Uuid)]) -> impl Iterator<Item = Uuid> + '_ {
    moves.iter().flat_map(|(instance, host)| [*instance, *host])
}

impl Driver for Memdb {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn run(&mut self, work: Work<'_>) -> anyhow::Result<Outcome> {
        let (found, ns) = self.ask(&match work {
            Work::Load => "load".to_owned(),
            Work::Scan => "scan".to_owned(),
            Work::Get(keys) => line("get", keys.iter().copied()),
            Work::OfTenant(keys) => line("of_tenant", keys.iter().copied()),
            Work::OnHost(keys) => line("on_host", keys.iter().copied()),
            Work::VolumesOf(keys) => line("volumes_of", keys.iter().copied()),
            Work::Update(moves) => line("update", flat(moves)),
        })?;
        Ok(Outcome { found: found as i64, ns })
    }

    fn beside(&mut self, moves: &[(Uuid, Uuid)], scans: usize) -> anyhow::Result<Option<Beside>> {
        let (scan_ns, update_ns) = self.ask(&line(&format!("beside {scans}"), flat(moves)))?;
        Ok(Some(Beside { scan_ns, update_ns }))
    }
}
