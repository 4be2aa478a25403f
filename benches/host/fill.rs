//! How fast a volume is filled from an image on the same host, against the tools that people take for it.
//!
//! All of them end with the data on the disk (`fsync`), since a volume that is told to be ready has to be.

use anyhow::{Context, ensure};
use pony_benches::{Op, Report, Rng, compare};
use pony_core::host::{PoolBackend, PoolSpec, Source, VolumeFormat, VolumeSpec};
use pony_host::{HostStorage, Storage, StorageOptions};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Size of the image, and of its data: an installed system on a disk that is mostly empty.
const IMAGE_MIB: u64 = 2048;
const DATA_MIB: u64 = 384;

/// Data lie in pieces of this, with holes between them.
const PIECE: u64 = 1 << 20;

const MIB: u64 = 1 << 20;
const RUNS: usize = 5;
const NS_PER_MS: f64 = 1e6;

/// As fast as the tool, but for a tenth.
const RATIO: f64 = 0.9;

/// A pool in a directory, with an image in it.
struct Place {
    dir: tempfile::TempDir,
    runtime: Runtime,
    storage: HostStorage,
    image: VolumeSpec,
    file: PathBuf,
}

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let place = Place::new()?;
    let (raw, qcow2) = ("fill raw from raw", "fill qcow2 from raw");
    let mut ours = place.ours(VolumeFormat::Raw);
    let mut tool = place.tool("cp", &["--reflink=auto", "--sparse=always"]);
    let mut ops = [Op::new("pony", || found(ours())), Op::new("cp", || found(tool()))];
    report.figures(raw, in_ms(compare(RUNS, 1, &mut ops)));
    let mut ours = place.ours(VolumeFormat::Qcow2);
    let mut tool = place.tool("qemu-img", &["convert", "-f", "raw", "-O", "qcow2"]);
    let mut ops = [Op::new("pony", || found(ours())), Op::new("qemu-img", || found(tool()))];
    report.figures(qcow2, in_ms(compare(RUNS, 1, &mut ops)));
    report.at_least_as_fast(raw, "pony", "cp", RATIO);
    report.at_least_as_fast(qcow2, "pony", "qemu-img", RATIO);
    Ok(())
}

fn in_ms(medians: Vec<(&'static str, f64)>) -> impl Iterator<Item = (&'static str, f64)> {
    medians.into_iter().map(|(peer, ns)| (peer, ns / NS_PER_MS))
}

/// A peer that fails finds what no other does.
fn found(outcome: anyhow::Result<()>) -> i64 {
    match outcome {
        Ok(()) => 1,
        Err(error) => {
            eprintln!("{error:#}");
            i64::MIN
        }
    }
}

impl Place {
    fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let runtime = Runtime::new()?;
        let storage = HostStorage::new(StorageOptions::default());
        let pool =
            PoolSpec { pool: Uuid::from_u128(1), backend: PoolBackend::Dir { path: dir.path().to_owned() } };
        let size_mib = Some(i64::try_from(IMAGE_MIB)?);
        let image = VolumeSpec {
            volume: Uuid::from_u128(2),
            pool,
            format: VolumeFormat::Raw,
            size_mib,
            extents: Vec::new(),
        };
        let made = storage.create_volume(&image, &Source::Empty, Arc::new(|_| {}));
        runtime.block_on(made)?;
        let file = dir.path().join("volumes").join(format!("{}.raw", image.volume));
        fill_in_pieces(&file).with_context(|| format!("filling {}", file.display()))?;
        Ok(Self { dir, runtime, storage, image, file })
    }

    /// Makes a volume from the image, and removes it: that is a part of every peer's turn.
    fn ours(&self, format: VolumeFormat) -> impl FnMut() -> anyhow::Result<()> {
        move || {
            let size_mib = Some(i64::try_from(IMAGE_MIB)?);
            let spec = VolumeSpec {
                volume: Uuid::from_u128(3),
                pool: self.image.pool.clone(),
                format,
                size_mib,
                extents: Vec::new(),
            };
            let source = Source::Volume(self.image.clone());
            self.runtime.block_on(self.storage.create_volume(&spec, &source, Arc::new(|_| {})))?;
            Ok(self.runtime.block_on(self.storage.delete_volume(&spec))?)
        }
    }

    /// The same by a tool, whose last arguments are the two files.
    fn tool(&self, tool: &'static str, args: &'static [&'static str]) -> impl FnMut() -> anyhow::Result<()> {
        move || {
            let copy = self.dir.path().join("copy");
            run(Command::new(tool).args(args).arg(&self.file).arg(&copy))?;
            File::open(&copy)?.sync_all()?;
            Ok(fs::remove_file(&copy)?)
        }
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Data that do not compress, spread evenly.
fn fill_in_pieces(path: &Path) -> anyhow::Result<()> {
    let file = File::options().write(true).open(path)?;
    let mut rng = Rng::new(7);
    let pieces = DATA_MIB * MIB / PIECE;
    let mut piece = vec![0; usize::try_from(PIECE)?];
    for number in 0..pieces {
        piece.iter_mut().for_each(|byte| *byte = rng.below(256).to_le_bytes()[0]);
        file.write_all_at(&piece, number * (IMAGE_MIB * MIB / pieces) / 4096 * 4096)?;
    }
    Ok(file.sync_all()?)
}
