//! The volumes of the simulated world.

use super::{errors::order, errors::transient, errors::unsupported, op::SimOp, world::World};
use crate::Result;
use pony_core::host::{
    IscsiMode, NetworkDisk, Place, PoolBackend, PoolFact, PoolSpec, Slice, Source, VolumeFact, VolumeFormat,
    VolumeSpec, grown_mib,
};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Parts that a fill progresses in.
pub(super) const FILL_STEPS: u32 = 10;

/// An unfinished fill. A later one for the same order takes up where it stopped.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) source: Source,
    pub(super) steps: u32,
    /// Tells one call from the next, so that one that a deletion overtook does not finish after all.
    pub(super) ticket: u64,
}

/// What a call for a volume has to do.
pub(super) enum Task {
    /// Nothing.
    Nothing(VolumeFact),
    /// Grow the one that is there.
    Grow,
    /// Fill a new one.
    Fill,
}

impl World {
    pub(super) fn open_pool(&self, pool: &PoolSpec) -> Result<PoolFact> {
        pool_path(pool)?;
        let allocated_mib = self.allocated_mib(pool.pool);
        Ok(PoolFact { pool: pool.pool, capacity_mib: self.options.pool_mib, allocated_mib, granule_mib: 1 })
    }

    fn allocated_mib(&self, pool: Uuid) -> i64 {
        self.volumes.all().iter().filter(|volume| volume.pool == pool).map(|volume| volume.size_mib).sum()
    }

    pub(super) fn volume_facts(&self, pool: &PoolSpec) -> Result<Vec<VolumeFact>> {
        pool_path(pool)?;
        Ok(self.volumes.all().into_iter().filter(|volume| volume.pool == pool.pool).collect())
    }

    pub(super) fn volume_task(&self, spec: &VolumeSpec) -> Result<Task> {
        pool_path(&spec.pool)?;
        Ok(match self.volumes.get(spec.volume) {
            Some(volume) if spec.size_mib.is_some_and(|size| size > volume.size_mib) => Task::Grow,
            Some(volume) => Task::Nothing(volume),
            None => Task::Fill,
        })
    }

    pub(super) fn grow_volume(&mut self, spec: &VolumeSpec) -> Result<VolumeFact> {
        let volume = self.volumes.get(spec.volume).ok_or_else(|| overtaken(spec.volume))?;
        let size_mib = grown_mib(spec).unwrap_or(volume.size_mib).max(volume.size_mib);
        self.check_space(spec, size_mib - volume.size_mib)?;
        let fact = self.volumes.grow(spec.volume, size_mib).ok_or_else(|| overtaken(spec.volume))?;
        self.effect(SimOp::GrowVolume, spec.volume);
        Ok(fact)
    }

    /// Begins or takes up a fill: checks the order, and answers the size, the ticket and the steps done already.
    pub(super) fn begin_fill(&mut self, spec: &VolumeSpec, source: &Source) -> Result<(i64, u64, u32)> {
        let size_mib = self.size_for(spec, source)?;
        self.check_space(spec, size_mib)?;
        self.tickets += 1;
        let ticket = self.tickets;
        let fill = self.fills.entry(spec.volume).or_insert(Fill { source: source.clone(), steps: 0, ticket });
        if fill.source != *source {
            *fill = Fill { source: source.clone(), steps: 0, ticket };
        }
        fill.ticket = ticket;
        Ok((size_mib, ticket, fill.steps))
    }

    fn size_for(&self, spec: &VolumeSpec, source: &Source) -> Result<i64> {
        let from = match source {
            Source::Empty => 0,
            Source::Uri(_) => self.options.image_mib,
            Source::Remote(from) => self.remote_mib(from)?,
            Source::Volume(from) => self
                .volumes
                .get(from.volume)
                .map(|volume| volume.size_mib)
                .ok_or_else(|| transient(format!("volume {} to copy from is not there", from.volume)))?,
        };
        match spec.size_mib {
            Some(size) if size <= 0 => Err(order(format!("a volume of {size} MiB cannot be made"))),
            Some(size) if from > size => {
                let volume = spec.volume;
                Err(order(format!("the source of volume {volume} has {from} MiB, the order is {size} MiB")))
            }
            Some(size) => Ok(size),
            None if from == 0 => Err(order(format!("empty volume {} needs a size", spec.volume))),
            None => Ok(from),
        }
    }

