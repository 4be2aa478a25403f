//! Where instances are ordered to run: which placement row to write, and why one cannot be.
//!
//! The rule that keeps an instance off two hosts: a placement row is removed only once its host has let go, or is
//! fenced; while there is one, no other can be made (the database refuses it too). A host lets go by an explicit
//! word, `released` in its current part: silence, or the absence of a part, proves nothing, since the order to run
//! may still be on its way there.

use super::ops;
use crate::placement::{self, Candidate, Fitness, NoHost, Request};
use crate::tables::{
    AffinityGroup, AffinityGroupInstance, AffinityType, Host, HostCpuProfile, HostInstance, HostState,
    HostStatus, HostStoragePool, Instance, InstanceDesired, InstanceState, PoolStatus, Vdisk, Volume,
};
use pony_state::{Read, RowOp};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What the controller makes of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// All is as it should be, or waits for a host.
    Nothing,
    /// To be written.
    Write(RowOp),
    /// It cannot be placed, or moved off its host; in words for whoever ordered it.
    Stuck(String),
}

/// Candidates for a round of decisions. What the round places is accounted for as it goes.
#[derive(Debug, Default)]
pub(crate) struct Candidates(Vec<Candidate>);

impl Candidates {
    /// All hosts of the cloud as they are now.
    pub(crate) fn gather(view: &impl Read) -> Self {
        Self(view.table::<Host>().ordered().filter_map(|host| candidate(view, host)).collect())
    }

    fn reserve(&mut self, host: Uuid, mem_mib: i64) {
        if let Some(candidate) = self.0.iter_mut().find(|candidate| candidate.host == host) {
            candidate.mem_used_mib += mem_mib;
        }
    }

    fn choose(&self, request: &Request, not: Option<Uuid>) -> Result<Uuid, NoHost> {
        placement::choose(self.0.iter().filter(|candidate| Some(candidate.host) != not), request)
    }
}

fn candidate(view: &impl Read, host: &Host) -> Option<Candidate> {
    let desired = host.desired.as_ref()?;
    let current = host.current.as_ref().filter(|current| current.status == HostStatus::Present);
    let fitness = match (desired.state, current) {
        (HostState::Evacuated, _) => Fitness::Evacuated,
        (HostState::Present, None) => Fitness::Missing,
        (HostState::Present, Some(_)) => Fitness::Fit,
    };
    Some(Candidate {
        host: host.uuid,
        fitness,
        mem_mib: current.and_then(|current| current.mem).unwrap_or(0),
        mem_used_mib: placed_on(view, host.uuid).map(|instance| instance.mem).sum(),
        pools: usable_pools(view, host.uuid),
        cpu_profiles: supported_profiles(view, host.uuid),
    })
}

fn placed_on<'a>(view: &'a impl Read, host: Uuid) -> impl Iterator<Item = &'a InstanceDesired> {
    view.table::<HostInstance>()
        .find("host", host)
        .filter(|row| row.desired.is_some())
        .filter_map(|row| view.get::<Instance>(&row.instance)?.desired.as_ref())
}

fn usable_pools(view: &impl Read, host: Uuid) -> BTreeSet<Uuid> {
    let ready =
        |row: &&HostStoragePool| row.current.as_ref().is_some_and(|it| it.status == PoolStatus::Ready);
    view.table::<HostStoragePool>().find("host", host).filter(ready).map(|row| row.storage_pool).collect()
}

fn supported_profiles(view: &impl Read, host: Uuid) -> BTreeSet<Uuid> {
    let supported = |row: &&HostCpuProfile| row.current.as_ref().is_some_and(|it| it.supported);
    view.table::<HostCpuProfile>().find("host", host).filter(supported).map(|row| row.cpu_profile).collect()
}

/// The placement of an instance, if it has one.
pub(crate) fn placement_of<'a>(view: &'a impl Read, instance: Uuid) -> Option<(&'a HostInstance, bool)> {
    view.table::<HostInstance>()
        .find("instance", instance)
        .find_map(|row| row.desired.as_ref().map(|desired| (row, desired.released)))
}

/// Decides about one instance, present or not.
pub(crate) fn decide(view: &impl Read, candidates: &mut Candidates, instance: Uuid) -> Decision {
    let order = view.get::<Instance>(&instance).and_then(|row| row.desired.as_ref());
    match (order, placement_of(view, instance)) {
        (None, None) => Decision::Nothing,
        (_, Some((row, true))) => forget_when_let_go(view, row),
        (None, Some((row, false))) => release_or_forget(view, row),
        (Some(order), Some((row, false))) => keep_or_move(view, candidates, instance, order, row),
        (Some(order), None) => place(view, candidates, instance, order),
    }
}

