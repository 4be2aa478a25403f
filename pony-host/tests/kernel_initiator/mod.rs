//! Pools of LUNs by the initiator of a kernel that has one: a guest's, with a target in the same guest.

use super::namespace::run;
use super::storage_bench::{self, Bench, MIB, are_zeroes, assert_reads, disk, options, qcow2_of};
use super::suite::{self, assert_refused};
use super::target::{self, NAME, SECRET, Target};
use super::traces::Traces;
use super::web::{Page, Web};
use pony_core::host::{
    DriverErrorKind, Extent, IscsiMode, IscsiPool, Place, PlvmPool, PoolBackend, PoolSpec, Source,
    VolumeFact, VolumeSpec,
};
use pony_host::{Storage, StorageOptions};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// What the guest needs.
pub(crate) const MODULES: &str = "crc32c_generic iscsi_tcp sd_mod dm-mod";
pub(crate) const PACKAGES: &str = "open-iscsi libopeniscsiusr libisns0";

const LUNS: [u8; 4] = [1, 2, 3, 255];

/// How often is looked for something that comes by itself, and how long in between: two minutes.
const LOOKS_MAX: u32 = 1200;
const LOOK: Duration = Duration::from_millis(100);

/// What open-iscsi has running on a host.
struct Daemon(Child);

