//! Volumes in directories: filled from images of all kinds, grown, copied, deleted.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod storage_bench;
mod suite;
mod web;

use pony_core::host::{DriverErrorKind, PoolBackend, PoolSpec, Source, VolumeFormat, VolumeSpec};
use pony_host::{Storage, StorageOptions};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use storage_bench::{Bench, MIB, assert_holds, disk, qcow2_of, qemu_img};
use suite::{assert_refused, eventually};
use uuid::Uuid;
use web::{Page, Web};

#[tokio::test]
async fn directories_conform() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let uri = web.put("image", Page::new(disk(6 * MIB, 1)));
    let pool = bench.pool.clone();
    suite::storage(&suite::StorageBench::new(&bench.storage, pool, uri, 6)).await;
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
}

#[tokio::test]
async fn a_volume_holds_what_its_source_holds_in_whatever_format() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(3 * MIB, 2);
    let sources = [web.put("raw", Page::new(bytes.clone())), web.put("qcow2", Page::new(qcow2_of(&bytes)))];
    for uri in &sources {
        for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
            let image = bench.spec(format, None);
            assert_holds(&bench.fetch(&image, uri).await.unwrap(), &bytes);
            for to in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
                let copy = bench.spec(to, 5);
                let fact = bench.make(&copy, &Source::Volume(image.clone())).await.unwrap();
                assert_eq!(fact.size_mib, 5);
                assert_holds(&fact, &bytes);
            }
        }
    }
    assert_eq!(bench.finished().len(), 12);
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
}

#[tokio::test]
async fn growing_keeps_the_content() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(MIB, 3);
    let uri = web.put("image", Page::new(bytes.clone()));
    for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
        let spec = bench.spec(format, 2);
        bench.fetch(&spec, &uri).await.unwrap();
        let larger = VolumeSpec { size_mib: Some(7), ..spec };
        let fact = bench.make(&larger, &Source::Empty).await.unwrap();
        assert_eq!(fact.size_mib, 7);
        assert_holds(&fact, &bytes);
    }
}

#[tokio::test]
async fn only_the_emulator_gets_at_a_volume() {
    let bench = Bench::new();
    let fact = bench.make(&bench.qcow2(1), &Source::Empty).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(fact.place.path().unwrap()), 0o600);
    assert_eq!(mode(&bench.dir.join("volumes")), 0o711);
    assert_eq!(mode(&bench.dir.join("partial")), 0o700);
}

#[tokio::test]
async fn a_directory_that_cannot_be_a_pool_says_why() {
    let bench = Bench::new();
    let file = bench.dir.join("file");
    File::create(&file).unwrap();
    for (path, words) in [(bench.dir.join("none"), "does not exist"), (file, "not a directory")] {
        let pool = PoolSpec { pool: Uuid::new_v4(), backend: PoolBackend::Dir { path: path.clone() } };
        let spec = VolumeSpec { pool: pool.clone(), ..bench.raw(1) };
        let answers = [
            bench.storage.open_pool(&pool).await.map(drop),
            bench.storage.list_volumes(&pool).await.map(drop),
            bench.make(&spec, &Source::Empty).await.map(drop),
            bench.storage.delete_volume(&spec).await,
        ];
        for answer in answers {
            let message = assert_refused(answer, DriverErrorKind::Order);
            assert!(message.contains(words) && message.contains(path.to_str().unwrap()), "{message}");
        }
    }
    assert!(!bench.dir.join("none").exists(), "a pool's directory is never made");
}

#[tokio::test]
async fn what_others_put_into_a_pool_is_neither_listed_nor_touched() {
    let bench = Bench::new();
    bench.storage.open_pool(&bench.pool).await.unwrap();
    let volumes = bench.dir.join("volumes");
    let foreign =
        [format!("{}.iso", Uuid::new_v4()), "notes.raw".into(), Uuid::new_v4().simple().to_string() + ".raw"];
    for name in &foreign {
        File::create(volumes.join(name)).unwrap();
    }
    fs::create_dir(volumes.join(format!("{}.raw", Uuid::new_v4()))).unwrap();
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap(), []);
    bench.storage.delete_volume(&bench.raw(1)).await.unwrap();
    assert_eq!(bench.finished().len(), 4);
}

