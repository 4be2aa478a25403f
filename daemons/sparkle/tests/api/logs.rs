//! The log of the real daemon: every line a JSON object where that is asked for, requests by their ids, and nowhere a
//! secret, however much is logged.

use crate::client::{basic, send};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn start(dir: &Path) -> (Daemon, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_sparkle"))
        .args(["--listen", &free.to_string(), "--zmq", "127.0.0.1:0", "--log-format", "json", "--dir"])
        .arg(dir.join("state"))
        .env("PONY_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let (daemon, began) = (Daemon(child), Instant::now());
    while crate::client::try_send(free, "GET", "/readyz", "", "")
        .await
        .is_none_or(|answer| answer.status != 200)
    {
        assert!(began.elapsed() < PATIENCE, "{}", std::fs::read_to_string(dir.join("log")).unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (daemon, free)
}

#[tokio::test]
async fn no_secret_is_logged_and_requests_go_by_their_ids() {
    let dir = tempfile::tempdir().unwrap();
    let (daemon, api) = start(dir.path()).await;
    let operator = std::fs::read_to_string(dir.path().join("state/admin-credentials")).unwrap();
    let operator = operator.trim().to_owned();
    let auth = basic(&operator);
    let mut secrets = vec![operator.split_once(':').unwrap().1.to_owned(), BASE64_STANDARD.encode(&operator)];

    // Passwords: set, changed, right, wrong, in a body that is refused.
    let user =
        |password: &str| json!({"desired": {"email": "u@x", "data": {"password": password}}}).to_string();
    assert_eq!(send(api, "POST", "/v1/user/", &auth, &user("hidden-first")).await.status, 200);
    assert_eq!(send(api, "POST", "/v1/user/", &auth, &user("hidden-twice")).await.status, 409);
    let broken = format!("{}x", user("hidden-broken"));
    assert_eq!(send(api, "POST", "/v1/user/", &auth, &broken).await.status, 400);
    let wrong =
        json!({"desired": {"email": "v@x", "data": {"password": 5, "hash": "hidden-hash"}}}).to_string();
    assert_eq!(send(api, "POST", "/v1/user/", &auth, &wrong).await.status, 400);
    assert_eq!(send(api, "GET", "/v1/user/u@x", &basic("u@x:hidden-first"), "").await.status, 200);
    assert_eq!(send(api, "GET", "/v1/user/u@x", &basic("u@x:hidden-guess"), "").await.status, 401);
    secrets.extend(["first", "twice", "broken", "hash", "guess"].map(|it| format!("hidden-{it}")));
    secrets.extend(["u@x:hidden-first", "u@x:hidden-guess"].map(|it| BASE64_STANDARD.encode(it)));
    secrets.push("$argon2id$".to_owned());

    // Tokens: given, shown, made up; and the key that signs.
    let token = send(api, "GET", "/v1/token", &basic("u@x:hidden-first"), "").await.json();
    let token = token["token"].as_str().unwrap().to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\nX-Request-Id: the-very-one\r\n");
    assert_eq!(send(api, "GET", "/v1/user/u@x", &bearer, "").await.status, 200);
    assert_eq!(
        send(api, "GET", "/v1/image/", "Authorization: Bearer pony_hidden.token\r\n", "").await.status,
        401
    );
    // Where somebody puts one by mistake.
    send(api, "GET", "/v1/image/?token=hidden-query", &auth, "").await;
    secrets.extend([
        token.rsplit('.').next().unwrap().to_owned(),
        token,
        "pony_hidden".to_owned(),
        "hidden-query".to_owned(),
    ]);
    drop(daemon);

    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    for secret in &secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "`{secret}` is logged: {line:?}");
    }
    let lines: Vec<Json> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |id: &str| lines.iter().filter(|line| line["span"]["id"] == id).collect::<Vec<_>>();
    let [answered] = of("the-very-one")[..] else { panic!("{:?}", of("the-very-one")) };
    assert_eq!((&answered["fields"]["status"], &answered["span"]["caller"]), (&json!(200), &json!("u@x")));
    assert_eq!(answered["span"]["path"], "/v1/user/u@x");
    let failed = lines.iter().filter(|line| line["fields"]["message"] == "a sign-in failed").count();
    assert_eq!(failed, 1, "the guess is told, without what was guessed");
}
