//! The heart of Sparkle, without I/O: what is ordered, which host is told what, and what follows from what hosts say.
//!
//! It takes in committed changes of desired state ([`Controller::load`], [`Controller::apply`]), messages of hosts
//! and time; it gives out messages to hosts ([`Controller::poll_transmit`]) and writes of its own
//! ([`Controller::poll_write`]: placements, the life of volumes, metering, the event log). Desired state never changes here
//! but by what the database committed: a write of the controller takes effect when it comes back as a change.
//!
//! Who may order what, and how an order is put, is [`crate::document`]'s affair. It reads no clock, draws no
//! randomness, and opens nothing.

mod clocks;
mod convergence;
mod copies;
mod damage;
mod distribution;
mod events;
mod extents;
mod holds;
mod hosts;
mod instances;
mod load;
mod metering;
mod moves;
mod offers;
mod ops;
mod peers;
mod ports;
mod remotes;
mod summary;
mod volumes;
mod writes;

pub use convergence::is_converged;
pub use distribution::DistributionError;
pub use events::{EVENT_ROWS_MAX, EVENTS_WAITING_MAX};
pub use hosts::ENROLMENTS_MAX;
pub use load::LoadedRow;
pub use peers::{HOST_ROWS_MAX, Refusal, SessionState};
pub use writes::{WRITE_OPS_MAX, WRITE_RETRY_MS_MAX, WRITE_RETRY_MS_MIN, WriteId};

use crate::tables::{self, Host, HostStatus};
use clocks::ClockWatch;
use damage::{Changed, Damage, Deciding};
use distribution::{Delivery, Distribution, Reach};
use events::EventLog;
use hosts::Hosts;
use load::write_row;
use offers::Offers;
use peers::{HostRows, Peer};
use pony_state::sync::{Event as SessionEvent, Frames, Limits, Now, Role, Session, WireChange};
use pony_state::{Columns, Commit, PartError, Read, RowOp, SharedState, Snapshot, Transaction};
use pony_state::{PartKind, SchemaError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use uuid::Uuid;
use writes::{Subject, Writes};

/// Reports that wait to be fetched; beyond it the newest are dropped: they are for the log.
pub const REPORTS_MAX: usize = 256;

/// The state has tables that do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The tables' declarations contradict each other.
    #[error("the schema is wrong")]
    Schema(#[from] SchemaError),
    /// Their scopes do.
    #[error("the schema is wrong")]
    Distribution(#[from] DistributionError),
}

/// A desired row as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// The table.
    pub table: String,
    /// The key columns.
    pub key: Columns,
    /// All columns, or `None` when the row is gone.
    pub row: Option<Columns>,
}

/// Something for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The host concerned.
    pub host: Uuid,
    /// What happened.
    pub text: String,
}

/// See the module.
pub struct Controller {
    shared: SharedState,
    distribution: Distribution,
    peers: BTreeMap<Uuid, Peer>,
    /// Hosts that may have something to be told.
    ready: BTreeSet<Uuid>,
    hosts: Hosts,
    offers: Offers,
    damage: Damage,
    /// Instances and volumes that found no host so far.
    stuck: BTreeSet<Subject>,
    writes: Writes,
    events: EventLog,
    reports: VecDeque<Report>,
    incarnation: Uuid,
    sessions_made: u128,
    epoch: u64,
    /// The serial number of the next placement.
    serial: i64,
    /// What time it was when something was last heard, Unix time in seconds.
    unix_s: i64,
}

/// Placements that one Sparkle can number; the epoch makes them differ from those of any other.
const SERIALS_PER_EPOCH: i64 = 1 << 32;

fn first_serial(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(i64::MAX).saturating_mul(SERIALS_PER_EPOCH)
}

