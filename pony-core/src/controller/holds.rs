//! Who touches a volume of a pool that several hosts reach: rows of `host_volume`, each a grant to one host.
//!
//! The rule that keeps a volume from being made, deleted or written to by two: a grant is taken back only by its host's
//! own word, or by the host being fenced, and no other one that conflicts with it is given before. A volume that nobody
//! uses, and with which nothing is to be done, is held by nobody: one host looks after it, which may change at any time.
//! So a host that is away holds up only what it was at work on.
//!
//! While an instance moves, its host has its volumes as before, and the target may only let the instance in with them
//! (`incoming`: what arrives stands still, and neither reads nor writes). Once the target is ready the source is told to let
//! go, before it is told the way: its guest goes on with what it has open, and nothing else is done with it there. Its word
//! that it let go, which comes with that about the instance, makes the volumes the target's, as a rule in the transaction
//! that makes the placement so; in whichever order they come, the guest goes on only where both have. So at any time one
//! host at most may write: the source until it has let go, then nobody, then the target.
//!
//! Volumes of a pool that names its host need no grants, but where they are copied: see [`copies`].

use super::damage::Changed;
use super::instances::{Round, host_name, is_evacuated, is_fenced, is_present, placement_of};
use super::{copies, extents, moves, ops, remotes};
use crate::pool;
use crate::tables::{
    DataStatus, Host, HostInstance, HostStatus, HostStoragePool, HostVolume, HostVolumeCurrent,
    HostVolumeDesired, Image, Instance, InstanceState, PoolStatus, StoragePool, StoragePoolDesired, Vdisk,
    Volume, VolumeDesired, VolumeFormat, VolumeHold, VolumeState,
};
use pony_state::{Read, RowOp};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Calls `damaged` with the volumes whose grants may have become wrong by a change.
pub(crate) fn note(view: &impl Read, change: &impl Changed, mut damaged: impl FnMut(Uuid)) {
    if let Some(row) = change.row::<Volume>() {
        row.before.iter().chain(&row.after).for_each(|it| with_sources(view, it, &mut damaged));
    } else if let Some(row) = change.row::<HostVolume>() {
        if let Some(row) = row.after.or(row.before) {
            damaged(row.volume);
            view.get::<Volume>(&row.volume).iter().for_each(|it| with_sources(view, it, &mut damaged));
        }
    } else if let Some(row) = change.row::<Vdisk>() {
        let desired = row.before.iter().chain(&row.after).filter_map(|it| it.desired.as_ref());
        desired.for_each(|it| {
            it.volume.into_iter().for_each(&mut damaged);
            it.image.into_iter().for_each(|image| backing(view, image).for_each(&mut damaged));
        });
    } else if let Some(row) = change.row::<HostInstance>() {
        if let Some(row) = row.after.or(row.before) {
            volumes_of(view, row.instance).for_each(&mut damaged);
        }
    } else if let Some(row) = change.row::<Instance>() {
        let state = |row: Option<&Instance>| row.and_then(|it| Some(it.desired.as_ref()?.state));
        if state(row.before) != state(row.after) {
            row.after.or(row.before).iter().for_each(|it| volumes_of(view, it.uuid).for_each(&mut damaged));
        }
    } else if let Some(row) = change.row::<HostStoragePool>() {
        let status = |row: Option<&HostStoragePool>| row.and_then(|it| Some(it.current.as_ref()?.status));
        if status(row.before) != status(row.after) {
            row.after.or(row.before).iter().for_each(|it| granted_to(view, it.host).for_each(&mut damaged));
        }
    } else if let Some(row) = change.row::<Host>() {
        row.after.or(row.before).iter().for_each(|it| granted_to(view, it.uuid).for_each(&mut damaged));
    } else if let Some(row) = change.row::<StoragePool>() {
        let owner = |row: Option<&StoragePool>| row.and_then(|it| it.desired.as_ref()?.host);
        if owner(row.before) != owner(row.after) {
            let pool = row.after.or(row.before).map(|it| it.uuid);
            let volumes = pool.into_iter().flat_map(|it| view.table::<Volume>().find("storage_pool", it));
            volumes.for_each(|it| damaged(it.uuid));
        }
    }
}

