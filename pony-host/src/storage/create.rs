//! `create_volume`: leaves a volume that is there as it is, grows one that is too small, fills one that is missing.

use super::attempt::Attempt;
use super::dir::Shared;
use super::error::StorageError;
use super::fill::{Fill, grow};
use super::pool::{Found, Pool};
use super::stage::Stage;
use super::{size, sweep};
use crate::Progress;
use pony_core::host::{DriverErrorKind, Source, VolumeFact, VolumeSpec};
use std::fs::File;

impl Shared {
    pub(super) async fn create(
        &self,
        spec: &VolumeSpec,
        source: &Source,
        progress: Progress,
    ) -> Result<VolumeFact, StorageError> {
        let pool = self.pool(&spec.pool)?;
        let ordered = size::ordered_bytes(spec.size_mib)?;
        let slot = self.slots.slot(spec.volume);
        let _turn = slot.turn.lock().await;
        let found = find(&pool, spec).await?;
        if let Some(found) = found.as_ref().filter(|found| ordered.is_none_or(|bytes| found.bytes >= bytes)) {
            return Ok(pool.fact_of(spec.volume, found));
        }
        let (attempt, _guard) = Attempt::begin(&pool, slot.clone()).await?;
        let work = async {
            match (found, ordered) {
                (Some(found), Some(bytes)) => grow_in_place(&attempt, found, bytes).await,
                _ => self.fill(&attempt, spec, source, Stage::whole(progress)).await,
            }
        };
        tokio::select! {
            biased;
            () = attempt.ticket.revoked.cancelled() => {
                return Err(StorageError::Overtaken { volume: spec.volume });
            }
            done = work => done?,
        }
        let found = find(&pool, spec).await?.ok_or(StorageError::Overtaken { volume: spec.volume })?;
        Ok(pool.fact_of(spec.volume, &found))
    }

    async fn fill(
        &self,
        attempt: &Attempt,
        spec: &VolumeSpec,
        source: &Source,
        stage: Stage,
    ) -> Result<(), StorageError> {
        let ordered = size::ordered_bytes(spec.size_mib)?;
        let fill = Fill { shared: self, attempt, spec, ordered, stage };
        let filled = async { attempt.commit(fill.run(source).await?, spec.format).await };
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

async fn find(pool: &Pool, spec: &VolumeSpec) -> Result<Option<Found>, StorageError> {
    let volume = spec.volume;
    let find = move |pool: &Pool| {
        pool.check()?;
        pool.find(volume)
    };
    pool.look(find).await
}

/// Grows a finished volume. It is valid at every moment: only its end moves.
async fn grow_in_place(attempt: &Attempt, found: Found, bytes: u64) -> Result<(), StorageError> {
    grow(attempt, found.path.clone(), found.format, bytes).await?;
    let sync = move |_: &Attempt| {
        let synced = File::open(&found.path).and_then(|file| file.sync_all());
        synced.map_err(StorageError::io("sync", &found.path))
    };
    attempt.blocking(sync).await
}
