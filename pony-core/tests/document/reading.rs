//! Entities, collections, filters, pages, joins; and who sees what.

use crate::cloud::{Cloud, alicorn, id};
use pony_core::document::{Caller, ErrorCode};
use pony_core::tables::MemberRole;
use pony_state::{Key, Value};
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(crate) fn member(tenant: &str, role: MemberRole) -> Caller {
    let memberships = BTreeMap::from([(tenant.parse::<Uuid>().unwrap(), role)]);
    Caller::User { email: "m@example.org".into(), alicorn: false, memberships }
}

/// Two tenants, an instance each; a host that reports.
fn cloud() -> (Cloud, String, String) {
    let mut cloud = Cloud::new();
    let a = cloud.post("/tenant/", json!({"name": "a"}));
    let b = cloud.post("/tenant/", json!({"name": "b"}));
    for (tenant, name) in [(&a, "one"), (&a, "two"), (&b, "three")] {
        let instance = json!({"name": name, "vcpu": 1, "rcpu": 0.5, "mem": 64});
        cloud.post(&format!("/tenant/{tenant}/instance/"), instance);
    }
    (cloud, a, b)
}

#[test]
fn entities_show_their_key_and_no_nulls() {
    let (cloud, a, _) = cloud();
    let url = format!("/tenant/{a}/instance/{}", id(3));
    let expected = json!({"desired": {
        "uuid": id(3), "tenant": a, "name": "one", "state": "stopped", "vcpu": 1, "rcpu": 0.5, "mem": 64, "ns": [],
        "boot": "disk", "firmware": "bios",
    }});
    assert_eq!(cloud.get(&url), expected);
}

#[test]
fn below_a_parent_there_is_only_what_belongs_to_it() {
    let (cloud, a, b) = cloud();
    assert_eq!(cloud.keys(&format!("/tenant/{a}/instance/")), [id(3), id(4)]);
    let wrong = cloud.get_as(&alicorn(), &format!("/tenant/{b}/instance/{}", id(3))).unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::PathNotFound);
    assert_eq!(wrong.path.unwrap().to_string(), format!("/tenant/{b}/children/instance/{}", id(3)));
}

#[test]
fn lists_are_filtered_paged_and_cut_to_fields() {
    let (cloud, a, _) = cloud();
    let url = format!("/tenant/{a}/instance/");
    assert_eq!(cloud.keys(&format!("{url}?name=two")), [id(4)]);
    assert_eq!(cloud.keys(&format!("{url}?name=two&mem=65")), [] as [String; 0]);
    assert_eq!(cloud.keys(&format!("{url}?limit=1")), [id(3)]);
    assert_eq!(cloud.keys(&format!("{url}?limit=1&after={}", id(3))), [id(4)]);
    assert_eq!(cloud.keys("/tenant/?name=b"), [id(2)]);
    assert_eq!(cloud.keys(&format!("/tenant/?after={}", id(1))), [id(2)]);
    let cut = cloud.list(&format!("{url}?fields=name,mem&limit=1"));
    assert_eq!(cut, [(id(3), json!({"desired": {"name": "one", "mem": 64}}))]);
    for wrong in ["nmae=x", "mem=many", "fields=nmae", "limit=0", "limit=x"] {
        let error = cloud.list_as(&alicorn(), &format!("{url}?{wrong}")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidData, "{wrong}");
    }
}

#[test]
fn a_filter_holds_by_either_part() {
    let mut cloud = Cloud::new();
    let (x, y) = (id(100), id(101));
    for host in [&x, &y] {
        cloud.post("/host/", json!({"uuid": host}));
    }
    let mac: pony_state::Mac = "52:54:00:00:00:01".parse().unwrap();
    cloud.report("nic", &Key::one(mac), json!({"host": y, "status": "ready"}));
    cloud.patch(&format!("/host/{x}/nic/52:54:00:00:00:01"), json!([])).unwrap();
    let order = json!({"desired": {"hwaddr": "52:54:00:00:00:01"}});
    cloud.write(&format!("/host/{x}/nic/"), pony_core::document::Write::Create(order)).unwrap();
    for host in [&x, &y] {
        assert_eq!(cloud.keys(&format!("/host/{host}/nic/")), ["52:54:00:00:00:01"]);
    }
    assert_eq!(cloud.keys(&format!("/host/{x}/nic/?status=ready")), ["52:54:00:00:00:01"]);
    let nic = cloud.get(&format!("/host/{y}/nic/52:54:00:00:00:01"));
    assert_eq!((&nic["desired"]["host"], &nic["current"]["host"]), (&json!(x), &json!(y)));
}

