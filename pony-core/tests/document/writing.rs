//! What requests come to: children, placeholders, cascades, moves, and the order of operations.
//!
//! [`Cloud`] commits as a strict database would, and panics where an operation would be refused there.

use crate::cloud::{Cloud, id};
use crate::reading::member;
use pony_core::document::{ErrorCode, Write};
use pony_core::tables::MemberRole;
use pony_state::RowOp;
use serde_json::{Value as Json, json};

/// A tenant, a pool, and an instance with everything.
fn web(cloud: &mut Cloud) -> (String, String) {
    let pool = json!({"name": "p", "type": "dir", "config": {"path": "/srv/p"}});
    let pool = cloud.post("/storage-pool/", pool);
    let tenant = json!({
        "desired": {"name": "acme"},
        "children": {
            "switch": {"$lan": {
                "desired": {"name": "lan", "type": "bridge"},
                "children": {"network": {"$net": {"desired": {"range": "10.0.0.0/24"}}}},
            }},
            "volume": {"$root": {"desired": {"size": 100, "storage_pool": pool}}},
            "instance": {"$web": {
                "desired": {"name": "web", "vcpu": 2, "rcpu": 1.5, "mem": 512, "state": "running"},
                "children": {
                    "vdisk": {"$disk": {"desired": {"volume": "$root", "index": 0}}},
                    "vnic": {"$nic": {
                        "desired": {"switch": "$lan", "index": 0},
                        "children": {"address": {"$ip": {"desired": {"network": "$net", "ip": "10.0.0.5"}}}},
                    }},
                },
            }},
        },
    });
    let patch = json!([{"op": "add", "path": "/tenant/$acme", "value": tenant}]);
    let effect = cloud.patch("/", patch).unwrap();
    (effect.uuids["$acme"].to_string(), pool)
}

fn op_names(ops: &[RowOp]) -> Vec<String> {
    let name = |op: &RowOp| match op {
        RowOp::Insert { table, .. } => format!("+{table}"),
        RowOp::Update { table, columns, .. } => {
            let columns: Vec<&str> = columns.keys().map(String::as_str).collect();
            format!("{table}({})", columns.join(","))
        }
        RowOp::Delete { table, .. } => format!("-{table}"),
    };
    ops.iter().map(name).collect()
}

fn only(cloud: &Cloud, url: &str) -> (String, Json) {
    let mut all = cloud.list(url);
    assert_eq!(all.len(), 1, "{url}");
    all.remove(0)
}

#[test]
fn a_whole_tree_is_made_at_once() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let (instance, entity) = only(&cloud, &format!("/tenant/{tenant}/instance/"));
    assert_eq!(entity["desired"]["tenant"], json!(tenant));
    let (_, disk) = only(&cloud, &format!("/tenant/{tenant}/instance/{instance}/vdisk/"));
    let (volume, _) = only(&cloud, &format!("/tenant/{tenant}/volume/"));
    assert_eq!(disk["desired"]["volume"], json!(volume));
    let (_, nic) = only(&cloud, &format!("/tenant/{tenant}/instance/{instance}/vnic/"));
    assert!(nic["desired"]["macaddr"].as_str().unwrap().starts_with("52:54:00:"));
    let (switch, _) = only(&cloud, &format!("/tenant/{tenant}/switch/"));
    only(&cloud, &format!("/tenant/{tenant}/switch/{switch}/vnic/"));
    only(&cloud, &format!("/tenant/{tenant}/volume/{volume}/vdisk/"));
    let instances = cloud.list(&format!("/tenant/{tenant}/volume/{volume}/vdisk/_join/"));
    assert_eq!(instances[0].0, instance);
}