#[tokio::test]
async fn a_damaged_volume_is_not_finished_and_never_overwritten() {
    let bench = Bench::new();
    let spec = bench.qcow2(1);
    let path = bench.make(&spec, &Source::Empty).await.unwrap().place.path().unwrap().to_owned();
    fs::write(&path, "precious").unwrap();
    assert_eq!(bench.storage.list_volumes(&bench.pool).await.unwrap(), []);
    let message = assert_refused(bench.make(&spec, &Source::Empty).await, DriverErrorKind::Order);
    assert!(message.contains("damaged") && message.contains(path.to_str().unwrap()), "{message}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    bench.storage.delete_volume(&spec).await.unwrap();
    assert_eq!(bench.finished(), [""; 0]);
}

#[tokio::test]
async fn what_a_killed_agent_left_is_cleared_away() {
    let bench = Bench::new();
    bench.storage.open_pool(&bench.pool).await.unwrap();
    let spec = bench.raw(1);
    let partial = bench.dir.join("partial");
    let leave = |volume: Uuid| {
        let dir = partial.join(format!("{volume}.99999999-0"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("out"), "half").unwrap();
        fs::write(partial.join(format!("{volume}.download")), "half").unwrap();
    };
    leave(spec.volume);
    bench.make(&spec, &Source::Empty).await.unwrap();
    eventually("cleared by a new fill", || async { bench.unfinished().is_empty() }).await;

    leave(spec.volume);
    bench.storage.delete_volume(&spec).await.unwrap();
    assert_eq!(bench.unfinished(), [""; 0], "cleared by a deletion");

    leave(Uuid::new_v4());
    let (old, name) = (SystemTime::now() - Duration::from_secs(25 * 3600), bench.unfinished()[1].clone());
    File::options().write(true).open(partial.join(&name)).unwrap().set_modified(old).unwrap();
    bench.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!(bench.unfinished().len(), 1, "what is old goes, what is new stays: {:?}", bench.unfinished());
}

/// A tenant could have read what listens for this host alone: the disk that it is filled with would be the answer.
#[tokio::test]
async fn servers_on_this_very_host_are_asked_where_allowed_only() {
    let web = Web::start().await;
    let uri = web.put("secrets", Page::new(disk(MIB, 4)));
    let bench = Bench::with(StorageOptions { near_sources: false, ..storage_bench::options() });
    for uri in [uri.clone(), uri.replace("127.0.0.1", "localhost"), uri.replace("127.0.0.1", "2130706433")] {
        let message = bench.fetch(&bench.raw(2), &uri).await.unwrap_err().to_string();
        assert!(message.contains("this very host"), "{uri}: {message}");
    }
    assert!(web.requests("secrets").is_empty());
    assert_holds(&Bench::new().fetch(&bench.raw(2), &uri).await.unwrap(), &disk(MIB, 4));
}

#[tokio::test]
async fn files_of_this_host_are_sources_where_allowed() {
    let web = Web::start().await;
    let elsewhere = tempfile::TempDir::new().unwrap();
    let allowed = elsewhere.path().join("images");
    fs::create_dir(&allowed).unwrap();
    let bench = Bench::with(StorageOptions { file_roots: vec![allowed.clone()], ..storage_bench::options() });
    let bytes = disk(MIB, 4);
    let image = allowed.join("an image.qcow2");
    fs::write(&image, qcow2_of(&bytes)).unwrap();
    let uri = format!("file://{}/an%20image.qcow2", allowed.display());
    assert_holds(&bench.fetch(&bench.raw(2), &uri).await.unwrap(), &bytes);
    assert!(image.exists());

    symlink(&image, allowed.join("link")).unwrap();
    symlink(elsewhere.path(), allowed.join("out")).unwrap();
    fs::write(elsewhere.path().join("secret"), disk(MIB, 5)).unwrap();
    assert!(Command::new("mkfifo").arg(allowed.join("fifo")).status().unwrap().success());
    for (name, words) in [
        ("none", "no such file"),
        ("link", "symbolic link"),
        ("fifo", "regular file"),
        (".", "regular file"),
        ("out/secret", "takes no images from there"),
        ("../secret", "takes no images from there"),
    ] {
        let answer = bench.fetch(&bench.raw(2), &format!("file://{}/{name}", allowed.display())).await;
        let message = assert_refused(answer, DriverErrorKind::Order);
        assert!(message.contains(words), "{name}: {message}");
    }
    for uri in ["file://elsewhere/x", "file:///dev/zero", "ftp://x/y", "image.raw", "http://", ""] {
        assert_refused(bench.fetch(&bench.raw(2), uri).await, DriverErrorKind::Order);
    }
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
    drop(web);
}

#[tokio::test]
async fn a_file_that_is_no_image_is_not_shown() {
    let bench = Bench::new();
    let message =
        assert_refused(bench.fetch(&bench.raw(2), "file:///etc/passwd").await, DriverErrorKind::Order);
    assert!(message.contains("not a disk image") && !message.contains("root"), "{message}");
}

#[tokio::test]
async fn a_qcow2_that_leads_elsewhere_is_refused() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let dir = tempfile::TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    qemu_img(&["create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", &path("backing"), "10M"]);
    let data_file = format!("data_file={},data_file_raw=on", path("data"));
    qemu_img(&["create", "-q", "-f", "qcow2", "-o", &data_file, &path("outside"), "10M"]);
    let forge = |name: &str, at: u64, bytes: &[u8]| {
        qemu_img(&["create", "-q", "-f", "qcow2", &path(name), "10M"]);
        File::options().write(true).open(path(name)).unwrap().write_all_at(bytes, at).unwrap();
    };
    forge("encrypted", 32, &2_u32.to_be_bytes());
    forge("absurd", 24, &(1_u64 << 60).to_be_bytes());
    forge("future", 72, &(1_u64 << 40).to_be_bytes());
    forge("corrupt", 72, &(1_u64 << 1).to_be_bytes());
    forge("version", 4, &9_u32.to_be_bytes());
    forge("clusters", 20, &60_u32.to_be_bytes());
    for (name, words) in [
        ("backing", "backing file"),
        ("outside", "data file"),
        ("encrypted", "encrypted"),
        ("absurd", "are believed"),
        ("future", "not known"),
        ("corrupt", "corrupt"),
        ("version", "no sense"),
        ("clusters", "cannot open"),
    ] {
        let uri = web.put(name, Page::new(fs::read(path(name)).unwrap()));
        for spec in [bench.raw(20), bench.qcow2(None)] {
            let message = assert_refused(bench.fetch(&spec, &uri).await, DriverErrorKind::Order);
            assert!(message.contains(words), "{name}: {message}");
        }
    }
    assert_eq!(bench.finished(), [""; 0]);
    eventually("nothing is kept of what was refused", || async { bench.unfinished().is_empty() }).await;
}

#[tokio::test]
async fn half_a_qcow2_is_not_an_image() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let whole = qcow2_of(&disk(4 * MIB, 8));
    for kept in [whole.len() - (1 << 20), 300 << 10, 100] {
        let uri = web.put("half", Page::new(&whole[..kept]));
        let message = assert_refused(bench.fetch(&bench.qcow2(4), &uri).await, DriverErrorKind::Order);
        assert!(message.contains("incomplete") || message.contains("cannot open"), "{kept}: {message}");
    }
    bench.fetch(&bench.qcow2(4), &web.put("whole", Page::new(whole))).await.unwrap();
}

