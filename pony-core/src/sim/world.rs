//! What there is on the simulated host, what steps do to it, and what must never happen.

use super::lun::SimLun;
use super::shelf::{Doings, SimShelf};
use crate::agent::{Output, Step};
use crate::host::{
    DiskSpec, DriverError, DriverErrorKind, GuestState, InstanceFact, InstanceSpec, IscsiMode, NetworkDisk,
    NicFact, Place, PoolBackend, Room, Slice, Source, SwitchFact, SwitchKind, TapFact, TapSpec, USUAL_MTU,
    UplinkFact, UplinkId, VolumeFact, VolumeSpec, adjusted, grown_mib,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use uuid::Uuid;

/// A guest.
#[derive(Debug, Clone)]
pub struct SimGuest {
    /// The definition for its next start.
    pub spec: InstanceSpec,
    /// What it runs with.
    pub live: Option<InstanceSpec>,
    /// What it is doing.
    pub state: GuestState,
    /// The memory that it was started with, MiB.
    pub mem_started_mib: i64,
    /// The host that it is let in from.
    pub origin: Option<String>,
    /// Whether it came from another host and has not gone on since: it has its disks open, and writes nothing.
    pub arrived: bool,
}

/// The size of what comes from a URI, MiB.
const IMAGE_MIB: i64 = 100;

/// What there is on the simulated host.
#[derive(Debug, Default)]
pub struct SimWorld {
    /// Guests by instance.
    pub guests: BTreeMap<Uuid, SimGuest>,
    /// Network cards.
    pub nics: Vec<NicFact>,
    /// Bonds, and what is on them.
    pub uplinks: BTreeMap<UplinkId, UplinkFact>,
    /// Bridges by switch.
    pub switches: BTreeMap<Uuid, SwitchFact>,
    /// Taps by card.
    pub taps: BTreeMap<Uuid, TapFact>,
    /// Finished volumes.
    pub volumes: BTreeMap<Uuid, VolumeFact>,
    /// Volumes with traces of a fill that did not finish.
    pub unfinished: BTreeSet<Uuid>,
    /// Volumes that an instance brought along, to the last of what it wrote.
    pub whole_copies: BTreeSet<Uuid>,
    /// Side effects by what was done and to what. A step that finds everything done has none.
    pub effects: BTreeMap<(&'static str, Uuid), u32>,
    /// Steps that found everything done.
    pub redundant: u32,
    /// What must never happen and did.
    pub violations: Vec<String>,
    /// What guests of other hosts may write to, in pools that are not this host's own.
    pub(super) elsewhere: BTreeSet<Place>,
    /// The last change of the pool that it shares with others which it has seen.
    seen: u64,
    /// A disk that it sees as others do, and its own number among them.
    pub(super) lun: Option<(SimLun, u64)>,
}

fn told(spec: &TapSpec) -> Option<u64> {
    spec.config.as_ref().map(|config| config.stamp())
}

pub(super) type Effect = Result<Output, DriverError>;

pub(super) fn refuse(message: String) -> DriverError {
    DriverError { kind: DriverErrorKind::Transient, message }
}

fn place_of(spec: &VolumeSpec) -> Place {
    let path = PathBuf::from(format!("/sim/{}/{}", spec.pool.pool, spec.volume));
    match &spec.pool.backend {
        PoolBackend::Lvm { .. } | PoolBackend::Plvm(_) => Place::Block(path),
        PoolBackend::Iscsi(pool) if pool.mode == IscsiMode::Host => Place::Block(path),
        PoolBackend::Iscsi(pool) => {
            let len = u64::try_from(spec.size_mib.unwrap_or_default()).unwrap_or_default() << 20;
            let disk = pool.disk(1, Slice { offset: 1 << 20, len });
            NetworkDisk { name: format!("{}/{}", pool.target, spec.volume), ..disk }.into()
        }
        PoolBackend::Rbd(pool) => pool.disk(&spec.volume.to_string()).into(),
        _ => Place::File(path),
    }
}

/// What a pool rounds sizes up to, MiB.
pub(super) fn granule_mib(backend: &PoolBackend) -> i64 {
    if matches!(backend, PoolBackend::Lvm { .. }) { 4 } else { 1 }
}

/// As large as the pool makes a volume.
fn rounded(spec: &VolumeSpec, size_mib: i64) -> i64 {
    let granule = granule_mib(&spec.pool.backend);
    (size_mib + granule - 1) / granule * granule
}

impl SimGuest {
    fn off(spec: &InstanceSpec) -> Self {
        Self {
            spec: spec.clone(),
            live: None,
            state: GuestState::Off,
            mem_started_mib: 0,
            origin: None,
            arrived: false,
        }
    }

    fn go_off(&mut self) {
        (self.state, self.live, self.arrived) = (GuestState::Off, None, false);
    }

    /// Whether it may write to its disks.
    pub fn may_write(&self) -> bool {
        is_up(self.state) && !self.arrived
    }

    /// How far it can be changed while it runs.
    fn room(&self) -> Room {
        Room { vcpu_min: 1, vcpu_max: 8, mem_max_mib: self.mem_started_mib }
    }
}

/// Whether it has its disks open.
pub(super) fn is_up(state: GuestState) -> bool {
    !matches!(state, GuestState::Off | GuestState::Crashed | GuestState::Incoming)
}

impl SimWorld {
    /// The instances whose guests hold their disks.
    pub fn up(&self) -> impl Iterator<Item = Uuid> {
        self.guests.iter().filter(|(_, g)| is_up(g.state)).map(|(instance, _)| *instance)
    }

    /// The guests as a hypervisor lists them.
    pub(super) fn list_guests(&self) -> Vec<InstanceFact> {
        let fact = |(instance, guest): (&Uuid, &SimGuest)| InstanceFact {
            instance: *instance,
            state: guest.state,
            spec: Some(guest.spec.clone()),
            live: guest.live.clone(),
            room: guest.live.as_ref().map(|_| guest.room()),
            ending: None,
            console: is_up(guest.state).then(|| format!("/sim/{instance}.console")),
            origin: guest.origin.clone(),
        };
        self.guests.iter().map(fact).collect()
    }

    /// The whole effect of a step, at one moment.
    pub(super) fn apply(&mut self, step: &Step) -> Effect {
        match step {
            Step::Define(spec) => self.define(spec),
            Step::Start(instance) => self.start(*instance),
            Step::Pause(i) => self.switch_state(*i, "pause", GuestState::Running, GuestState::Paused),
            Step::Resume(instance) => self.resume(*instance),
            Step::Shutdown(i) => self.switch_state(*i, "shutdown", GuestState::Running, GuestState::Running),
            Step::Destroy(instance) => self.destroy(*instance),
            Step::Undefine(instance) => self.undefine(*instance),
            Step::Adjust(spec) => self.adjust(spec),
            Step::Expect { spec, origin } => self.expect(spec, origin),
            Step::Migrate { instance, .. } => Err(refuse(format!("instance {instance} has nowhere to go"))),
            Step::GrowDisk { instance, disk, spec } => self.grow_disk(*instance, disk, spec),
            Step::EnsureUplink(spec) => self.ensure_uplink(spec),
            Step::RemoveUplink(id) => self.remove_uplink(*id),
            Step::EnsureSwitch(spec) => self.ensure_switch(spec.switch, &spec.kind),
            Step::RemoveSwitch(switch) => self.remove_switch(*switch),
            Step::EnsureTap(spec) => self.ensure_tap(spec),
            Step::RemoveTap(vnic) => self.remove_tap(*vnic),
            Step::CreateVolume { spec, source } => self.create_volume(spec, source),
            Step::DeleteVolume(spec) => self.delete_volume(spec),
        }
    }

    pub(super) fn count(&mut self, what: &'static str, uuid: Uuid) {
        *self.effects.entry((what, uuid)).or_default() += 1;
    }

    /// Nothing to do.
    pub(super) fn redundant(&mut self, output: Output) -> Effect {
        self.redundant += 1;
        Ok(output)
    }

    pub(super) fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    fn define(&mut self, spec: &InstanceSpec) -> Effect {
        match self.guests.get_mut(&spec.instance) {
            Some(guest) if guest.spec == *spec => return self.redundant(Output::None),
            Some(guest) => guest.spec = spec.clone(),
            None => {
                self.guests.insert(spec.instance, SimGuest::off(spec));
            }
        }
        self.count("define", spec.instance);
        Ok(Output::None)
    }

    fn start(&mut self, instance: Uuid) -> Effect {
        let Some(guest) = self.guests.get(&instance) else {
            return Err(refuse(format!("instance {instance} is not defined")));
        };
        if is_up(guest.state) {
            return self.redundant(Output::None);
        }
        let spec = guest.spec.clone();
        self.check_disks(&spec);
        self.check_links(&spec)?;
        if let Some(guest) = self.guests.get_mut(&instance) {
            guest.mem_started_mib = spec.mem_mib;
            (guest.state, guest.live) = (GuestState::Running, Some(spec));
        }
        self.count("start", instance);
        Ok(Output::None)
    }

    pub(super) fn check_links(&self, spec: &InstanceSpec) -> Result<(), DriverError> {
        let is_there = |link: &str| self.taps.values().any(|it| it.link == link && it.bridge.is_some());
        match spec.nics.iter().find(|nic| !is_there(&nic.tap)) {
            Some(nic) => Err(refuse(format!("link {} is not there, or on no bridge", nic.tap))),
            None => Ok(()),
        }
    }

    /// Lets a guest in from another host.
    fn expect(&mut self, spec: &InstanceSpec, origin: &str) -> Effect {
        self.check_links(spec)?;
        let guest = self.guests.get(&spec.instance);
        if guest.is_some_and(|it| is_up(it.state)) {
            return self.redundant(Output::None);
        }
        if guest.is_some_and(|it| it.spec == *spec && it.origin.as_deref() == Some(origin)) {
            return self.redundant(Output::None);
        }
        let origin = Some(origin.to_owned());
        let guest = SimGuest { state: GuestState::Incoming, origin, ..SimGuest::off(spec) };
        self.guests.insert(spec.instance, guest);
        self.count("expect", spec.instance);
        Ok(Output::None)
    }

    /// Notes whether what came along is all that its instance wrote: where the other host has it go on, it is not.
    pub(super) fn note_copies(&mut self, live: &InstanceSpec, copied: &BTreeSet<Uuid>, are_whole: bool) {
        for disk in live.disks.iter().filter(|it| copied.contains(&it.vdisk)) {
            let volume = self.volumes.values().find(|it| it.place == disk.place).map(|it| it.volume);
            match volume {
                Some(volume) if are_whole => drop(self.whole_copies.insert(volume)),
                Some(volume) => drop(self.whole_copies.remove(&volume)),
                None => self.violation(format!("{} is copied to where there is nothing", disk.place)),
            }
        }
    }

    pub(super) fn check_disks(&mut self, spec: &InstanceSpec) {
        for disk in &spec.disks {
            if self.elsewhere.contains(&disk.place) && !disk.shared {
                self.violation(format!("{} is opened by {} and on another host", disk.place, spec.instance));
            }
            self.note_use(&disk.place);
            if !self.volumes.values().any(|v| v.place == disk.place) {
                self.violation(format!("instance {} starts without {}", spec.instance, disk.place));
            }
            let writes = |g: &SimGuest| {
                let live = g.live.as_ref().filter(|_| is_up(g.state));
                live.is_some_and(|s| {
                    s.disks.iter().any(|d| {
                        d.place == disk.place
                            && !(d.read_only && disk.read_only)
                            && !(d.shared && disk.shared)
                    })
                })
            };
            if let Some((other, _)) = self.guests.iter().find(|(_, g)| writes(g)) {
                self.violation(format!("{} is opened by {} and {other}", disk.place, spec.instance));
            }
        }
    }

    fn resume(&mut self, instance: Uuid) -> Effect {
        if let Some(guest) = self.guests.get(&instance).filter(|it| it.arrived).cloned() {
            self.guests.remove(&instance);
            guest.live.iter().for_each(|live| self.check_disks(live));
            self.guests.insert(instance, SimGuest { arrived: false, ..guest });
        }
        self.switch_state(instance, "resume", GuestState::Paused, GuestState::Running)
    }

    fn switch_state(
        &mut self,
        instance: Uuid,
        what: &'static str,
        from: GuestState,
        to: GuestState,
    ) -> Effect {
        match self.guests.get_mut(&instance) {
            Some(guest) if guest.state == from => guest.state = to,
            Some(guest) if guest.state == to => return self.redundant(Output::None),
            _ => return Err(refuse(format!("instance {instance} is not {from:?}"))),
        }
        self.count(what, instance);
        Ok(Output::None)
    }

    fn destroy(&mut self, instance: Uuid) -> Effect {
        match self.guests.get_mut(&instance) {
            Some(guest) if is_up(guest.state) => guest.go_off(),
            // What has not arrived leaves nothing behind.
            Some(guest) if guest.state == GuestState::Incoming => drop(self.guests.remove(&instance)),
            _ => return self.redundant(Output::None),
        }
        self.count("destroy", instance);
        Ok(Output::None)
    }

    fn undefine(&mut self, instance: Uuid) -> Effect {
        match self.guests.get(&instance) {
            None => return self.redundant(Output::None),
            Some(guest) if is_up(guest.state) => {
                return Err(refuse(format!("instance {instance} is running")));
            }
            Some(_) => drop(self.guests.remove(&instance)),
        }
        self.count("undefine", instance);
        Ok(Output::None)
    }

    fn adjust(&mut self, spec: &InstanceSpec) -> Effect {
        let guest = self.guests.get(&spec.instance).filter(|g| is_up(g.state));
        let Some((live, room)) = guest.and_then(|g| Some((g.live.clone()?, g.room()))) else {
            return Err(refuse(format!("instance {} is not running", spec.instance)));
        };
        if live == *spec {
            return self.redundant(Output::None);
        }
        if adjusted(&live, spec, &room) != *spec {
            self.violation(format!("instance {} cannot be made {spec:?} while it runs", spec.instance));
        }
        let new = |disk: &DiskSpec| !live.disks.contains(disk);
        let plugged =
            InstanceSpec { disks: spec.disks.iter().filter(|d| new(d)).cloned().collect(), ..spec.clone() };
        self.check_disks(&plugged);
        if let Some(guest) = self.guests.get_mut(&spec.instance) {
            guest.live = Some(spec.clone());
        }
        self.count("adjust", spec.instance);
        Ok(Output::None)
    }

    fn grow_disk(&mut self, instance: Uuid, disk: &DiskSpec, spec: &VolumeSpec) -> Effect {
        let shows =
            |g: &SimGuest| is_up(g.state) && g.live.as_ref().is_some_and(|it| it.disks.contains(disk));
        if !self.guests.get(&instance).is_some_and(shows) {
            return Err(refuse(format!("instance {instance} has no such disk now")));
        }
        let Some(fact) = self.volumes.get_mut(&spec.volume) else {
            return Err(refuse(format!("volume {} is not there", spec.volume)));
        };
        if spec.size_mib.is_none_or(|size| size <= fact.size_mib) {
            return self.redundant(Output::None);
        }
        fact.size_mib = spec.size_mib.unwrap_or(fact.size_mib);
        self.note_extents(spec);
        self.note_use(&disk.place);
        self.count("grow-disk", spec.volume);
        Ok(Output::None)
    }

    fn ensure_switch(&mut self, switch: Uuid, kind: &SwitchKind) -> Effect {
        if let SwitchKind::Unsupported(why) = kind {
            return Err(DriverError { kind: DriverErrorKind::Unsupported, message: why.clone() });
        }
        let segment = kind.segment();
        if segment.is_some_and(|it| !self.is_plain(it)) {
            return Err(refuse(format!("switch {switch} has no VLAN to be joined by")));
        }
        let fact = SwitchFact {
            switch,
            bridge: format!("bridge-{switch}"),
            overlay: kind.overlay().cloned(),
            segment,
            whole: true,
        };
        if self.switches.get(&switch) == Some(&fact) {
            return self.redundant(Output::Switch(fact));
        }
        self.switches.insert(switch, fact.clone());
        self.count("switch", switch);
        Ok(Output::Switch(fact))
    }

    fn remove_switch(&mut self, switch: Uuid) -> Effect {
        let Some(fact) = self.switches.remove(&switch) else {
            return self.redundant(Output::None);
        };
        for tap in self.taps.values_mut().filter(|t| t.bridge.as_ref() == Some(&fact.bridge)) {
            tap.bridge = None;
            self.violations.push(format!("switch {switch} is removed under tap {}", tap.link));
        }
        self.count("remove-switch", switch);
        Ok(Output::None)
    }

    fn ensure_tap(&mut self, spec: &TapSpec) -> Effect {
        let TapSpec { vnic, switch, .. } = *spec;
        let Some(bridge) = self.switches.get(&switch).map(|s| s.bridge.clone()) else {
            return Err(refuse(format!("switch {switch} has no bridge")));
        };
        let link = format!("tap-{vnic}");
        let (guard, mtu) = (Some(spec.guard()), USUAL_MTU);
        let fact = TapFact { vnic, link, bridge: Some(bridge), mtu, guard, told: told(spec) };
        if self.taps.get(&vnic) == Some(&fact) {
            return self.redundant(Output::Tap(fact));
        }
        self.taps.insert(vnic, fact.clone());
        self.count("tap", vnic);
        Ok(Output::Tap(fact))
    }

    fn remove_tap(&mut self, vnic: Uuid) -> Effect {
        let Some(fact) = self.taps.remove(&vnic) else { return self.redundant(Output::None) };
        let comes = |g: &SimGuest| (g.state == GuestState::Incoming).then(|| g.spec.clone());
        let has = |s: &InstanceSpec| s.nics.iter().any(|n| n.tap == fact.link);
        let uses = |g: &SimGuest| g.live.iter().filter(|_| is_up(g.state)).chain(&comes(g)).any(has);
        if let Some((instance, _)) = self.guests.iter().find(|(_, g)| uses(g)) {
            self.violation(format!("tap {} is removed under instance {instance}", fact.link));
        }
        self.count("remove-tap", vnic);
        Ok(Output::None)
    }

    fn create_volume(&mut self, spec: &VolumeSpec, source: &Source) -> Effect {
        self.fill(spec, |it| match source {
            Source::Empty => Ok(0),
            Source::Uri(_) => Ok(IMAGE_MIB),
            Source::Volume(from) => it.check_source(from),
            Source::Remote(from) => Err(refuse(format!("host {} does not answer", from.host))),
        })
    }

    /// Makes a volume of something that has so many MiB, or grows the one that is there.
    pub(super) fn fill(
        &mut self,
        spec: &VolumeSpec,
        source_mib: impl FnOnce(&mut Self) -> Result<i64, DriverError>,
    ) -> Effect {
        let made = self.fill_or_grow(spec, source_mib)?;
        self.note_extents(spec);
        Ok(made)
    }

    fn note_extents(&mut self, spec: &VolumeSpec) {
        if let Some((lun, own)) = self.lun.as_ref().filter(|(lun, _)| lun.pool() == spec.pool.pool) {
            self.violations.extend(lun.make(*own, spec));
        }
    }

    /// A guest may write to what lies there.
    fn note_use(&self, place: &Place) {
        let volume = self.volumes.values().find(|it| it.place == *place);
        if let (Some((lun, own)), Some(fact)) = (&self.lun, volume) {
            lun.write(*own, fact.volume);
        }
    }

    fn fill_or_grow(
        &mut self,
        spec: &VolumeSpec,
        source_mib: impl FnOnce(&mut Self) -> Result<i64, DriverError>,
    ) -> Effect {
        if let Some(fact) = self.volumes.get(&spec.volume).cloned() {
            return self.grow(spec, fact);
        }
        let source_mib = source_mib(self)?;
        let size_mib = spec.size_mib.unwrap_or(source_mib);
        if size_mib < source_mib {
            let message = format!("the source has {source_mib} MiB and does not fit into {size_mib}");
            return Err(DriverError { kind: DriverErrorKind::Order, message });
        }
        let size_mib = rounded(spec, size_mib);
        let (volume, pool, format) = (spec.volume, spec.pool.pool, spec.format);
        let fact = VolumeFact { volume, pool, size_mib, format, place: place_of(spec) };
        self.unfinished.remove(&volume);
        self.whole_copies.remove(&volume);
        self.volumes.insert(volume, fact.clone());
        self.count("fill", volume);
        Ok(Output::Volume(fact))
    }

    fn grow(&mut self, spec: &VolumeSpec, mut fact: VolumeFact) -> Effect {
        let size_mib = grown_mib(spec);
        if size_mib.is_none_or(|size| size <= fact.size_mib) {
            return self.redundant(Output::Volume(fact));
        }
        if let Some(user) = self.user_of(&fact.place, false) {
            self.violation(format!("volume {} grows under {user}", spec.volume));
        }
        fact.size_mib = rounded(spec, size_mib.unwrap_or(fact.size_mib));
        self.volumes.insert(spec.volume, fact.clone());
        self.count("grow", spec.volume);
        Ok(Output::Volume(fact))
    }

    /// The source of a copy, which nobody may write to. Returns its size.
    pub(super) fn check_source(&mut self, from: &VolumeSpec) -> Result<i64, DriverError> {
        let Some(fact) = self.volumes.get(&from.volume).cloned() else {
            return Err(refuse(format!("volume {} is not there", from.volume)));
        };
        if let Some(user) = self.user_of(&fact.place, true) {
            self.violation(format!("volume {} is copied while {user} writes to it", from.volume));
        }
        Ok(fact.size_mib)
    }

    fn delete_volume(&mut self, spec: &VolumeSpec) -> Effect {
        let traces = self.unfinished.remove(&spec.volume);
        if let Some((lun, own)) = &self.lun {
            lun.unmap(*own, spec.volume);
        }
        match self.volumes.remove(&spec.volume) {
            None if !traces => return self.redundant(Output::None),
            None => {}
            Some(fact) => {
                if let Some(user) = self.user_of(&fact.place, false) {
                    self.violation(format!("volume {} is deleted under {user}", spec.volume));
                }
            }
        }
        self.count("delete", spec.volume);
        Ok(Output::None)
    }

    /// Who has it open, in words.
    fn user_of(&self, place: &Place, only_writers: bool) -> Option<String> {
        let has =
            |s: &InstanceSpec| s.disks.iter().any(|d| d.place == *place && !(only_writers && d.read_only));
        let here = self
            .guests
            .iter()
            .find(|(_, g)| is_up(g.state) && g.live.as_ref().is_some_and(has))
            .map(|(i, _)| i);
        let elsewhere = || self.elsewhere.contains(place).then(|| "a guest on another host".to_owned());
        here.map(|instance| format!("instance {instance}")).or_else(elsewhere)
    }

    /// Takes over what other hosts did in a pool that it shares with them.
    pub(super) fn fetch(&mut self, shelf: &SimShelf, own: u64) {
        let inside = shelf.inside();
        if std::mem::replace(&mut self.seen, inside.changes) == inside.changes {
            return;
        }
        self.volumes.retain(|_, it| it.pool != shelf.pool());
        self.volumes.extend(inside.volumes.iter().map(|(volume, it)| (*volume, it.clone())));
        self.unfinished.retain(|it| !inside.begun.contains(it));
        self.unfinished.extend(&inside.unfinished);
        let others = inside.hosts.iter().filter(|(host, _)| **host != own);
        self.elsewhere = others.flat_map(|(_, it)| it.open.iter().cloned()).collect();
    }

    /// Shows other hosts what it did.
    pub(super) fn put(&self, shelf: &SimShelf, own: u64, fills: BTreeSet<Uuid>) {
        let mut inside = shelf.inside();
        let shared = |it: &&VolumeFact| it.pool == shelf.pool();
        let volumes = self.volumes.values().filter(shared).map(|it| (it.volume, it.clone())).collect();
        let unfinished = self.unfinished.intersection(&inside.begun).copied().collect();
        let live = self.guests.values().filter(|it| it.may_write()).filter_map(|it| it.live.as_ref());
        let places = live.flat_map(|it| &it.disks).filter(|it| !it.read_only).map(|it| it.place.clone());
        inside.put(own, volumes, unfinished, Doings { open: places.collect(), fills });
    }

    /// The machine starts anew: guests are off, links and unfinished data are as after a power cut.
    pub(super) fn reboot(&mut self) {
        self.guests.retain(|_, it| it.state != GuestState::Incoming);
        for guest in self.guests.values_mut() {
            guest.go_off();
        }
        self.uplinks.clear();
        self.switches.clear();
        self.taps.clear();
        if let Some((lun, own)) = &self.lun {
            lun.reboot(*own);
            self.volumes.retain(|_, it| it.pool != lun.pool());
        }
    }
}
