//! Keeps volumes in pools of the host, and fills them from images and other volumes.
//!
//! `backend` says what all kinds of pool can do. In a directory (`files`, `layout`), which must exist,
//! `volumes/<uuid>.raw|.qcow2` are the finished volumes, and `partial/` is where everything else happens: a volume
//! appears by one `rename`, complete and durable, or not at all. On Btrfs each lies in a subvolume of its own; directories of NFS servers (`nfs`) are mounted. In a
//! volume group (`devices`, `lvm`) it is a logical volume, which likewise appears by a change of its name; `partial/`
//! is then below a directory of the host's own. LUNs of an iSCSI target (`luns`) are devices as well, which QEMU
//! reaches by itself, and so are images of a Ceph cluster (`rbd`), and mappings of parts of disks that several hosts see (`plvm`); `iscsi` only reads and changes the labels of LUNs. Where the
//! kernel's initiator carries the data (`open_iscsi`), volumes are mappings of parts of its disks (`mapped_luns`, `mapper`). A download that was cut off stays there with a note of what it is
//! part of, and is resumed.
//!
//! **What is downloaded is hostile.** Its format is told by its content, a qcow2 header is read here before QEMU
//! sees the file, everything that leads out of the file is refused (backing files, data files), `qemu-img` runs
//! with limits, and what becomes a volume is always written anew by `qemu-img` or is raw.
//!
//! **Abandoned work cannot do harm.** Each call writes into a directory of its own and has to be the current one
//! when it renames; dropping the future revokes it, stops its threads within about 100 ms and kills its processes.
//!
//! It does not know what a volume is for, holds no state that is not on the disk, and never shrinks anything.

mod attempt;
mod backend;
mod beneath;
mod checksum;
mod content;
mod copy;
mod create;
mod devices;
mod disk;
mod download;
mod error;
mod exports;
mod files;
mod fill;
mod host_storage;
mod http;
mod idle;
mod image_lock;
mod inspect;
mod iscsi;
mod label;
mod layout;
mod local;
mod luns;
mod lvm;
mod mapped_luns;
mod mapper;
mod mounts;
mod nfs;
mod open_iscsi;
mod options;
mod partial;
mod plvm;
mod pool;
mod qcow2;
mod qemu_img;
mod rbd;
mod reach;
mod remote;
mod size;
mod slots;
mod stage;
mod sweep;
mod tool;

pub use host_storage::HostStorage;
pub use options::StorageOptions;
