//! `create_volume`: leaves a volume that is there as it is, grows one that is too small, fills one that is missing.

use super::attempt::Attempt;
use super::backend::Backend;
use super::error::StorageError;
use super::fill::Fill;
use super::host_storage::Shared;
use super::stage::Stage;
use super::{size, sweep};
use crate::Progress;
use pony_core::host::{DriverErrorKind, Source, VolumeFact, VolumeSpec};

impl Shared {
    pub(super) async fn create(
        &self,
        spec: &VolumeSpec,
        source: &Source,
        progress: Progress,
    ) -> Result<VolumeFact, StorageError> {
        let pool = self.backend_of(spec)?;
        let ordered = size::ordered_bytes(spec.size_mib)?;
        let slot = self.slots.slot(spec.volume);
        let _turn = slot.turn.lock().await;
        let found = pool.find(spec.volume).await?;
        if let Some(found) = found.as_ref().filter(|found| ordered.is_none_or(|bytes| found.bytes >= bytes)) {
            return Ok(pool.workshop().fact_of(spec.volume, found));
        }
        let (attempt, _guard) = Attempt::begin(pool.workshop(), slot.clone()).await?;
        let work = async {
            match (found, ordered) {
                (Some(found), Some(bytes)) => pool.grow(&attempt, found, bytes).await,
                _ => self.fill(&*pool, &attempt, spec, (source, Stage::whole(progress))).await,
            }
        };
        tokio::select! {
            biased;
            () = attempt.ticket.revoked.cancelled() => {
                return Err(StorageError::Overtaken { volume: spec.volume });
            }
            done = work => done?,
        }
        let found = pool.find(spec.volume).await?.ok_or(StorageError::Overtaken { volume: spec.volume })?;
        Ok(pool.workshop().fact_of(spec.volume, &found))
    }

    async fn fill(
        &self,
        pool: &dyn Backend,
        attempt: &Attempt,
        spec: &VolumeSpec,
        (source, stage): (&Source, Stage),
    ) -> Result<(), StorageError> {
        let ordered = size::ordered_bytes(spec.size_mib)?;
        let fill = Fill { shared: self, attempt, spec, ordered, stage };
        let filled = async { pool.make(&fill, fill.content(source).await?).await };
        match filled.await {
            Ok(()) => fill.stage.report(1.0),
            Err(error) => {
                if is_useless(&error) {
                    attempt.blocking(discard_download).await?;
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Whether what was downloaded is of no use to the next attempt: it is not what was ordered, or it fills the disk.
fn is_useless(error: &StorageError) -> bool {
    error.is_full() || error.kind() == DriverErrorKind::Order
}

fn discard_download(attempt: &Attempt) -> Result<(), StorageError> {
    attempt.ticket.if_current(|| sweep::remove_download(&attempt.pool, attempt.volume()))
}
