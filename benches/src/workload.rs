//! The workload `cloud`: instances, volumes and the disks that join them, from a seed. Its tables are those of a cloud,
//! reduced to what an engine sees of them: as many columns, the same references and indexes.

use crate::rng::Rng;
use pony_state::{Entity, Enum, Inet, Part, Text};
use uuid::Uuid;

/// Instances of each tenant.
pub const TENANT_INSTANCES: usize = 100;

/// Instances on each host.
pub const HOST_INSTANCES: usize = 500;

/// Disks, hence volumes, of each instance.
pub const INSTANCE_DISKS: usize = 2;

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "instance")]
pub struct Instance {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What is ordered.
    pub desired: Option<InstanceDesired>,
    /// What is.
    pub current: Option<InstanceCurrent>,
}

/// What is ordered of an [`Instance`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct InstanceDesired {
    #[part(index)]
    pub tenant: Uuid,
    /// Where it should be.
    #[part(index)]
    pub host: Uuid,
    pub name: Text,
    pub state: Activity,
    pub vcpu: i64,
    pub rcpu: f64,
    pub mem: i64,
    pub ns: Option<Inet>,
    pub cpu_profile: Option<Uuid>,
    pub boot: Text,
    pub user_data: Option<Text>,
    pub priority: i64,
}

/// What is, of an [`Instance`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct InstanceCurrent {
    pub status: Activity,
    /// Where it is.
    #[part(index)]
    pub host: Uuid,
    pub error: Option<Text>,
    pub attempts: i64,
    pub next_retry: Option<i64>,
    pub console: Option<Text>,
}

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[allow(missing_docs, reason = "columns of a workload")]
pub enum Activity {
    Running,
    Paused,
    Stopped,
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "volume")]
pub struct Volume {
    /// Its identity.
    #[entity(key)]
    pub uuid: Uuid,
    /// What is ordered.
    pub desired: Option<VolumeDesired>,
}

/// What is ordered of a [`Volume`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct VolumeDesired {
    pub name: Text,
    pub size_mib: i64,
}

/// A volume in an instance.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "vdisk", join("instance", "volume"))]
pub struct Vdisk {
    /// The instance.
    #[entity(key, references = "instance")]
    pub instance: Uuid,
    /// Which of its disks.
    #[entity(key)]
    pub index: i64,
    /// What is ordered.
    pub desired: Option<VdiskDesired>,
}

/// What is ordered of a [`Vdisk`].
#[derive(Debug, Clone, PartialEq, Part)]
#[allow(missing_docs, reason = "columns of a workload")]
pub struct VdiskDesired {
    #[part(references = "volume")]
    pub volume: Uuid,
}

/// The rows, and what to ask of them.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// The rows of `instance`.
    pub instances: Vec<Instance>,
    /// The rows of `volume`.
    pub volumes: Vec<Volume>,
    /// The rows of `vdisk`.
    pub vdisks: Vec<Vdisk>,
    /// All tenants.
    pub tenants: Vec<Uuid>,
    /// All hosts.
    pub hosts: Vec<Uuid>,
}

impl Cloud {
    /// That many instances, with all that belongs to them.
    #[must_use]
    pub fn generate(instances: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut uuids = |count: usize| (0..count.max(1)).map(|_| rng.uuid()).collect::<Vec<_>>();
        let (tenants, hosts) = (uuids(instances / TENANT_INSTANCES), uuids(instances / HOST_INSTANCES));
        let mut cloud =
            Self { instances: Vec::new(), volumes: Vec::new(), vdisks: Vec::new(), tenants, hosts };
        for number in 0..instances {
            cloud.add_instance(number, &mut rng);
        }
        cloud
    }

    fn add_instance(&mut self, number: usize, rng: &mut Rng) {
        let uuid = rng.uuid();
        let host = rng.pick(&self.hosts).copied().unwrap_or_default();
        // Some are where they should not be: found by either part.
        let is_at =
            if rng.below(10) == 0 { rng.pick(&self.hosts).copied().unwrap_or_default() } else { host };
        let (desired, current) = (self.desired(number, host, rng), current(is_at, rng));
        self.instances.push(Instance { uuid, desired: Some(desired), current: Some(current) });
        for index in 0..INSTANCE_DISKS {
            let volume = rng.uuid();
            let size_mib = 1024 * (1 + rng.below(64) as i64);
            let desired = VolumeDesired { name: format!("volume-{number}-{index}").into(), size_mib };
            self.volumes.push(Volume { uuid: volume, desired: Some(desired) });
            let desired = Some(VdiskDesired { volume });
            self.vdisks.push(Vdisk { instance: uuid, index: index as i64, desired });
        }
    }

    fn desired(&self, number: usize, host: Uuid, rng: &mut Rng) -> InstanceDesired {
        InstanceDesired {
            tenant: rng.pick(&self.tenants).copied().unwrap_or_default(),
            host,
            name: format!("instance-{number}").into(),
            state: Activity::Running,
            vcpu: 1 + rng.below(8) as i64,
            rcpu: 1.0,
            mem: 256 * (1 + rng.below(32) as i64),
            ns: "192.168.0.1".parse().ok(),
            cpu_profile: Some(Uuid::from_u128(1)),
            boot: "disk".into(),
            user_data: None,
            priority: rng.below(10) as i64,
        }
    }
}

fn current(host: Uuid, rng: &mut Rng) -> InstanceCurrent {
    InstanceCurrent {
        status: Activity::ALL[rng.below(Activity::ALL.len())],
        host,
        error: None,
        attempts: rng.below(3) as i64,
        next_retry: None,
        console: Some("/dev/pts/7".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_for_a_seed() {
        let (one, two) = (Cloud::generate(1000, 7), Cloud::generate(1000, 7));
        assert_eq!((&one.instances, &one.vdisks, &one.volumes), (&two.instances, &two.vdisks, &two.volumes));
        assert_ne!(one.instances, Cloud::generate(1000, 8).instances);
        assert_eq!((one.tenants.len(), one.hosts.len(), one.volumes.len()), (10, 2, 2000));
    }
}
