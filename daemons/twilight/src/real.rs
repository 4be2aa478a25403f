//! The real host: libvirt, netlink, directories, and the machine itself.

use crate::drivers::Drivers;
use anyhow::Context;
use pony_host::{
    HostStorage, Libvirt, LibvirtOptions, Machine, MachineOptions, Netlink, Peers, StorageOptions,
    ensure_libvirtd, local_address, probe_accel,
};
use pony_net::Endpoint;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// The hypervisor of this machine.
const LIBVIRT: &str = "qemu:///system";

/// Which real host, and how it is reached.
#[derive(Debug, Clone, clap::Args)]
pub struct RealHost {
    /// The hypervisor
    #[arg(long, default_value = LIBVIRT)]
    pub libvirt: String,
    /// The host's identity [default: the machine's own UUID]
    #[arg(long)]
    pub host_uuid: Option<Uuid>,
    /// The host's end of overlay networks, where no role says so [default: the address from which it reaches Sparkle]
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// Where other hosts send guests that run, and read images; they prove who they are [default: the address above, port 9851]
    #[arg(long)]
    pub migration: Option<SocketAddr>,
    /// Let images come from web servers on this very host (127.0.0.1) or its link (169.254.0.0/16): whoever may order images
    /// reaches those then
    #[arg(long)]
    pub near_sources: bool,
}

/// Where hosts are reached by others, unless told otherwise: next to Sparkle's port.
const MIGRATION_PORT: u16 = 9_851;

/// `name:port` of Sparkle.
fn name_of(sparkle: &Endpoint) -> Option<String> {
    sparkle.to_string().strip_prefix("tcp://").map(str::to_owned)
}

impl RealHost {
    /// The host's identity.
    ///
    /// # Errors
    /// When the machine has none of its own and none was given.
    pub fn uuid(&self) -> anyhow::Result<Uuid> {
        Ok(Machine::new(MachineOptions { uuid: self.host_uuid, ..MachineOptions::default() }).uuid()?)
    }

    /// What other hosts reach this one by. Guests run also where they reach none: then they stay where they are.
    async fn peers(&self, sparkle: &Endpoint) -> Option<Peers> {
        let address = || self.address.or_else(|| local_address(&name_of(sparkle)?));
        let default = || address().map(|ip| SocketAddr::new(ip, MIGRATION_PORT));
        let opened = Peers::open(self.migration.or_else(default)?).await;
        let cannot = "guests that run cannot move between this host and others, and no images be read";
        opened.inspect_err(|error| tracing::warn!(%error, cannot)).ok()
    }

    /// The drivers. Starts libvirt where no service manager does, and finds out by a probe guest whether guests run
    /// under KVM here, or must be emulated.
    ///
    /// # Errors
    /// When there is no working hypervisor; says what is missing.
    pub async fn drivers(&self, dir: &Path, sparkle: &Endpoint) -> anyhow::Result<Drivers> {
        let host = self.uuid()?;
        ensure_libvirtd(&self.libvirt).await.with_context(|| format!("no hypervisor at {}", self.libvirt))?;
        let accel = probe_accel(&self.libvirt).await?;
        tracing::info!("guests run under {accel}");
        // Absolute: libvirt opens the files, from its own working directory.
        let console_dir = Some(std::path::absolute(dir)?.join("console"));
        let peers = self.peers(sparkle).await;
        let options = LibvirtOptions {
            console_dir,
            peers: peers.clone(),
            ends_hung_daemon: self.libvirt == LIBVIRT,
            ..LibvirtOptions::new(host, accel)
        };
        let libvirt = Libvirt::connect(&self.libvirt, options).await?;
        let network = Netlink::new(host).context("opening netlink")?;
        let scratch = std::path::absolute(dir)?.join("scratch");
        let near_sources = self.near_sources;
        let options = StorageOptions { host, scratch, peers, near_sources, ..StorageOptions::default() };
        let storage = HostStorage::new(options);
        let machine = Machine::new(MachineOptions {
            uuid: Some(host),
            accel: accel.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: self.address,
            migration: libvirt.migration(),
            sparkle: name_of(sparkle),
            ..MachineOptions::default()
        });
        Ok(Drivers {
            hypervisor: Arc::new(libvirt),
            network: Arc::new(network),
            storage: Arc::new(storage),
            discovery: Arc::new(machine),
        })
    }
}
