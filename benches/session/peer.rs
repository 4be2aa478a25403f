//! What a user would write without a session: the same rows as serde structs, in messages of the same bytes.

use pony_benches::workload::{Activity, Instance};
use pony_state::Inet;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use uuid::Uuid;

/// An instance's desired part with its key: the columns of `InstanceDesired`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    uuid: Uuid,
    tenant: Uuid,
    host: Uuid,
    name: String,
    state: State,
    vcpu: i64,
    rcpu: f64,
    pub(crate) mem: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ns: Option<Inet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_profile: Option<Uuid>,
    boot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_data: Option<String>,
    priority: i64,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    Paused,
    Stopped,
}

/// An `update-state`, as it is written or read: with borrowed or with own parts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message<'a, P> {
    event: Cow<'a, str>,
    epoch: u64,
    incarnation: Uuid,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    proto: Option<u64>,
    full: u64,
    pub(crate) changes: Vec<(Cow<'a, str>, Uuid, Cow<'a, str>, P)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    piece: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

impl<'a> Message<'a, &'a Part> {
    /// A partial update.
    pub(crate) fn partial(incarnation: Uuid, seq: u64, parts: &'a [Part]) -> Self {
        let change = |part: &'a Part| ("instance".into(), part.uuid, "desired".into(), part);
        let (event, changes) = ("sparkle-update-state".into(), parts.iter().map(change).collect());
        Self { event, epoch: 1, incarnation, seq, proto: None, full: 1, changes, piece: None, more: false }
    }

    /// A piece of a full state.
    pub(crate) fn piece(incarnation: Uuid, piece: u64, more: bool, parts: &'a [Part]) -> Self {
        Self { proto: Some(1), piece: Some(piece), more, ..Self::partial(incarnation, 0, parts) }
    }
}

impl Part {
    pub(crate) fn new(row: &Instance) -> Option<Self> {
        let part = row.desired.clone()?;
        let state = match part.state {
            Activity::Running => State::Running,
            Activity::Paused => State::Paused,
            Activity::Stopped => State::Stopped,
        };
        Some(Self {
            uuid: row.uuid,
            tenant: part.tenant,
            host: part.host,
            name: part.name.to_string(),
            state,
            vcpu: part.vcpu,
            rcpu: part.rcpu,
            mem: part.mem,
            ns: part.ns,
            cpu_profile: part.cpu_profile,
            boot: part.boot.to_string(),
            user_data: part.user_data.map(|text| text.to_string()),
            priority: part.priority,
        })
    }
}
