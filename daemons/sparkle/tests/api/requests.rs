//! The REST API of a whole Sparkle, over HTTP, on a database of its own; no host is there.

use crate::client::{Answer, basic, config, operator};
use serde_json::{Value as Json, json};
use sparkle::Sparkle;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn send(sparkle: &Sparkle, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    crate::client::send(sparkle.api(), method, path, headers, body).await
}

fn tenant(name: &str) -> String {
    json!({"desired": {"name": name, "approved": true}}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_read_at_once_and_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let created = send(&sparkle, "POST", "/v1/tenant/", &auth, &tenant("acme")).await;
    assert_eq!(created.status, 200, "{}", created.body);
    let uuid = created.json()["uuids"]["POST"].as_str().unwrap().to_owned();
    let path = format!("/v1/tenant/{uuid}");
    let read = send(&sparkle, "GET", &path, &auth, "").await;
    assert_eq!(read.json()["desired"]["name"], "acme");
    sparkle.shutdown().await;

    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    assert_eq!(
        send(&sparkle, "GET", &path, &auth, "").await.json(),
        read.json(),
        "the same operator, the same row"
    );
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_each_read_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let write = async |number: usize| {
        let name = format!("t{number}");
        let created = send(&sparkle, "POST", "/v1/tenant/", &auth, &tenant(&name)).await.json();
        let uuid = created["uuids"]["POST"].as_str().unwrap().to_owned();
        let read = send(&sparkle, "GET", &format!("/v1/tenant/{uuid}"), &auth, "").await;
        assert_eq!(read.json()["desired"]["name"], name.as_str());
    };
    futures::future::join_all((0..20).map(write)).await;
    let listed = send(&sparkle, "GET", "/v1/tenant/?limit=7", &auth, "").await.json();
    assert_eq!(listed.as_object().unwrap().len(), 7);
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_nobody_sees_what_is_public_and_a_wrong_password_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    assert_eq!(send(&sparkle, "GET", "/v1/image/", "", "").await.status, 200);
    let refused = send(&sparkle, "GET", "/v1/host/", "", "").await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (401, Some("unauthenticated")));
    assert!(refused.header("www-authenticate").is_some_and(|it| it.starts_with("basic")));
    for wrong in ["operator@localhost:wrong", "nobody@x:y"] {
        assert_eq!(send(&sparkle, "GET", "/v1/image/", &basic(wrong), "").await.status, 401);
    }
    let bearer = "Authorization: Bearer x\r\n";
    assert_eq!(send(&sparkle, "GET", "/v1/image/", bearer, "").await.status, 401);
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_signs_in_and_no_password_is_stored_or_shown() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let user = json!({"desired": {"email": "u@x", "alicorn": false, "data": {"method": "password", "password": "s3cret-s3cret"}}});
    let made = send(&sparkle, "POST", "/v1/user/", &auth, &user.to_string()).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let me = basic("u@x:s3cret-s3cret");
    let shown = send(&sparkle, "GET", "/v1/user/u@x", &me, "").await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert!(shown.json()["desired"].get("data").is_none(), "{}", shown.body);
    assert_eq!(send(&sparkle, "GET", "/v1/host/", &me, "").await.status, 403);
    sparkle.shutdown().await;
    let stored = std::fs::read_dir(dir.path().join("state")).unwrap().flatten();
    for file in stored.filter(|file| file.file_name().to_string_lossy().starts_with("sparkle.db")) {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(13).any(|it| it == b"s3cret-s3cret"), "{:?}", file.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_is_told_in_one_shape() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let huge = format!("\"{}\"", "x".repeat(9 << 20));
    let long = format!("/v1/tenant/?name={}", "x".repeat(9000));
    let cases: [(&str, &str, &str, &str, u16, &str); 12] = [
        ("GET", "/v1/nonsense/", "", "", 404, "path-not-found"),
        ("GET", "/elsewhere", "", "", 404, "path-not-found"),
        ("GET", "/v1/tenant/?limit=x", "", "", 400, "invalid-data"),
        ("GET", "/v1/tenant/?nonsense=x", "", "", 400, "invalid-data"),
        ("GET", &long, "", "", 413, "too-large"),
        ("PUT", "/v1/tenant/", "", "{}", 405, "method-not-allowed"),
        (
            "POST",
            "/v1/host/00000000-0000-0000-0000-000000000001/volume/",
            "",
            "{}",
            405,
            "method-not-allowed",
        ),
        ("POST", "/v1/tenant/", "", "{\"desired\": ", 400, "invalid-data"),
        ("POST", "/v1/tenant/", "", "{\"desired\": {\"nam\": 1}}", 400, "invalid-data"),
        ("POST", "/v1/tenant/", "", &huge, 413, "too-large"),
        ("PATCH", "/v1/", "", "[{\"op\": \"fly\"}]", 400, "invalid-patch"),
        ("PATCH", "/v1/", "Content-Type: text/plain\r\n", "[]", 415, "invalid-data"),
    ];
    for (method, path, headers, body, status, error) in cases {
        let answer = send(&sparkle, method, path, &format!("{auth}{headers}"), body).await;
        let shown = path.chars().take(60).collect::<String>();
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (status, Some(error)),
            "{method} {shown}"
        );
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{method} {shown}");
        for member in ["type", "title", "status", "detail", "instance", "message"] {
            assert!(answer.json().get(member).is_some(), "{member} of {method} {shown}");
        }
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {shown}");
    }
    assert_eq!(
        send(&sparkle, "GET", "/v1/tenant/", &auth, "").await.json(),
        json!({}),
        "nothing was half-done"
    );
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_constraint_names_the_place_and_nothing_of_the_patch_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let merge =
        |path: &str, desired: Json| json!({"op": "x-merge", "path": path, "value": {"desired": desired}});
    let patch = json!([
        merge("/tenant/$t", json!({"name": "t", "approved": true})),
        merge("/tenant/$t/children/instance/$a", json!({"name": "a", "vcpu": 1, "rcpu": 2.0, "mem": 64})),
    ]);
    let refused = send(&sparkle, "PATCH", "/v1/", &auth, &patch.to_string()).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let body = refused.json();
    assert!(body["message"].as_str().unwrap().contains("rcpu must not exceed vcpu"), "{body}");
    assert!(body["path"].as_str().unwrap().contains("/children/instance/"), "{body}");
    assert_eq!(send(&sparkle, "GET", "/v1/tenant/", &auth, "").await.json(), json!({}));
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_would_be_exceeded_is_forbidden_in_figures() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let limit = json!({"type": "mem", "limit": 100});
    let tenant = json!({"desired": {"name": "t"}, "children": {"quota": {"$q": {"desired": limit}}}});
    let created = send(&sparkle, "POST", "/v1/tenant/", &auth, &tenant.to_string()).await.json();
    let path = format!("/v1/tenant/{}/instance/", created["uuids"]["POST"].as_str().unwrap());
    let instance =
        |name: &str| json!({"desired": {"name": name, "vcpu": 1, "rcpu": 1, "mem": 64}}).to_string();
    assert_eq!(send(&sparkle, "POST", &path, &auth, &instance("a")).await.status, 200);
    let refused = send(&sparkle, "POST", &path, &auth, &instance("b")).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (403, Some("quota-exceeded")));
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("may have 100 of mem, has 64, and this would be 64 more"), "{message}");
    assert!(refused.json()["path"].as_str().unwrap().ends_with("/desired/mem"), "{}", refused.body);
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_hold_or_refuse() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    let created = send(&sparkle, "POST", "/v1/tenant/", &auth, &tenant("acme")).await.json();
    let path = format!("/v1/tenant/{}", created["uuids"]["POST"].as_str().unwrap());
    let tag = send(&sparkle, "GET", &path, &auth, "").await.header("etag").unwrap().to_owned();
    let fresh = send(&sparkle, "GET", &path, &format!("{auth}If-None-Match: {tag}\r\n"), "").await;
    assert_eq!((fresh.status, fresh.body.as_str()), (304, ""));
    let rename = json!([{"op": "replace", "path": "/desired/name", "value": "emca"}]).to_string();
    let held = format!("{auth}If-Match: {tag}\r\n");
    assert_eq!(send(&sparkle, "PATCH", &path, &held, &rename).await.status, 200);
    let stale = send(&sparkle, "PATCH", &path, &held, &rename).await;
    assert_eq!((stale.status, stale.json()["error"].as_str()), (412, Some("precondition-failed")));
    let tag = send(&sparkle, "GET", &path, &auth, "").await.header("etag").unwrap().to_owned();
    for (condition, status) in [
        (format!("If-Match: W/{tag}"), 412),
        (format!("If-Match: \"other\", {tag}"), 200),
        ("If-Match: *".to_owned(), 200),
        (format!("If-None-Match: {tag}"), 412),
        ("If-None-Match: *".to_owned(), 412),
        ("If-None-Match: \"other\"".to_owned(), 200),
    ] {
        let held = format!("{auth}{condition}\r\n");
        assert_eq!(send(&sparkle, "PATCH", &path, &held, &rename).await.status, status, "{condition}");
    }
    // A collection has no tag that anybody could have read.
    let held = format!("{auth}If-Match: {tag}\r\n");
    for (method, path, body) in [("POST", "/v1/tenant/", tenant("other")), ("PATCH", "/v1/", "[]".to_owned())]
    {
        let refused = send(&sparkle, method, path, &held, &body).await;
        let message = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(refused.status == 400 && message.contains("this URL names none"), "{message}");
    }
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sparkle_on_the_same_file_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let second = Sparkle::start(config(dir.path())).await.err().expect("one file, one Sparkle");
    assert!(format!("{second:#}").contains("sparkle.db"), "{second:#}");
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_on_the_hosts_port_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
    let auth = operator(&sparkle);
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0; 64]] {
        let mut stream = TcpStream::connect(sparkle.zmq()).await.unwrap();
        let _ = stream.write_all(rubbish).await;
    }
    assert_eq!(send(&sparkle, "POST", "/v1/tenant/", &auth, &tenant("acme")).await.status, 200);
    sparkle.shutdown().await;
}
