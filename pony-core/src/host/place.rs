//! Where the bytes of a volume are, as a hypervisor opens them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a hypervisor opens the bytes of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A file of the host.
    File(PathBuf),
    /// A block device of the host.
    Block(PathBuf),
    /// Something on another machine that the emulator reaches by itself, without the host's kernel.
    Network(Box<NetworkDisk>),
}

/// A disk on another machine, as an emulator addresses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetworkDisk {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// What it is called there: `iqn…/LUN`, `pool/image`, `/a/path`.
    pub name: String,
    /// Where it is, `host:port` each.
    pub servers: Vec<String>,
    /// The part of it that is meant; `None`: all of it.
    pub slice: Option<Slice>,
    /// As whom one signs in there.
    #[serde(default)]
    pub login: Option<Login>,
    /// What one calls oneself there, `iqn.…`; `None`: whatever the emulator does.
    #[serde(default)]
    pub initiator: Option<String>,
}

/// As whom one signs in at a server. The secret itself is nobody's but the host's: it is in no row, message or log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Login {
    /// The user's name there.
    pub user: String,
    /// The name of the file that has the secret, in the host's directory of them.
    pub secret: String,
}

/// How a disk on another machine is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The emulator's own iSCSI initiator.
    Iscsi,
    /// The emulator's own NFS client.
    Nfs,
    /// The emulator's own Ceph client.
    Rbd,
}

/// A part of a disk, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slice {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
}

impl Protocol {
    /// Its name in URLs and in libvirt's definitions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iscsi => "iscsi",
            Self::Nfs => "nfs",
            Self::Rbd => "rbd",
        }
    }
}

impl From<NetworkDisk> for Place {
    fn from(disk: NetworkDisk) -> Self {
        Self::Network(Box::new(disk))
    }
}

impl Place {
    /// The file or device of this host, where it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::Block(path) => Some(path),
            Self::Network(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Block(path) => path.display().fmt(f),
            Self::Network(disk) => disk.fmt(f),
        }
    }
}

impl fmt::Display for NetworkDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, name) = (self.protocol.as_str(), self.name.trim_start_matches('/'));
        write!(f, "{protocol}://{}/{name}", self.servers.join(","))?;
        match self.slice {
            Some(Slice { offset, len }) => write!(f, " (bytes {offset} to {})", offset.saturating_add(len)),
            None => Ok(()),
        }
    }
}
