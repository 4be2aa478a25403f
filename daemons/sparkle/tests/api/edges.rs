//! The edges of HTTP and JSON: what a reviewer tries first.

use crate::client::{config, operator, send};
use serde_json::json;
use sparkle::Sparkle;

#[tokio::test(flavor = "multi_thread")]
async fn slashes_heads_and_options_mean_what_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let (api, auth) = (sparkle.api(), operator(&sparkle));
    let made = send(api, "POST", "/v1/tenant", &auth, &json!({"desired": {"name": "t"}}).to_string()).await;
    assert_eq!(made.status, 200, "a collection without its slash: {}", made.body);
    let tenant = made.json()["uuids"]["POST"].as_str().unwrap().to_owned();
    let entity = format!("/v1/tenant/{tenant}");
    let read = send(api, "GET", &entity, &auth, "").await;
    for same in [format!("{entity}/"), format!("/v1/tenant/%{:x}{}", tenant.as_bytes()[0], &tenant[1..])] {
        assert_eq!(send(api, "GET", &same, &auth, "").await.json(), read.json(), "{same}");
    }
    for list in ["/v1/tenant", "/v1/tenant/"] {
        assert!(send(api, "GET", list, &auth, "").await.json().get(&tenant).is_some(), "{list}");
    }
    for nothing in [format!("/v1//tenant/{tenant}"), format!("{entity}//"), format!("{entity}/instance//")] {
        assert_eq!(send(api, "GET", &nothing, &auth, "").await.status, 404, "{nothing}");
    }
    // HEAD is GET without the body, with its headers.
    let head = send(api, "HEAD", &entity, &auth, "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(
        (head.header("etag"), head.header("content-type")),
        (read.header("etag"), Some("application/json"))
    );
    assert_eq!(send(api, "HEAD", "/v1/host/", "", "").await.status, 401);
    for (url, allow) in [
        ("/v1/tenant/", "get, post, patch, head, options"),
        (entity.as_str(), "get, patch, delete, head, options"),
        ("/v1/event/", "get, head, options"),
        ("/v1/", "get, patch, head, options"),
    ] {
        let options = send(api, "OPTIONS", url, "", "").await;
        assert_eq!((options.status, options.header("allow")), (204, Some(allow)), "{url}");
        let refused = send(api, "PUT", url, &auth, "{}").await;
        assert_eq!((refused.status, refused.header("allow")), (405, Some(allow)), "{url}");
    }
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_comes_back_as_it_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let (api, auth) = (sparkle.api(), operator(&sparkle));
    let odd = [
        json!({"key": "__proto__", "value": {"__proto__": {"constructor": [1]}, "": null, "~/": 1}}),
        json!({"key": "🐴/~𝄞", "value": "𝄞\u{1}\u{7f}\u{fffd}"}),
        json!({"key": "numbers", "value": [9_007_199_254_740_993_i64, i64::MIN, u64::MAX, 0.1, -0.0, 1e300]}),
        json!({"key": "..", "value": []}),
    ];
    for desired in &odd {
        let made = send(api, "POST", "/v1/config/", &auth, &json!({ "desired": desired }).to_string()).await;
        assert_eq!(made.status, 200, "{desired}: {}", made.body);
    }
    let listed = send(api, "GET", "/v1/config/", &auth, "").await;
    assert!(listed.body.contains("9007199254740993"), "{}", listed.body);
    for desired in &odd {
        assert_eq!(listed.json()[desired["key"].as_str().unwrap()]["desired"], *desired);
    }
    sparkle.shutdown().await;
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let listed = send(sparkle.api(), "GET", "/v1/config/", &operator(&sparkle), "").await.json();
    for desired in &odd {
        assert_eq!(listed[desired["key"].as_str().unwrap()]["desired"], *desired, "after a new start");
    }
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_fails_in_the_end_has_done_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let (api, auth) = (sparkle.api(), operator(&sparkle));
    let mut patch: Vec<_> = (0..10)
        .map(|n| json!({"op": "add", "path": format!("/k{n}"), "value": {"desired": {"value": n}}}))
        .collect();
    patch.push(json!({"op": "test", "path": "/k9/desired/value", "value": 8}));
    let refused = send(api, "PATCH", "/v1/config/", &auth, &json!(patch).to_string()).await;
    assert_eq!((refused.status, refused.json()["path"].as_str()), (409, Some("/config/k9/desired/value")));
    assert_eq!(send(api, "GET", "/v1/config/", &auth, "").await.json(), json!({}));
    patch.pop();
    assert_eq!(send(api, "PATCH", "/v1/config/", &auth, &json!(patch).to_string()).await.status, 200);
    assert_eq!(send(api, "GET", "/v1/config/", &auth, "").await.json().as_object().unwrap().len(), 10);
    // A member that is named twice.
    let twice = r#"[{"op": "remove", "path": "/k0", "op": "test"}]"#;
    assert_eq!(send(api, "PATCH", "/v1/config/", &auth, twice).await.status, 400);
    sparkle.shutdown().await;
}
