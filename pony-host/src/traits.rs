//! What a driver does. Four small traits; real drivers and the simulated host implement the same ones and are
//! held to the same conformance tests.
//!
//! Every method is idempotent: asked for what already is, it succeeds and changes nothing. Every future may be
//! dropped at any await point: what it leaves half-done is found, and finished or cleared away, by the next call
//! for the same thing. Every call that leaves the process has a time-out. Errors are for the person who ordered.

use crate::{Console, GuestUsage, HostUsage};
use async_trait::async_trait;
use pony_core::host::{
    ConsoleKind, CpuSpec, Destination, DiskFact, DiskSpec, DriverError, Export, HostFact, InstanceFact,
    InstanceSpec, NicFact, PoolFact, PoolSpec, Source, SwitchFact, SwitchSpec, TapFact, TapSpec, UplinkFact,
    UplinkId, UplinkSpec, VolumeFact, VolumeSpec,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;
use uuid::Uuid;

/// The result of a driver's step.
pub type Result<T> = std::result::Result<T, DriverError>;

/// Told how far a step has come, as a fraction from 0 to 1. Cheap; may be called often; never blocks.
pub type Progress = std::sync::Arc<dyn Fn(f64) + Send + Sync>;

/// Runs guests.
#[async_trait]
pub trait Hypervisor: Send + Sync {
    /// Makes the definition in force that of `spec`. A guest that runs keeps running as it is; the new
    /// definition holds from its next start (or at once, where that is possible).
    async fn define(&self, spec: &InstanceSpec) -> Result<()>;
    /// Starts a defined guest that is off.
    async fn start(&self, instance: Uuid) -> Result<()>;
    /// Halts the CPUs of a running guest.
    async fn pause(&self, instance: Uuid) -> Result<()>;
    /// Lets the CPUs of a paused guest run.
    async fn resume(&self, instance: Uuid) -> Result<()>;
    /// Presses the power button; returns without waiting for the guest.
    async fn shutdown(&self, instance: Uuid) -> Result<()>;
    /// Pulls the plug. The guest does not run when this returns.
    async fn destroy(&self, instance: Uuid) -> Result<()>;
    /// Forgets the definition of a guest that is off. Never touches its disks.
    async fn undefine(&self, instance: Uuid) -> Result<()>;
    /// Makes a guest that is up exactly what `spec` says, which is something that
    /// [`adjusted`](pony_core::host::adjusted) allows. Does not touch the definition for its next start. Where the
    /// guest has to take part (to let go of a disk, to give memory back), waits for it a bounded time.
    async fn adjust(&self, spec: &InstanceSpec) -> Result<()>;
    /// Grows the volume behind a disk of a guest that is up, and tells the guest.
    async fn grow_disk(&self, instance: Uuid, disk: &DiskSpec, size_mib: i64) -> Result<()>;
    /// Lets a guest in that `origin`, another host by its own [way](pony_core::host::HostFact::migration), is to send: it
    /// will be `spec` here. It is listed as [`Incoming`](pony_core::host::GuestState::Incoming) until it has arrived or was
    /// destroyed. A guest that has arrived already stays as it is.
    async fn expect(&self, spec: &InstanceSpec, origin: &str) -> Result<()>;
    /// Sends a guest that is up to another host, which lets it in. When this returns without an error the guest is there,
    /// where it stands still until it is [resumed](Self::resume), and nothing of it is here. After an error it is where it
    /// is found. `copied`: those of its disks, by their `vdisk`, whose bytes go along, into what the other host has for them;
    /// it reaches the others. Dropping the future does not end it: see [`call_off`](Self::call_off).
    async fn migrate(
        &self,
        instance: Uuid,
        to: &Destination,
        copied: &BTreeSet<Uuid>,
        progress: Progress,
    ) -> Result<()>;
    /// Has a [`migrate`](Self::migrate) that is under way end soon, with the guest still here unless it has arrived already.
    async fn call_off(&self, instance: Uuid) -> Result<()>;
    /// All guests that this agent made, whether they run or not. Others on the same hypervisor are never named.
    async fn list(&self) -> Result<Vec<InstanceFact>>;
    /// What it is, with versions, for people.
    async fn version(&self) -> Result<String>;
    /// Which of these CPUs guests can be shown here, by whatever they are called.
    async fn offers(&self, cpus: &BTreeMap<Uuid, CpuSpec>) -> Result<BTreeMap<Uuid, bool>>;
    /// What the guests of this agent that are up have used since their start.
    async fn usage(&self) -> Result<Vec<GuestUsage>>;
    /// Opens a way to use a guest by hand. Nothing about the guest changes by it.
    async fn console(&self, instance: Uuid, kind: ConsoleKind) -> Result<Console>;
    /// The instances about which something changed, as it happens; lossy (a periodic [`list`](Self::list)
    /// makes up for it). The stream ends when the driver is dropped.
    fn events(&self) -> mpsc::Receiver<Uuid>;
}

/// Makes links.
#[async_trait]
pub trait Network: Send + Sync {
    /// Makes the uplink be there and up. A card that a bond is given keeps what it had: its addresses and routes go
    /// where the bond's untagged traffic ends, and come back when it is let go of.
    async fn ensure_uplink(&self, spec: &UplinkSpec) -> Result<UplinkFact>;
    /// Removes the uplink. What is on it must be gone.
    async fn remove_uplink(&self, uplink: UplinkId) -> Result<()>;
    /// The uplinks that this agent made.
    async fn list_uplinks(&self) -> Result<Vec<UplinkFact>>;
    /// Makes the switch be there and up.
    async fn ensure_switch(&self, spec: &SwitchSpec) -> Result<SwitchFact>;
    /// Removes the switch. Links on it are left without one.
    async fn remove_switch(&self, switch: Uuid) -> Result<()>;
    /// The switches that this agent made.
    async fn list_switches(&self) -> Result<Vec<SwitchFact>>;
    /// Makes the tap be there, up and plugged into its switch.
    async fn ensure_tap(&self, spec: &TapSpec) -> Result<TapFact>;
    /// Removes the tap.
    async fn remove_tap(&self, vnic: Uuid) -> Result<()>;
    /// The taps that this agent made.
    async fn list_taps(&self) -> Result<Vec<TapFact>>;
}

/// Keeps volumes.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Looks whether the pool can be used, and how full it is.
    async fn open_pool(&self, pool: &PoolSpec) -> Result<PoolFact>;
    /// The finished volumes in a pool that this software made.
    async fn list_volumes(&self, pool: &PoolSpec) -> Result<Vec<VolumeFact>>;
    /// Makes the volume be there, filled from `source`, complete and durable when this returns; a volume that
    /// is there already is left as it is, whatever `source` says. Grows one that is smaller than ordered.
    async fn create_volume(
        &self,
        spec: &VolumeSpec,
        source: &Source,
        progress: Progress,
    ) -> Result<VolumeFact>;
    /// Removes the volume, finished or not, and every trace of an unfinished fill.
    async fn delete_volume(&self, spec: &VolumeSpec) -> Result<()>;
    /// Lets other hosts read just these volumes, each by just the host that it names, from now on; whoever reads another
    /// one is cut off. Nothing may be read before the first call. Takes no time, and opens nothing.
    fn export(&self, volumes: Vec<Export>);
}

/// Finds out what the machine is made of.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// The machine.
    async fn host(&self) -> Result<HostFact>;
    /// Its physical network cards.
    async fn nics(&self) -> Result<Vec<NicFact>>;
    /// Its disks.
    async fn disks(&self) -> Result<Vec<DiskFact>>;
    /// What it has used since its start.
    async fn usage(&self) -> Result<HostUsage>;
    /// A word whenever one of the facts may have changed; lossy.
    fn events(&self) -> mpsc::Receiver<()>;
}
