//! Many writers at once: their requests share transactions, and none of them notices.

use crate::client::{Answer, config, operator};
use futures::future::join_all;
use serde_json::json;
use sparkle::Sparkle;

async fn send(sparkle: &Sparkle, method: &str, path: &str, auth: &str, body: &str) -> Answer {
    crate::client::send(sparkle.api(), method, path, auth, body).await
}

/// Each reads a number, and writes the next one where it is still that. None is counted twice, none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_patch_tests_holds_when_it_commits() {
    const WRITERS: usize = 12;
    const EACH: u64 = 5;
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let count = json!({"desired": {"key": "count", "value": 0}}).to_string();
    assert_eq!(send(&sparkle, "POST", "/v1/config/", &auth, &count).await.status, 200);
    let read = async || {
        let answer = send(&sparkle, "GET", "/v1/config/count", &auth, "").await;
        answer.json()["desired"]["value"].as_u64().unwrap()
    };
    let writer = async |_| {
        let (mut done, mut beaten) = (0, 0);
        while done < EACH {
            let seen = read().await;
            let patch = json!([
                {"op": "test", "path": "/desired/value", "value": seen},
                {"op": "replace", "path": "/desired/value", "value": seen + 1},
            ]);
            match send(&sparkle, "PATCH", "/v1/config/count", &auth, &patch.to_string()).await.status {
                200 => done += 1,
                409 => beaten += 1,
                other => panic!("{other}"),
            }
            assert!(read().await > seen, "who was answered does not read what it was answered for");
        }
        beaten
    };
    let beaten: usize = join_all((0..WRITERS).map(writer)).await.into_iter().sum();
    assert_eq!(read().await, WRITERS as u64 * EACH);
    assert!(beaten > 0, "they were never there at the same time");
    sparkle.shutdown().await;
}

/// Many wait behind a large write, and so share a transaction. All test for the same value: one finds it.
#[tokio::test(flavor = "multi_thread")]
async fn of_those_that_share_a_transaction_one_passes_a_test() {
    const ROUNDS: u64 = 3;
    const WRITERS: usize = 12;
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let count = json!({"desired": {"key": "count", "value": 0}}).to_string();
    assert_eq!(send(&sparkle, "POST", "/v1/config/", &auth, &count).await.status, 200);
    for round in 0..ROUNDS {
        let rows = (0..400).map(|number| {
            let name = format!("t-{round}-{number}");
            json!({"op": "add", "path": format!("/tenant/${name}"), "value": {"desired": {"name": name}}})
        });
        let large = json!(rows.collect::<Vec<_>>()).to_string();
        let patch = json!([
            {"op": "test", "path": "/desired/value", "value": round},
            {"op": "replace", "path": "/desired/value", "value": round + 1},
        ])
        .to_string();
        let first = send(&sparkle, "PATCH", "/v1/", &auth, &large);
        let others = async {
            // The large one is being written by then, or is not; the answers are the same.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let writer = |_| send(&sparkle, "PATCH", "/v1/config/count", &auth, &patch);
            join_all((0..WRITERS).map(writer)).await
        };
        let (first, others) = futures::future::join(first, others).await;
        assert_eq!(first.status, 200, "{}", first.body);
        let statuses: Vec<u16> = others.iter().map(|answer| answer.status).collect();
        let passed = statuses.iter().filter(|status| **status == 200).count();
        let refused = statuses.iter().filter(|status| **status == 409).count();
        assert_eq!((passed, refused), (1, WRITERS - 1), "{statuses:?}");
    }
    sparkle.shutdown().await;
}

/// The database alone knows of quotas. Those beyond it are refused, each in its own words, and take nobody along.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_takes_nothing_along() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let patch = json!([{"op": "x-merge", "path": "/tenant/$t", "value": {
        "desired": {"name": "acme", "approved": true},
        "children": {"quota": {"$q": {"desired": {"type": "vcpu", "limit": 5}}}},
    }}]);
    let made = send(&sparkle, "PATCH", "/v1/", &auth, &patch.to_string()).await.json();
    let tenant = made["uuids"]["$t"].as_str().unwrap().to_owned();
    let create = async |number: usize| {
        let (path, row) = match number % 3 {
            0 => ("/v1/tenant/".to_owned(), json!({"name": format!("t-{number}"), "approved": true})),
            _ => {
                let instance = json!({"name": format!("i-{number}"), "vcpu": 1, "rcpu": 0.1, "mem": 64});
                (format!("/v1/tenant/{tenant}/instance/"), instance)
            }
        };
        let answer = send(&sparkle, "POST", &path, &auth, &json!({"desired": row}).to_string()).await;
        if answer.status == 200 {
            let uuid = answer.json()["uuids"]["POST"].as_str().unwrap().to_owned();
            assert_eq!(send(&sparkle, "GET", &format!("{path}{uuid}"), &auth, "").await.status, 200);
        } else {
            assert_eq!(answer.json()["error"], "quota-exceeded", "{}", answer.body);
        }
        (number.is_multiple_of(3), answer.status)
    };
    let ended = join_all((0..45).map(create)).await;
    let count = |is_tenant, status| ended.iter().filter(|it| **it == (is_tenant, status)).count();
    assert_eq!((count(true, 200), count(false, 200), count(false, 403)), (15, 5, 25), "{ended:?}");
    sparkle.shutdown().await;
}

/// Addresses that are asked for at the same time, without saying which: none is given twice, and none is left over.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_asked_for_at_once_differ() {
    const ADDRESSES: usize = 14;
    const WRITERS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let post = async |path: &str, desired: serde_json::Value| {
        send(&sparkle, "POST", path, &auth, &json!({ "desired": desired }).to_string()).await
    };
    let uuid = |answer: &Answer| answer.json()["uuids"]["POST"].as_str().unwrap().to_owned();
    let switch = uuid(&post("/v1/switch/", json!({"name": "s", "type": "bridge"})).await);
    let path = format!("/v1/switch/{switch}/network/");
    let network = uuid(&post(&path, json!({"range": "10.0.0.0/28"})).await);
    let path = format!("{path}{network}/address/");
    let given = join_all((0..WRITERS).map(async |_| post(&path, json!({})).await)).await;
    let (given, refused): (Vec<_>, Vec<_>) = given.iter().partition(|answer| answer.status == 200);
    assert_eq!((given.len(), refused.len()), (ADDRESSES, WRITERS - ADDRESSES));
    assert!(refused.iter().all(|answer| answer.body.contains("10.0.0.0/28")), "{}", refused[0].body);
    let rows = send(&sparkle, "GET", &path, &auth, "").await.json();
    let ips = rows.as_object().unwrap().values().map(|row| row["desired"]["ip"].as_str().unwrap().to_owned());
    assert_eq!(ips.collect::<std::collections::BTreeSet<_>>().len(), ADDRESSES);
    sparkle.shutdown().await;
}
