//! Who may do what, everywhere: each endpoint of the schema against each kind of caller, by trying. What is expected is
//! `access.txt`, to be reviewed by people; an endpoint without a row, in the table or in the cloud below, fails.
//!
//! To accept a change: `UPDATE_GOLDEN=1 cargo test -p pony-core --test document sweep`, and look at the diff.

use crate::cloud::{Cloud, alicorn, id};
use pony_core::document::{Caller, DocumentError, Endpoint, ErrorCode, Problem, Write};
use pony_core::tables::{Member, MemberRole};
use pony_state::{Key, PartKind, Read, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use uuid::Uuid;

const HOST: u128 = 0xA00;
/// Columns of keys.
const IDENTITY: [&str; 8] = ["uuid", "email", "key", "id", "hwaddr", "hash", "bond", "switch"];

/// A cloud with a row at every endpoint, below the tenant that the callers belong to where it is a tenant's.
struct Fixture {
    cloud: Cloud,
    tenant: String,
    callers: Vec<(&'static str, Caller)>,
}

impl Fixture {
    fn new() -> Self {
        let mut cloud = Cloud::new();
        let tenant = cloud.post("/tenant/", json!({"name": "t", "approved": true}));
        let other = cloud.post("/tenant/", json!({"name": "o", "approved": true}));
        for email in ["self", "owner", "admin", "operator", "stranger"] {
            cloud.post("/user/", json!({"email": email}));
        }
        let pool = hosts(&mut cloud);
        publics(&mut cloud, &pool);
        let at = format!("/tenant/{tenant}");
        tenants(&mut cloud, &at, &pool);
        cloud.post(&format!("{at}/member/"), json!({"user": "self", "role": "operator"}));
        let role = |email: &str, tenant: &str, role| Caller::User {
            email: email.into(),
            alicorn: false,
            memberships: BTreeMap::from([(tenant.parse().unwrap(), role)]),
        };
        let nowhere = Caller::User { email: "self".into(), alicorn: false, memberships: BTreeMap::new() };
        let token = Caller::InTenant {
            email: "owner".into(),
            tenant: tenant.parse().unwrap(),
            role: MemberRole::Owner,
        };
        let callers = vec![
            ("nobody", Caller::Nobody),
            ("other", role("stranger", &other, MemberRole::Owner)),
            ("operator", role("operator", &tenant, MemberRole::Operator)),
            ("admin", role("admin", &tenant, MemberRole::Admin)),
            ("owner", role("owner", &tenant, MemberRole::Owner)),
            ("token", token),
            ("user", nowhere),
            ("alicorn", alicorn()),
        ];
        Self { cloud, tenant, callers }
    }

    /// The URL of a row at an endpoint: below the tenant, the user `self`, or whatever is first.
    fn url(&self, endpoint: &Endpoint) -> String {
        let tree = &self.cloud.tree;
        let collection = match endpoint.parent {
            Some(parent) => format!("{}/{}/", self.url(tree.get(parent)), endpoint.name),
            None => format!("/{}/", endpoint.name),
        };
        let keys = self.cloud.keys(&collection);
        let own = keys.iter().find(|key| **key == self.tenant || *key == "self").or(keys.first());
        let key = own.unwrap_or_else(|| panic!("{}: order a row of it in the fixture", endpoint.path));
        format!("{collection}{key}")
    }
}

fn report(cloud: &mut Cloud, table: &str, key: &[Value], current: Json) {
    cloud.report(table, &Key::of(key.iter().cloned()), current);
}

/// Rows that only the cloud itself writes.
fn write(cloud: &mut Cloud, table: &str, key: Value, desired: Json) {
    let mut tx = cloud.state.transaction();
    tx.set_json(table, &Key::one(key), PartKind::Desired, &desired).unwrap();
    tx.commit();
}

fn uuid(text: &str) -> Value {
    Value::Uuid(text.parse().unwrap())
}

/// A host with all that hosts have, its pool, and what only operators order.
fn hosts(cloud: &mut Cloud) -> String {
    let host = id(HOST);
    cloud.post("/host/", json!({"uuid": host}));
    let bond = cloud.post(&format!("/host/{host}/bond/"), json!({}));
    cloud.post(&format!("/host/{host}/nic/"), json!({"hwaddr": "52:54:00:00:00:01", "bond": bond}));
    cloud.post(&format!("/host/{host}/bond/{bond}/vlan/"), json!({"tag": 5}));
    cloud.post(&format!("/host/{host}/bond/{bond}/role/"), json!({"role": "core"}));
    let pool = json!({"name": "p", "type": "dir", "host": host, "config": {"path": "/srv/p"}});
    let pool = cloud.post("/storage-pool/", pool);
    cloud.post("/disk/", json!({"id": "wwn-1", "type": "local", "storage_pool": pool, "host": host}));
    let extent = json!({"disk": "wwn-1", "range": [0, 10], "order": 0});
    let extent = cloud.post(&format!("/storage-pool/{pool}/extent/"), extent);
    let profile = cloud.post("/cpu-profile/", json!({"name": "c", "model": "qemu64"}));
    cloud.post("/config/", json!({"key": "k", "value": 1}));
    cloud.post("/token-key/", json!({}));
    let host = uuid(&host);
    report(cloud, "host_disk", &[host.clone(), "wwn-1".into()], json!({}));
    report(cloud, "host_extent", &[host.clone(), uuid(&extent)], json!({"status": "ready"}));
    report(cloud, "host_storage_pool", &[host.clone(), uuid(&pool)], json!({"status": "ready"}));
    report(cloud, "host_cpu_profile", &[host, uuid(&profile)], json!({"supported": true}));
    pool
}

/// An image and a switch that are everybody's, with what is below them.
fn publics(cloud: &mut Cloud, pool: &str) {
    let image = cloud.post("/image/", json!({"name": "public"}));
    cloud.post(&format!("/image/{image}/volume/"), json!({"size": 8, "storage_pool": pool}));
    let switch = cloud.post("/switch/", json!({"name": "public", "type": "bridge"}));
    let network = cloud.post(&format!("/switch/{switch}/network/"), json!({"range": "192.0.2.0/24"}));
    cloud.post(
        &format!("/switch/{switch}/network/{network}/route/"),
        json!({"route": "0.0.0.0/0", "via": "192.0.2.1"}),
    );
    cloud.post(&format!("/switch/{switch}/network/{network}/address/"), json!({"ip": "192.0.2.2"}));
    // Somebody's card in it.
    let tenant = cloud.post("/tenant/", json!({"name": "guest", "approved": true}));
    let instance = json!({"name": "i", "vcpu": 1, "rcpu": 1, "mem": 64});
    let instance = cloud.post(&format!("/tenant/{tenant}/instance/"), instance);
    cloud.post(&format!("/tenant/{tenant}/instance/{instance}/vnic/"), json!({"switch": switch, "index": 0}));
}

/// One of everything that a tenant has.
fn tenants(cloud: &mut Cloud, at: &str, pool: &str) {
    let tenant = at.rsplit('/').next().unwrap().to_owned();
    let host = uuid(&id(HOST));
    let instance = json!({"name": "i", "vcpu": 1, "rcpu": 1, "mem": 64});
    let instance = cloud.post(&format!("{at}/instance/"), instance);
    let volume = cloud.post(&format!("{at}/volume/"), json!({"size": 8, "storage_pool": pool}));
    let image = cloud.post(&format!("{at}/image/"), json!({"name": "m"}));
    cloud.post(&format!("{at}/image/{image}/volume/"), json!({"size": 8, "storage_pool": pool}));
    cloud.post(&format!("{at}/instance/{instance}/vdisk/"), json!({"volume": volume, "index": 0}));
    let switch = cloud.post(&format!("{at}/switch/"), json!({"name": "s", "type": "bridge"}));
    let network = cloud.post(&format!("{at}/switch/{switch}/network/"), json!({"range": "10.0.0.0/24"}));
    let network_at = format!("{at}/switch/{switch}/network/{network}");
    cloud.post(&format!("{network_at}/route/"), json!({"route": "0.0.0.0/0", "via": "10.0.0.1"}));
    let vnic = cloud.post(&format!("{at}/instance/{instance}/vnic/"), json!({"switch": switch, "index": 0}));
    cloud.post(&format!("{network_at}/address/"), json!({"ip": "10.0.0.2", "vnic": vnic}));
    cloud.post(&format!("{at}/instance/{instance}/pin/"), json!({"host": id(HOST)}));
    let group = json!({"name": "g", "type": "anti-affinity"});
    let group = cloud.post(&format!("{at}/affinity-group/"), group);
    cloud.post(&format!("{at}/affinity-group/{group}/instance/"), json!({"instance": instance}));
    cloud.post(&format!("{at}/quota/"), json!({"type": "mem", "limit": 1000}));
    let guest = cloud.list("/tenant/?name=guest").remove(0).0;
    cloud.post(&format!("{at}/switch/{switch}/tenant/"), json!({"tenant": guest}));
    let metering = json!({"tenant": tenant, "type": "mem", "kind": {}, "amount": 64.0, "start": 1});
    write(cloud, "metering", uuid(&id(0xB00)), metering);
    let event = json!({"ctime": 1, "mtime": 1, "count": 1, "type": "x", "host": id(HOST), "instance": instance, "data": {}});
    write(cloud, "event", "e".into(), event);
    let running = json!({"status": "running", "attempts": 0});
    report(cloud, "host_instance", &[host.clone(), uuid(&instance)], running);
    report(cloud, "host_volume", &[host.clone(), uuid(&volume)], json!({"status": "ready"}));
    report(cloud, "host_image", &[host.clone(), uuid(&image)], json!({"status": "ready"}));
    report(cloud, "host_switch", &[host, uuid(&switch)], json!({"status": "active"}));
    let port = json!({"switch": switch, "host": id(HOST), "address": "192.0.2.1", "macaddr": "52:54:00:00:00:01", "ips": []});
    write(cloud, "switch_port", uuid(&vnic), port);
}

/// Whether access was the only thing asked about: what is refused for another reason was permitted.
fn permitted<T>(what: &str, result: Result<T, DocumentError>) -> bool {
    let Err(error) = result else { return true };
    match (error.code(), &error.problem) {
        (ErrorCode::AccessDenied | ErrorCode::Unauthenticated, _)
        | (_, Problem::ReadOnly { .. } | Problem::NoDesired { .. }) => false,
        (ErrorCode::PathNotFound | ErrorCode::MethodNotAllowed, _) => panic!("{what}: {error}"),
        _ => true,
    }
}

/// What a caller may do at an endpoint: `r`ead, `c`reate, `u`pdate, `d`elete.
fn rights(fixture: &mut Fixture, endpoint_url: &str, who: &Caller) -> String {
    let (collection, key) = endpoint_url.rsplit_once('/').unwrap();
    let (collection, what) = (format!("{collection}/"), format!("{endpoint_url} for {who:?}"));
    let cloud = &mut fixture.cloud;
    let reads = permitted(&what, cloud.get_as(who, endpoint_url));
    // A list shows exactly what can be read by itself.
    let listed = cloud.list_as(who, &collection).is_ok_and(|rows| rows.iter().any(|(it, _)| it == key));
    assert_eq!(listed, reads, "listed against read: {what}");
    // A column that is there: of a table that is only read, nothing else is looked at before that is said.
    let shown = cloud.get_as(&alicorn(), endpoint_url).unwrap();
    let column =
        shown["desired"].as_object().and_then(|it| it.keys().find(|name| !IDENTITY.contains(&name.as_str())));
    let path = format!("/desired/{}", column.map_or("zzz", String::as_str));
    let mut tries = |url: &str, write: Write| permitted(&what, cloud.evaluate(who, url, &write));
    let creates = tries(&collection, Write::Create(json!({"desired": {}})));
    let removal = Write::Patch(json!([{"op": "remove", "path": path}]));
    let merge = Write::Patch(json!([{"op": "x-merge", "path": "", "value": {"desired": {"zzz": 1}}}]));
    let updates = tries(endpoint_url, removal);
    assert_eq!(tries(endpoint_url, merge), updates, "by x-merge against by remove: {what}");
    let by_tree = Write::Patch(json!([{"op": "replace", "path": "/desired", "value": {"zzz": 1}}]));
    assert_eq!(tries(endpoint_url, by_tree), updates, "by replace against by remove: {what}");
    let deletes = tries(endpoint_url, Write::Delete);
    let letters = [(reads, 'r'), (creates, 'c'), (updates, 'u'), (deletes, 'd')];
    let text: String = letters.into_iter().filter_map(|(may, letter)| may.then_some(letter)).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

#[test]
fn the_table_of_access() {
    let mut fixture = Fixture::new();
    let endpoints: BTreeMap<String, String> =
        fixture.cloud.tree.endpoints().map(|it| (it.path.clone(), fixture.url(it))).collect();
    let callers = fixture.callers.clone();
    let mut text = "# r read, c create, u update, d delete. `other`: another tenant's owner; `token`: a tenant's token of its\n\
                    # owner; `user`: the very user of /user, no member of anything. Made by sweep.rs.\n\n"
        .to_owned();
    write!(text, "{:<32}", "").unwrap();
    callers.iter().for_each(|(name, _)| write!(text, " {name:<8}").unwrap());
    text = format!("{}\n", text.trim_end());
    for (path, url) in endpoints {
        let mut line = format!("{path:<32}");
        for (_, who) in &callers {
            write!(line, " {:<8}", rights(&mut fixture, &url, who)).unwrap();
        }
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    crate::errors::golden("access.txt", &text);
}

/// What somebody may do follows from rows, as they are at the moment.
#[test]
fn callers_are_what_their_rows_say() {
    let mut fixture = Fixture::new();
    let tenant: Uuid = fixture.tenant.parse().unwrap();
    let cloud = &mut fixture.cloud;
    assert_eq!(Caller::user(&cloud.state, "unknown"), None);
    assert_eq!(Caller::in_tenant(&cloud.state, "unknown", tenant), None);
    assert_eq!(Caller::in_tenant(&cloud.state, "stranger", tenant), None);
    let own = Caller::user(&cloud.state, "self").unwrap();
    assert_eq!((own.role(tenant), own.is_alicorn()), (Some(MemberRole::Operator), false));
    let there = Caller::in_tenant(&cloud.state, "self", tenant).unwrap();
    assert_eq!(there.role(tenant), Some(MemberRole::Operator));
    assert_eq!(there.role(Uuid::nil()), None);
    cloud.patch("/user/self", json!([{"op": "replace", "path": "/desired/alicorn", "value": true}])).unwrap();
    let there = Caller::in_tenant(&cloud.state, "self", tenant).unwrap();
    assert_eq!((there.role(tenant), there.is_alicorn()), (Some(MemberRole::Owner), false));
    assert_eq!(Caller::in_tenant(&cloud.state, "self", Uuid::nil()), None, "there is no such tenant");
    let member = cloud.state.table::<Member>().iter().next().unwrap().uuid;
    cloud.write(&format!("/user/self/member/{member}"), Write::Delete).unwrap();
    assert_eq!(Caller::user(&cloud.state, "self").unwrap().role(tenant), None);
}
