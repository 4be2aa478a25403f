//! The disks of the machine, and the attribute files that tell of them: for whoever tells what there is, and for whoever
//! looks for a disk by its identity.

mod disks;
pub(crate) mod files;
mod udev;

pub(crate) use disks::disks;
