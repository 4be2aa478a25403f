//! What is billed: a row of `metering` for each thing that a tenant uses, from when it was seen to be used until it was
//! seen to be so no more.
//!
//! Nothing is noted as it happens: what is used is compared with the open rows, whenever either of them changed, so that
//! neither an outage nor a change that somebody makes in the database goes unmetered. What counts is what counts for
//! quotas (see the `quota` rules of the tables).

use super::ops;
use crate::tables::{
    Address, CpuProfile, Instance, Metering, MeteringDesired, Network, ResourceType, StoragePool, Switch,
    Vnic, Volume, VolumeState,
};
use pony_state::{Read, RowOp};
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// The member of `kind` that names the thing as it was called at first: a new name is no new use.
const NAME: &str = "name";

/// Something that is used now.
struct Use {
    tenant: Uuid,
    resource: ResourceType,
    kind: Json,
    amount: f64,
}

impl Use {
    fn is(&self, row: &MeteringDesired) -> bool {
        (self.tenant, self.resource, self.amount) == (row.tenant, row.resource, row.amount)
            && row.kind.is_object()
            && besides_name(&self.kind).eq(besides_name(&row.kind))
    }
}

/// The members that tell one use from another.
fn besides_name(kind: &Json) -> impl Iterator<Item = (&String, &Json)> {
    kind.as_object().into_iter().flatten().filter(|(member, _)| *member != NAME)
}

/// What to write about what a row uses: the end of what is used no more, the beginning of what is new.
pub(crate) fn decide(view: &impl Read, target: Uuid, now_unix_s: i64) -> Vec<RowOp> {
    let mut uses = uses(view, target);
    let (mut written, mut known) = (Vec::new(), 0_usize);
    for row in view.table::<Metering>().find("target", target) {
        known += 1;
        let Some(open) = row.desired.as_ref().filter(|it| it.end.is_none()) else { continue };
        if let Some(at) = uses.iter().position(|it| it.is(open)) {
            uses.swap_remove(at);
            continue;
        }
        // A clock that was set back must not make a row that the database refuses.
        let end = now_unix_s.max(open.start);
        written.push(ops::update("metering", [("uuid", json!(row.uuid))], [("end", json!(end))]));
    }
    written.extend(uses.iter().enumerate().map(|(n, it)| insert(it, target, known + n, now_unix_s)));
    written
}

fn insert(used: &Use, target: Uuid, number: usize, now_unix_s: i64) -> RowOp {
    ops::insert(
        "metering",
        [
            ("uuid", json!(identity(target, number, now_unix_s))),
            ("tenant", json!(used.tenant)),
            ("type", json!(used.resource.to_string())),
            ("kind", used.kind.clone()),
            ("amount", json!(used.amount)),
            ("target", json!(target)),
            ("start", json!(now_unix_s)),
        ],
    )
}

/// A UUID that no other row has: of a target there are only more rows as time goes by.
fn identity(target: Uuid, number: usize, now_unix_s: i64) -> Uuid {
    ops::identity(&[target.as_bytes(), &number.to_le_bytes(), &now_unix_s.to_le_bytes()])
}

fn uses(view: &impl Read, target: Uuid) -> Vec<Use> {
    instance(view, target)
        .or_else(|| volume(view, target))
        .or_else(|| switch(view, target))
        .or_else(|| address(view, target))
        .unwrap_or_default()
}

fn instance(view: &impl Read, target: Uuid) -> Option<Vec<Use>> {
    let order = view.get::<Instance>(&target)?.desired.as_ref()?;
    let tenant = order.tenant?;
    let profile = order.cpu_profile.and_then(|it| view.get::<CpuProfile>(&it)?.desired.as_ref());
    let kind = json!({NAME: *order.name, "cpu_profile": profile.map(|it| &*it.name)});
    let used = |(resource, amount)| Use { tenant, resource, kind: kind.clone(), amount };
    let amounts = [
        (ResourceType::Instances, 1.0),
        (ResourceType::Vcpu, order.vcpu as f64),
        (ResourceType::Rcpu, order.rcpu),
        (ResourceType::Mem, order.mem as f64),
    ];
    Some(amounts.into_iter().map(used).collect())
}

fn volume(view: &impl Read, target: Uuid) -> Option<Vec<Use>> {
    let order = view.get::<Volume>(&target)?.desired.as_ref()?;
    let (tenant, size) = (order.tenant?, order.size?);
    let pool = view.get::<StoragePool>(&order.storage_pool).and_then(|it| it.desired.as_ref());
    let kind = json!({NAME: order.name.as_deref(), "storage_pool": pool.map(|it| &*it.name)});
    let used = Use { tenant, resource: ResourceType::Storage, kind, amount: size as f64 };
    Some(if order.state == VolumeState::Present { vec![used] } else { Vec::new() })
}

fn switch(view: &impl Read, target: Uuid) -> Option<Vec<Use>> {
    let order = view.get::<Switch>(&target)?.desired.as_ref()?;
    let (resource, kind) = (ResourceType::Switches, json!({NAME: *order.name}));
    Some(vec![Use { tenant: order.tenant?, resource, kind, amount: 1.0 }])
}

fn address(view: &impl Read, target: Uuid) -> Option<Vec<Use>> {
    let order = view.get::<Address>(&target)?.desired.as_ref()?;
    let vnic = view.get::<Vnic>(&order.vnic?)?.desired.as_ref()?;
    let tenant = view.get::<Instance>(&vnic.instance)?.desired.as_ref()?.tenant?;
    let network = view.get::<Network>(&order.network).and_then(|it| it.desired.as_ref());
    let kind =
        json!({NAME: order.ip.map(|it| it.to_string()), "network": network.map(|it| it.range.to_string())});
    Some(vec![Use { tenant, resource: ResourceType::Ips, kind, amount: 1.0 }])
}
