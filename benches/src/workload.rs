//! The workload `cloud`: instances with their cards, disks, volumes and placements, from a seed. Its tables are those of a
//! cloud, reduced to what an engine sees of them: as many columns, the same references and indexes.

mod tables;

pub use tables::{
    Activity, Format, Instance, InstanceCurrent, InstanceDesired, Placement, PlacementCurrent,
    PlacementDesired, Vdisk, VdiskDesired, Vnic, VnicDesired, Volume, VolumeDesired,
};

use crate::rng::Rng;
use pony_state::Mac;
use uuid::Uuid;

/// Instances of each tenant.
pub const TENANT_INSTANCES: usize = 100;

/// Instances on each host.
pub const HOST_INSTANCES: usize = 500;

/// Disks, hence volumes, of each instance; and cards.
pub const INSTANCE_DISKS: usize = 2;

/// Instances with a card in the same switch.
const SWITCH_INSTANCES: usize = 50;

/// Storage pools: shared ones of a cloud are few.
const POOLS: usize = 20;

/// An instance with everything that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The instance.
    pub instance: Instance,
    /// Its volumes.
    pub volumes: [Volume; INSTANCE_DISKS],
    /// Its disks: one for each volume.
    pub vdisks: [Vdisk; INSTANCE_DISKS],
    /// Its cards.
    pub vnics: [Vnic; INSTANCE_DISKS],
    /// Where it is ordered to run.
    pub placement: Placement,
}

/// A source of members: the same ones for a seed, without keeping them.
#[derive(Debug, Clone)]
pub struct Members {
    rng: Rng,
    next: usize,
    count: usize,
    /// All tenants.
    pub tenants: Vec<Uuid>,
    /// All hosts.
    pub hosts: Vec<Uuid>,
    switches: Vec<Uuid>,
    pools: Vec<Uuid>,
}

impl Members {
    /// The members of a cloud of that many instances.
    #[must_use]
    pub fn new(count: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut uuids = |count: usize| (0..count.max(1)).map(|_| rng.uuid()).collect::<Vec<_>>();
        let (tenants, hosts) = (uuids(count / TENANT_INSTANCES), uuids(count / HOST_INSTANCES));
        let (switches, pools) = (uuids(count / SWITCH_INSTANCES), uuids(POOLS));
        Self { rng, next: 0, count, tenants, hosts, switches, pools }
    }

    fn pick(rng: &mut Rng, of: &[Uuid]) -> Uuid {
        rng.pick(of).copied().unwrap_or_default()
    }

    fn instance(&mut self, number: usize) -> Instance {
        let rng = &mut self.rng;
        let (uuid, host) = (rng.uuid(), Self::pick(rng, &self.hosts));
        // Some are where they should not be: found by either part.
        let is_at = if rng.below(10) == 0 { Self::pick(rng, &self.hosts) } else { host };
        let desired = InstanceDesired {
            tenant: Self::pick(rng, &self.tenants),
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
        };
        let current = InstanceCurrent {
            status: Activity::ALL[rng.below(Activity::ALL.len())],
            host: is_at,
            error: None,
            attempts: rng.below(3) as i64,
            next_retry: None,
            console: Some("/dev/pts/7".into()),
        };
        Instance { uuid, desired: Some(desired), current: Some(current) }
    }

    fn volume(&mut self, number: usize, index: usize) -> Volume {
        let desired = VolumeDesired {
            name: format!("volume-{number}-{index}").into(),
            size_mib: 1024 * (1 + self.rng.below(64) as i64),
            format: Format::Qcow2,
            storage_pool: Self::pick(&mut self.rng, &self.pools),
        };
        Volume { uuid: self.rng.uuid(), desired: Some(desired) }
    }

    fn vnic(&mut self, instance: Uuid, index: usize) -> Vnic {
        let switch = Self::pick(&mut self.rng, &self.switches);
        let [a, b, c, d, ..] = self.rng.next().to_le_bytes();
        let macaddr = Mac([0x52, 0x54, a, b, c, d]);
        Vnic {
            uuid: self.rng.uuid(),
            desired: Some(VnicDesired { instance, switch, macaddr, index: index as i64 }),
        }
    }

    fn member(&mut self, number: usize) -> Member {
        let instance = self.instance(number);
        let host = instance.desired.as_ref().map_or_else(Uuid::nil, |desired| desired.host);
        let volumes = [self.volume(number, 0), self.volume(number, 1)];
        let mut vdisk = |index: usize| {
            let desired =
                VdiskDesired { instance: instance.uuid, volume: volumes[index].uuid, index: index as i64 };
            Vdisk { uuid: self.rng.uuid(), desired: Some(desired) }
        };
        let vdisks = [vdisk(0), vdisk(1)];
        let vnics = [self.vnic(instance.uuid, 0), self.vnic(instance.uuid, 1)];
        let placement = Placement {
            host,
            instance: instance.uuid,
            desired: Some(PlacementDesired { serial: number as i64, released: false }),
            current: Some(PlacementCurrent { status: Activity::Running, attempts: 0, error: None }),
        };
        Member { instance, volumes, vdisks, vnics, placement }
    }
}

impl Iterator for Members {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let number = self.next;
        (number < self.count).then(|| {
            self.next += 1;
            self.member(number)
        })
    }
}

/// A whole cloud, and what to ask of it.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// All instances with what belongs to them.
    pub members: Vec<Member>,
    /// All tenants.
    pub tenants: Vec<Uuid>,
    /// All hosts.
    pub hosts: Vec<Uuid>,
}

impl Cloud {
    /// That many instances, with all that belongs to them.
    #[must_use]
    pub fn generate(instances: usize, seed: u64) -> Self {
        let members = Members::new(instances, seed);
        let (tenants, hosts) = (members.tenants.clone(), members.hosts.clone());
        Self { members: members.collect(), tenants, hosts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_for_a_seed() {
        let (one, two) = (Cloud::generate(1000, 7), Cloud::generate(1000, 7));
        assert_eq!(one.members, two.members);
        assert_ne!(one.members, Cloud::generate(1000, 8).members);
        assert_eq!((one.tenants.len(), one.hosts.len(), one.members.len()), (10, 2, 1000));
    }
}