/// A volume, and those that it is filled from.
fn with_sources(view: &impl Read, row: &Volume, damaged: &mut impl FnMut(Uuid)) {
    damaged(row.uuid);
    let Some(order) = &row.desired else { return };
    order.base_volume.into_iter().for_each(&mut *damaged);
    order.base_image.into_iter().for_each(|image| backing(view, image).for_each(&mut *damaged));
}

fn backing(view: &impl Read, image: Uuid) -> impl Iterator<Item = Uuid> {
    view.table::<Volume>().find("image", image).map(|row| row.uuid)
}

fn volumes_of(view: &impl Read, instance: Uuid) -> impl Iterator<Item = Uuid> {
    view.table::<Vdisk>().find("instance", instance).filter_map(|row| row.desired.as_ref()?.volume)
}

fn granted_to(view: &impl Read, host: Uuid) -> impl Iterator<Item = Uuid> {
    let rows = view.table::<HostVolume>().find("host", host);
    rows.filter(|row| row.desired.is_some()).map(|row| row.volume)
}

/// What is to be written about a volume's grants, and why it waits.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) ops: Vec<RowOp>,
    /// In words for whoever ordered it.
    pub(crate) stuck: Option<String>,
}

/// The host that has the volume for itself at present, and its grant.
pub(crate) fn holder(view: &impl Read, volume: Uuid) -> Option<(&HostVolume, &HostVolumeDesired)> {
    let mut rows = view.table::<HostVolume>().find("volume", volume);
    rows.find_map(|row| {
        let grant = row.desired.as_ref().filter(|it| it.hold == VolumeHold::Whole)?;
        Some((row, grant))
    })
}

/// Whether a host has the volume for itself and has not been told to let go of it, in a pool of several hosts.
pub(crate) fn keeps(view: &impl Read, host: Uuid, volume: Uuid) -> bool {
    holder(view, volume).is_some_and(|(row, _)| row.host == host)
}

/// Decides about the grants of one volume.
pub(crate) fn decide(view: &impl Read, round: &mut Round<'_>, volume: Uuid) -> Verdict {
    let order = view.get::<Volume>(&volume).and_then(|row| row.desired.as_ref());
    let Some((order, pool)) = order.and_then(|order| Some((order, pool_of(view, order)?))) else {
        return Verdict::default();
    };
    let rows = view.table::<HostVolume>().find("volume", volume);
    let rows = rows.filter_map(|row| {
        let order = row.desired.as_ref().filter(|it| it.storage_pool.is_none())?;
        Some(Grant { row, order })
    });
    let grants = Grants { view, volume, order, pool, rows: rows.collect() };
    let mut verdict = grants.decide(round);
    verdict.ops.extend(copies::decide(view, round, volume, order));
    match extents::decide(view, round, (volume, order), pool) {
        Ok(ops) => verdict.ops.extend(ops),
        Err(why) => verdict.stuck = Some(why),
    }
    verdict
}

/// Whether the volume's pool is that of several hosts.
pub(crate) fn is_shared_pool(view: &impl Read, order: &VolumeDesired) -> bool {
    pool_of(view, order).is_some_and(|pool| pool.host.is_none())
}

fn pool_of<'a>(view: &'a impl Read, order: &VolumeDesired) -> Option<&'a StoragePoolDesired> {
    view.get::<StoragePool>(&order.storage_pool)?.desired.as_ref()
}

/// A row of `host_volume` with a desired part.
#[derive(Clone, Copy)]
struct Grant<'a> {
    row: &'a HostVolume,
    order: &'a HostVolumeDesired,
}

impl Grant<'_> {
    /// Whether the host may still touch the volume: it was let, and has not said that it let go since.
    fn is_busy(self, view: &impl Read) -> bool {
        let told = self.row.current.as_ref();
        let let_go = || told.is_some_and(|it| it.released && it.serial == Some(self.order.serial));
        let may = match self.order.hold {
            VolumeHold::Look | VolumeHold::Incoming => false,
            VolumeHold::Released => !let_go(),
            VolumeHold::Whole | VolumeHold::Use => true,
        };
        may && !is_fenced(view, self.row.host)
    }

    /// Whether it is the one grant that there may be without a sharer.
    fn is_sole(self) -> bool {
        self.order.sharer.is_none()
    }

    /// Whether the volume is being made there, as far as is known, and nothing is wrong with that.
    fn is_making(self) -> bool {
        let serial = Some(self.order.serial);
        let goes = |it: &HostVolumeCurrent| {
            it.status == DataStatus::Initializing && it.error.is_none() && it.serial == serial
        };
        self.order.hold == VolumeHold::Whole && self.row.current.as_ref().is_some_and(goes)
    }

    fn key(self) -> [(&'static str, Json); 2] {
        [("host", json!(self.row.host)), ("volume", json!(self.row.volume))]
    }

    fn delete(self) -> RowOp {
        ops::delete("host_volume", self.key())
    }

    fn release(self, made: bool) -> RowOp {
        let hold = ("hold", json!(VolumeHold::Released.as_str()));
        ops::update("host_volume", self.key(), [hold, ("made", json!(made))])
    }
}

