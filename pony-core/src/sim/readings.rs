//! Volumes that are filled from those of another simulated host: at one moment, or not at all.

use super::host::SimHost;
use super::world::refuse;
use crate::host::{DriverError, RemoteVolume, VolumeSpec};
use crate::reconcile::RunId;

/// A volume of another host that is about to be read; whoever has both hosts lets it, by [`SimHost::read`].
#[derive(Debug)]
pub struct Reading {
    /// The step, which may be forgotten by then.
    pub(super) run: RunId,
    pub(super) spec: VolumeSpec,
    /// What is read.
    pub from: RemoteVolume,
}

impl SimHost {
    /// A volume of another host that is about to be read.
    pub fn poll_reading(&mut self) -> Option<Reading> {
        self.readings.pop_front()
    }

    /// Fills the volume from that of `other`, the host that it is on; `None`: nobody answers there.
    pub fn read(&mut self, reading: &Reading, other: Option<&Self>) {
        let reader = self.way();
        let Some(job) = self.jobs.get_mut(&reading.run) else { return };
        job.effect = Some(self.world.fill(&reading.spec, |_| match other {
            None => Err(refuse(format!("host {} does not answer", reading.from.host))),
            Some(other) => other.exported_mib(&reading.from, &reader),
        }));
    }

    /// How large the volume is that one who is known by `reader` may read here, MiB.
    fn exported_mib(&self, from: &RemoteVolume, reader: &str) -> Result<i64, DriverError> {
        if from.way != self.way() {
            return Err(refuse(format!("nobody is at {}", from.way)));
        }
        let volume = from.volume;
        if !self.exports.iter().any(|it| it.volume == volume && it.to == reader) {
            return Err(refuse(format!("volume {volume} may not be read by that host")));
        }
        let fact = self.world.volumes.get(&volume);
        fact.map(|it| it.size_mib).ok_or_else(|| refuse(format!("volume {volume} is not there")))
    }
}
