//! `Network` over the simulated world.

use super::{host::SimHost, op::SimOp};
use crate::{Network, Result};
use async_trait::async_trait;
use pony_core::host::{SwitchFact, SwitchSpec, TapFact, TapSpec, UplinkFact, UplinkId, UplinkSpec};
use uuid::Uuid;

#[async_trait]
impl Network for SimHost {
    async fn ensure_uplink(&self, spec: &UplinkSpec) -> Result<UplinkFact> {
        self.step(SimOp::EnsureUplink, |world| world.ensure_uplink(spec)).await
    }

    async fn remove_uplink(&self, uplink: UplinkId) -> Result<()> {
        self.step(SimOp::RemoveUplink, |world| world.remove_uplink(uplink)).await
    }

    async fn list_uplinks(&self) -> Result<Vec<UplinkFact>> {
        self.step(SimOp::ListLinks, |world| Ok(world.uplinks.values().cloned().collect())).await
    }

    async fn ensure_switch(&self, spec: &SwitchSpec) -> Result<SwitchFact> {
        self.step(SimOp::EnsureSwitch, |world| world.ensure_switch(spec)).await
    }

    async fn remove_switch(&self, switch: Uuid) -> Result<()> {
        self.step(SimOp::RemoveSwitch, |world| {
            world.remove_switch(switch);
            Ok(())
        })
        .await
    }

    async fn list_switches(&self) -> Result<Vec<SwitchFact>> {
        self.step(SimOp::ListLinks, |world| Ok(world.switch_facts())).await
    }

    async fn ensure_tap(&self, spec: &TapSpec) -> Result<TapFact> {
        self.step(SimOp::EnsureTap, |world| world.ensure_tap(spec)).await
    }

    async fn remove_tap(&self, vnic: Uuid) -> Result<()> {
        self.step(SimOp::RemoveTap, |world| {
            world.remove_tap(vnic);
            Ok(())
        })
        .await
    }

    async fn list_taps(&self) -> Result<Vec<TapFact>> {
        self.step(SimOp::ListLinks, |world| Ok(world.tap_facts())).await
    }
}
