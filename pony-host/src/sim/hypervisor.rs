//! `Hypervisor` over the simulated world.

use super::echo::{RFB_GREETING, echo};
use super::{host::SimHost, op::SimOp};
use crate::{Console, GuestUsage, Hypervisor, Progress, Result};
use async_trait::async_trait;
use pony_core::host::{ConsoleKind, CpuSpec, Destination, DiskSpec, GuestState, InstanceFact, InstanceSpec};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Words that a watcher may be behind, each one instance; beyond it, words are lost.
const EVENTS_MAX: usize = 256;

#[async_trait]
impl Hypervisor for SimHost {
    async fn define(&self, spec: &InstanceSpec) -> Result<()> {
        self.step(SimOp::Define, |world| world.define(spec)).await
    }

    async fn start(&self, instance: Uuid) -> Result<()> {
        self.step(SimOp::Start, |world| {
            let Some(run) = world.start(instance)? else { return Ok(()) };
            if let Some(fraction) = world.faults.crash_after() {
                let after = world.options.crash_within.mul_f64(fraction);
                self.end_run_later(after, instance, run, GuestState::Crashed);
            }
            Ok(())
        })
        .await
    }

    async fn pause(&self, instance: Uuid) -> Result<()> {
        self.step(SimOp::Pause, |world| world.pause(instance)).await
    }

    async fn resume(&self, instance: Uuid) -> Result<()> {
        self.step(SimOp::Resume, |world| world.resume(instance)).await
    }

    async fn shutdown(&self, instance: Uuid) -> Result<()> {
        self.step(SimOp::Shutdown, |world| {
            if let Some(run) = world.shutdown(instance)? {
                self.end_run_later(world.options.shutdown, instance, run, GuestState::Off);
            }
            Ok(())
        })
        .await
    }

    async fn destroy(&self, instance: Uuid) -> Result<()> {
        self.step(SimOp::Destroy, |world| world.destroy(instance)).await
    }

    async fn undefine(&self, instance: Uuid) -> Result<()> {
        self.step(SimOp::Undefine, |world| world.undefine(instance)).await
    }

    async fn adjust(&self, spec: &InstanceSpec) -> Result<()> {
        self.step(SimOp::Adjust, |world| world.adjust(spec)).await
    }

    async fn grow_disk(&self, instance: Uuid, disk: &DiskSpec, size_mib: i64) -> Result<()> {
        self.step(SimOp::GrowDisk, |world| world.grow_disk(instance, disk, size_mib)).await
    }

    async fn expect(&self, spec: &InstanceSpec, origin: &str) -> Result<()> {
        self.step(SimOp::Expect, |world| world.expect(spec, origin)).await
    }

    async fn migrate(
        &self,
        instance: Uuid,
        to: &Destination,
        copied: &BTreeSet<Uuid>,
        progress: Progress,
    ) -> Result<()> {
        self.send(instance, to, copied, progress).await
    }

    async fn call_off(&self, instance: Uuid) -> Result<()> {
        self.world().staying.insert(instance);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<InstanceFact>> {
        self.step(SimOp::ListGuests, |world| Ok(world.guest_facts())).await
    }

    async fn version(&self) -> Result<String> {
        self.step(SimOp::Discover, |_| Ok(concat!("simulated ", env!("CARGO_PKG_VERSION")).to_owned())).await
    }

    /// All: what they would show is simulated too.
    async fn offers(&self, cpus: &BTreeMap<Uuid, CpuSpec>) -> Result<BTreeMap<Uuid, bool>> {
        self.step(SimOp::Discover, |_| Ok(cpus.keys().map(|profile| (*profile, true)).collect())).await
    }

    async fn usage(&self) -> Result<Vec<GuestUsage>> {
        self.step(SimOp::Discover, |world| Ok(world.guest_usage())).await
    }

    async fn console(&self, instance: Uuid, kind: ConsoleKind) -> Result<Console> {
        let (name, power) = self.step(SimOp::OpenConsole, |world| world.power(instance)).await?;
        match kind {
            ConsoleKind::Serial => {
                let said = format!("simulated console of {name}\r\n").into_bytes();
                self.lines().join(instance, async { Ok((echo(power, b""), said)) }).await
            }
            ConsoleKind::Vnc => Ok(Box::new(echo(power, RFB_GREETING))),
        }
    }

    fn events(&self) -> mpsc::Receiver<Uuid> {
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        self.world().guest_watchers.push(sender);
        receiver
    }
}
