//! Where data lie: pools, volumes, extents, images, and how each host sees them.

use pony_state::{Entity, Enum, Json, Part, Range, Text};
use uuid::Uuid;

/// A place for volumes. A local one belongs to the one host that it names; a shared one to every host that
/// reaches its disks or servers.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "storage_pool")]
#[entity(mount(path = "/storage-pool", access = "shared"))]
pub struct StoragePool {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<StoragePoolDesired>,
}

/// What is ordered of a [`StoragePool`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct StoragePoolDesired {
    /// What it is made of.
    #[part(name = "type", immutable)]
    pub kind: StoragePoolType,
    /// For people.
    pub name: Text,
    /// The one host of a local pool. It goes with the host, once no volume is in it. Without one, the pool is every
    /// host's that reaches it.
    #[part(references = "host", on_delete = "cascade", scope = "follows-or-all")]
    pub host: Option<Uuid>,
    /// Options of its type: `{"path": "/absolute"}` for `dir` and `btrfs`; `vg` and perhaps `thin_pool` for `lvm`; none for
    /// `plvm`, whose disks name it;
    /// `server`, `export` and perhaps `options` for `nfs`; `portal`, `target`, `luns` and perhaps `user`, `secret`,
    /// `initiator`, `mode` for `iscsi`; `monitors`, `pool` and perhaps `user`, `secret` for `rbd`. Secrets have no place here:
    /// `secret` names a file that each host has.
    #[part(default_json = "{}")]
    pub config: Json,
    /// Whether several instances may use one of its volumes at once, on one host or several: raw ones only.
    #[part(default = false)]
    pub shareable: bool,
    /// MiB that may be used, where that is less than there is: at most 8 EiB, beyond which no offset of a byte reaches.
    #[part(range = 1..=8_796_093_022_207)]
    pub size: Option<i64>,
}

/// What a pool is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum StoragePoolType {
    /// A directory.
    Dir,
    /// A Btrfs file system.
    Btrfs,
    /// An LVM volume group of one host.
    Lvm,
    /// Extents on disks, managed by the cloud.
    Plvm,
    /// LUNs of an iSCSI server.
    Iscsi,
    /// LUNs of a Fibre Channel array.
    Fc,
    /// A directory of an NFS server.
    Nfs,
    /// A Ceph pool.
    Rbd,
    /// A Sheepdog cluster.
    Sheepdog,
    /// A Gluster volume.
    Glusterfs,
    /// A ZFS data set.
    Zfs,
}

/// A pool as one host sees it.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_storage_pool", read_only, stored = "nowhere")]
#[entity(
    mount(path = "/host/storage-pool", access = "protected"),
    mount(path = "/storage-pool/host", access = "protected")
)]
#[entity(join("host", "storage_pool"))]
pub struct HostStoragePool {
    /// The host.
    #[entity(key, references = "host", soft, scope = "follows")]
    pub host: Uuid,
    /// The pool.
    #[entity(key, references = "storage_pool", soft)]
    pub storage_pool: Uuid,
    /// What is.
    pub current: Option<HostStoragePoolCurrent>,
}

/// What is, of a [`HostStoragePool`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostStoragePoolCurrent {
    /// How it does there.
    pub status: PoolStatus,
    /// Size of what it lies on, MiB.
    pub capacity: Option<i64>,
    /// Used of that, MiB.
    pub allocated: Option<i64>,
    /// Why it is not ready.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: Option<i64>,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
}

/// How a pool does on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum PoolStatus {
    /// It is being looked at.
    Pending,
    /// It can be used.
    Ready,
    /// It cannot; `error` says why.
    Broken,
    /// This host has no driver for its type.
    Unsupported,
}

/// A disk's worth of data.
///
/// A new volume is empty or is filled from `base_image` or `base_volume`, which Sparkle nulls when that is done. A
/// volume with `image` backs that image. A volume is removed by ordering it `deleted`: the row goes once the data
/// are gone, and so nothing that is referenced by it, or belongs to somebody who is removed, takes the row along.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "volume")]
#[entity(check(
    "\"size\" IS NOT NULL OR \"image\" IS NOT NULL OR \"state\" = 'deleted'",
    "size is needed, but for a volume that backs an image"
))]
#[entity(check(
    "\"base_image\" IS NULL OR \"base_volume\" IS NULL",
    "base_image and base_volume exclude each other"
))]
#[entity(quota(
    limits = "quota",
    kind = "storage",
    owner = "tenant",
    amount = "size",
    when = "state",
    is = "present",
    by = "storage_pool"
))]
#[entity(
    mount(path = "/tenant/volume", access = "tenant/user"),
    mount(path = "/storage-pool/volume", access = "protected")
)]
#[entity(mount(path = "/tenant/image/volume", access = "tenant/user", via = "image"))]
#[entity(mount(path = "/image/volume", access = "protected", via = "image"))]
pub struct Volume {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<VolumeDesired>,
    /// What is, on whichever host has it.
    pub current: Option<VolumeCurrent>,
}