#[test]
fn a_post_answers_what_its_placeholders_stand_for() {
    let mut cloud = Cloud::new();
    let create = |desired: Json| Write::Create(json!({"desired": desired}));
    let effect = cloud.write("/tenant/", create(json!({"name": "a"}))).unwrap();
    assert_eq!(serde_json::to_value(&effect.uuids).unwrap(), json!({"POST": id(1)}));
    let effect = cloud.write("/tenant/", create(json!({"uuid": "new", "name": "b"}))).unwrap();
    assert_eq!(serde_json::to_value(&effect.uuids).unwrap(), json!({"new": id(2)}));
    let effect = cloud.write("/config/", create(json!({"key": "k", "value": 1}))).unwrap();
    assert!(effect.uuids.is_empty());
    let effect = cloud.write(&format!("/tenant/{}", id(1)), Write::Delete).unwrap();
    assert!(effect.uuids.is_empty());
}

#[test]
fn later_operations_see_what_earlier_ones_did() {
    let mut cloud = Cloud::new();
    let patch = json!([
        {"op": "add", "path": "/config/a", "value": {"desired": {"value": {"n": 1}}}},
        {"op": "test", "path": "/config/a/desired/value/n", "value": 1},
        {"op": "copy", "from": "/config/a", "path": "/config/b"},
        {"op": "replace", "path": "/config/b/desired/value/n", "value": 2},
        {"op": "x-merge", "path": "/config", "value": {"a": {"desired": {"value": {"m": 3}}}, "c": null}},
        {"op": "move", "from": "/config/a/desired/value/m", "path": "/config/b/desired/value/m"},
        {"op": "test", "path": "/config", "value": {
            "a": {"desired": {"value": {"n": 1}}}, "b": {"desired": {"value": {"n": 2, "m": 3}}}}},
        {"op": "remove", "path": "/config/a"},
        {"op": "x-verify", "path": ["config"], "value": {"a": null, "b": {}}},
    ]);
    let effect = cloud.patch("/", patch).unwrap();
    assert_eq!(op_names(&effect.ops), ["+config"]);
    assert_eq!(cloud.get("/config/b"), json!({"desired": {"key": "b", "value": {"n": 2, "m": 3}}}));
}

/// What was merged used to be put beside the item that it was merged into.
#[test]
fn an_item_of_a_list_is_merged_where_it_stands() {
    let mut cloud = Cloud::new();
    let patch = json!([
        {"op": "add", "path": "/config/a", "value": {"desired": {"value": [null, {"n": 1}]}}},
        {"op": "x-merge", "path": "/config/a/desired/value/0", "value": null},
        {"op": "x-merge", "path": "/config/a/desired/value/1", "value": {"m": 2}},
    ]);
    cloud.patch("/", patch).unwrap();
    let value = json!([null, {"n": 1, "m": 2}]);
    assert_eq!(cloud.get("/config/a"), json!({"desired": {"key": "a", "value": value}}));
}

#[test]
fn what_is_as_asked_for_already_comes_to_nothing() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let url = format!("/tenant/{tenant}");
    let read = cloud.get(&url);
    assert!(cloud.write(&url, Write::Merge(read)).unwrap().ops.is_empty());
    let patch = json!([
        {"op": "replace", "path": "/desired/name", "value": "x"},
        {"op": "replace", "path": "/desired/name", "value": "acme"},
        {"op": "add", "path": "/children/image/$i", "value": {"desired": {"name": "i"}}},
        {"op": "remove", "path": "/children/image/$i"},
    ]);
    assert!(cloud.patch(&url, patch).unwrap().ops.is_empty());
}

