//! The heart of Sparkle, without I/O: what is ordered, which host is told what, and what follows from what hosts say.
//!
//! It takes in committed changes of desired state ([`Controller::load`], [`Controller::apply`]), messages of hosts
//! and time; it gives out messages to hosts ([`Controller::poll_transmit`]) and writes of its own
//! ([`Controller::poll_write`]: placements, the life of volumes, the event log). Desired state never changes here
//! but by what the database committed: a write of the controller takes effect when it comes back as a change.
//!
//! Who may order what, and how an order is put, is [`crate::document`]'s affair. It reads no clock, draws no
//! randomness, and opens nothing.

mod damage;
mod distribution;
mod events;
mod instances;
mod ops;
mod peers;
mod summary;
mod volumes;
mod writes;

pub use distribution::DistributionError;
pub use events::{EVENT_ROWS_MAX, EVENTS_WAITING_MAX};
pub use peers::Refusal;
pub use writes::{WRITE_OPS_MAX, WRITE_RETRY_MS_MAX, WRITE_RETRY_MS_MIN, WriteId};

use crate::tables::{self, Host, HostCurrent, HostStatus};
use damage::Damage;
use distribution::Distribution;
use events::EventLog;
use peers::HostRows;
use pony_state::sync::{Event as SessionEvent, Frames, Limits, Now, Role, Session, WireChange};
use pony_state::{Change, Columns, Commit, Key, PartError, Read, RowOp, SharedState, Snapshot, Transaction};
use pony_state::{PartKind, SchemaError};
use serde_json::{Value as Json, json};
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
    sessions: BTreeMap<Uuid, Session>,
    damage: Damage,
    /// Instances that found no host so far.
    stuck: BTreeSet<Uuid>,
    writes: Writes,
    events: EventLog,
    reports: VecDeque<Report>,
    incarnation: Uuid,
    sessions_made: u128,
    epoch: u64,
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
            sessions: BTreeMap::new(),
            damage: Damage::default(),
            stuck: BTreeSet::new(),
            writes: Writes::default(),
            events: EventLog::default(),
            reports: VecDeque::new(),
            incarnation,
            sessions_made: 0,
            epoch,
        })
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

    /// Makes all desired state that of the database: the start, and after a gap in its feed. Rows that stay the
    /// same cause no change.
    ///
    /// # Errors
    /// [`PartError`] when a row does not fit its table; nothing has changed then.
    pub fn load(&mut self, rows: &[StoredRow], now: Now) -> Result<(), PartError> {
        let held = self.shared.snapshot();
        let (_, commit) = self.shared.write_aside(|tx| {
            let mut kept = std::collections::HashSet::new();
            for stored in rows {
                let key = write_row(tx, stored)?;
                kept.insert((stored.table.as_str(), key));
            }
            for table in held.view().tables() {
                for row in table.iter().filter(|row| row.has(PartKind::Desired)) {
                    if !kept.contains(&(table.def().name(), row.key())) {
                        tx.remove_part(table.def().id(), &row.key(), PartKind::Desired)?;
                    }
                }
            }
            Ok::<_, PartError>(())
        })?;
        self.absorb(&commit, now);
        Ok(())
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
        let Some(session) = self.sessions.get_mut(&host) else { return false };
        session.handle_frames(body, time, now);
        self.handle_session(host, now);
        true
    }

    /// Does what has fallen due.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = |session: &Session| session.poll_timeout().is_some_and(|at| at <= now.ms);
        let hosts: Vec<Uuid> =
            self.sessions.iter().filter(|(_, it)| due(it)).map(|(host, _)| *host).collect();
        for host in hosts {
            if let Some(session) = self.sessions.get_mut(&host) {
                session.handle_timeout(now);
            }
            self.handle_session(host, now);
        }
        self.damage.merge(self.writes.due(now.ms));
        self.settle();
    }

    /// When [`Self::handle_timeout`] is due, by [`Now::ms`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let sessions = self.sessions.values().filter_map(Session::poll_timeout).min();
        sessions.into_iter().chain(self.writes.poll_timeout()).min()
    }

    /// The next message to send, and to which host.
    pub fn poll_transmit(&mut self, now: Now) -> Option<(Uuid, Frames)> {
        let snapshot = self.shared.snapshot();
        self.sessions.iter_mut().find_map(|(host, session)| {
            let rows = HostRows { snapshot: &snapshot, distribution: &self.distribution, host: *host };
            session.poll_transmit(now, &rows).map(|frames| (*host, frames))
        })
    }

    /// What to write to the database next, as one transaction. There is at most one at a time: the next one comes
    /// after [`Self::handle_written`].
    pub fn poll_write(&mut self) -> Option<(WriteId, Vec<RowOp>)> {
        let snapshot = self.shared.snapshot();
        self.writes.take(|most| self.events.take(&snapshot, most))
    }

    /// Says how a write ended. Where it succeeded, its changes must have been applied before.
    pub fn handle_written(&mut self, id: WriteId, result: Result<(), String>, now: Now) {
        if let Err(error) = &result {
            self.report(Uuid::nil(), format!("a write of the controller was refused: {error}"));
        }
        let again = self.writes.ended(id, result.is_ok(), now.ms);
        self.damage.merge(again);
        self.settle();
    }

    /// The next thing for the log.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Takes a host in that has just shown up (*enrolment*): orders it, with the key that it proved.
    pub fn enroll(&mut self, host: Uuid, key: Option<String>) {
        let ordered = self.shared.snapshot().get::<Host>(&host).is_some_and(|row| row.desired.is_some());
        let op = if ordered {
            ops::update("host", [("uuid", json!(host))], [("key", json!(key))])
        } else {
            ops::insert("host", [("uuid", json!(host)), ("state", json!("present")), ("key", json!(key))])
        };
        self.writes.enroll(host, op);
    }

    fn handle_session(&mut self, host: Uuid, now: Now) {
        while let Some(event) = self.sessions.get_mut(&host).and_then(Session::poll_event) {
            match event {
                SessionEvent::Changes(changes) => self.take_changes(host, changes, now),
                SessionEvent::Full(full) => {
                    let snapshot = self.shared.snapshot();
                    let held = peers::held(&snapshot, &self.distribution, host);
                    let changes =
                        full.diff(PartKind::Current, held, |row, part| peers::compare(&snapshot, row, part));
                    self.take_changes(host, changes, now);
                }
                SessionEvent::Notifications(list) => {
                    list.into_iter()
                        .for_each(|notification| self.events.note(host, notification, now.unix_s));
                }
                SessionEvent::Missing => self.mark(host, now),
                SessionEvent::Back => self.unmark(host, now),
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
        let mut refused = Vec::new();
        let commit = write(&self.shared, |tx| {
            for change in changes {
                let row = change.row.clone();
                if let Err(refusal) = take_change(tx, &snapshot, &self.distribution, host, change) {
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
    fn mark(&mut self, host: Uuid, now: Now) {
        let snapshot = self.shared.snapshot();
        let Some(row) = snapshot.get::<Host>(&host) else { return };
        let confirmed =
            row.desired.as_ref().is_some_and(|it| it.fencing.get("confirmed") == Some(&Json::Bool(true)));
        let status = if confirmed { HostStatus::Fenced } else { HostStatus::Missing };
        let current = match row.current.clone() {
            Some(current) if current.status == status => return,
            Some(current) => HostCurrent { status, ..current },
            None => HostCurrent {
                status,
                hostname: None,
                version: None,
                cpus: None,
                mem: None,
                boot_time: None,
                accel: None,
            },
        };
        self.report(host, if confirmed { "is fenced" } else { "is silent" }.to_owned());
        let commit = write(&self.shared, |tx| {
            tx.set_current::<Host>(&host, current);
        });
        self.absorb(&commit, now);
    }

    /// A host that talks again. What an operator confirmed of its end holds no more.
    fn unmark(&mut self, host: Uuid, now: Now) {
        self.report(host, "talks again".to_owned());
        let snapshot = self.shared.snapshot();
        let Some(row) = snapshot.get::<Host>(&host) else { return };
        if let Some(Json::Object(fencing)) = row.desired.as_ref().map(|it| (*it.fencing).clone())
            && fencing.contains_key("confirmed")
        {
            let rest: Columns = fencing.into_iter().filter(|(name, _)| name != "confirmed").collect();
            let op = ops::update("host", [("uuid", json!(host))], [("fencing", Json::Object(rest))]);
            self.writes.want(Subject::Host(host), Some(op));
        }
        let commit = write(&self.shared, |tx| {
            tx.update_current::<Host>(&host, |current| current.status = HostStatus::Present);
        });
        self.absorb(&commit, now);
    }

    /// Draws the conclusions of a commit.
    fn absorb(&mut self, commit: &Commit, now: Now) {
        let snapshot = self.shared.snapshot();
        for delivery in self.distribution.repair(&snapshot, commit.changes()) {
            if let Some(session) = self.sessions.get_mut(&delivery.host) {
                if let Some(row) = peers::row_id(&snapshot, delivery.table, &delivery.key) {
                    session.changed(&row);
                }
            }
        }
        self.damage.note(&snapshot, commit.changes());
        let hosts: Vec<Uuid> = commit.changes().iter().filter_map(|it| self.follow_host(it, now)).collect();
        for host in hosts {
            self.mark(host, now);
        }
        self.settle();
    }

    /// Begins and ends sessions as hosts are ordered; answers with a silent host whose fencing changed.
    fn follow_host(&mut self, change: &Change, now: Now) -> Option<Uuid> {
        let host = change.row::<Host>()?;
        let uuid = host.after.or(host.before)?.uuid;
        let ordered = host.after.is_some_and(|row| row.desired.is_some());
        if !ordered {
            if self.sessions.remove(&uuid).is_some() {
                self.forget_reports(uuid);
            }
            return None;
        }
        if !self.sessions.contains_key(&uuid) {
            self.sessions_made += 1;
            // Unique for every session of this process, since the process's own is random.
            let incarnation = Uuid::from_u128(self.incarnation.as_u128().wrapping_add(self.sessions_made));
            let role = Role::Sparkle { peer: uuid, epoch: self.epoch };
            self.sessions.insert(uuid, Session::new(role, incarnation, Limits::default(), now));
        }
        self.sessions.get(&uuid).filter(|session| session.is_missing()).map(|_| uuid)
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
        let settled = damage::decide(&snapshot, &self.distribution, damage, &self.stuck, &mut self.writes);
        self.stuck.retain(|uuid| !settled.instances.contains(uuid));
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

/// Writes one row of the database; answers with its key.
fn write_row(tx: &mut Transaction<'_>, stored: &StoredRow) -> Result<Key, PartError> {
    let def = tx.def(stored.table.as_str())?;
    let key = def.key_of_part(PartKind::Desired, &Json::Object(stored.key.clone()))?;
    match &stored.row {
        Some(row) => tx.set_json(def.id(), &key, PartKind::Desired, &Json::Object(row.clone()))?,
        None => tx.remove_part(def.id(), &key, PartKind::Desired)?,
    };
    Ok(key)
}

fn take_change(
    tx: &mut Transaction<'_>,
    snapshot: &Snapshot,
    distribution: &Distribution,
    host: Uuid,
    change: WireChange,
) -> Result<(), Refusal> {
    let accepted = peers::accept(snapshot, distribution, host, change)?;
    let written = match &accepted.part {
        Some(part) => tx.set_json(accepted.table, &accepted.key, PartKind::Current, part),
        None => tx.remove_part(accepted.table, &accepted.key, PartKind::Current),
    };
    written.map(|_| ()).map_err(|error| Refusal::Part(error.to_string()))
}
