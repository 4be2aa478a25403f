//! What a tenant is billed for, as the tenant sees it: over HTTP, on a database of its own.

use crate::client::{config, operator, send};
use serde_json::{Map, Value as Json, json};
use sparkle::Sparkle;
use std::time::{Duration, Instant};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The rows of a tenant, once there are so many that are open and so many that have ended.
async fn metered(
    sparkle: &Sparkle,
    auth: &str,
    tenant: &str,
    open: usize,
    ended: usize,
) -> Map<String, Json> {
    let began = Instant::now();
    loop {
        let rows =
            send(sparkle.api(), "GET", &format!("/v1/tenant/{tenant}/metering/"), auth, "").await.json();
        let rows = rows.as_object().unwrap().clone();
        let done = rows.values().filter(|row| row["desired"].get("end").is_some()).count();
        if (rows.len() - done, done) == (open, ended) {
            return rows;
        }
        assert!(began.elapsed() < PATIENCE, "{rows:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_is_metered_once_and_nobody_edits_it() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let made =
        send(sparkle.api(), "POST", "/v1/tenant/", &auth, &json!({"desired": {"name": "t"}}).to_string())
            .await;
    let tenant = made.json()["uuids"]["POST"].as_str().unwrap().to_owned();
    let instance = json!({"desired": {"name": "web", "vcpu": 2, "rcpu": 0.5, "mem": 64}}).to_string();
    let instances = format!("/v1/tenant/{tenant}/instance/");
    let made = send(sparkle.api(), "POST", &instances, &auth, &instance).await;
    let instance = format!("{instances}{}", made.json()["uuids"]["POST"].as_str().unwrap());
    let rows = metered(&sparkle, &auth, &tenant, 4, 0).await;
    let amount = |resource: &str| {
        rows.values().find(|row| row["desired"]["type"] == resource).unwrap()["desired"]["amount"].clone()
    };
    assert_eq!(["instances", "vcpu", "rcpu", "mem"].map(amount), [1.0, 2.0, 0.5, 64.0].map(Json::from));
    let (key, _) = rows.iter().next().unwrap();
    let row = format!("/v1/tenant/{tenant}/metering/{key}");
    assert_eq!(send(sparkle.api(), "DELETE", &row, &auth, "").await.status, 405);
    sparkle.shutdown().await;

    // Another start finds everything metered.
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let grow = json!([{"op": "replace", "path": "/desired/mem", "value": 128}]).to_string();
    assert_eq!(send(sparkle.api(), "PATCH", &instance, &auth, &grow).await.status, 200);
    metered(&sparkle, &auth, &tenant, 4, 1).await;
    assert_eq!(send(sparkle.api(), "DELETE", &instance, &auth, "").await.status, 200);
    metered(&sparkle, &auth, &tenant, 0, 5).await;
    sparkle.shutdown().await;
}