impl Daemon {
    fn start() -> Self {
        fs::create_dir_all("/etc/iscsi").unwrap();
        fs::create_dir_all("/run/lock/iscsi").unwrap();
        fs::write("/etc/iscsi/iscsid.conf", "").unwrap();
        fs::write("/etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.2026-01.test.pony:host\n").unwrap();
        let child =
            Command::new("iscsid").arg("-f").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A target with disks on which somebody left something behind, and a host.
struct Lab {
    dir: PathBuf,
    target: Target,
    web: Web,
    _daemon: Daemon,
}

impl Lab {
    async fn start(dir: &Path) -> Self {
        let daemon = Daemon::start();
        let target = Target::start(dir, 3, 24).unwrap();
        target.add(255, 24);
        for lun in LUNS {
            target.write(lun, &vec![0xa5; 23 * MIB], target::DATA as u64);
        }
        Self { dir: dir.to_owned(), target, web: Web::start().await, _daemon: daemon }
    }

    fn backend(&self, mode: IscsiMode) -> IscsiPool {
        IscsiPool { mode, ..self.target.pool(&LUNS) }
    }

    fn options(&self) -> StorageOptions {
        StorageOptions {
            host: Uuid::from_u128(1),
            scratch: self.dir.join("scratch"),
            secrets: self.dir.join("secrets"),
            pool_patience: Duration::from_secs(30),
            ..options()
        }
    }

    fn bench(&self) -> Bench {
        Bench::of(self.backend(IscsiMode::Host).into(), self.dir.join("scratch"), self.options())
    }

    /// The same pool for a process that starts anew.
    fn again(&self, bench: &Bench, options: StorageOptions) -> Bench {
        let mut again = Bench::of(bench.pool.backend.clone(), bench.dir.clone(), options);
        again.pool = bench.pool.clone();
        again
    }
}

/// Numbers of the sessions that are bound to this.
fn sessions(interface: &str) -> Vec<String> {
    let all = fs::read_dir("/sys/class/iscsi_session").unwrap().flatten();
    let is_its =
        |it: &PathBuf| fs::read_to_string(it.join("ifacename")).is_ok_and(|name| name.trim() == interface);
    let numbers = all.map(|it| it.path()).filter(is_its);
    numbers.map(|it| it.file_name().unwrap().to_str().unwrap().replace("session", "")).collect()
}

fn interface(pool: &PoolSpec) -> String {
    format!("pony-{}", pool.pool)
}

/// SCSI disks, by name.
fn disks() -> Vec<String> {
    let all = fs::read_dir("/sys/block").unwrap().flatten().map(|it| it.file_name().into_string().unwrap());
    all.filter(|it| it.starts_with("sd")).collect()
}

/// Files in which the secret stands.
fn secrets() -> Vec<PathBuf> {
    let files = super::traces::files(Path::new("/etc/iscsi")).into_iter();
    files.filter(|it| fs::read_to_string(it).is_ok_and(|text| text.contains(SECRET))).collect()
}

/// Waits for something that comes by itself.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..LOOKS_MAX {
        if holds().await {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("{what} has not come");
}

fn open(fact: &VolumeFact) -> File {
    File::options().read(true).write(true).open(fact.place.path().unwrap()).unwrap()
}

/// In a directory of which nothing is left in the end.
async fn alone<F: Future<Output = ()>>(work: impl FnOnce(PathBuf) -> F) {
    let dir = TempDir::new().unwrap();
    let before = Traces::alone(dir.path());
    work(dir.path().to_owned()).await;
    for left in fs::read_dir(dir.path()).unwrap().flatten().map(|it| it.path()) {
        // What the target and its pools keep on disks of their own.
        let _ = fs::remove_dir_all(&left).or_else(|_| fs::remove_file(&left));
    }
    before.assert_unchanged();
    assert_eq!(disks(), [""; 0]);
}

pub(crate) async fn conforms() {
    alone(|dir| async move {
        let lab = Lab::start(&dir).await;
        let bench = lab.bench();
        let uri = lab.web.put("raw", Page::new(disk(6 * MIB, 1)));
        let suite = suite::StorageBench {
            formats: &[pony_core::host::VolumeFormat::Raw],
            abandoned_ms: &[1, 30, 300, 1000],
            ..suite::StorageBench::new(&bench.storage, bench.pool.clone(), uri, 6)
        };
        suite::storage(&suite).await;
        sign_out(&lab, &bench).await;
    })
    .await;
}

pub(crate) async fn keeps_what_it_is_given() {
    alone(|dir| async move {
        let mut lab = Lab::start(&dir).await;
        let (bench, bytes) = (lab.bench(), disk(6 * MIB, 1));
        contents(&lab, &bench, &bytes).await;
        either_initiator(&lab, &bench, &bytes).await;
        refused(&lab, &bench).await;
        left_behind(&bench, &bytes, &lab.web).await;
        extents(&lab, &bench, &bytes).await;
        comes_back(&mut lab, &bench).await;
        sign_out(&lab, &bench).await;
    })
    .await;
}

/// Filled from all there is, and grown while it is open.
async fn contents(lab: &Lab, bench: &Bench, bytes: &[u8]) {
    let uris =
        [lab.web.put("raw", Page::new(bytes.to_vec())), lab.web.put("qcow2", Page::new(qcow2_of(bytes)))];
    for uri in &uris {
        let spec = bench.raw(10);
        assert_reads(&bench.fetch(&spec, uri).await.unwrap(), bytes);
        let copy = bench.raw(14);
        let fact = bench.make(&copy, &Source::Volume(spec.clone())).await.unwrap();
        assert_reads(&fact, bytes);
        let (guest, larger) = (open(&fact), VolumeSpec { size_mib: Some(17), ..copy.clone() });
        guest.write_all_at(&[7; 512], 13 << 20).unwrap();
        let grown = bench.make(&larger, &Source::Empty).await.unwrap();
        assert_eq!((grown.size_mib, grown.place), (17, fact.place));
        let mut found = vec![0; 17 << 20];
        guest.read_exact_at(&mut found, 0).unwrap();
        assert!(found.starts_with(bytes) && found[13 << 20..][..512] == [7; 512]);
        assert!(are_zeroes(&found[14 << 20..]));
        assert_refused(bench.storage.delete_volume(&copy).await, DriverErrorKind::Transient);
        drop(guest);
        for spec in [spec, copy] {
            bench.storage.delete_volume(&spec).await.unwrap();
        }
    }
    across(lab, bench, bytes, &uris[1]).await;
    bench.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!(disks(), [""; 0], "disks stay that nobody has");
}

/// From a directory onto a LUN, and back.
async fn across(lab: &Lab, bench: &Bench, bytes: &[u8], uri: &str) {
    let files = lab.dir.join("files");
    fs::create_dir(&files).unwrap();
    let files = Bench::at(files, lab.options());
    let (image, volume) = (files.qcow2(None), bench.raw(8));
    files.fetch(&image, uri).await.unwrap();
    assert_reads(&bench.make(&volume, &Source::Volume(image)).await.unwrap(), bytes);
    let back = files.raw(8);
    let fact = bench.make(&back, &Source::Volume(volume.clone())).await.unwrap();
    storage_bench::assert_holds(&fact, bytes);
    bench.storage.delete_volume(&volume).await.unwrap();
}

/// A volume is the same by either initiator.
async fn either_initiator(lab: &Lab, bench: &Bench, bytes: &[u8]) {
    let uri = lab.web.put("either", Page::new(bytes.to_vec()));
    let spec = bench.raw(8);
    let fact = bench.fetch(&spec, &uri).await.unwrap();
    let direct = PoolSpec { backend: lab.backend(IscsiMode::Direct).into(), ..bench.pool.clone() };
    let found = bench.storage.list_volumes(&direct).await.unwrap();
    let [by_emulator] = &found[..] else { panic!("{found:?}") };
    assert!(matches!(by_emulator.place, Place::Network(_)), "{by_emulator:?}");
    assert_eq!((by_emulator.volume, by_emulator.size_mib), (spec.volume, 8));
    let made = VolumeSpec { pool: direct.clone(), ..bench.raw(5) };
    bench.fetch(&VolumeSpec { size_mib: Some(7), ..made.clone() }, &uri).await.unwrap();
    let made_here = VolumeSpec { pool: bench.pool.clone(), ..made };
    assert_reads(&bench.make(&made_here, &Source::Empty).await.unwrap(), bytes);
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap().len(), 2);
    // One that another host has removed.
    bench.storage.delete_volume(&VolumeSpec { pool: direct, ..spec }).await.unwrap();
    assert!(fact.place.path().unwrap().exists());
    bench.storage.open_pool(&bench.pool).await.unwrap();
    assert!(!fact.place.path().unwrap().exists(), "a mapping is left of a volume that is gone");
    bench.storage.delete_volume(&made_here).await.unwrap();
}

async fn refused(lab: &Lab, bench: &Bench) {
    let words = assert_refused(bench.make(&bench.raw(24), &Source::Empty).await, DriverErrorKind::Transient);
    assert!(words.contains("24 MiB") && words.contains("23"), "{words}");
    let records = lab.dir.join("no-records");
    let nameless = lab.again(bench, StorageOptions { open_iscsi: records, ..lab.options() });
    let words = assert_refused(nameless.storage.open_pool(&bench.pool).await, DriverErrorKind::Unsupported);
    assert!(words.contains("package open-iscsi"), "{words}");
    for file in secrets() {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
    assert_eq!(secrets().len(), 1);
}

/// What a process left that was killed, it or a tool of its: half a mapping, one of nothing, no records.
async fn left_behind(bench: &Bench, bytes: &[u8], web: &Web) {
    let spec = bench.raw(8);
    let fact = bench.fetch(&spec, &web.put("left", Page::new(bytes.to_vec()))).await.unwrap();
    let mapping = fact.place.path().unwrap().file_name().unwrap().to_str().unwrap();
    let make = |name: &str, of: &[&str]| {
        let uuid = format!("pony-{}-{}", bench.pool.pool.simple(), Uuid::new_v4().simple());
        run("dmsetup", &[&["create", name, "--uuid", &uuid], of].concat());
    };
    let of = |host: u128| format!("pony-{}.{}.1-1", Uuid::from_u128(77), Uuid::from_u128(host));
    let table = format!("0 8 linear /dev/{} 0", disks()[0]);
    run("dmsetup", &["remove", mapping]);
    make(mapping, &["--notable"]);
    make(&of(1), &["--table", &table]);
    make(&of(2), &["--table", &table]);
    make(&of(3), &["--notable"]);
    let record = secrets().pop().unwrap();
    fs::remove_dir_all("/etc/iscsi/nodes").unwrap();
    bench.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap(), std::slice::from_ref(&fact));
    assert_reads(&fact, bytes);
    let left = run("dmsetup", &["ls"]);
    assert!(left.contains(mapping) && left.contains(&of(2)), "{left}");
    assert!(!left.contains(&of(1)) && !left.contains(&of(3)), "{left}");
    run("dmsetup", &["remove", &of(2)]);
    assert_eq!(secrets(), [record]);
    bench.storage.delete_volume(&spec).await.unwrap();
}

/// A pool of extents (`plvm`) on a LUN that an administrator has signed in to.
async fn extents(lab: &Lab, bench: &Bench, bytes: &[u8]) {
    bench.storage.open_pool(&bench.pool).await.unwrap();
    others_sign_in(&interface(&bench.pool));
    let session = Path::new("/sys/class/iscsi_session").join(format!("session{}", sessions("default")[0]));
    let host = fs::canonicalize(session.join("device/..")).unwrap();
    let scan = Path::new("/sys/class/scsi_host").join(host.file_name().unwrap()).join("scan");
    fs::write(scan, "0 0 3").unwrap();
    until("the disk", async || !disks().is_empty()).await;
    let wwid = fs::read_to_string(format!("/sys/block/{}/device/wwid", disks()[0])).unwrap();
    let disk = wwid.split_whitespace().collect::<Vec<_>>().join("_");
    let backend = PoolBackend::Plvm(PlvmPool { disks: vec![disk.clone()] });
    let pool = Bench::of(backend, bench.dir.clone(), lab.options());
    let extent = Extent { extent: Uuid::new_v4(), disk, start_mib: 3, len_mib: 8, made: false };
    let volume = VolumeSpec { extents: vec![extent], ..pool.raw(8) };
    let uri = lab.web.put("extents", Page::new(bytes.to_vec()));
    assert_reads(&pool.fetch(&volume, &uri).await.unwrap(), bytes);
    pool.storage.delete_volume(&VolumeSpec { extents: Vec::new(), ..volume }).await.unwrap();
    run("iscsiadm", &["-m", "session", "-r", &sessions("default")[0], "--logout"]);
    fs::remove_file(secrets().into_iter().find(|it| it.ends_with("default")).unwrap()).unwrap();
}

/// Lost in all ways, with a volume open: each look ends within its time, and all goes on afterwards.
async fn comes_back(lab: &mut Lab, bench: &Bench) {
    let spec = bench.raw(8);
    let fact = bench.make(&spec, &Source::Empty).await.unwrap();
    let guest = open(&fact);
    guest.write_all_at(&[9; 4096], 4 << 20).unwrap();
    guest.sync_all().unwrap();
    let still_there = || {
        // Past what this kernel remembers.
        run("sh", &["-c", "echo 3 >/proc/sys/vm/drop_caches"]);
        let mut found = [0; 4096];
        guest.read_exact_at(&mut found, 4 << 20).unwrap();
        assert_eq!(found, [9; 4096]);
    };
    taken_up(lab, bench).await;
    ended_by_others(bench).await;
    still_there();
    frozen(lab, bench, &spec).await;
    still_there();
    let before = sessions(&interface(&bench.pool));
    lab.target.come_back_after(Duration::from_secs(3), &LUNS).await;
    ready(bench).await;
    assert_eq!(sessions(&interface(&bench.pool)), before);
    still_there();
    // As a kernel does with a disk that did not answer for too long.
    for disk in disks() {
        fs::write(format!("/sys/block/{disk}/device/state"), "offline\n").unwrap();
    }
    ready(bench).await;
    still_there();
    guest.write_all_at(&[8; 4096], 0).unwrap();
    guest.sync_all().unwrap();
    drop(guest);
    bench.storage.delete_volume(&spec).await.unwrap();
}

async fn ready(bench: &Bench) {
    until("the pool", async || bench.storage.open_pool(&bench.pool).await.is_ok()).await;
    bench.storage.list_volumes(&bench.pool).await.unwrap();
}

/// A process that starts anew finds the session.
async fn taken_up(lab: &Lab, bench: &Bench) {
    let before = sessions(&interface(&bench.pool));
    assert_eq!(before.len(), 1);
    let again = lab.again(bench, lab.options());
    again.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!(again.storage.list_volumes(&bench.pool).await.unwrap().len(), 1);
    assert_eq!(sessions(&interface(&bench.pool)), before);
}

/// Somebody signs this host out: it signs in again, and the disk, which is another device now, is that of the volume.
async fn ended_by_others(bench: &Bench) {
    let before = sessions(&interface(&bench.pool));
    run("iscsiadm", &["-m", "session", "-r", &before[0], "--logout"]);
    ready(bench).await;
    assert_ne!(sessions(&interface(&bench.pool)), before);
}

/// A target that does not answer any more.
async fn frozen(lab: &Lab, bench: &Bench, spec: &VolumeSpec) {
    let brief = Duration::from_secs(3);
    let impatient = StorageOptions { pool_patience: brief, copy_stall: brief, ..lab.options() };
    let impatient = lab.again(bench, impatient);
    stopped_amid_a_fill(lab, bench, &impatient).await;
    lab.target.freeze();
    let asked = Instant::now();
    let words = assert_refused(impatient.storage.open_pool(&bench.pool).await, DriverErrorKind::Transient);
    assert!(words.contains("has not answered for 3 s"), "{words}");
    let larger = VolumeSpec { size_mib: Some(9), ..spec.clone() };
    assert_refused(impatient.make(&larger, &Source::Empty).await, DriverErrorKind::Transient);
    assert!(asked.elapsed() < Duration::from_secs(60), "{:?}", asked.elapsed());
    lab.target.thaw();
    ready(bench).await;
}

/// What writes to a disk that does not answer cannot even be killed; the fill ends all the same, and is made anew later.
async fn stopped_amid_a_fill(lab: &Lab, bench: &Bench, impatient: &Bench) {
    let (spec, asked) = (bench.raw(20), Instant::now());
    let begun = format!("pony-{}.", spec.volume);
    let is_mapped = || {
        super::traces::files(Path::new("/dev/mapper"))
            .iter()
            .any(|it| it.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begun)))
    };
    let stop = async {
        until("the mapping of a fill", async || is_mapped()).await;
        lab.target.freeze();
        std::future::pending::<std::convert::Infallible>().await
    };
    let made = tokio::select! {
        made = impatient.make(&spec, &Source::Empty) => made,
        never = stop => match never {},
    };
    if made.is_err() {
        assert_refused(made, DriverErrorKind::Transient);
    }
    assert!(asked.elapsed() < Duration::from_secs(150), "{:?}", asked.elapsed());
    lab.target.thaw();
    ready(bench).await;
    until("the volume", async || bench.make(&spec, &Source::Empty).await.is_ok()).await;
    until("its end", async || bench.storage.delete_volume(&spec).await.is_ok()).await;
    assert!(!is_mapped());
}