/// What is, of a [`Volume`]; Sparkle composes it from what hosts report.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct VolumeCurrent {
    /// Whether the data are there.
    pub status: DataStatus,
    /// How far it is filled, 0 to 1.
    pub progress: Option<f64>,
    /// Why it is not as ordered.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: Option<i64>,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
}

/// What is ordered of a [`Volume`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct VolumeDesired {
    /// For people.
    pub name: Option<Text>,
    /// Whether there should be data.
    #[part(index, default = "present")]
    pub state: VolumeState,
    /// MiB: at most 2 PiB, the largest that QEMU reads as qcow2. May be left out for a volume that backs an image: as
    /// large as what it is filled from.
    #[part(range = 1..=2_147_483_648)]
    pub size: Option<i64>,
    /// Where it lies.
    #[part(references = "storage_pool", scope = "follows")]
    pub storage_pool: Uuid,
    /// How its bytes lie there; the pool's own choice when left out.
    #[part(immutable)]
    pub format: Option<VolumeFormat>,
    /// The image that it is to be filled from.
    #[part(references = "image", scope = "brings")]
    pub base_image: Option<Uuid>,
    /// The volume that it is to be filled from.
    #[part(references = "volume")]
    pub base_volume: Option<Uuid>,
    /// The image that it backs.
    #[part(references = "image", scope = "brings-widely")]
    pub image: Option<Uuid>,
    /// Whose it is.
    #[part(references = "tenant")]
    pub tenant: Option<Uuid>,
}

/// Whether there should be data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum VolumeState {
    /// There should.
    Present,
    /// There may be, as long as nobody needs the space.
    Optional,
    /// There should not; the row goes once they are gone.
    Deleted,
}

/// How the bytes of a volume lie in its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum VolumeFormat {
    /// Byte for byte.
    Raw,
    /// QEMU's copy-on-write format.
    Qcow2,
}

/// A volume as one host sees it; and, where its pool is that of several hosts, what the host may do with it.
///
/// Nobody touches such a volume without a row here that says so. At most one host has it for itself, which the database
/// sees to; the others that Sparkle may have let use it, where it can be shared, are written down as `sharer`. A host gives
/// it back by its own word (`released`), or by being fenced, as with instances. One that lies there unused is kept an eye
/// on by one host that only looks.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_volume", read_only, unique_nulls_equal("volume", "sharer"))]
#[entity(
    mount(path = "/host/volume", access = "protected"),
    mount(path = "/tenant/volume/host", access = "tenant/user")
)]
#[entity(join("host", "volume"))]
pub struct HostVolume {
    /// The host.
    #[entity(key, references = "host", on_delete = "cascade", scope = "follows")]
    pub host: Uuid,
    /// The volume.
    #[entity(key, references = "volume", on_delete = "cascade", scope = "brings")]
    pub volume: Uuid,
    /// What the host may do with it. None in a pool of one host, which may do everything: but see
    /// [`HostVolumeDesired::storage_pool`].
    pub desired: Option<HostVolumeDesired>,
    /// What is.
    pub current: Option<HostVolumeCurrent>,
}

/// What a host may do with a volume of a pool that is not its own.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostVolumeDesired {
    /// What it may do.
    pub hold: VolumeHold,
    /// The host itself, where it is one of several that use the volume at once.
    pub sharer: Option<Uuid>,
    /// Whether the volume was whole once: should its data vanish, nothing empty is put in their place.
    #[part(default = false)]
    pub made: bool,
    /// Which grant it is: never the same twice, so that a host's word about an earlier one is not taken for a word about
    /// this one.
    #[part(default = 0)]
    pub serial: i64,
    /// The pool of this host that has a copy of the volume, which lies elsewhere: one that an instance brings with it as it
    /// moves (`incoming`), or one that is to be removed (`released`).
    #[part(references = "storage_pool", on_delete = "cascade")]
    pub storage_pool: Option<Uuid>,
}

/// What a host may do with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum VolumeHold {
    /// Everything: it makes, fills, grows and deletes it, and its instances use it. Nobody else does any of that.
    Whole,
    /// Its instances use it, as those of other hosts do.
    Use,
    /// An instance that comes with it from the host that has it still may have it open there; nothing is read or written
    /// before that host has let go, and this one has it whole.
    Incoming,
    /// Nothing any more: it lets go, and says so. What has it open goes on until then.
    Released,
    /// Nothing: it says what it sees.
    Look,
}

/// What is, of a [`HostVolume`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostVolumeCurrent {
    /// How far it is.
    pub status: DataStatus,
    /// Whether it was ordered deleted and every trace of it is gone. (`absent` alone may be older than that order.)
    #[part(default = false)]
    pub deleted: bool,
    /// Whether the host has let go of it, as ordered: nothing there has it open, nor will.
    #[part(default = false)]
    pub released: bool,
    /// The grant that the host speaks of.
    pub serial: Option<i64>,
    /// How much of it is filled, 0 to 1.
    pub progress: Option<f64>,
    /// Its virtual size as found, MiB.
    pub size: Option<i64>,
    /// Where the hypervisor opens it.
    pub path: Option<Text>,
    /// Why it is not ready.
    pub error: Option<Text>,
    /// How often the present order was tried.
    pub attempts: Option<i64>,
    /// When it is tried next, Unix time in seconds.
    pub next_retry: Option<i64>,
}

