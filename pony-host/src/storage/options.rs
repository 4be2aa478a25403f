//! How a storage goes about its work.

use crate::peers::Peers;
use crate::secrets::Secrets;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// How a [`HostStorage`](super::HostStorage) goes about its work.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// The host's uuid, which tells its unfinished work from that of others in pools of several hosts.
    pub host: Uuid,
    /// How long a server may take to accept a connection.
    pub connect_timeout: Duration,
    /// Whether web servers on this very host (loopback) or on its link (link-local addresses) are asked for data. Nothing
    /// else tells whoever orders an image from the services that listen there.
    pub near_sources: bool,
    /// How long a server may send nothing at all. There is no limit to a download as a whole.
    pub http_stall: Duration,
    /// How long a copy or a conversion on this host may make no headway.
    pub copy_stall: Duration,
    /// How long a pool's file system may take to answer a look.
    pub pool_patience: Duration,
    /// Where `file:` sources may lie. See [`HostStorage`](super::HostStorage) on who may order them.
    pub file_roots: Vec<PathBuf>,
    /// How long a cut-off download, and anything else unfinished, is kept that nobody asks for.
    pub partial_keep: Duration,
    /// Where images are kept on their way into pools that are no directories: on a disk, with room for one of
    /// each fill that goes on. It is made when it is needed.
    pub scratch: PathBuf,
    /// Where directories of servers are mounted. It is made when it is needed.
    pub mounts: PathBuf,
    /// How long what is mounted there stays that nobody asks for, and how long the kernel stays signed in at iSCSI targets.
    /// What is open holds it longer; and as long as no such pool is asked for at all after a start, what was there before
    /// stays.
    pub mount_keep: Duration,
    /// Where open-iscsi has its records, and the host's name as an initiator.
    pub open_iscsi: PathBuf,
    /// By what volumes are read between this host and others. `None`: not at all.
    pub peers: Option<Peers>,
    /// Where secrets are that pools on other machines need: each in a file, for root's eyes only.
    pub secrets: PathBuf,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            host: Uuid::nil(),
            connect_timeout: Duration::from_secs(10),
            near_sources: false,
            http_stall: Duration::from_secs(60),
            copy_stall: Duration::from_secs(120),
            pool_patience: Duration::from_secs(10),
            file_roots: vec![PathBuf::from("/")],
            partial_keep: Duration::from_secs(24 * 3600),
            scratch: PathBuf::from("/var/lib/pony/scratch"),
            mounts: PathBuf::from("/run/pony/mounts"),
            mount_keep: Duration::from_secs(600),
            open_iscsi: PathBuf::from("/etc/iscsi"),
            peers: None,
            secrets: PathBuf::from(Secrets::USUAL_DIR),
        }
    }
}