/// What nobody asks for any more goes, but for what is open, and what others have.
async fn sign_out(lab: &Lab, bench: &Bench) {
    let spec = bench.raw(4);
    let fact = bench.make(&spec, &Source::Empty).await.unwrap();
    let (guest, own) = (open(&fact), interface(&bench.pool));
    others_sign_in(&own);
    let keep = Duration::from_secs(2);
    let host = lab.again(bench, StorageOptions { mount_keep: keep, ..lab.options() });
    host.storage.list_volumes(&bench.pool).await.unwrap();
    tokio::time::sleep(3 * keep).await;
    assert_eq!(sessions(&own).len(), 1, "a session ended under a volume that is open");
    drop(guest);
    until("the end of the session", async || sessions(&own).is_empty()).await;
    assert!(!fact.place.path().unwrap().exists());
    until("the end of its records", async || !secrets().iter().any(|it| it.ends_with(&own))).await;
    let others = sessions("default");
    assert_eq!(others.len(), 1, "a session of others ended");
    assert_eq!(secrets().len(), 1);
    run("iscsiadm", &["-m", "session", "-r", &others[0], "--logout"]);
    // It is there again for who asks.
    host.storage.delete_volume(&spec).await.unwrap();
    until("the end of the session", async || sessions(&own).is_empty()).await;
}

/// An administrator signs in at the same target, by a record like that of the host.
fn others_sign_in(own: &str) {
    let record = secrets().into_iter().find(|it| it.ends_with(own)).unwrap();
    let text = fs::read_to_string(&record).unwrap().replace(own, "default");
    fs::write(record.with_file_name("default"), text).unwrap();
    run("iscsiadm", &["-m", "node", "-T", NAME, "-I", "default", "--login"]);
}
