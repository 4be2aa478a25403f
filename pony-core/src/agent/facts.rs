//! Everything that is known of the host, and how what comes in changes it. Decides nothing.

use super::belief::Beliefs;
use super::looks::Subject;
use super::step::{Output, Step};
use crate::host::{
    DiskFact, GuestState, HostFact, InstanceFact, NicFact, PoolFact, PoolSpec, SwitchFact, TapFact,
    UplinkFact, UplinkId, VolumeFact, VolumeSpec,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A storage pool as it was found.
#[derive(Debug, Clone)]
pub(super) struct PoolState {
    /// What it was looked at with; another one is another pool.
    pub(super) spec: PoolSpec,
    /// The last that was found.
    pub(super) fact: Option<PoolFact>,
    pub(super) volumes: Beliefs<Uuid, VolumeFact>,
    /// How full it was told to be, percent.
    pub(super) told_percent: i64,
}

impl PoolState {
    pub(super) fn new(spec: PoolSpec) -> Self {
        Self { spec, fact: None, volumes: Beliefs::default(), told_percent: 0 }
    }

    /// Whether there is nothing of the volume in it on this host, for sure.
    pub(super) fn is_surely_without(&self, volume: Uuid) -> bool {
        self.volumes.looked() && !self.volumes.is_vague(volume) && self.volumes.get(volume).is_none()
    }
}

/// Everything that is known of the host.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) host: Option<HostFact>,
    /// `None` until they were looked at.
    pub(super) nics: Option<Vec<NicFact>>,
    pub(super) disks: Vec<DiskFact>,
    /// The CPU profiles that were looked at, and whether guests can have them.
    pub(super) cpus: BTreeMap<Uuid, bool>,
    pub(super) guests: Beliefs<Uuid, InstanceFact>,
    pub(super) uplinks: Beliefs<UplinkId, UplinkFact>,
    pub(super) switches: Beliefs<Uuid, SwitchFact>,
    pub(super) taps: Beliefs<Uuid, TapFact>,
    pub(super) pools: BTreeMap<Uuid, PoolState>,
    /// Why the last look at something failed.
    pub(super) trouble: BTreeMap<Subject, String>,
}

impl Facts {
    /// The guest, if one is there.
    pub(super) fn guest(&self, instance: Uuid) -> Option<&InstanceFact> {
        self.guests.get(instance)
    }

    /// Whether the guest is surely not executing, and will not be by anything that was done so far.
    pub(super) fn is_surely_off(&self, instance: Uuid) -> bool {
        !self.guests.is_vague(instance) && self.guest(instance).is_none_or(|g| !is_up(g.state))
    }

    /// Why the pool cannot be used, if a look failed.
    pub(super) fn pool_trouble(&self, pool: Uuid) -> Option<&str> {
        let trouble =
            self.trouble.get(&Subject::Pool(pool)).or_else(|| self.trouble.get(&Subject::Volumes(pool)));
        trouble.map(String::as_str)
    }

    /// The pool, once volumes can be made in it, and all that are there are known.
    pub(super) fn ready_pool(&self, pool: Uuid) -> Option<&PoolState> {
        let state = self.pools.get(&pool).filter(|p| p.fact.is_some() && p.volumes.looked())?;
        self.pool_trouble(pool).is_none().then_some(state)
    }

    /// The finished volume.
    pub(super) fn volume(&self, volume: Uuid, pool: Uuid) -> Option<&VolumeFact> {
        self.pools.get(&pool)?.volumes.get(volume)
    }

    /// What a step promises that succeeded.
    pub(super) fn promise(&mut self, step: &Step, output: Output) {
        match (step, output) {
            (Step::EnsureUplink(spec), Output::Uplink(fact)) => self.uplinks.promise(spec.id(), Some(fact)),
            (Step::RemoveUplink(id), _) => self.uplinks.promise(*id, None),
            (Step::EnsureSwitch(spec), Output::Switch(fact)) => {
                self.switches.promise(spec.switch, Some(SwitchFact { switch: spec.switch, ..fact }));
            }
            (Step::EnsureTap(spec), Output::Tap(fact)) => {
                self.taps.promise(spec.vnic, Some(TapFact { vnic: spec.vnic, ..fact }));
            }
            (Step::RemoveSwitch(switch), _) => self.switches.promise(*switch, None),
            (Step::RemoveTap(vnic), _) => self.taps.promise(*vnic, None),
            (Step::CreateVolume { spec, .. }, Output::Volume(fact)) => {
                self.volumes_of(&spec.pool).promise(spec.volume, Some(fact));
            }
            (Step::GrowDisk { spec, .. }, _) => self.promise_size(spec),
            (Step::DeleteVolume(spec), _) => self.volumes_of(&spec.pool).promise(spec.volume, None),
            (
                Step::EnsureUplink(_)
                | Step::EnsureSwitch(_)
                | Step::EnsureTap(_)
                | Step::CreateVolume { .. },
                _,
            ) => self.doubt(step),
            (step, _) => self.promise_guest(step),
        }
    }

