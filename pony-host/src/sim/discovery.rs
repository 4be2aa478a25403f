//! `Discovery` over the simulated world.

use super::{host::SimHost, op::SimOp};
use crate::{Discovery, HostUsage, Result};
use async_trait::async_trait;
use pony_core::host::{DiskFact, HostFact, NicFact};
use tokio::sync::mpsc;

/// Seconds between two boots of a simulated host.
const BOOT_APART_S: i64 = 60;

#[async_trait]
impl Discovery for SimHost {
    async fn host(&self) -> Result<HostFact> {
        self.step(SimOp::Discover, |world| {
            let options = &world.options;
            Ok(HostFact {
                hostname: options.hostname.clone(),
                version: env!("CARGO_PKG_VERSION").into(),
                cpus: options.cpus,
                mem_mib: options.mem_mib,
                boot_time: options.boot_time + world.boots * BOOT_APART_S,
                accel: "sim".into(),
                address: Some(options.address),
                migration: world.way(),
                ..HostFact::default()
            })
        })
        .await
    }

    async fn nics(&self) -> Result<Vec<NicFact>> {
        self.step(SimOp::Discover, |world| Ok(world.nic_facts())).await
    }

    async fn disks(&self) -> Result<Vec<DiskFact>> {
        self.step(SimOp::Discover, |world| Ok(world.options.disks.clone())).await
    }

    async fn usage(&self) -> Result<HostUsage> {
        self.step(SimOp::Discover, |world| Ok(world.usage())).await
    }

    fn events(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(1);
        self.world().machine_watchers.push(sender);
        receiver
    }
}