#[test]
fn a_merge_patch_makes_changes_and_removes() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let (instance, _) = only(&cloud, &format!("/tenant/{tenant}/instance/"));
    let merge = json!({"children": {
        "instance": {&instance: {"desired": {"mem": 1024, "user_data": "x"}, "children": {"vnic": {
            "$more": {"desired": {"switch": "$wan", "index": 1}}}}}},
        "switch": {"$wan": {"desired": {"name": "wan", "type": "vxlan"}}},
        "image": {"$gone": null},
    }});
    let effect = cloud.write(&format!("/tenant/{tenant}"), Write::Merge(merge)).unwrap();
    assert_eq!(op_names(&effect.ops), ["+switch", "instance(mem,user_data)", "+vnic"]);
    let merge = json!({"desired": {"user_data": null}});
    let url = format!("/tenant/{tenant}/instance/{instance}");
    assert_eq!(op_names(&cloud.write(&url, Write::Merge(merge)).unwrap().ops), ["instance(user_data)"]);
    assert_eq!(cloud.get(&url)["desired"]["user_data"], Json::Null);
    let merge = json!({"instance": {instance: null}});
    let patch = json!([{"op": "x-merge", "path": "/children", "value": merge}]);
    let effect = cloud.patch(&format!("/tenant/{tenant}"), patch).unwrap();
    assert!(op_names(&effect.ops).contains(&"-instance".to_owned()));
}

#[test]
fn each_operation_says_where_it_was_asked_for() {
    let mut cloud = Cloud::new();
    let (tenant, pool) = web(&mut cloud);
    let patch = json!([
        {"op": "replace", "path": "/children/instance", "value": 1},
    ]);
    assert!(cloud.patch(&format!("/tenant/{tenant}"), patch).is_err());
    let patch = json!([{"op": "add", "path": "/children/volume/$v", "value":
        {"desired": {"size": 1, "storage_pool": pool}}}]);
    let effect = cloud.patch(&format!("/tenant/{tenant}"), patch).unwrap();
    assert_eq!(effect.paths[0].to_string(), format!("/tenant/{tenant}/children/volume/$v/desired"));
}

#[test]
fn removing_an_instance_keeps_its_volumes() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let (instance, _) = only(&cloud, &format!("/tenant/{tenant}/instance/"));
    let effect = cloud.write(&format!("/tenant/{tenant}/instance/{instance}"), Write::Delete).unwrap();
    let names = op_names(&effect.ops);
    assert_eq!(names[2..], ["-instance", "address(vnic)"]);
    assert!(
        names[..2].contains(&"-vdisk".to_owned()) && names[..2].contains(&"-vnic".to_owned()),
        "{names:?}"
    );
    let (_, volume) = only(&cloud, &format!("/tenant/{tenant}/volume/"));
    assert_eq!(volume["desired"]["state"], "present");
}

/// Data must not be forgotten: until a host says that they are gone, somebody has to know of them.
#[test]
fn removing_a_tenant_gives_up_its_volumes_and_lets_go_of_them() {
    let mut cloud = Cloud::new();
    let (tenant, pool) = web(&mut cloud);
    let image =
        cloud.post(&format!("/tenant/{tenant}/image/"), json!({"name": "i", "source_uri": "http://x/"}));
    cloud.post(&format!("/tenant/{tenant}/image/{image}/volume/"), json!({"storage_pool": pool}));
    let (volume, _) = only(&cloud, &format!("/tenant/{tenant}/volume/"));
    let copy = json!({"size": 1, "storage_pool": pool, "base_volume": volume});
    cloud.post(&format!("/tenant/{tenant}/volume/"), copy);
    cloud.write(&format!("/tenant/{tenant}"), Write::Delete).unwrap();
    for table in ["tenant", "image", "switch"] {
        assert!(cloud.list(&format!("/{table}/")).is_empty(), "{table}");
    }
    let volumes = cloud.list(&format!("/storage-pool/{pool}/volume/"));
    assert_eq!(volumes.len(), 3);
    for (_, volume) in volumes {
        assert_eq!(volume["desired"]["state"], "deleted");
        for column in ["tenant", "image", "base_image", "base_volume"] {
            assert_eq!(volume["desired"][column], Json::Null, "{column}");
        }
    }
}