    fn promise_size(&mut self, spec: &VolumeSpec) {
        let volumes = self.volumes_of(&spec.pool);
        let Some(fact) = volumes.get(spec.volume).cloned() else { return };
        let size_mib = spec.size_mib.unwrap_or(fact.size_mib);
        volumes.promise(spec.volume, Some(VolumeFact { size_mib, ..fact }));
    }

    fn promise_guest(&mut self, step: &Step) {
        let instance = guest_of(step).unwrap_or_default();
        let mut fact = self.guest(instance).cloned().unwrap_or(InstanceFact {
            instance,
            state: GuestState::Off,
            spec: None,
            live: None,
            room: None,
            ending: None,
            console: None,
            origin: None,
        });
        match step {
            Step::Define(spec) => fact.spec = Some(spec.clone()),
            Step::Start(_) => {
                (fact.state, fact.live, fact.ending) = (GuestState::Running, fact.spec.clone(), None);
            }
            Step::Adjust(spec) => fact.live = Some(spec.clone()),
            Step::Pause(_) => fact.state = GuestState::Paused,
            Step::Resume(_) => fact.state = GuestState::Running,
            Step::Expect { spec, origin } => {
                (fact.state, fact.spec) = (GuestState::Incoming, Some(spec.clone()));
                fact.origin = Some(origin.clone());
            }
            // Whether it is gone must be seen: another host gets it by that.
            Step::Migrate { .. } => return self.guests.doubt(instance),
            Step::Destroy(_) if fact.state == GuestState::Incoming => return self.guests.doubt(instance),
            Step::Destroy(_) => (fact.state, fact.live, fact.console) = (GuestState::Off, None, None),
            Step::Undefine(_) => return self.guests.promise(instance, None),
            _ => {}
        }
        self.guests.promise(instance, Some(fact));
    }

    /// A step ended in a way that tells nothing about its effect.
    pub(super) fn doubt(&mut self, step: &Step) {
        match step {
            Step::EnsureUplink(spec) => self.uplinks.doubt(spec.id()),
            Step::RemoveUplink(id) => self.uplinks.doubt(*id),
            Step::EnsureSwitch(spec) => self.switches.doubt(spec.switch),
            Step::RemoveSwitch(switch) => self.switches.doubt(*switch),
            Step::EnsureTap(spec) => self.taps.doubt(spec.vnic),
            Step::RemoveTap(vnic) => self.taps.doubt(*vnic),
            Step::CreateVolume { spec, .. } | Step::DeleteVolume(spec) | Step::GrowDisk { spec, .. } => {
                self.volumes_of(&spec.pool).doubt(spec.volume);
            }
            step => self.guests.doubt(guest_of(step).unwrap_or_default()),
        }
    }

    fn volumes_of(&mut self, pool: &PoolSpec) -> &mut Beliefs<Uuid, VolumeFact> {
        let state = self.pools.entry(pool.pool).or_insert_with(|| PoolState::new(pool.clone()));
        &mut state.volumes
    }
}

/// Whether a guest in this state holds its disks and links.
pub(super) fn is_up(state: GuestState) -> bool {
    match state {
        GuestState::Off | GuestState::Crashed => false,
        GuestState::Running | GuestState::Paused | GuestState::ShuttingDown | GuestState::Incoming => true,
    }
}

/// The instance that a step is about, where it is about one.
pub(super) fn guest_of(step: &Step) -> Option<Uuid> {
    match step {
        Step::Define(spec) | Step::Adjust(spec) | Step::Expect { spec, .. } => Some(spec.instance),
        Step::Migrate { instance, .. } => Some(*instance),
        Step::Start(i)
        | Step::Pause(i)
        | Step::Resume(i)
        | Step::Shutdown(i)
        | Step::Destroy(i)
        | Step::Undefine(i) => Some(*i),
        _ => None,
    }
}
