//! A simulated hypervisor that tells when it is asked to define a guest.

use async_trait::async_trait;
use pony_core::host::{ConsoleKind, CpuSpec, Destination, DiskSpec, InstanceFact, InstanceSpec};
use pony_host::{Console, GuestUsage, Hypervisor, Progress, Result, SimHost};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use tokio::sync::mpsc;
use uuid::Uuid;

/// When the driver was called, and for which instance.
pub(crate) type Call = (Uuid, Instant);

pub(crate) struct Recorder {
    pub(crate) host: SimHost,
    pub(crate) calls: mpsc::Sender<Call>,
}

#[async_trait]
impl Hypervisor for Recorder {
    async fn define(&self, spec: &InstanceSpec) -> Result<()> {
        let call = (spec.instance, Instant::now());
        // Nobody listens any more at the end of the bench.
        let _ = self.calls.send(call).await;
        self.host.define(spec).await
    }

    async fn expect(&self, spec: &InstanceSpec, origin: &str) -> Result<()> {
        self.host.expect(spec, origin).await
    }

    async fn migrate(
        &self,
        instance: Uuid,
        to: &Destination,
        copied: &BTreeSet<Uuid>,
        progress: Progress,
    ) -> Result<()> {
        self.host.migrate(instance, to, copied, progress).await
    }

    async fn call_off(&self, instance: Uuid) -> Result<()> {
        self.host.call_off(instance).await
    }

    async fn version(&self) -> Result<String> {
        self.host.version().await
    }

    async fn offers(&self, cpus: &BTreeMap<Uuid, CpuSpec>) -> Result<BTreeMap<Uuid, bool>> {
        self.host.offers(cpus).await
    }

    async fn usage(&self) -> Result<Vec<GuestUsage>> {
        Hypervisor::usage(&self.host).await
    }

    async fn start(&self, instance: Uuid) -> Result<()> {
        self.host.start(instance).await
    }

    async fn pause(&self, instance: Uuid) -> Result<()> {
        self.host.pause(instance).await
    }

    async fn resume(&self, instance: Uuid) -> Result<()> {
        self.host.resume(instance).await
    }

    async fn shutdown(&self, instance: Uuid) -> Result<()> {
        self.host.shutdown(instance).await
    }

    async fn destroy(&self, instance: Uuid) -> Result<()> {
        self.host.destroy(instance).await
    }

    async fn undefine(&self, instance: Uuid) -> Result<()> {
        self.host.undefine(instance).await
    }

    async fn adjust(&self, spec: &InstanceSpec) -> Result<()> {
        self.host.adjust(spec).await
    }

    async fn grow_disk(&self, instance: Uuid, disk: &DiskSpec, size_mib: i64) -> Result<()> {
        self.host.grow_disk(instance, disk, size_mib).await
    }

    async fn list(&self) -> Result<Vec<InstanceFact>> {
        self.host.list().await
    }

    async fn console(&self, instance: Uuid, kind: ConsoleKind) -> Result<Console> {
        self.host.console(instance, kind).await
    }

    fn events(&self) -> mpsc::Receiver<Uuid> {
        Hypervisor::events(&self.host)
    }
}