/// How far a volume or an image is on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
pub enum DataStatus {
    /// There are no data.
    Absent,
    /// It is being made or filled.
    Initializing,
    /// It can be used.
    Ready,
    /// It could not be made or opened; `error` says why.
    Broken,
}

/// A part of a disk that belongs to a pool, and within it perhaps to a volume.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "extent", no_overlap(within = "disk", range = "range"))]
#[entity(check("\"order\" >= 0", "order must not be negative"))]
#[entity(mount(path = "/storage-pool/extent", access = "protected"))]
pub struct Extent {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<ExtentDesired>,
}

/// What is ordered of an [`Extent`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct ExtentDesired {
    /// The pool.
    #[part(references = "storage_pool", on_delete = "cascade", scope = "follows")]
    pub storage_pool: Uuid,
    /// The disk.
    #[part(references = "disk", scope = "brings")]
    pub disk: Text,
    /// Where on the disk, MiB.
    pub range: Range,
    /// The volume that it holds a piece of.
    #[part(references = "volume", on_delete = "cascade", scope = "follows")]
    pub volume: Option<Uuid>,
    /// Which piece.
    pub order: i64,
    /// Whether what lay there before is overwritten by the volume: from then on it belongs to what the volume holds, and is
    /// never made blank again.
    #[part(default = false)]
    pub made: bool,
}

/// An extent as one host sees it.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_extent", read_only, stored = "nowhere")]
#[entity(mount(path = "/host/extent", access = "protected"))]
#[entity(join("host", "extent"))]
pub struct HostExtent {
    /// The host.
    #[entity(key, references = "host", soft, scope = "follows")]
    pub host: Uuid,
    /// The extent.
    #[entity(key, references = "extent", soft)]
    pub extent: Uuid,
    /// What is.
    pub current: Option<HostExtentCurrent>,
}

/// What is, of a [`HostExtent`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostExtentCurrent {
    /// How far it is.
    pub status: DataStatus,
    /// Why it is not ready.
    pub error: Option<Text>,
}

/// What volumes are filled from. Immutable; may have several backing volumes, in different pools.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "image")]
#[entity(mount(path = "/tenant/image", access = "tenant/user"))]
#[entity(mount(path = "/image", access = "shared", only_null = "tenant"))]
pub struct Image {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What was ordered.
    pub desired: Option<ImageDesired>,
}

/// What is ordered of an [`Image`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct ImageDesired {
    /// For people.
    pub name: Text,
    /// For people.
    pub description: Option<Text>,
    /// Whose it is; everybody's when left out.
    #[part(references = "tenant", on_delete = "cascade")]
    pub tenant: Option<Uuid>,
    /// Where its first backing volume is filled from (`http:`, `https:`, `file:`); nulled when that is done. A fragment
    /// `#sha256=…` or `#sha512=…` is the checksum of what is there. An image
    /// made from a volume has none: its backing volume names the `base_volume`.
    pub source_uri: Option<Text>,
}

/// An image as one host sees it; and, where it lies in no pool that the host reaches, which other host it is read from.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host_image", read_only)]
#[entity(
    mount(path = "/host/image", access = "protected", via = "host"),
    mount(path = "/tenant/image/host", access = "tenant/user")
)]
#[entity(join("host", "image"))]
pub struct HostImage {
    /// The host.
    #[entity(key, references = "host", on_delete = "cascade", scope = "follows")]
    pub host: Uuid,
    /// The image.
    #[entity(key, references = "image", on_delete = "cascade")]
    pub image: Uuid,
    /// Which copy of another host the host may read. None as long as it needs none.
    pub desired: Option<HostImageDesired>,
    /// What is.
    pub current: Option<HostImageCurrent>,
}

/// A copy of an image that a host reads from another one, since no pool that it reaches has any.
///
/// Both hosts are told: the one to read, the other one to let just that host read just that volume. Nobody else may.
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostImageDesired {
    /// The copy: a volume that backs the image.
    #[part(references = "volume", on_delete = "cascade")]
    pub volume: Uuid,
    /// The host that has it.
    #[part(references = "host", on_delete = "cascade", scope = "follows")]
    pub source: Uuid,
    /// How that host is reached, as it says itself (`host.current.migration`), which is for operators: see `host_instance`.
    #[part(secret)]
    pub way: Text,
    /// By what it knows the host that reads: what that one says of itself.
    #[part(secret)]
    pub origin: Text,
}

/// What is, of a [`HostImage`].
#[derive(Debug, Clone, PartialEq, Part)]
pub struct HostImageCurrent {
    /// How far its backing volume there is.
    pub status: DataStatus,
    /// Why it is not ready.
    pub error: Option<Text>,
}
