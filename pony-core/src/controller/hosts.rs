//! What the controller makes of hosts themselves: their presence, fencing, and enrolment.
//!
//! An operator's word that a silent host is off (`fencing.confirmed`) holds for that silence only. A host that
//! says anything takes it away, and is told nothing before that is committed: hence a host on which the word
//! still stands, whichever Sparkle reads it, has got no order since.

use super::ops;
use crate::tables::{Host, HostCurrent, HostStatus};
use pony_state::{Columns, Read, RowOp};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Hosts that wait to be taken in; more have to ask again. Bounds what unknown peers can make us remember.
pub const ENROLMENTS_MAX: usize = 1_024;

/// What is remembered of hosts until it is written.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Hosts that are to be taken in, with the key that they proved.
    enrolments: BTreeMap<Uuid, Option<String>>,
    /// Hosts that spoke although they are confirmed to be off.
    risen: BTreeSet<Uuid>,
}

impl Hosts {
    /// Remembers that the host is to be taken in.
    pub(crate) fn enroll(&mut self, host: Uuid, key: Option<String>) {
        if self.enrolments.len() < ENROLMENTS_MAX || self.enrolments.contains_key(&host) {
            self.enrolments.insert(host, key);
        }
    }

    /// Remembers that the host spoke; says whether something follows from that.
    pub(crate) fn note_heard(&mut self, row: &Host) -> bool {
        is_confirmed(row) && self.risen.insert(row.uuid)
    }

    /// Takes in what is ordered of a host now; `None`: it is not ordered any more.
    pub(crate) fn follow(&mut self, host: Uuid, row: Option<&Host>) {
        if !row.is_some_and(is_confirmed) {
            self.risen.remove(&host);
        }
    }

    /// The status of a silent host.
    pub(crate) fn silent_status(&self, row: &Host) -> HostStatus {
        let fenced = is_confirmed(row) && !self.risen.contains(&row.uuid);
        if fenced { HostStatus::Fenced } else { HostStatus::Missing }
    }

    /// What to write about a host.
    pub(crate) fn decide(&mut self, view: &impl Read, host: Uuid) -> Option<RowOp> {
        let ordered = view.get::<Host>(&host).and_then(|row| row.desired.as_ref());
        let Some(ordered) = ordered else {
            let key = self.enrolments.get(&host)?;
            let row = [("uuid", json!(host)), ("state", json!("present")), ("key", json!(key))];
            return Some(ops::insert("host", row));
        };
        let mut columns = Columns::new();
        if self.enrolments.get(&host).is_some_and(|key| key.as_deref() == ordered.key.as_deref()) {
            self.enrolments.remove(&host);
        }
        if let Some(key) = self.enrolments.get(&host) {
            columns.insert("key".to_owned(), json!(key));
        }
        if self.risen.contains(&host) {
            let mut fencing = (*ordered.fencing).clone();
            fencing.as_object_mut().and_then(|it| it.remove("confirmed"));
            columns.insert("fencing".to_owned(), fencing);
        }
        (!columns.is_empty()).then(|| ops::update_columns("host", [("uuid", json!(host))], columns))
    }
}

/// Whether an operator has said that the host is off.
pub(crate) fn is_confirmed(row: &Host) -> bool {
    row.desired.as_ref().is_some_and(|it| it.fencing.get("confirmed") == Some(&Json::Bool(true)))
}

/// What is known of a host: what it said, with the status that follows from whether it talks.
pub(crate) fn with_status(row: &Host, status: HostStatus) -> HostCurrent {
    match row.current.clone() {
        Some(current) => HostCurrent { status, ..current },
        None => HostCurrent {
            status,
            hostname: None,
            version: None,
            kernel: None,
            hypervisor: None,
            cpus: None,
            cpu_model: None,
            cpu_features: None,
            cpu_sockets: None,
            cpu_cores: None,
            mem: None,
            numa: None,
            hbas: None,
            boot_time: None,
            accel: None,
            address: None,
            migration: None,
        },
    }
}
