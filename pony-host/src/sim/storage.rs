//! `Storage` over the simulated world.

use super::volumes::{FILL_STEPS, Task};
use super::{host::SimHost, op::SimOp};
use crate::{Progress, Result, Storage};
use async_trait::async_trait;
use pony_core::host::{Export, PoolFact, PoolSpec, Source, VolumeFact, VolumeSpec};

#[async_trait]
impl Storage for SimHost {
    async fn open_pool(&self, pool: &PoolSpec) -> Result<PoolFact> {
        self.step(SimOp::OpenPool, |world| world.open_pool(pool)).await
    }

    async fn list_volumes(&self, pool: &PoolSpec) -> Result<Vec<VolumeFact>> {
        self.step(SimOp::ListVolumes, |world| world.volume_facts(pool)).await
    }

    async fn create_volume(
        &self,
        spec: &VolumeSpec,
        source: &Source,
        progress: Progress,
    ) -> Result<VolumeFact> {
        let task = self.world().volume_task(spec)?;
        match task {
            Task::Nothing(fact) => self.step(SimOp::CreateVolume, |_| Ok(fact)).await,
            Task::Grow => self.step(SimOp::GrowVolume, |world| world.grow_volume(spec)).await,
            Task::Fill => self.fill(spec, source, &progress).await,
        }
    }

    async fn delete_volume(&self, spec: &VolumeSpec) -> Result<()> {
        self.step(SimOp::DeleteVolume, |world| world.delete_volume(spec)).await
    }

    fn export(&self, volumes: Vec<Export>) {
        self.world().exports = volumes;
    }
}

impl SimHost {
    /// Fills step by step; dropped half-way, the steps done so far are kept for the next call.
    async fn fill(&self, spec: &VolumeSpec, source: &Source, progress: &Progress) -> Result<VolumeFact> {
        let (size_mib, ticket, done) = self.world().begin_fill(spec, source)?;
        let pace = match source {
            Source::Empty => std::time::Duration::ZERO,
            Source::Uri(_) | Source::Volume(_) | Source::Remote(_) => self.world().options.fill / FILL_STEPS,
        };
        for step in done..FILL_STEPS {
            progress(f64::from(step) / f64::from(FILL_STEPS));
            self.while_hung(SimOp::CreateVolume).await;
            tokio::time::sleep(pace).await;
            if let Source::Remote(from) = source {
                self.world().remote_mib(from)?;
            }
            self.world().fill_step(spec.volume, ticket, step + 1)?;
        }
        let finish = |world: &mut super::world::World| world.finish_fill(spec, ticket, size_mib);
        let fact = self.step(SimOp::CreateVolume, finish).await?;
        progress(1.0);
        Ok(fact)
    }
}