#[test]
fn composite_keys_show_the_part_that_the_path_does_not_give() {
    let (mut cloud, a, _) = cloud();
    let host = id(100);
    cloud.post("/host/", json!({"uuid": host}));
    let uuid = |text: &str| Value::Uuid(text.parse().unwrap());
    let key = Key::of([uuid(&host), uuid(&id(3))]);
    cloud.report("host_instance", &key, json!({"status": "running", "attempts": 0}));
    assert_eq!(cloud.keys(&format!("/host/{host}/instance/")), [id(3)]);
    let by_host = cloud.list(&format!("/tenant/{a}/instance/{}/host/", id(3)));
    let current = json!({"host": host, "instance": id(3), "status": "running", "released": false, "sent": false, "attempts": 0});
    assert_eq!(by_host, [(host.clone(), json!({"current": current}))]);
    let joined = cloud.list(&format!("/host/{host}/instance/_join/"));
    assert_eq!(joined[0].0, id(3));
    assert_eq!(joined[0].1["joined"][&id(3)]["current"]["status"], "running");
    assert_eq!(joined[0].1["desired"]["name"], "one");
}

#[test]
fn a_join_lists_what_its_rows_point_to() {
    let (mut cloud, a, _) = cloud();
    let group =
        cloud.post(&format!("/tenant/{a}/affinity-group/"), json!({"name": "g", "type": "anti-affinity"}));
    let url = format!("/tenant/{a}/affinity-group/{group}/instance/");
    let row = cloud.post(&url, json!({"instance": id(4)}));
    let joined = cloud.list(&format!("{url}_join/"));
    assert_eq!(joined.len(), 1);
    assert_eq!(joined[0].0, id(4));
    assert_eq!(joined[0].1["desired"]["name"], "two");
    assert_eq!(joined[0].1["joined"][&row]["desired"]["affinity_group"], json!(group));
    assert!(cloud.list(&format!("{url}_join/?name=one")).is_empty());
    let back = cloud.list(&format!("/tenant/{a}/instance/{}/affinity-group/_join/", id(4)));
    assert_eq!(back[0].0, group);
    let none = cloud.list_as(&alicorn(), &format!("/tenant/{a}/volume/_join/")).unwrap_err();
    assert_eq!(none.code(), ErrorCode::PathNotFound);
}

#[test]
fn a_tenant_sees_nothing_of_anothers() {
    let (cloud, a, b) = cloud();
    let operator = member(&a, MemberRole::Operator);
    assert_eq!(cloud.list_as(&operator, "/tenant/").unwrap().len(), 1);
    assert_eq!(cloud.list_as(&operator, &format!("/tenant/{a}/instance/")).unwrap().len(), 2);
    // The same answer whether or not there is such a tenant.
    for stranger in [&b, &id(999)] {
        let refused = cloud.list_as(&operator, &format!("/tenant/{stranger}/instance/")).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::AccessDenied, "{stranger}");
    }
    for protected in ["/host/", "/config/", "/event/", &format!("/tenant/{a}/quota/")] {
        assert_eq!(
            cloud.list_as(&operator, protected).unwrap_err().code(),
            ErrorCode::AccessDenied,
            "{protected}"
        );
    }
    let nobody = Caller::Nobody;
    assert_eq!(cloud.list_as(&nobody, "/tenant/").unwrap_err().code(), ErrorCode::Unauthenticated);
    assert!(cloud.list_as(&nobody, "/storage-pool/").unwrap().is_empty());
}

#[test]
fn public_collections_show_what_belongs_to_nobody() {
    let (mut cloud, a, _) = cloud();
    let public = cloud.post("/image/", json!({"name": "debian"}));
    let private = cloud.post(&format!("/tenant/{a}/image/"), json!({"name": "mine"}));
    assert_eq!(cloud.list_as(&Caller::Nobody, "/image/").unwrap().len(), 1);
    assert_eq!(cloud.keys("/image/"), [public]);
    let hidden = cloud.get_as(&alicorn(), &format!("/image/{private}")).unwrap_err();
    assert_eq!(hidden.code(), ErrorCode::PathNotFound);
}

#[test]
fn secrets_are_never_shown_nor_found_out() {
    let mut cloud = Cloud::new();
    cloud.post("/user/", json!({"email": "a@example.org", "data": {"method": "password", "hash": "x"}}));
    assert_eq!(
        cloud.get("/user/a@example.org"),
        json!({"desired": {"email": "a@example.org", "alicorn": false}})
    );
    assert!(cloud.list_as(&alicorn(), "/user/?data={}").is_err());
    for op in [
        json!({"op": "test", "path": "/desired/data/hash", "value": "x"}),
        json!({"op": "x-verify", "path": "/desired", "value": {"data": {"hash": "x"}}}),
        json!({"op": "copy", "from": "/desired/data", "path": "/desired/alicorn"}),
        json!({"op": "move", "from": "/desired/data", "path": "/desired/alicorn"}),
    ] {
        assert!(cloud.patch("/user/a@example.org", json!([op.clone()])).is_err(), "{op}");
    }
    let set = json!([{"op": "add", "path": "/desired/data/hash", "value": "y"}]);
    let effect = cloud.patch("/user/a@example.org", set).unwrap();
    assert_eq!(effect.ops.len(), 1);
}
