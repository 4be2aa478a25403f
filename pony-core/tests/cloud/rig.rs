//! A controller, a naive database, and scripted hosts on a network without faults.

use crate::database::{Database, insert, update};
use pony_core::controller::{Controller, Report, StoredRow, WriteId};
use pony_core::tables::{Host, HostStatus, Instance, InstanceCurrent};
use pony_state::sync::{
    Event, Frames, FullRows, Held, Limits, Notification, Now, Part, Pkey, Role, RowId, Session, Source,
    SourceRow,
};
use pony_state::{Columns, KeyColumns, PartKind, Read, RowOp, Snapshot, Value};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(crate) const MINUTE_MS: u64 = 60_000;
const UNIX_START_S: u64 = 1_700_000_000;

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128((n + 1) << 96 | n)
}

/// The UUID of a host.
pub(crate) fn host(n: u128) -> Uuid {
    id(1_000 + n)
}

/// The number of one of the first hosts.
pub(crate) fn number(uuid: Uuid) -> u128 {
    (0..3).find(|n| host(*n) == uuid).unwrap()
}

/// A host that says what the test tells it to say.
pub(crate) struct Peer {
    session: Session,
    rows: Rows,
    /// What it was ordered.
    pub(crate) ordered: BTreeMap<RowId, Columns>,
    pub(crate) messages: usize,
}

#[derive(Default)]
struct Rows(BTreeMap<RowId, Part>);

impl Source for Rows {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        self.0.get(row).map(|part| SourceRow::Part(row.clone(), part.clone()))
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(self.0.clone().into_iter())
    }
}

impl Peer {
    fn new(uuid: Uuid, incarnation: u128, now: Now) -> Self {
        let role = Role::Peer { uuid, epoch_highest: 0 };
        let session = Session::new(role, Uuid::from_u128(incarnation), Limits::default(), now);
        Self { session, rows: Rows::default(), ordered: BTreeMap::new(), messages: 0 }
    }

    /// Says what is.
    pub(crate) fn tell(&mut self, table: &str, key: Json, part: Json) {
        let Json::Object(part) = part else { panic!("a part is an object") };
        let row = RowId::new(table, Pkey::from_json(&key).unwrap());
        self.rows.0.insert(row.clone(), Part::from(&part));
        self.session.changed(&row);
    }

    /// Says that it is no more.
    pub(crate) fn untell(&mut self, table: &str, key: Json) {
        let row = RowId::new(table, Pkey::from_json(&key).unwrap());
        self.rows.0.remove(&row);
        self.session.changed(&row);
    }

    pub(crate) fn notify(&mut self, kind: &str, data: Json) {
        let kind = kind.to_owned();
        self.session.notify(&Notification { instance: None, kind, data }).unwrap();
    }

    /// The order of a row, if the host has one.
    pub(crate) fn order(&self, table: &str, key: Json) -> Option<&Columns> {
        self.ordered.get(&RowId::new(table, Pkey::from_json(&key).unwrap()))
    }

    fn hear(&mut self) {
        while let Some(event) = self.session.poll_event() {
            let changes = match event {
                Event::Full(full) => {
                    let held: Vec<RowId> = self.ordered.keys().cloned().collect();
                    full.diff(PartKind::Desired, held, |_, _| Held::Different)
                }
                Event::Changes(changes) => changes,
                _ => continue,
            };
            for change in changes {
                match change.part {
                    Some(part) => drop(self.ordered.insert(change.row, part.columns().unwrap())),
                    None => drop(self.ordered.remove(&change.row)),
                }
            }
        }
    }
}