#[test]
fn removing_a_volume_orders_it_deleted_and_unplugs_it() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let (volume, _) = only(&cloud, &format!("/tenant/{tenant}/volume/"));
    let url = format!("/tenant/{tenant}/volume/{volume}");
    let effect = cloud.write(&url, Write::Delete).unwrap();
    assert_eq!(op_names(&effect.ops), ["-vdisk", "volume(state)"]);
    assert!(cloud.write(&url, Write::Delete).unwrap().ops.is_empty());
    let back = json!([{"op": "replace", "path": "/desired/state", "value": "present"}]);
    assert_eq!(cloud.patch(&url, back).unwrap_err().code(), ErrorCode::Conflict);
}

/// Ordering the state comes to the same as removing the entity.
#[test]
fn ordering_a_volume_deleted_unplugs_it_too() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let (volume, _) = only(&cloud, &format!("/tenant/{tenant}/volume/"));
    let order = json!([{"op": "replace", "path": "/desired/state", "value": "deleted"}]);
    let effect = cloud.patch(&format!("/tenant/{tenant}/volume/{volume}"), order).unwrap();
    assert_eq!(op_names(&effect.ops), ["-vdisk", "volume(state)"]);
}

#[test]
fn an_image_goes_when_nothing_is_being_filled_from_it() {
    let mut cloud = Cloud::new();
    let (tenant, pool) = web(&mut cloud);
    let image = cloud.post("/image/", json!({"name": "i"}));
    let backing = cloud.post(&format!("/image/{image}/volume/"), json!({"storage_pool": pool}));
    let order = json!({"size": 1, "storage_pool": pool, "base_image": image});
    let volume = cloud.post(&format!("/tenant/{tenant}/volume/"), order);
    let url = format!("/image/{image}");
    assert_eq!(cloud.write(&url, Write::Delete).unwrap_err().code(), ErrorCode::Conflict);
    // One request gives up the volume and removes the image: the order is the cloud's to find.
    let patch = json!([
        {"op": "remove", "path": url},
        {"op": "remove", "path": format!("/tenant/{tenant}/children/volume/{volume}")},
    ]);
    let effect = cloud.patch("/", patch).unwrap();
    assert_eq!(op_names(&effect.ops).last().unwrap(), "-image");
    let backing = cloud.get(&format!("/storage-pool/{pool}/volume/{backing}"));
    assert_eq!(backing["desired"]["state"], "deleted");
}

#[test]
fn a_dead_host_and_its_pool_can_be_removed_once_their_volumes_are_given_up() {
    let mut cloud = Cloud::new();
    let host = id(0xA00);
    cloud.post("/host/", json!({"uuid": host}));
    cloud.post(&format!("/host/{host}/bond/"), json!({}));
    let pool = json!({"name": "p", "type": "dir", "host": host, "config": {"path": "/srv/p"}});
    let pool = cloud.post("/storage-pool/", pool);
    let tenant = cloud.post("/tenant/", json!({"name": "t"}));
    let volume = cloud.post(&format!("/tenant/{tenant}/volume/"), json!({"size": 1, "storage_pool": pool}));
    let url = format!("/host/{host}");
    assert_eq!(cloud.write(&url, Write::Delete).unwrap_err().code(), ErrorCode::Conflict);
    cloud.write(&format!("/tenant/{tenant}/volume/{volume}"), Write::Delete).unwrap();
    let effect = cloud.write(&url, Write::Delete).unwrap();
    let names = op_names(&effect.ops);
    assert_eq!((names.len(), names.last().unwrap().as_str()), (4, "-host"));
    assert!(names.contains(&"-volume".to_owned()));
}

#[test]
fn a_host_with_a_placement_stays() {
    let mut cloud = Cloud::new();
    let host = id(0xA00);
    cloud.post("/host/", json!({"uuid": host}));
    let mut tx = cloud.state.transaction();
    let placement = json!({"host": host, "instance": id(0xB00)});
    let key =
        tx.def("host_instance").unwrap().key_of_part(pony_state::PartKind::Desired, &placement).unwrap();
    tx.set_json("host_instance", &key, pony_state::PartKind::Desired, &placement).unwrap();
    tx.commit();
    let refused = cloud.write(&format!("/host/{host}"), Write::Delete).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert!(refused.to_string().contains("evacuate"), "{refused}");
}

