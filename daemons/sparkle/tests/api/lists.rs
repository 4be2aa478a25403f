//! Long lists: they come in pieces, whole, in the order of keys.

use crate::client::{Answer, basic, send};
use serde_json::{Map, Value as Json, json};
use sparkle::{Config, DatabaseArgs, HttpArgs, Sparkle};
use std::net::{Ipv4Addr, SocketAddr};

/// Tenants: far more than fit into a piece.
const TENANTS: usize = 2_000;

/// The body of an answer that came in chunks.
fn whole(answer: &Answer) -> String {
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let (mut rest, mut body) = (answer.body.as_str(), String::new());
    loop {
        let (length, after) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        body.push_str(&after[..length]);
        rest = &after[length + 2..];
        if length == 0 {
            return body;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (database, http) = (DatabaseArgs::default(), HttpArgs::default());
    let state = dir.path().join("state");
    let config = Config { dir: state, listen: any, zmq: any, enroll: false, database, http };
    let sparkle = Sparkle::start(config).await.unwrap();
    let auth = basic(&std::fs::read_to_string(sparkle.credentials()).unwrap());
    let get = async |path: &str| send(sparkle.api(), "GET", path, &auth, "").await;
    assert_eq!(get("/v1/tenant/").await.body, "{}");

    let tenants: Map<String, Json> = (0..TENANTS)
        .map(|number| {
            (
                format!("$t{number}"),
                json!({"desired": {"name": format!("t{number}"), "approved": number.is_multiple_of(2)}}),
            )
        })
        .collect();
    let patch = json!([{"op": "x-merge", "path": "/tenant", "value": tenants}]);
    let made = send(sparkle.api(), "PATCH", "/v1/", &auth, &patch.to_string()).await;
    assert_eq!(made.status, 200, "{}", made.body);

    let text = whole(&get("/v1/tenant/").await);
    let listed: Map<String, Json> = serde_json::from_str(&text).unwrap();
    assert_eq!(listed.len(), TENANTS);
    let place = |key: &String| text.find(&format!("\"{key}\":{{")).unwrap();
    assert!(listed.keys().map(place).is_sorted(), "in the order of keys");
    let filtered: Map<String, Json> =
        serde_json::from_str(&whole(&get("/v1/tenant/?approved=true&fields=name").await)).unwrap();
    assert_eq!(filtered.len(), TENANTS / 2);
    let parts = filtered.values().map(|tenant| tenant["desired"].as_object().unwrap());
    assert!(parts.into_iter().all(|part| part.len() == 1 && part.contains_key("name")));
    let (key, tenant) = listed.iter().next().unwrap();
    assert_eq!(get(&format!("/v1/tenant/{key}")).await.json(), *tenant, "an entity is what its list says");

    // What join rows point to comes the same way: a user's tenants, by his memberships.
    let members: Vec<Json> = listed
        .keys()
        .enumerate()
        .map(|(number, tenant)| {
            let member = json!({"desired": {"user": "operator@localhost", "role": "operator"}});
            json!({"op": "add", "path": format!("/tenant/{tenant}/children/member/$m{number}"), "value": member})
        })
        .collect();
    let made = send(sparkle.api(), "PATCH", "/v1/", &auth, &Json::from(members).to_string()).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let joined = whole(&get("/v1/user/operator@localhost/member/_join/").await);
    let joined: Map<String, Json> = serde_json::from_str(&joined).unwrap();
    assert!(joined.keys().eq(listed.keys()));
    let (key, tenant) = joined.iter().next().unwrap();
    assert_eq!(tenant["desired"], listed[key]["desired"]);
    let member = tenant["joined"].as_object().unwrap().values().next().unwrap();
    assert_eq!(member["desired"]["tenant"], key.as_str());

    let page = get("/v1/tenant/?limit=3").await;
    assert!(page.header("content-length").is_some(), "a short one comes at once");
    assert!(page.json().as_object().unwrap().keys().eq(listed.keys().take(3)));
    let after = listed.keys().nth(2).unwrap();
    let next = get(&format!("/v1/tenant/?limit=3&after={after}")).await.json();
    assert!(next.as_object().unwrap().keys().eq(listed.keys().skip(3).take(3)));
    sparkle.shutdown().await;
}
