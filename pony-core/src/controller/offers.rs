//! What hosts have to offer, kept from one round of decisions to the next: adding up all that is placed anywhere for each
//! new instance would make an order the slower the larger the cloud is.

use super::damage::Changed;
use crate::placement::{Candidate, Fitness};
use crate::tables::{
    Host, HostCpuProfile, HostInstance, HostState, HostStatus, HostStoragePool, Instance, InstanceDesired,
    PoolStatus,
};
use pony_state::Read;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    known: BTreeMap<Uuid, Candidate>,
    /// Those that may be others by now. Looked at once somebody asks.
    stale: BTreeSet<Uuid>,
}

impl Offers {
    /// What these hosts offer may be something else.
    pub(crate) fn forget(&mut self, hosts: BTreeSet<Uuid>) {
        self.stale.extend(hosts);
    }

    /// All hosts of the cloud as they are now, by UUID.
    pub(crate) fn all(&mut self, view: &impl Read) -> Vec<Candidate> {
        for host in std::mem::take(&mut self.stale) {
            match candidate(view, host) {
                Some(candidate) => drop(self.known.insert(host, candidate)),
                None => drop(self.known.remove(&host)),
            }
        }
        self.known.values().cloned().collect()
    }

    /// Whether what is known of hosts, but for those whose change waits to be decided about, is so.
    pub(crate) fn check(&self, view: &impl Read, waiting: &BTreeSet<Uuid>) -> Result<(), String> {
        let hosts = view.table::<Host>();
        let hosts: BTreeSet<Uuid> =
            hosts.iter().map(|row| row.uuid).chain(self.known.keys().copied()).collect();
        for host in hosts.iter().filter(|it| !self.stale.contains(it) && !waiting.contains(it)) {
            let (known, is) = (self.known.get(host), candidate(view, *host));
            if known != is.as_ref() {
                return Err(format!("host {host} is known to offer {known:?}, and offers {is:?}"));
            }
        }
        Ok(())
    }
}

/// Says of which hosts the offer may have changed.
pub(crate) fn note(view: &impl Read, change: &impl Changed, mut forget: impl FnMut(Uuid)) {
    if let Some(row) = change.row::<Host>() {
        row.after.or(row.before).into_iter().for_each(|it| forget(it.uuid));
    } else if let Some(row) = change.row::<HostInstance>() {
        row.before.iter().chain(&row.after).flat_map(|it| homes(it)).for_each(forget);
    } else if let Some(row) = change.row::<Instance>() {
        let mem = |row: Option<&Instance>| row?.desired.as_ref().map(|it| it.mem);
        if mem(row.before) != mem(row.after) {
            let uuid = row.after.or(row.before).map(|it| it.uuid);
            let placements =
                uuid.into_iter().flat_map(|it| view.table::<HostInstance>().find("instance", it));
            placements.flat_map(homes).for_each(forget);
        }
    } else if let Some(row) = change.row::<HostStoragePool>() {
        row.after.or(row.before).into_iter().for_each(|it| forget(it.host));
    } else if let Some(row) = change.row::<HostCpuProfile>() {
        row.after.or(row.before).into_iter().for_each(|it| forget(it.host));
    }
}

/// The hosts whose memory a placement takes.
fn homes(row: &HostInstance) -> impl Iterator<Item = Uuid> + use<> {
    [Some(row.host), row.desired.as_ref().and_then(|it| it.target)].into_iter().flatten()
}

fn candidate(view: &impl Read, host: Uuid) -> Option<Candidate> {
    let host = view.get::<Host>(&host)?;
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

/// The instances that a host has, and those that move there.
fn placed_on(view: &impl Read, host: Uuid) -> impl Iterator<Item = &InstanceDesired> {
    let table = view.table::<HostInstance>();
    table
        .find("host", host)
        .chain(table.find("target", host))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::new_state;
    use pony_state::{Key, PartKind, State, Value};
    use serde_json::{Value as Json, json};

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    /// Orders, or reports, a row; says which hosts that concerns.
    fn write(state: &mut State, table: &str, key: &[u128], kind: PartKind, part: &Json) -> BTreeSet<Uuid> {
        let mut tx = state.transaction();
        let key = Key::of(key.iter().map(|it| Value::Uuid(id(*it))));
        tx.set_json(table, &key, kind, part).unwrap();
        let commit = tx.commit();
        let mut hosts = BTreeSet::new();
        commit.iter().for_each(|change| note(&*state, &change, |host| hosts.extend([host])));
        hosts
    }

    /// An order of a new instance once added up all that was placed anywhere.
    #[test]
    fn only_hosts_that_may_offer_something_else_are_looked_at_again() {
        let (state, mut offers) = (&mut new_state().unwrap(), Offers::default());
        for host in [1, 2, 3] {
            let noted = write(state, "host", &[host], PartKind::Desired, &json!({"state": "present"}));
            assert_eq!(noted, [id(host)].into());
            offers.forget(noted);
        }
        let used = |offers: &mut Offers, state: &State| -> Vec<i64> {
            offers.all(state).iter().map(|it| it.mem_used_mib).collect()
        };
        assert_eq!(used(&mut offers, state), [0, 0, 0]);
        let web = |mem: i64, name: &str| json!({"name": name, "tenant": id(9), "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": mem});
        assert_eq!(write(state, "instance", &[7], PartKind::Desired, &web(64, "web")), BTreeSet::new());
        let placed = json!({"released": false, "serial": 1, "target": id(3)});
        offers.forget(write(state, "host_instance", &[2, 7], PartKind::Desired, &placed));
        assert_eq!(used(&mut offers, state), [0, 64, 64]);
        assert_eq!(write(state, "instance", &[7], PartKind::Desired, &web(64, "www")), BTreeSet::new());
        let larger = write(state, "instance", &[7], PartKind::Desired, &web(100, "www"));
        assert_eq!(larger, [id(2), id(3)].into());
        assert!(offers.check(&*state, &larger).is_ok() && offers.check(&*state, &BTreeSet::new()).is_err());
        offers.forget(larger);
        assert_eq!(used(&mut offers, state), [0, 100, 100]);
        let profile =
            write(state, "host_cpu_profile", &[1, 5], PartKind::Current, &json!({"supported": true}));
        assert_eq!(profile, [id(1)].into());
        offers.forget(profile);
        assert_eq!(offers.all(&*state)[0].cpu_profiles, [id(5)].into());
    }
}