fn key_of(row: &HostInstance) -> [(&'static str, serde_json::Value); 2] {
    [("host", json!(row.host)), ("instance", json!(row.instance))]
}

fn release_or_forget(view: &impl Read, row: &HostInstance) -> Decision {
    if is_fenced(view, row.host) {
        return Decision::Write(ops::delete("host_instance", key_of(row)));
    }
    Decision::Write(ops::update("host_instance", key_of(row), [("released", json!(true))]))
}

fn forget_when_let_go(view: &impl Read, row: &HostInstance) -> Decision {
    let let_go = row.current.as_ref().is_some_and(|current| current.released);
    if let_go || is_fenced(view, row.host) {
        return Decision::Write(ops::delete("host_instance", key_of(row)));
    }
    Decision::Nothing
}

/// Whether a host is known not to run anything.
pub(crate) fn is_fenced(view: &impl Read, host: Uuid) -> bool {
    let current = view.get::<Host>(&host).and_then(|row| row.current.as_ref());
    current.is_some_and(|current| current.status == HostStatus::Fenced)
}

fn keep_or_move(
    view: &impl Read,
    candidates: &Candidates,
    instance: Uuid,
    order: &InstanceDesired,
    row: &HostInstance,
) -> Decision {
    if is_fenced(view, row.host) {
        return Decision::Write(ops::delete("host_instance", key_of(row)));
    }
    let Some(host) = view.get::<Host>(&row.host) else { return Decision::Nothing };
    let evacuated = host.desired.as_ref().is_some_and(|desired| desired.state == HostState::Evacuated);
    let silent = host.current.as_ref().is_none_or(|current| current.status != HostStatus::Present);
    if silent {
        return Decision::Stuck(format!(
            "its host {} is silent; it is started elsewhere only once that host is known to be fenced",
            host_name(host)
        ));
    }
    if !evacuated {
        return Decision::Nothing;
    }
    if order.state == InstanceState::Stopped {
        return release_or_forget(view, row);
    }
    match candidates.choose(&request(view, instance, order), Some(row.host)) {
        Ok(_) => release_or_forget(view, row),
        Err(none) => Decision::Stuck(format!("its host {} is to be evacuated, but {none}", host_name(host))),
    }
}

/// What people call a host.
pub(crate) fn host_name(host: &Host) -> String {
    let ordered = host.desired.as_ref().and_then(|desired| desired.name.as_deref());
    let found = || host.current.as_ref().and_then(|current| current.hostname.as_deref());
    ordered.or_else(found).map_or_else(|| host.uuid.to_string(), str::to_owned)
}

fn place(view: &impl Read, candidates: &mut Candidates, instance: Uuid, order: &InstanceDesired) -> Decision {
    if order.state == InstanceState::Stopped {
        return Decision::Nothing;
    }
    if order.tenant.is_none() {
        return Decision::Stuck("it is a template (it has no tenant): templates do not run".to_owned());
    }
    match candidates.choose(&request(view, instance, order), None) {
        Ok(host) => {
            candidates.reserve(host, order.mem);
            let row = [("host", json!(host)), ("instance", json!(instance)), ("released", json!(false))];
            Decision::Write(ops::insert("host_instance", row))
        }
        Err(none) => Decision::Stuck(none.to_string()),
    }
}

fn request(view: &impl Read, instance: Uuid, order: &InstanceDesired) -> Request {
    let groups = groups_of(view, instance);
    let of_kind = |kind| groups.iter().filter(move |(_, it)| **it == kind).map(|(group, _)| *group);
    Request {
        mem_mib: order.mem,
        pools: pools_of(view, instance),
        cpu_profile: order.cpu_profile,
        near: of_kind(AffinityType::Affinity).flat_map(|group| hosts_of(view, group, instance)).collect(),
        apart: of_kind(AffinityType::AntiAffinity)
            .flat_map(|group| hosts_of(view, group, instance))
            .collect(),
    }
}

fn pools_of(view: &impl Read, instance: Uuid) -> BTreeSet<Uuid> {
    view.joined::<Vdisk, Volume>("instance", instance)
        .filter_map(|(_, volume)| volume.desired.as_ref().map(|desired| desired.storage_pool))
        .collect()
}

fn groups_of(view: &impl Read, instance: Uuid) -> BTreeMap<Uuid, AffinityType> {
    view.joined::<AffinityGroupInstance, AffinityGroup>("instance", instance)
        .filter_map(|(_, group)| group.desired.as_ref().map(|desired| (group.uuid, desired.kind)))
        .collect()
}

/// The hosts of the other members of a group.
fn hosts_of(view: &impl Read, group: Uuid, but: Uuid) -> Vec<Uuid> {
    view.joined::<AffinityGroupInstance, Instance>("affinity_group", group)
        .filter(|(_, member)| member.uuid != but)
        .filter_map(|(_, member)| placement_of(view, member.uuid).map(|(row, _)| row.host))
        .collect()
}
