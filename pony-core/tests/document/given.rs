//! What the cloud gives where a request leaves it out: addresses of a network, network identifiers of switches.

use crate::cloud::Cloud;
use pony_core::document::{ErrorCode, Write};
use serde_json::{Value as Json, json};

/// A switch with a network; the URL of its addresses.
fn network(cloud: &mut Cloud, range: &str) -> String {
    let switch = cloud.post("/switch/", json!({"name": range, "type": "vxlan"}));
    let network = cloud.post(&format!("/switch/{switch}/network/"), json!({"range": range}));
    let via = json!({"route": "0.0.0.0/0", "via": "10.0.0.1"});
    cloud.post(&format!("/switch/{switch}/network/{network}/route/"), via);
    format!("/switch/{switch}/network/{network}/address/")
}

fn ip(cloud: &Cloud, url: &str) -> Json {
    cloud.get(url)["desired"]["ip"].clone()
}

#[test]
fn an_address_gets_the_lowest_that_is_free() {
    let mut cloud = Cloud::new();
    let url = network(&mut cloud, "10.0.0.0/29");
    cloud.post(&url, json!({"ip": "10.0.0.3"}));
    let given = |cloud: &mut Cloud| {
        let made = cloud.post(&url, json!({}));
        (ip(cloud, &format!("{url}{made}")), made)
    };
    // The first is the router's, the third was taken by name.
    let (first, uuid) = given(&mut cloud);
    assert_eq!((first, given(&mut cloud).0), (json!("10.0.0.2"), json!("10.0.0.4")));
    // Several of one request differ, also from one that is named in it.
    let patch = json!([
        {"op": "add", "path": "/$a", "value": {"desired": {}}},
        {"op": "add", "path": "/$b", "value": {"desired": {"ip": "10.0.0.5"}}},
    ]);
    let made = cloud.patch(&url, patch).unwrap();
    assert_eq!(ip(&cloud, &format!("{url}{}", made.uuids["$a"])), "10.0.0.6");
    let full = cloud.write(&url, Write::Create(json!({"desired": {}}))).unwrap_err();
    assert_eq!(full.code(), ErrorCode::Conflict);
    assert!(full.to_string().contains("10.0.0.0/29"), "{full}");
    // What is let go of is given again.
    cloud.write(&format!("{url}{uuid}"), Write::Delete).unwrap();
    assert_eq!(given(&mut cloud).0, "10.0.0.2");
}

#[test]
fn a_vxlan_gets_an_identifier_of_its_own_and_a_bridge_gets_none() {
    let mut cloud = Cloud::new();
    let tag = |cloud: &mut Cloud, desired: Json| {
        let switch = cloud.post("/switch/", desired);
        cloud.get(&format!("/switch/{switch}"))["desired"]["tag"].as_i64()
    };
    let tags: Vec<_> =
        (0..20).map(|n| tag(&mut cloud, json!({"name": format!("s{n}"), "type": "vxlan"}))).collect();
    let mut different = tags.clone();
    different.sort_unstable();
    different.dedup();
    assert!(tags.iter().all(|it| it.is_some_and(|vni| (1..1 << 24).contains(&vni))), "{tags:?}");
    assert_eq!(different.len(), tags.len(), "{tags:?}");
    assert_eq!(tag(&mut cloud, json!({"name": "chosen", "type": "vxlan", "tag": 70_000})), Some(70_000));
    assert_eq!(tag(&mut cloud, json!({"name": "local", "type": "bridge"})), None);
}