impl Controller {
    /// A controller with nothing loaded. `incarnation` is random, one for this process.
    ///
    /// # Errors
    /// [`ControllerError`] when the tables' declarations contradict each other.
    pub fn new(incarnation: Uuid, epoch: u64) -> Result<Self, ControllerError> {
        let state = tables::new_state()?;
        let distribution = Distribution::new(state.schema(), "host")?;
        Ok(Self {
            shared: SharedState::new(state),
            distribution,
            peers: BTreeMap::new(),
            ready: BTreeSet::new(),
            hosts: Hosts::default(),
            offers: Offers::default(),
            damage: Damage::default(),
            stuck: BTreeSet::new(),
            writes: Writes::default(),
            events: EventLog::default(),
            reports: VecDeque::new(),
            incarnation,
            sessions_made: 0,
            epoch,
            serial: first_serial(epoch),
            unix_s: 0,
        })
    }

    /// The epoch in which it leads; 0 while it stands by.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The state, to read from any thread. Only the controller writes to it.
    #[must_use]
    pub fn state(&self) -> SharedState {
        self.shared.clone()
    }

    /// A view of all that is known now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// Takes in one committed transaction of the database.
    ///
    /// # Errors
    /// [`PartError`] when a row does not fit its table; nothing has changed then.
    pub fn apply(&mut self, rows: &[StoredRow], now: Now) -> Result<(), PartError> {
        let (_, commit) =
            self.shared.write(|tx| rows.iter().try_for_each(|row| write_row(tx, row).map(|_| ())))?;
        self.absorb(&commit, now);
        Ok(())
    }

    /// Takes in a message of a host whose identity the link has proved. Messages of hosts that nobody ordered are
    /// dropped; says whether the host is known.
    pub fn handle_frames(&mut self, host: Uuid, body: &[u8], time: &[u8], now: Now) -> bool {
        let Some(peer) = self.peers.get_mut(&host) else { return false };
        let heard_before = peer.session.counters().received;
        peer.session.handle_frames(body, time, now);
        if let Some(skew) = peer.clock.note(time, now.ms, now.unix_s) {
            self.events.note(host, skew, now.unix_s);
        }
        let heard = peer.session.counters().received > heard_before;
        self.handle_session(host, now);
        if heard {
            self.note_heard(host, now);
        }
        true
    }

    /// The link to a host is up (again): it is greeted at once. For speed only.
    pub fn handle_connected(&mut self, host: Uuid, now: Now) {
        if let Some(peer) = self.peers.get_mut(&host) {
            peer.session.handle_connected(now);
            self.ready.insert(host);
        }
    }