#[test]
fn a_unique_place_is_free_for_the_successor_in_the_same_request() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let (instance, _) = only(&cloud, &format!("/tenant/{tenant}/instance/"));
    let (nic, entity) = only(&cloud, &format!("/tenant/{tenant}/instance/{instance}/vnic/"));
    let patch = json!([
        {"op": "add", "path": "/children/vnic/$n", "value": {"desired": {"switch": entity["desired"]["switch"], "index": 0}}},
        {"op": "remove", "path": format!("/children/vnic/{nic}")},
    ]);
    let effect = cloud.patch(&format!("/tenant/{tenant}/instance/{instance}"), patch).unwrap();
    let names = op_names(&effect.ops);
    let place = |name: &str| names.iter().position(|it| it == name).unwrap();
    assert!(place("-vnic") < place("+vnic"), "{names:?}");
}

/// The old parent goes last, or it would take along what moves away from it.
#[test]
fn a_row_moves_from_a_parent_that_goes_to_one_that_comes() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let (old, _) = only(&cloud, &format!("/tenant/{tenant}/switch/"));
    let (nic, _) = only(&cloud, &format!("/tenant/{tenant}/switch/{old}/vnic/"));
    let patch = json!([
        {"op": "add", "path": "/children/switch/$new", "value": {"desired": {"name": "new", "type": "bridge"}}},
        {"op": "move", "from": format!("/children/switch/{old}/children/vnic/{nic}"), "path": format!("/children/switch/$new/children/vnic/{nic}")},
        {"op": "remove", "path": format!("/children/switch/{old}")},
    ]);
    let effect = cloud.patch(&format!("/tenant/{tenant}"), patch).unwrap();
    let names = op_names(&effect.ops);
    assert_eq!(names.last().unwrap(), "-switch");
    let moved = format!("/tenant/{tenant}/switch/{}/vnic/{nic}", effect.uuids["$new"]);
    assert_eq!(cloud.get(&moved)["desired"]["index"], 0);
}

#[test]
fn entities_move_along_their_path_with_keys_that_name_the_parent() {
    let mut cloud = Cloud::new();
    let host = id(0xA00);
    cloud.post("/host/", json!({"uuid": host}));
    let bonds = format!("/host/{host}/bond/");
    let (a, b) = (cloud.post(&bonds, json!({})), cloud.post(&bonds, json!({})));
    cloud
        .write(&format!("/host/{host}/bond/{a}/vlan/"), Write::Create(json!({"desired": {"tag": 7}})))
        .unwrap();
    let path = |bond: &str| format!("/host/{host}/children/bond/{bond}/children/vlan/7");
    let effect = cloud.patch("/", json!([{"op": "move", "from": path(&a), "path": path(&b)}])).unwrap();
    assert_eq!(op_names(&effect.ops), ["-vlan", "+vlan"]);
    assert_eq!(cloud.keys(&format!("/host/{host}/bond/{b}/vlan/")), ["7"]);
    assert_eq!(
        cloud.get(&format!("/host/{host}/bond/{b}/vlan/7")),
        json!({"desired": {"bond": b, "tag": 7}})
    );
}

#[test]
fn a_card_is_put_into_a_bond_and_taken_out() {
    let mut cloud = Cloud::new();
    let host = id(0xA00);
    cloud.post("/host/", json!({"uuid": host}));
    let bond = cloud.post(&format!("/host/{host}/bond/"), json!({}));
    let nic = json!({"desired": {"hwaddr": "52:54:00:00:00:01"}});
    cloud.write(&format!("/host/{host}/nic/"), Write::Create(nic)).unwrap();
    let url = format!("/host/{host}/nic/52:54:00:00:00:01");
    cloud.patch(&url, json!([{"op": "add", "path": "/desired/bond", "value": bond}])).unwrap();
    assert_eq!(cloud.keys(&format!("/host/{host}/bond/{bond}/nic/")), ["52:54:00:00:00:01"]);
    cloud.patch(&url, json!([{"op": "remove", "path": "/desired/bond"}])).unwrap();
    assert!(cloud.keys(&format!("/host/{host}/bond/{bond}/nic/")).is_empty());
}

