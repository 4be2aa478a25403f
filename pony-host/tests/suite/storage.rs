//! What a storage keeps.

use super::{assert_fails, assert_refused, recorder, unheard};
use pony_core::host::{
    DriverErrorKind, Extent, PoolBackend, PoolSpec, Source, VolumeFact, VolumeFormat, VolumeSpec,
};
use pony_host::Storage;
use std::time::Duration;
use uuid::Uuid;

/// A storage, a pool of it with a few hundred MiB of space, and the URI of an image of `image_mib`.
pub struct StorageBench<'a> {
    pub storage: &'a dyn Storage,
    pub pool: PoolSpec,
    pub uri: String,
    pub image_mib: i64,
    /// The formats that volumes of the pool may have.
    pub formats: &'a [VolumeFormat],
    /// What the pool rounds sizes up to, MiB.
    pub granule_mib: i64,
    /// After how many milliseconds fills are abandoned.
    pub abandoned_ms: &'a [u64],
    /// Gives room for so many MiB, where volumes consist of extents.
    pub give: Option<&'a dyn Fn(i64) -> Vec<Extent>>,
}

/// Any format.
const FORMATS: [VolumeFormat; 2] = [VolumeFormat::Raw, VolumeFormat::Qcow2];

/// From at once to when it may be done.
const ABANDONED_MS: [u64; 7] = [0, 1, 3, 9, 27, 81, 243];

/// Makes volumes in all ways, and removes them.
pub async fn storage(bench: &StorageBench<'_>) {
    pools(bench).await;
    for format in bench.formats.iter().copied() {
        empty(bench, format).await;
        from_uri(bench, format).await;
        for to in bench.formats.iter().copied() {
            copied(bench, format, to).await;
        }
        at_once(bench, format).await;
        abandoned(bench, format).await;
    }
    refused(bench).await;
    assert_eq!(bench.list().await, [], "something was left behind");
}

impl<'a> StorageBench<'a> {
    /// A pool of files, of any format.
    pub fn new(storage: &'a dyn Storage, pool: PoolSpec, uri: String, image_mib: i64) -> Self {
        let (formats, abandoned_ms) = (&FORMATS, &ABANDONED_MS);
        Self { storage, pool, uri, image_mib, formats, granule_mib: 1, abandoned_ms, give: None }
    }

    pub fn spec(&self, format: VolumeFormat, size_mib: Option<i64>) -> VolumeSpec {
        let extents = self.give.map(|give| give(size_mib.unwrap_or(self.image_mib))).unwrap_or_default();
        VolumeSpec { volume: Uuid::new_v4(), pool: self.pool.clone(), format, size_mib, extents }
    }

    /// The same volume, ordered larger by so many MiB.
    fn larger(&self, spec: &VolumeSpec, by_mib: i64) -> VolumeSpec {
        let more = self.give.map(|give| give(by_mib)).unwrap_or_default();
        let extents = [noted(spec).extents, more].concat();
        VolumeSpec { size_mib: spec.size_mib.map(|size| size + by_mib), extents, ..spec.clone() }
    }

    /// As large as the pool makes it.
    fn mib(&self, size_mib: i64) -> i64 {
        (size_mib + self.granule_mib - 1) / self.granule_mib * self.granule_mib
    }

    pub async fn list(&self) -> Vec<VolumeFact> {
        self.storage.list_volumes(&self.pool).await.unwrap()
    }

    pub async fn find(&self, spec: &VolumeSpec) -> Option<VolumeFact> {
        self.list().await.into_iter().find(|fact| fact.volume == spec.volume)
    }

    /// Makes a volume; checks what is said of it, and that it was told how far it came.
    pub async fn make(&self, spec: &VolumeSpec, source: &Source) -> VolumeFact {
        let (progress, told) = recorder();
        let mut fact = self.storage.create_volume(spec, source, progress).await.unwrap();
        if !spec.extents.is_empty() {
            // What was added is the volume's once somebody has written it down.
            fact = self.storage.create_volume(&noted(spec), source, unheard()).await.unwrap();
        }
        assert_eq!((fact.volume, fact.pool), (spec.volume, spec.pool.pool));
        assert_eq!(self.find(spec).await.as_ref(), Some(&fact));
        let told = told.lock().unwrap();
        assert!(told.iter().all(|fraction| (0.0..=1.0).contains(fraction)), "{told:?}");
        assert!(told.is_sorted(), "{told:?}");
        fact
    }

    pub async fn remove(&self, spec: &VolumeSpec) {
        self.storage.delete_volume(spec).await.unwrap();
        assert_eq!(self.find(spec).await, None);
        self.storage.delete_volume(spec).await.unwrap();
    }
}

/// The volume, once it is written down that it has all that it was given.
pub fn noted(spec: &VolumeSpec) -> VolumeSpec {
    let extents = spec.extents.iter().cloned().map(|it| Extent { made: true, ..it });
    VolumeSpec { extents: extents.collect(), ..spec.clone() }
}

async fn pools(bench: &StorageBench<'_>) {
    let fact = bench.storage.open_pool(&bench.pool).await.unwrap();
    assert_eq!((fact.pool, fact.granule_mib), (bench.pool.pool, bench.granule_mib));
    assert!(fact.capacity_mib > 0 && (0..=fact.capacity_mib).contains(&fact.allocated_mib), "{fact:?}");
    let other = PoolSpec { pool: Uuid::new_v4(), backend: PoolBackend::Unsupported("zfs".into()) };
    assert_refused(bench.storage.open_pool(&other).await, DriverErrorKind::Unsupported);
    let relative = PoolSpec { pool: Uuid::new_v4(), backend: PoolBackend::Dir { path: "pool".into() } };
    assert_refused(bench.storage.open_pool(&relative).await, DriverErrorKind::Order);
}