    /// Does what has fallen due.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = |peer: &Peer| peer.session.poll_timeout().is_some_and(|at| at <= now.ms);
        let hosts: Vec<Uuid> = self.peers.iter().filter(|(_, it)| due(it)).map(|(host, _)| *host).collect();
        for host in hosts {
            if let Some(peer) = self.peers.get_mut(&host) {
                peer.session.handle_timeout(now);
            }
            self.handle_session(host, now);
        }
        self.note_time(now);
        self.writes.handle_timeout(now.ms);
        self.settle();
    }

    /// When [`Self::handle_timeout`] is due, by [`Now::ms`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let sessions = self.peers.values().filter_map(|peer| peer.session.poll_timeout()).min();
        sessions.into_iter().chain(self.writes.poll_timeout()).min()
    }

    /// The next message to send, and to which host. A host that is confirmed to be off is told nothing.
    pub fn poll_transmit(&mut self, now: Now) -> Option<(Uuid, Frames)> {
        if self.ready.is_empty() {
            return None;
        }
        let snapshot = self.shared.snapshot();
        while let Some(host) = self.ready.first().copied() {
            let rows = HostRows { snapshot: &snapshot, distribution: &self.distribution, host };
            let mute = snapshot.get::<Host>(&host).is_none_or(hosts::is_confirmed);
            let peer = self.peers.get_mut(&host).filter(|_| !mute);
            if let Some(frames) = peer.and_then(|peer| peer.session.poll_transmit(now, &rows)) {
                return Some((host, frames));
            }
            self.ready.remove(&host);
        }
        None
    }

    /// What to write to the database next, as one transaction. There is at most one at a time: the next one comes
    /// after [`Self::handle_written`].
    pub fn poll_write(&mut self) -> Option<(WriteId, Vec<RowOp>)> {
        let snapshot = self.shared.snapshot();
        let meter = |target, since_unix_s| metering::decide(&snapshot, target, since_unix_s);
        self.writes.take(meter, |most| self.events.take(&snapshot, most))
    }

    /// Says how a write ended. Where it succeeded, its changes must have been applied before.
    #[allow(clippy::needless_pass_by_value, reason = "a result is handed over")]
    pub fn handle_written(&mut self, id: WriteId, result: Result<(), String>, now: Now) {
        if let Err(error) = &result {
            self.report(Uuid::nil(), format!("a write of the controller was refused: {error}"));
        }
        self.note_time(now);
        let again = self.writes.ended(id, result.is_ok(), now.ms);
        self.damage.merge(again);
        self.settle();
    }

    /// The next thing for the log.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// The hosts that are ordered, and how it stands with the exchange with each.
    pub fn sessions(&self) -> impl Iterator<Item = (Uuid, SessionState)> {
        self.peers.iter().map(|(host, peer)| (*host, peer.state()))
    }

    /// Rows that wait to be told to hosts.
    #[must_use]
    pub fn pending_rows(&self) -> usize {
        self.peers.values().map(|peer| peer.session.pending_rows()).sum()
    }

    /// Takes a host in that has just shown up (*enrolment*): orders it, with the key that it proved.
    pub fn enroll(&mut self, host: Uuid, key: Option<String>) {
        self.hosts.enroll(host, key);
        self.damage.add(Subject::Host(host));
        self.settle();
    }

    /// Recomputes from nothing what is kept up to date step by step. For tests: it reads every row.
    ///
    /// # Errors
    /// What differs, in words.
    pub fn check_invariants(&self) -> Result<(), String> {
        let snapshot = self.shared.snapshot();
        self.distribution.check(&snapshot)?;
        self.offers.check(&snapshot, self.damage.offers())?;
        let ordered = snapshot.table::<Host>();
        let ordered: BTreeSet<Uuid> =
            ordered.iter().filter(|row| row.desired.is_some()).map(|row| row.uuid).collect();
        if !self.peers.keys().eq(ordered.iter()) {
            return Err(format!("sessions with {:?}, ordered: {ordered:?}", self.peers.keys()));
        }
        Ok(())
    }

    fn handle_session(&mut self, host: Uuid, now: Now) {
        self.ready.insert(host);
        while let Some(event) = self.peers.get_mut(&host).and_then(|peer| peer.session.poll_event()) {
            match event {
                SessionEvent::Changes(changes) => self.take_changes(host, changes, now),
                SessionEvent::Full(full) => {
                    let snapshot = self.shared.snapshot();
                    let held = peers::held(&snapshot, &self.distribution, host);
                    let rows = held.len();
                    let changes =
                        full.diff(PartKind::Current, held, |row, part| peers::compare(&snapshot, row, part));
                    self.peers.entry(host).and_modify(|peer| peer.rows_told = rows);
                    self.take_changes(host, changes, now);
                }
                SessionEvent::Notifications(list) => {
                    let mut dropping = false;
                    for notification in list {
                        dropping |= self.events.note(host, notification, now.unix_s);
                    }
                    if dropping {
                        let text = format!("notifications are dropped: {EVENTS_WAITING_MAX} wait already");
                        self.report(host, text);
                    }
                }
                SessionEvent::Missing => self.mark_silent(host, now),
                SessionEvent::Back => self.report(host, "talks again".to_owned()),
                SessionEvent::Dropped(dropped) => self.report(host, with_source(&dropped)),
                SessionEvent::Oversized { row, bytes } => {
                    self.report(host, format!("row {row} of {bytes} bytes is too large to be sent"));
                }
                SessionEvent::EpochRaised(_) => {}
            }
        }
    }

    /// Writes those of a host's changes that it may make.
    fn take_changes(&mut self, host: Uuid, changes: Vec<WireChange>, now: Now) {
        let snapshot = self.shared.snapshot();
        let Some(peer) = self.peers.get_mut(&host) else { return };
        let mut refused = Vec::new();
        let commit = write(&self.shared, |tx| {
            for change in changes {
                let row = change.row.clone();
                if let Err(refusal) = take_change(tx, &snapshot, &self.distribution, (host, peer), change) {
                    refused.push((row, refusal));
                }
            }
        });
        for (row, refusal) in refused {
            self.report(host, format!("its change of {row} was refused: {refusal}"));
        }
        self.absorb(&commit, now);
    }

    /// A silent host: what it reported stays, but its status says so. Fenced, once an operator has confirmed that.
    fn mark_silent(&mut self, host: Uuid, now: Now) {
        let snapshot = self.shared.snapshot();
        let Some(row) = snapshot.get::<Host>(&host) else { return };
        let status = self.hosts.silent_status(row);
        self.set_status(host, row, status, now);
    }

    /// A host that talks. What an operator confirmed of its end holds no more.
    fn note_heard(&mut self, host: Uuid, now: Now) {
        let snapshot = self.shared.snapshot();
        let Some(row) = snapshot.get::<Host>(&host) else { return };
        if self.hosts.note_heard(row) {
            self.report(host, "talks, though it was confirmed to be off: that is taken back".to_owned());
            self.damage.add(Subject::Host(host));
        }
        self.set_status(host, row, HostStatus::Present, now);
        self.settle();
    }

    fn set_status(&mut self, host: Uuid, row: &Host, status: HostStatus, now: Now) {
        if row.current.as_ref().is_some_and(|current| current.status == status) {
            return;
        }
        self.report(host, format!("is {status}"));
        let current = hosts::with_status(row, status);
        let commit = write(&self.shared, |tx| {
            tx.set_current::<Host>(&host, current);
        });
        self.absorb(&commit, now);
    }

    fn note_time(&mut self, now: Now) {
        self.unix_s = i64::try_from(now.unix_s).unwrap_or(i64::MAX);
    }

    /// Draws the conclusions of a commit.
    fn absorb(&mut self, commit: &Commit, now: Now) {
        self.note_commit(commit, now);
        self.settle();
    }

    /// The same without deciding anything yet.
    fn note_commit(&mut self, commit: &Commit, now: Now) {
        self.note_time(now);
        let snapshot = self.shared.snapshot();
        let deliveries = self.distribution.repair(&snapshot, commit.changes());
        for delivery in &deliveries {
            if let Some(peer) = self.peers.get_mut(&delivery.host)
                && let Some(row) = peers::row_id(&snapshot, delivery.table, &delivery.key)
            {
                peer.session.changed(&row);
                self.ready.insert(delivery.host);
            }
        }
        self.damage.note(&snapshot, commit.changes());
        self.forget_untold(&snapshot, &deliveries);
        let silent: Vec<Uuid> = commit.changes().iter().filter_map(|it| self.follow_host(&it, now)).collect();
        for host in silent {
            self.mark_silent(host, now);
        }
    }

    /// What is told of rows by the hosts that they go to says nothing any longer once they go there no more.
    fn forget_untold(&mut self, snapshot: &Snapshot, deliveries: &[Delivery]) {
        let untold: Vec<_> =
            deliveries.iter().filter(|it| is_untold(snapshot, &self.distribution, it, deliveries)).collect();
        if untold.is_empty() {
            return;
        }
        let commit = write(&self.shared, |tx| {
            for Delivery { table, key, .. } in untold {
                // The row was distributed by this very table and key.
                let _ = tx.remove_part(*table, key, PartKind::Current);
            }
        });
        self.damage.note(snapshot, commit.changes());
    }

    /// Begins and ends sessions as hosts are ordered; answers with a silent host whose fencing may have changed.
    fn follow_host(&mut self, change: &impl Changed, now: Now) -> Option<Uuid> {
        let host = change.row::<Host>()?;
        let uuid = host.after.or(host.before)?.uuid;
        let ordered = host.after.filter(|row| row.desired.is_some());
        self.hosts.follow(uuid, ordered);
        if ordered.is_none() {
            if self.peers.remove(&uuid).is_some() {
                self.forget_reports(uuid);
            }
            return None;
        }
        // An end of its muteness lets out what waits.
        self.ready.insert(uuid);
        if !self.peers.contains_key(&uuid) {
            self.begin_session(uuid, now);
        }
        self.peers.get(&uuid).filter(|peer| peer.session.is_missing()).map(|_| uuid)
    }

    fn begin_session(&mut self, host: Uuid, now: Now) {
        self.sessions_made += 1;
        // Unique for every session of this process, since the process's own is random.
        let incarnation = Uuid::from_u128(self.incarnation.as_u128().wrapping_add(self.sessions_made));
        let role = Role::Sparkle { peer: host, epoch: self.epoch };
        let session = Session::new(role, incarnation, Limits::default(), now);
        self.peers.insert(host, Peer { session, rows_told: 0, clock: ClockWatch::default() });
    }

    /// A host that belongs to the cloud no more: what it reported says nothing any longer.
    fn forget_reports(&mut self, host: Uuid) {
        let snapshot = self.shared.snapshot();
        let held = peers::held(&snapshot, &self.distribution, host);
        let commit = write(&self.shared, |tx| {
            for (table, key) in held.iter().filter_map(|row| peers::locate(&snapshot, row)) {
                // The row was found by this very table and key.
                let _ = tx.remove_part(table, &key, PartKind::Current);
            }
        });
        self.damage.note(&snapshot, commit.changes());
    }

    /// Decides about all that is damaged, and says in current parts what users read.
    fn settle(&mut self) {
        if self.damage.is_empty() {
            return;
        }
        let snapshot = self.shared.snapshot();
        let damage = std::mem::take(&mut self.damage);
        let settled = Deciding {
            view: &snapshot,
            distribution: &self.distribution,
            hosts: &mut self.hosts,
            stuck: &self.stuck,
            serial: &mut self.serial,
            now_unix_s: self.unix_s,
        }
        .decide(damage, &mut self.writes, &mut self.offers);
        for subject in settled.subjects() {
            self.stuck.remove(&subject);
        }
        self.stuck.extend(settled.stuck.keys());
        // Composed parts decide nothing and go to no host: nothing further follows from this commit.
        write(&self.shared, |tx| summary::write(tx, &snapshot, &settled));
    }

    fn report(&mut self, host: Uuid, text: String) {
        if self.reports.len() < REPORTS_MAX {
            self.reports.push_back(Report { host, text });
        }
    }
}