pub(crate) struct Rig {
    pub(crate) controller: Controller,
    pub(crate) database: Database,
    pub(crate) peers: BTreeMap<Uuid, Peer>,
    pub(crate) now_ms: u64,
    /// Writes of the controller are refused.
    pub(crate) refuse: bool,
    /// Writes of the controller stay on their way.
    pub(crate) hold: Option<Vec<(WriteId, Vec<RowOp>)>>,
    /// Hosts that are cut off.
    pub(crate) cut: BTreeSet<Uuid>,
    pub(crate) reports: Vec<Report>,
    epoch: u64,
    incarnations: u128,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self {
            controller: Controller::new(Uuid::from_u128(1 << 100), 1).unwrap(),
            database: Database::new(),
            peers: BTreeMap::new(),
            now_ms: 0,
            refuse: false,
            hold: None,
            cut: BTreeSet::new(),
            reports: Vec::new(),
            epoch: 1,
            incarnations: 0,
        }
    }

    /// With so many hosts, each with 16 GiB, that talk.
    pub(crate) fn with_hosts(count: u128) -> Self {
        let mut rig = Self::new();
        rig.order(&[insert("tenant", json!({ "uuid": id(0), "name": "t", "approved": true }))]);
        for n in 0..count {
            rig.order(&[insert("host", json!({ "uuid": host(n), "name": format!("h{n}") }))]);
            rig.connect(n);
        }
        rig
    }

    pub(crate) fn now(&self) -> Now {
        Now { ms: self.now_ms, unix_s: UNIX_START_S + self.now_ms / 1_000 }
    }

    /// A new process on the host begins to talk.
    pub(crate) fn connect(&mut self, n: u128) {
        self.incarnations += 1;
        let mut peer = Peer::new(host(n), self.incarnations, self.now());
        let part = json!({ "uuid": host(n), "status": "present", "mem": 16_384, "hostname": "h" });
        peer.tell("host", json!(host(n)), part);
        self.peers.insert(host(n), peer);
        self.cut.remove(&host(n));
        self.pump();
    }

    /// The host falls silent.
    pub(crate) fn cut(&mut self, n: u128) {
        self.cut.insert(host(n));
    }

    pub(crate) fn peer(&mut self, n: u128) -> &mut Peer {
        self.peers.get_mut(&host(n)).unwrap()
    }

    /// A user's write.
    pub(crate) fn order(&mut self, ops: &[RowOp]) {
        self.try_order(ops).unwrap();
    }

    pub(crate) fn try_order(&mut self, ops: &[RowOp]) -> Result<(), String> {
        let changes = self.database.commit(ops)?;
        self.apply(&changes);
        self.pump();
        Ok(())
    }

    pub(crate) fn apply(&mut self, changes: &[StoredRow]) {
        let now = self.now();
        self.controller.apply(changes, now).unwrap();
        self.controller.check_invariants().unwrap();
    }

    /// Another Sparkle takes over.
    pub(crate) fn restart_sparkle(&mut self) {
        self.epoch += 1;
        self.controller =
            Controller::new(Uuid::from_u128(u128::from(self.epoch) << 100), self.epoch).unwrap();
        let now = self.now();
        for stored in &self.database.all() {
            let values = values(&self.controller.snapshot(), stored);
            self.controller.load_piece(std::iter::once((stored.table.as_str(), &*values))).unwrap();
        }
        self.controller.loaded(now);
        self.controller.check_invariants().unwrap();
        self.pump();
    }

    /// Carries all that there is to carry.
    pub(crate) fn pump(&mut self) {
        while self.carry() {
            self.controller.check_invariants().unwrap();
        }
        while let Some(report) = self.controller.poll_report() {
            self.reports.push(report);
        }
    }

    fn carry(&mut self) -> bool {
        let (now, mut busy) = (self.now(), false);
        while let Some((host, frames)) = self.controller.poll_transmit(now) {
            busy = true;
            let Some(peer) = self.peers.get_mut(&host).filter(|_| !self.cut.contains(&host)) else {
                continue;
            };
            peer.messages += 1;
            peer.session.handle_message(frames.body.as_bytes(), frames.sent_unix_s, now);
            peer.hear();
        }
        for (host, peer) in &mut self.peers {
            while let Some(Frames { body, sent_unix_s }) = peer.session.poll_transmit(now, &peer.rows) {
                busy = true;
                if !self.cut.contains(host) {
                    let time = sent_unix_s.to_string();
                    self.controller.handle_frames(*host, body.as_bytes(), time.as_bytes(), now);
                }
            }
        }
        while let Some((write, ops)) = self.controller.poll_write() {
            busy = true;
            match &mut self.hold {
                Some(held) => held.push((write, ops)),
                None => self.end_write(write, &ops),
            }
        }
        busy
    }

    /// The database answers to a write of the controller.
    pub(crate) fn end_write(&mut self, write: WriteId, ops: &[RowOp]) {
        let result = if self.refuse { Err("refused".to_owned()) } else { self.database.commit(ops) };
        let result = result.map(|changes| self.apply(&changes));
        let now = self.now();
        self.controller.handle_written(write, result, now);
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        self.pump();
        loop {
            let sessions = self.peers.values().filter_map(|peer| peer.session.poll_timeout());
            let next = sessions.chain(self.controller.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now_ms = self.now_ms.max(next);
            let now = self.now();
            self.peers.values_mut().for_each(|peer| {
                peer.session.handle_timeout(now);
                peer.hear();
            });
            self.controller.handle_timeout(now);
            self.pump();
        }
        self.now_ms = end;
    }

    /// Orders an instance that is to run.
    pub(crate) fn order_instance(&mut self, n: u128) {
        self.order(&[instance(n, "running")]);
    }

    /// The placement of an instance in the database: host, released, serial.
    pub(crate) fn placement(&self, n: u128) -> Option<(Uuid, bool, i64)> {
        let mut rows = self.database.table("host_instance").filter(|row| row["instance"] == json!(id(n)));
        let row = rows.next()?;
        assert!(rows.next().is_none(), "instance {n} is placed twice");
        let host = row["host"].as_str().unwrap().parse().unwrap();
        Some((host, row["released"].as_bool().unwrap(), row["serial"].as_i64().unwrap()))
    }

    pub(crate) fn placed_on(&self, n: u128) -> Option<Uuid> {
        self.placement(n).map(|(host, ..)| host)
    }

    /// A host's word about an instance.
    pub(crate) fn tell_instance(&mut self, on: u128, n: u128, status: &str, released: bool, serial: i64) {
        let part = json!({
            "host": host(on), "instance": id(n), "status": status, "released": released, "serial": serial, "attempts": 0,
        });
        self.peer(on).tell("host_instance", json!([host(on), id(n)]), part);
        self.pump();
    }

    /// The host of an instance lets go of it, as ordered.
    pub(crate) fn let_go(&mut self, on: u128, n: u128) {
        let serial = self.placement(n).unwrap().2;
        self.tell_instance(on, n, "stopped", true, serial);
    }

    pub(crate) fn confirm_fenced(&mut self, n: u128) {
        self.order(&[update("host", host(n), json!({ "fencing": { "agent": "x", "confirmed": true } }))]);
    }

    pub(crate) fn is_confirmed(&self, n: u128) -> bool {
        self.database.get("host", host(n)).unwrap()["fencing"].get("confirmed").is_some()
    }

    pub(crate) fn status(&self, n: u128) -> Option<HostStatus> {
        Some(self.controller.snapshot().get::<Host>(&host(n))?.current.as_ref()?.status)
    }

    pub(crate) fn instance(&self, n: u128) -> Option<InstanceCurrent> {
        self.controller.snapshot().get::<Instance>(&id(n))?.current.clone()
    }

    pub(crate) fn error(&self, n: u128) -> String {
        self.instance(n).and_then(|it| it.error).map(|it| it.to_string()).unwrap_or_default()
    }

    /// What was refused of a host's changes.
    pub(crate) fn refusals(&mut self) -> Vec<String> {
        let reports = std::mem::take(&mut self.reports);
        reports.into_iter().map(|it| it.text).filter(|it| it.contains("was refused")).collect()
    }
}

pub(crate) fn instance(n: u128, state: &str) -> RowOp {
    let row = json!({
        "uuid": id(n), "tenant": id(0), "name": format!("i{n}"), "state": state, "vcpu": 1, "rcpu": 1.0, "mem": 1_024,
    });
    insert("instance", row)
}

/// A row as a load gives it.
fn values(snapshot: &Snapshot, stored: &StoredRow) -> Vec<Value> {
    let def = snapshot.any(stored.table.as_str()).unwrap().def();
    let key = def.key_of_part(PartKind::Desired, &Json::Object(stored.key.clone())).unwrap();
    let row = Json::Object(stored.row.clone().unwrap());
    let part = def.part_from_json(PartKind::Desired, &row, KeyColumns::Ignore).unwrap();
    key.values().iter().cloned().chain(part).collect()
}
