//! Volumes that are put together of parts of disks.

use super::VolumeSpec;
use uuid::Uuid;

/// Where the first volume of a disk may begin, MiB: what stands at the very start of a disk is taken by every host that sees
/// it for a table of partitions or a file system, and what guests write there is theirs.
pub const EXTENT_START_MIN_MIB: i64 = 1;

/// Disks that several hosts see, and that the cloud itself divides: whose is what stands in rows, and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PlvmPool {
    /// The disks, by `disk.id`.
    pub disks: Vec<String>,
}

/// A part of a disk that a volume consists of, with others behind each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Extent {
    /// `extent.uuid`.
    pub extent: Uuid,
    /// `disk.id`.
    pub disk: String,
    /// Where it begins on the disk, MiB.
    pub start_mib: i64,
    /// How long it is, MiB.
    pub len_mib: i64,
    /// Whether the volume has it: what lies there is the volume's, and not what was there before.
    pub made: bool,
}

/// The MiB of all of them.
#[must_use]
pub fn extents_mib(extents: &[Extent]) -> i64 {
    extents.iter().map(|it| it.len_mib).sum()
}

/// The size that a finished volume is brought to at once by such an order, MiB: of one of extents what was given and is not
/// made is only overwritten.
#[must_use]
pub fn grown_mib(spec: &VolumeSpec) -> Option<i64> {
    match &*spec.extents {
        [] => spec.size_mib,
        extents => Some(extents_mib(made_extents(extents))),
    }
}

/// Those that the volume has: the first ones.
#[must_use]
pub fn made_extents(extents: &[Extent]) -> &[Extent] {
    let made = extents.iter().take_while(|it| it.made).count();
    extents.split_at(made).0
}