/// A transaction that cannot fail.
fn write(shared: &SharedState, change: impl FnOnce(&mut Transaction<'_>)) -> Commit {
    let Ok(((), commit)) = shared.write(|tx| {
        change(tx);
        Ok::<_, Infallible>(())
    });
    commit
}

fn with_source(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn take_change(
    tx: &mut Transaction<'_>,
    snapshot: &Snapshot,
    distribution: &Distribution,
    (host, peer): (Uuid, &mut Peer),
    change: WireChange,
) -> Result<(), Refusal> {
    let accepted = peers::accept(snapshot, distribution, host, change)?;
    let (table, key) = (accepted.table, accepted.key);
    let is_new =
        snapshot.any(table).and_then(|it| it.get(&key)).is_none_or(|row| !row.has(PartKind::Current));
    let written = match accepted.part {
        Some(_) if is_new && peer.rows_told >= HOST_ROWS_MAX => return Err(Refusal::TooMany),
        Some(part) => tx.set_json(table, &key, PartKind::Current, &part),
        None => tx.remove_part(table, &key, PartKind::Current),
    };
    written.map_err(|error| Refusal::Part(error.to_string()))?;
    peer.rows_told += usize::from(is_new);
    Ok(())
}

/// Whether the current part of a delivered row was told by hosts that it goes to no more.
fn is_untold(
    snapshot: &Snapshot,
    distribution: &Distribution,
    delivery: &Delivery,
    deliveries: &[Delivery],
) -> bool {
    let Some(table) = snapshot.any(delivery.table).filter(|_| delivery.reach == Reach::Ceased) else {
        return false;
    };
    if peers::names_hosts(table.def()) || !peers::is_told(table.def()) {
        return false;
    }
    let row = (delivery.table, delivery.key.clone());
    let began = |host: &Uuid| {
        deliveries
            .iter()
            .any(|it| it.reach == Reach::Began && it.host == *host && it.table == row.0 && it.key == row.1)
    };
    distribution.hosts_of(&row).iter().all(began)
}