#[test]
fn a_copy_takes_what_was_ordered_to_another_owner() {
    let mut cloud = Cloud::new();
    let (tenant, _) = web(&mut cloud);
    let other = cloud.post("/tenant/", json!({"name": "other"}));
    let (instance, _) = only(&cloud, &format!("/tenant/{tenant}/instance/"));
    let patch = json!([{"op": "copy", "from": format!("/tenant/{tenant}/children/instance/{instance}"),
        "path": format!("/tenant/{other}/children/instance/$copy")}]);
    let effect = cloud.patch("/", patch).unwrap();
    let copy = cloud.get(&format!("/tenant/{other}/instance/{}", effect.uuids["$copy"]));
    assert_eq!((&copy["desired"]["tenant"], &copy["desired"]["mem"]), (&json!(other), &json!(512)));
}

/// Any tenant could put its guests on any VLAN of the core network that no host used itself.
#[test]
fn a_vlan_of_the_core_network_is_an_operators_to_give() {
    let mut cloud = Cloud::new();
    let tenant = cloud.post("/tenant/", json!({"name": "a", "approved": true}));
    let owner = member(&tenant, MemberRole::Owner);
    let switches = format!("/tenant/{tenant}/switch/");
    let order = |kind: &str, tag: Option<i64>| {
        Write::Create(json!({"desired": {"name": format!("{kind} {tag:?}"), "type": kind, "tag": tag}}))
    };
    let refused = cloud.write_as(&owner, &switches, &order("bridge", Some(7))).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::AccessDenied);
    let at = refused.path.as_ref().unwrap().to_string();
    assert!(refused.to_string().contains("VLAN 7") && at.ends_with("/tag"), "{refused:?}");
    for (kind, tag) in [("bridge", None), ("vxlan", None), ("vxlan", Some(7))] {
        cloud.write_as(&owner, &switches, &order(kind, tag)).unwrap();
    }
    // One that an operator gave is the tenant's otherwise; it moves to no other VLAN, and no other switch onto it.
    let given = cloud.post(&switches, json!({"name": "given", "type": "bridge", "tag": 8}));
    let mut set = |column: &str, value: Json| {
        let patch = json!([{"op": "add", "path": format!("/desired/{column}"), "value": value}]);
        cloud.write_as(&owner, &format!("{switches}{given}"), &Write::Patch(patch)).map(drop)
    };
    set("name", json!("mine")).unwrap();
    assert_eq!(set("tag", json!(9)).unwrap_err().code(), ErrorCode::AccessDenied);
    set("tag", Json::Null).unwrap();
    assert_eq!(set("tag", json!(8)).unwrap_err().code(), ErrorCode::AccessDenied);
}

#[test]
fn ten_thousand_rows_in_one_request() {
    let mut cloud = Cloud::new();
    let many: serde_json::Map<String, Json> =
        (0..10_000).map(|n| (format!("k{n}"), json!({"desired": {"value": n}}))).collect();
    let effect =
        cloud.evaluate(&crate::cloud::alicorn(), "/config/", &Write::Merge(Json::Object(many))).unwrap();
    assert_eq!(effect.ops.len(), 10_000);
    let more: serde_json::Map<String, Json> =
        (0..20_001).map(|n| (format!("k{n}"), json!({"desired": {"value": n}}))).collect();
    let refused = cloud.evaluate(&crate::cloud::alicorn(), "/config/", &Write::Merge(Json::Object(more)));
    assert_eq!(refused.unwrap_err().code(), ErrorCode::TooLarge);
}