/// What hosts should be granted.
type Wanted = BTreeMap<Uuid, VolumeHold>;

/// Where an instance is that uses a volume.
#[derive(Debug, Clone, Copy)]
struct User {
    host: Uuid,
    /// Where it moves to.
    to: Option<Uuid>,
    /// Whether that has come so far that its host keeps nothing of it.
    parts: bool,
}

impl User {
    /// Whether the host that has the volume for itself is one of its own.
    fn has(&self, sole: Option<Uuid>) -> bool {
        sole.is_some_and(|it| it == self.host || Some(it) == self.to)
    }

    /// What its hosts should be granted, where nobody else uses the volume.
    fn wants(self) -> Wanted {
        match self.to {
            Some(to) if self.parts => Wanted::from([(to, VolumeHold::Whole)]),
            Some(to) => Wanted::from([(self.host, VolumeHold::Whole), (to, VolumeHold::Incoming)]),
            None => Wanted::from([(self.host, VolumeHold::Whole)]),
        }
    }
}

/// The grants of one volume, and what they follow from.
struct Grants<'a, R> {
    view: &'a R,
    volume: Uuid,
    order: &'a VolumeDesired,
    pool: &'a StoragePoolDesired,
    rows: Vec<Grant<'a>>,
}

impl<R: Read> Grants<'_, R> {
    fn decide(&self, round: &mut Round<'_>) -> Verdict {
        let wanted = match self.wanted(round) {
            Ok(wanted) => wanted,
            Err(why) => return Verdict { ops: Vec::new(), stuck: Some(why) },
        };
        let at_work = |it: &&Grant<'_>| it.is_making() && self.reaches(it.row.host);
        if let Some(maker) = self.rows.iter().find(at_work)
            && wanted.get(&maker.row.host) != Some(&VolumeHold::Whole)
            && self.order.state != VolumeState::Deleted
        {
            // It goes on to its end, rather than begin anew elsewhere.
            return Verdict::default();
        }
        let grants: Vec<(Uuid, VolumeHold)> = wanted.iter().map(|(host, hold)| (*host, *hold)).collect();
        let (granted, open): (Vec<_>, Vec<_>) =
            grants.into_iter().partition(|(host, hold)| self.hold_of(*host) == Some(*hold));
        let (waiting, free): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(host, hold)| self.conflicts(*host, *hold));
        let is_settled = waiting.is_empty() && (!wanted.is_empty() || self.pool.host.is_some());
        let mut ops: Vec<RowOp> = self.retired(&wanted, is_settled).collect();
        ops.extend(self.noted(&granted));
        ops.extend(free.into_iter().map(|(host, hold)| self.grant(host, hold, round)));
        Verdict { ops, stuck: self.obstacle(&waiting, &granted) }
    }

    fn grant_of(&self, host: Uuid) -> Option<Grant<'_>> {
        self.rows.iter().find(|it| it.row.host == host).copied()
    }

    fn hold_of(&self, host: Uuid) -> Option<VolumeHold> {
        self.grant_of(host).map(|it| it.order.hold)
    }

    /// The grants that end. Those that nobody has use of any more go once what is wanted instead is there.
    fn retired(&self, wanted: &Wanted, is_settled: bool) -> impl Iterator<Item = RowOp> {
        self.rows.iter().filter_map(move |it| {
            let ends = match wanted.get(&it.row.host) {
                Some(hold) => *hold != it.order.hold && self.steps_down(*it, *hold),
                None => true,
            };
            match it.order.hold {
                _ if !ends => None,
                _ if is_fenced(self.view, it.row.host) => Some(it.delete()),
                VolumeHold::Whole | VolumeHold::Use => Some(it.release(self.is_made())),
                // What it let be opened has read and written nothing, and will not.
                VolumeHold::Incoming => Some(it.delete()),
                VolumeHold::Look | VolumeHold::Released => {
                    (is_settled && !it.is_busy(self.view)).then(|| it.delete())
                }
            }
        })
    }

    /// Whether a host has to let go of what it has before it is granted something else.
    fn steps_down(&self, own: Grant<'_>, hold: VolumeHold) -> bool {
        own.is_busy(self.view)
            && match hold {
                VolumeHold::Look => true,
                VolumeHold::Use | VolumeHold::Incoming => own.is_sole(),
                VolumeHold::Whole | VolumeHold::Released => false,
            }
    }

    /// Whether something stands in the way of a grant.
    fn conflicts(&self, host: Uuid, hold: VolumeHold) -> bool {
        self.rows.iter().any(|it| self.obstructs(*it, host, hold))
    }

    fn obstructs(&self, it: Grant<'_>, host: Uuid, hold: VolumeHold) -> bool {
        if it.row.host == host {
            return self.steps_down(it, hold);
        }
        it.is_busy(self.view)
            && match hold {
                // It comes from the one that has it whole.
                VolumeHold::Incoming => it.order.hold != VolumeHold::Whole,
                VolumeHold::Whole => true,
                VolumeHold::Use | VolumeHold::Released | VolumeHold::Look => it.is_sole(),
            }
    }

    /// Writes down of grants that stay that the volume is whole now.
    fn noted(&self, granted: &[(Uuid, VolumeHold)]) -> impl Iterator<Item = RowOp> {
        let rows = granted.iter().filter_map(|(host, _)| self.grant_of(*host));
        let unknown = rows.filter(|it| self.is_made() && !it.order.made);
        unknown.map(|it| ops::update("host_volume", it.key(), [("made", json!(true))]))
    }

    fn grant(&self, host: Uuid, hold: VolumeHold, round: &mut Round<'_>) -> RowOp {
        let sharer = matches!(hold, VolumeHold::Use | VolumeHold::Incoming).then_some(host);
        let columns = [
            ("hold", json!(hold.as_str())),
            ("sharer", json!(sharer)),
            ("made", json!(self.is_made())),
            ("serial", json!(round.next_serial())),
        ];
        match self.grant_of(host) {
            Some(own) => ops::update("host_volume", own.key(), columns),
            None => {
                let [hold, sharer, made, serial] = columns;
                let key = [("host", json!(host)), ("volume", json!(self.volume))];
                let [host, volume] = key;
                ops::insert("host_volume", [host, volume, hold, sharer, made, serial])
            }
        }
    }

    /// Why grants wait that only a silent host could let be given, or use.
    fn obstacle(&self, waiting: &[(Uuid, VolumeHold)], granted: &[(Uuid, VolumeHold)]) -> Option<String> {
        let obstructing =
            |it: &&Grant<'_>| waiting.iter().any(|(host, hold)| self.obstructs(**it, *host, *hold));
        let working = |it: &&Grant<'_>| granted.contains(&(it.row.host, VolumeHold::Whole));
        let hosts = self.rows.iter().filter(|it| obstructing(it) || working(it)).map(|it| it.row.host);
        let mut silent = hosts.filter_map(|it| self.view.get::<Host>(&it)).filter(|it| is_silent(it));
        silent.next().map(|host| {
            let name = host_name(host);
            format!("host {name}, which has it, is silent; another one has it only once that one is known to be fenced")
        })
    }

    /// Whether the volume was whole once.
    fn is_made(&self) -> bool {
        self.rows.iter().any(|it| {
            it.order.made || it.row.current.as_ref().is_some_and(|it| it.status == DataStatus::Ready)
        })
    }

    fn wanted(&self, round: &Round<'_>) -> Result<Wanted, String> {
        if self.pool.host.is_some() {
            return Ok(Wanted::new());
        }
        let users = self.users();
        if self.is_shared() && self.is_made() && !users.is_empty() {
            let hosts = users.iter().flat_map(|it| [Some(it.host), it.to]).flatten();
            return Ok(hosts.map(|host| (host, VolumeHold::Use)).collect());
        }
        let sole = self.rows.iter().find(|it| it.is_sole()).map(|it| it.row.host);
        // Of those on one host the one that moves has it: only one that is up does.
        let first = |it: &&User| (!it.has(sole), it.to.is_none());
        if let Some(user) = users.iter().min_by_key(first) {
            return Ok(user.wants());
        }
        let places = self.readers();
        if let Some(host) = sole.filter(|it| places.contains(it)).or(places.first().copied()) {
            return Ok(Wanted::from([(host, VolumeHold::Whole)]));
        }
        let hold = if self.has_work() { VolumeHold::Whole } else { VolumeHold::Look };
        let stays = |host: &Uuid| match hold {
            VolumeHold::Look => self.may_look(*host),
            _ => self.may_be_at_work(*host),
        };
        let home = sole.filter(stays).or_else(|| self.home(sole, round));
        match home {
            Some(host) => Ok(Wanted::from([(host, hold)])),
            None if hold == VolumeHold::Look => Ok(Wanted::new()),
            None => {
                Err("no host that is there reaches its storage pool, and what it is filled from".to_owned())
            }
        }
    }

    /// Instances that are ordered to be up with it.
    fn users(&self) -> Vec<User> {
        if self.order.state == VolumeState::Deleted {
            return Vec::new();
        }
        let disks = self.view.table::<Vdisk>().find("volume", self.volume);
        disks.filter_map(|row| self.user(row.desired.as_ref()?.instance)).collect()
    }

    fn user(&self, instance: Uuid) -> Option<User> {
        let order = self.view.get::<Instance>(&instance)?.desired.as_ref()?;
        let (placed, released) = placement_of(self.view, instance)?;
        let to = moves::target_of(placed);
        // One that is to be off may still come with what it has.
        if released || (order.state == InstanceState::Stopped && to.is_none()) {
            return None;
        }
        let fenced = |host: Uuid| is_fenced(self.view, host);
        match to.filter(|to| !fenced(*to)) {
            Some(to) if fenced(placed.host) => Some(User { host: to, to: None, parts: false }),
            _ if fenced(placed.host) => None,
            to => Some(User { host: placed.host, to, parts: moves::is_parting(self.view, placed) }),
        }
    }

    /// Hosts that make volumes which are filled from it.
    fn readers(&self) -> Vec<Uuid> {
        let filled = self.view.table::<Volume>().find("base_volume", self.volume);
        let maker = |row: &Volume| {
            let order = row.desired.as_ref().filter(|it| it.state != VolumeState::Deleted)?;
            pool_of(self.view, order)?.host.or_else(|| Some(holder(self.view, row.uuid)?.0.host))
        };
        let hosts = filled.filter_map(maker);
        hosts.filter(|it| self.order.state != VolumeState::Deleted && !is_fenced(self.view, *it)).collect()
    }

    /// Whether several instances may have it at once.
    fn is_shared(&self) -> bool {
        let usual = pool::backend(self.pool.kind, &self.pool.config).map(|it| it.usual_format());
        let is_raw = match self.order.format {
            Some(format) => format == VolumeFormat::Raw,
            None => usual == Ok(crate::host::VolumeFormat::Raw),
        };
        self.pool.shareable && is_raw
    }

    /// Whether something is to be done with it. In doubt whatever was decided before holds: after a start of Sparkle its
    /// hosts have not said anything yet.
    fn has_work(&self) -> bool {
        let sole = self.rows.iter().find(|it| it.is_sole());
        let told = sole.and_then(|it| it.row.current.as_ref());
        let is_wanted = match self.order.state {
            VolumeState::Deleted => return true,
            VolumeState::Present => true,
            VolumeState::Optional => self.is_needed(),
        };
        let before = sole.is_none_or(|it| it.order.hold == VolumeHold::Whole);
        let small = told.and_then(|it| it.size).zip(self.order.size).is_some_and(|(has, size)| has < size);
        is_wanted && if self.is_made() { small } else { told.is_some() || before }
    }

    /// Whether somebody has use of an optional copy of an image.
    fn is_needed(&self) -> bool {
        self.order.image.is_some_and(|image| is_used(self.view, image))
    }

    /// Whether a host that looked after it so far may go on: it may be that it has not said anything yet.
    fn may_look(&self, host: Uuid) -> bool {
        let row = self.view.get::<HostStoragePool>(&(host, self.order.storage_pool));
        let status = row.and_then(|it| Some(it.current.as_ref()?.status));
        let is_there = self.view.get::<Host>(&host).is_some_and(|it| it.current.is_none() || is_present(it));
        is_there && status.is_none_or(|it| matches!(it, PoolStatus::Ready | PoolStatus::Pending))
    }

    /// Whether the host may be making it, and nobody hears of that.
    fn may_be_at_work(&self, host: Uuid) -> bool {
        let is_there = self.view.get::<Host>(&host).is_some_and(is_present);
        self.hold_of(host) == Some(VolumeHold::Whole) && !is_there && !is_fenced(self.view, host)
    }

    /// The host that makes it, or looks after it: the same as before, where that can be.
    fn home(&self, before: Option<Uuid>, round: &Round<'_>) -> Option<Uuid> {
        let disks = self.view.table::<Vdisk>().find("volume", self.volume);
        let instances = disks.filter_map(|row| Some(row.desired.as_ref()?.instance));
        let near: Vec<Uuid> = instances.filter_map(|it| round.host_of(self.view, it)).collect();
        let hosts = self.view.table::<HostStoragePool>().find("storage_pool", self.order.storage_pool);
        let reaching = hosts.map(|row| row.host).filter(|it| self.reaches(*it));
        let fitting = reaching.filter_map(|it| Some((it, self.distance_of_source(it)?)));
        let nearest = fitting.min_by_key(|(host, distance)| {
            let spread = host.as_u128() ^ self.volume.as_u128();
            let is_evacuated = is_evacuated(self.view, *host);
            (*distance, !near.contains(host), is_evacuated, Some(*host) != before, spread)
        });
        nearest.map(|(host, _)| host)
    }

    fn reaches(&self, host: Uuid) -> bool {
        let is_there = self.view.get::<Host>(&host).is_some_and(is_present);
        is_there && sees_pool(self.view, host, self.order.storage_pool)
    }

    /// How far from the host what the volume is to be filled from is: 0 where it reaches that itself, 1 where it can read it
    /// from another host; `None` where it can do neither.
    fn distance_of_source(&self, host: Uuid) -> Option<u8> {
        let image = self.order.base_image.or(self.order.image).filter(|_| self.order.base_volume.is_none());
        let reads = || image.is_some_and(|image| remotes::can_read(self.view, image, host));
        if self.reaches_source(host) { Some(0) } else { reads().then_some(1) }
    }

    /// Whether the host has what the volume is to be filled from, as far as anybody has.
    fn reaches_source(&self, host: Uuid) -> bool {
        let pool_of = |volume: Uuid| {
            let order = self.view.get::<Volume>(&volume)?.desired.as_ref()?;
            (order.state != VolumeState::Deleted).then_some(order.storage_pool)
        };
        if let Some(base) = self.order.base_volume {
            return pool_of(base).is_none_or(|pool| sees_pool(self.view, host, pool));
        }
        let Some(image) = self.order.base_image.or(self.order.image) else { return true };
        let row = self.view.get::<Image>(&image).and_then(|it| it.desired.as_ref());
        let mut copies =
            backing(self.view, image).filter(|it| *it != self.volume).filter_map(pool_of).peekable();
        row.is_none_or(|it| it.source_uri.is_some())
            || copies.peek().is_none()
            || copies.any(|pool| sees_pool(self.view, host, pool))
    }
}

/// Whether somebody has use of copies of an image.
pub(crate) fn is_used(view: &impl Read, image: Uuid) -> bool {
    let filled = view.table::<Volume>().find("base_image", image);
    let mut filled = filled.filter_map(|row| row.desired.as_ref());
    let mut disks = view.table::<Vdisk>().find("image", image);
    filled.any(|it| it.state == VolumeState::Present) || disks.any(|it| it.desired.is_some())
}

/// Whether the host can use the pool.
pub(crate) fn sees_pool(view: &impl Read, host: Uuid, pool: Uuid) -> bool {
    let row = view.get::<HostStoragePool>(&(host, pool));
    row.and_then(|it| it.current.as_ref()).is_some_and(|it| it.status == PoolStatus::Ready)
}

/// Whether the host is known to be away, and not known to be off.
fn is_silent(host: &Host) -> bool {
    host.current.as_ref().is_some_and(|it| it.status == HostStatus::Missing)
}