    fn check_space(&self, spec: &VolumeSpec, need_mib: i64) -> Result<()> {
        let free_mib = self.options.pool_mib - self.allocated_mib(spec.pool.pool);
        if need_mib <= free_mib {
            return Ok(());
        }
        let (volume, pool) = (spec.volume, spec.pool.pool);
        Err(transient(format!(
            "pool {pool} is full: volume {volume} needs {need_mib} MiB, {free_mib} MiB are free"
        )))
    }

    /// Notes a step of a fill, unless something overtook it.
    pub(super) fn fill_step(&mut self, volume: Uuid, ticket: u64, steps: u32) -> Result<()> {
        match self.fills.get_mut(&volume) {
            Some(fill) if fill.ticket == ticket => {
                fill.steps = steps;
                Ok(())
            }
            _ => Err(overtaken(volume)),
        }
    }

    pub(super) fn finish_fill(
        &mut self,
        spec: &VolumeSpec,
        ticket: u64,
        size_mib: i64,
    ) -> Result<VolumeFact> {
        self.fill_step(spec.volume, ticket, FILL_STEPS)?;
        self.check_space(spec, size_mib)?;
        let path = volume_path(spec)?;
        let place = match &spec.pool.backend {
            PoolBackend::Lvm { .. } | PoolBackend::Plvm(_) => Place::Block(path),
            PoolBackend::Iscsi(pool) if pool.mode == IscsiMode::Host => Place::Block(path),
            PoolBackend::Iscsi(pool) => {
                let slice = Slice { offset: 1 << 20, len: size_mib.unsigned_abs() << 20 };
                let name = format!("{}/{}", pool.target, spec.volume);
                NetworkDisk { name, ..pool.disk(1, slice) }.into()
            }
            PoolBackend::Rbd(pool) => pool.disk(&spec.volume.to_string()).into(),
            _ => Place::File(path),
        };
        let fact =
            VolumeFact { volume: spec.volume, pool: spec.pool.pool, size_mib, format: spec.format, place };
        self.fills.remove(&spec.volume);
        // Of what lies on a shared disk each host has a mapping of its own.
        let is_mapped = matches!(spec.pool.backend, PoolBackend::Plvm(_));
        self.volumes.put(fact.clone(), spec.pool.backend.can_be_shared() && !is_mapped);
        self.effect(SimOp::CreateVolume, spec.volume);
        Ok(fact)
    }

    pub(super) fn delete_volume(&mut self, spec: &VolumeSpec) -> Result<()> {
        pool_path(&spec.pool)?;
        let half = self.fills.remove(&spec.volume).is_some();
        let whole = self.volumes.remove(spec.volume);
        if half || whole {
            self.effect(SimOp::DeleteVolume, spec.volume);
        }
        Ok(())
    }

    pub(super) fn has_volume_at(&self, place: &Place, format: VolumeFormat) -> bool {
        self.volumes.all().iter().any(|volume| volume.place == *place && volume.format == format)
    }
}

fn pool_path(pool: &PoolSpec) -> Result<PathBuf> {
    match &pool.backend {
        PoolBackend::Dir { path } | PoolBackend::Btrfs { path } if path.is_absolute() => Ok(path.clone()),
        PoolBackend::Dir { path } | PoolBackend::Btrfs { path } => {
            Err(order(format!("pool directory {} must be an absolute path", path.display())))
        }
        PoolBackend::Plvm(_) => Ok(Path::new("/dev/mapper").join(pool.pool.to_string())),
        PoolBackend::Lvm { vg, .. } => Ok(Path::new("/dev").join(vg)),
        PoolBackend::Nfs { server, export, .. } => {
            Ok(Path::new("/net").join(server).join(export.strip_prefix("/").unwrap_or(export)))
        }
        PoolBackend::Iscsi(pool) => Ok(Path::new("/iscsi").join(&pool.portal).join(&pool.target)),
        PoolBackend::Rbd(pool) => Ok(Path::new("/rbd").join(&pool.pool)),
        PoolBackend::Unsupported(kind) => {
            Err(unsupported(format!("storage pools of type {kind} have no driver in this agent")))
        }
    }
}

fn volume_path(spec: &VolumeSpec) -> Result<PathBuf> {
    let extension = match spec.format {
        VolumeFormat::Raw => "raw",
        VolumeFormat::Qcow2 => "qcow2",
    };
    Ok(pool_path(&spec.pool)?.join("volumes").join(format!("{}.{extension}", spec.volume)))
}

fn overtaken(volume: Uuid) -> pony_core::host::DriverError {
    transient(format!("a later order for volume {volume} overtook this one"))
}