/// Made, left as it is, grown, never shrunk, removed.
async fn empty(bench: &StorageBench<'_>, format: VolumeFormat) {
    let spec = bench.spec(format, Some(8));
    let fact = bench.make(&spec, &Source::Empty).await;
    assert_eq!((fact.size_mib, fact.format), (bench.mib(8), format));
    let elsewhere = Source::Uri("http://127.0.0.1:1/not-asked".into());
    assert_eq!(bench.make(&spec, &elsewhere).await, fact, "it is there: its source is not looked at");
    let larger = bench.larger(&spec, 3);
    assert_eq!(bench.make(&larger, &Source::Empty).await.size_mib, bench.mib(11));
    assert_eq!(bench.make(&spec, &Source::Empty).await.size_mib, bench.mib(11), "never shrunk");
    bench.remove(&spec).await;
}

async fn from_uri(bench: &StorageBench<'_>, format: VolumeFormat) {
    let source = Source::Uri(bench.uri.clone());
    let image = bench.spec(format, None);
    assert_eq!(bench.make(&image, &source).await.size_mib, bench.mib(bench.image_mib));
    bench.remove(&image).await;
    let larger = bench.spec(format, Some(bench.image_mib + 5));
    let fact = bench.make(&larger, &source).await;
    assert_eq!((fact.size_mib, fact.format), (bench.mib(bench.image_mib + 5), format));
    bench.remove(&larger).await;
}

async fn copied(bench: &StorageBench<'_>, from: VolumeFormat, to: VolumeFormat) {
    let original = bench.spec(from, Some(8));
    bench.make(&original, &Source::Empty).await;
    let copy = bench.spec(to, Some(9));
    let fact = bench.make(&copy, &Source::Volume(original.clone())).await;
    assert_eq!((fact.size_mib, fact.format), (bench.mib(9), to));
    bench.remove(&original).await;
    assert!(bench.find(&copy).await.is_some(), "a copy is independent of what it was copied from");
    bench.remove(&copy).await;
}

/// Asked for twice at once: it is made once, and both are told so (or one to ask again).
async fn at_once(bench: &StorageBench<'_>, format: VolumeFormat) {
    let spec = bench.spec(format, Some(bench.image_mib));
    let source = Source::Uri(bench.uri.clone());
    let make = || bench.storage.create_volume(&spec, &source, unheard());
    let (one, two) = tokio::join!(make(), make());
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    for error in [one, two].into_iter().filter_map(Result::err) {
        assert_eq!(error.kind, DriverErrorKind::Transient, "{error}");
    }
    bench.make(&spec, &source).await;
    bench.remove(&spec).await;
}

/// Dropped at many points; then taken up, or deleted.
async fn abandoned(bench: &StorageBench<'_>, format: VolumeFormat) {
    let source = Source::Uri(bench.uri.clone());
    for after_ms in bench.abandoned_ms.iter().copied() {
        let spec = bench.spec(format, Some(bench.image_mib + 1));
        let making = bench.storage.create_volume(&spec, &source, unheard());
        let _ = tokio::time::timeout(Duration::from_millis(after_ms), making).await;
        if after_ms % 2 == 0 {
            bench.remove(&spec).await;
        }
        assert_eq!(bench.make(&spec, &source).await.size_mib, bench.mib(bench.image_mib + 1));
        bench.remove(&spec).await;
    }
}

async fn refused(bench: &StorageBench<'_>) {
    let make = |spec: VolumeSpec, source: Source| async move {
        let answer = bench.storage.create_volume(&spec, &source, unheard()).await;
        assert_eq!(bench.find(&spec).await, None, "refused, and there all the same");
        bench.storage.delete_volume(&spec).await.unwrap();
        answer
    };
    let raw = |size| bench.spec(VolumeFormat::Raw, size);
    assert_fails(make(raw(Some(8)), Source::Volume(raw(Some(8)))).await);
    assert_refused(make(raw(None), Source::Empty).await, DriverErrorKind::Order);
    assert_refused(make(raw(Some(0)), Source::Empty).await, DriverErrorKind::Order);

    let small = bench.image_mib - 1;
    let words =
        assert_refused(make(raw(Some(small)), Source::Uri(bench.uri.clone())).await, DriverErrorKind::Order);
    assert!(words.contains(&small.to_string()) && words.contains(&bench.image_mib.to_string()), "{words}");

    let original = raw(Some(8));
    bench.make(&original, &Source::Empty).await;
    let small = bench.mib(8) - 1;
    assert_refused(make(raw(Some(small)), Source::Volume(original.clone())).await, DriverErrorKind::Order);
    bench.remove(&original).await;

    let pool = PoolSpec { pool: Uuid::new_v4(), backend: PoolBackend::Unsupported("zfs".into()) };
    let elsewhere = VolumeSpec { pool, ..raw(Some(8)) };
    let answer = bench.storage.create_volume(&elsewhere, &Source::Empty, unheard()).await;
    assert_refused(answer, DriverErrorKind::Unsupported);
}