/// A guest's disk may begin with whatever the guest likes: its format is what it was made with.
#[tokio::test]
async fn a_raw_volume_that_looks_like_qcow2_is_copied_as_raw() {
    let bench = Bench::new();
    let original = bench.raw(1);
    let path = bench.make(&original, &Source::Empty).await.unwrap().place.path().unwrap().to_owned();
    let dir = tempfile::TempDir::new().unwrap();
    let trap = dir.path().join("trap");
    qemu_img(&[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        "/etc/passwd",
        "-F",
        "raw",
        trap.to_str().unwrap(),
        "1M",
    ]);
    let mut bytes = fs::read(trap).unwrap();
    bytes.resize(MIB, 0);
    File::options().write(true).open(path).unwrap().write_all_at(&bytes, 0).unwrap();
    for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
        let copy = bench.make(&bench.spec(format, 2), &Source::Volume(original.clone())).await.unwrap();
        assert_holds(&copy, &bytes);
    }
}

#[tokio::test]
async fn a_volume_that_is_written_to_is_neither_copied_nor_resized() {
    let bench = Bench::new();
    for format in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
        let spec = bench.spec(format, 1);
        let path = bench.make(&spec, &Source::Empty).await.unwrap().place.path().unwrap().to_owned();
        let name = if format == VolumeFormat::Raw { "raw" } else { "qcow2" };
        // Like a guest: holds the image open for writing until it is told to quit.
        let mut guest = Command::new("qemu-io");
        let guest = guest.args(["-f", name]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guest = guest.spawn().unwrap();
        let mut input = guest.stdin.take().unwrap();
        input.write_all(b"write 0 512\n").unwrap();
        let locked = || async { fs::read_to_string("/proc/locks").unwrap().contains(&inode(&path)) };
        eventually("opened by the guest", locked).await;
        for to in [VolumeFormat::Raw, VolumeFormat::Qcow2] {
            let answer = bench.make(&bench.spec(to, 2), &Source::Volume(spec.clone())).await;
            let message = assert_refused(answer, DriverErrorKind::Transient);
            assert!(message.contains("guest"), "{message}");
        }
        if format == VolumeFormat::Qcow2 {
            let larger = VolumeSpec { size_mib: Some(2), ..spec.clone() };
            assert_refused(bench.make(&larger, &Source::Empty).await, DriverErrorKind::Transient);
        }
        drop(input);
        guest.wait().unwrap();
        bench.make(&bench.raw(2), &Source::Volume(spec)).await.unwrap();
    }
}

/// As `/proc/locks` names a file, with a space behind it.
fn inode(path: &std::path::Path) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(":{} ", fs::metadata(path).unwrap().ino())
}

#[tokio::test]
async fn holes_stay_holes() {
    use std::os::unix::fs::MetadataExt;
    let (bench, web) = (Bench::new(), Web::start().await);
    let mut bytes = vec![0; 64 * MIB];
    bytes[40 * MIB..41 * MIB].copy_from_slice(&disk(MIB, 6));
    let image = bench.raw(None);
    let fact = bench.fetch(&image, &web.put("sparse", Page::new(bytes.clone()))).await.unwrap();
    let copy = bench.make(&bench.raw(65), &Source::Volume(image)).await.unwrap();
    for fact in [fact, copy] {
        assert_holds(&fact, &bytes);
        let used = fs::metadata(fact.place.path().unwrap()).unwrap().blocks() * 512;
        assert!(used < 16 << 20, "{used} bytes are used for 1 MiB of data");
    }
}
