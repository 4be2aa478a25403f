//! The stream of changes of a whole Sparkle, as Server-Sent Events and over WebSocket.

use crate::client::{basic, send};
use futures::StreamExt;
use serde_json::{Value as Json, json};
use sparkle::{Config, DatabaseArgs, HttpArgs, Sparkle};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;

/// How long a busy machine may take for what happens at once.
const WAIT_MAX: Duration = Duration::from_secs(30);

async fn start() -> (tempfile::TempDir, Sparkle, String) {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let state = dir.path().join("state");
    let (database, http) = (DatabaseArgs::default(), HttpArgs::default());
    let config = Config { dir: state, listen: any, zmq: any, enroll: false, database, http };
    let sparkle = Sparkle::start(config).await.unwrap();
    let auth = basic(&std::fs::read_to_string(sparkle.credentials()).unwrap());
    (dir, sparkle, auth)
}

async fn post(sparkle: &Sparkle, auth: &str, path: &str, desired: Json) -> String {
    let body = json!({"desired": desired}).to_string();
    let answer = send(sparkle.api(), "POST", path, auth, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["uuids"]["POST"].as_str().unwrap_or_default().to_owned()
}

async fn tenant(sparkle: &Sparkle, auth: &str, name: &str) -> String {
    post(sparkle, auth, "/v1/tenant/", json!({"name": name, "approved": true})).await
}

/// A stream of Server-Sent Events.
struct Events(Lines<BufReader<TcpStream>>);

/// An event, or what else has an id.
#[derive(Debug, Default)]
struct Told {
    id: String,
    event: String,
    data: Option<Json>,
}

impl Events {
    async fn open(sparkle: &Sparkle, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(sparkle.api()).await.unwrap();
        let request =
            format!("GET /v1/event-stream{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Self(BufReader::new(stream).lines());
        let status = events.line().await.expect("a status");
        assert!(status.contains(" 200 "), "{status}");
        events
    }

    async fn line(&mut self) -> Option<String> {
        tokio::time::timeout(WAIT_MAX, self.0.next_line()).await.expect("news in time").ok().flatten()
    }

    /// The next event, heartbeats included; nothing at the end.
    async fn next(&mut self) -> Option<Told> {
        let mut told = Told::default();
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("id", id)) => told.id = id.to_owned(),
                Some(("event", event)) => told.event = event.to_owned(),
                Some(("data", data)) => told.data = Some(serde_json::from_str(data).unwrap()),
                None if line.is_empty() && !told.id.is_empty() => return Some(told),
                // Heads and the lengths of chunks.
                _ => {}
            }
        }
    }

    /// The next one that says something.
    async fn said(&mut self) -> Told {
        loop {
            let told = self.next().await.expect("no end");
            if told.data.is_some() {
                return told;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_and_resumed() {
    let (_dir, sparkle, auth) = start().await;
    let mut events = Events::open(&sparkle, "", &auth).await;
    let greeting = events.next().await.unwrap();
    assert!(greeting.data.is_none() && !greeting.id.is_empty(), "where it begins");
    let one = tenant(&sparkle, &auth, "one").await;
    let told = events.said().await;
    let row = json!({"uuid": one, "name": "one", "approved": true});
    let expected =
        json!({"type": "tenant", "pkey_name": "uuid", "pkey": one, "desired": row, "current": null});
    assert_eq!(told.data, Some(expected));
    drop(events);
    let two = tenant(&sparkle, &auth, "two").await;

    let resume = format!("{auth}Last-Event-ID: {}\r\n", told.id);
    let mut events = Events::open(&sparkle, "", &resume).await;
    assert_eq!(events.said().await.data.unwrap()["pkey"], two.as_str(), "nothing twice, nothing missed");
    let deleted = send(sparkle.api(), "DELETE", &format!("/v1/tenant/{one}"), &auth, "").await;
    assert_eq!(deleted.status, 200);
    let gone = events.said().await.data.unwrap();
    assert_eq!((&gone["pkey"], &gone["desired"]), (&json!(one), &Json::Null));

    let mut events = Events::open(&sparkle, &format!("?after={}", greeting.id), &auth).await;
    let told = [events.said().await, events.said().await, events.said().await];
    let keys = told.map(|told| told.data.unwrap()["pkey"].clone());
    assert_eq!(keys, [json!(one), json!(two), json!(one)]);
    for (query, id) in [("?table=tenant", greeting.id.as_str()), ("", "0badcafe-1-0"), ("", "nonsense")] {
        let headers = format!("{auth}Last-Event-ID: {id}\r\n");
        let told = Events::open(&sparkle, query, &headers).await.next().await.unwrap();
        assert_eq!(told.event, "reset", "{query} {id}");
        assert!(told.data.unwrap()["reason"].as_str().unwrap().contains("read anew"));
    }
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_asked_for_and_may_be_read_is_told() {
    let (_dir, sparkle, auth) = start().await;
    let mut nobody = Events::open(&sparkle, "", "").await;
    let mut switches = Events::open(&sparkle, "?table=switch", &auth).await;
    let mine = tenant(&sparkle, &auth, "mine").await;
    let mut below = Events::open(&sparkle, &format!("?path=/tenant/{mine}"), &auth).await;
    tenant(&sparkle, &auth, "others").await;
    let private = json!({"name": "private", "type": "bridge"});
    let private = post(&sparkle, &auth, &format!("/v1/tenant/{mine}/switch/"), private).await;
    let public = post(&sparkle, &auth, "/v1/switch/", json!({"name": "public", "type": "bridge"})).await;
    let key = |told: Told| told.data.unwrap()["pkey"].as_str().unwrap().to_owned();
    assert_eq!(key(nobody.said().await), public);
    assert_eq!(key(switches.said().await), private);
    assert_eq!(key(switches.said().await), public);
    assert_eq!(key(below.said().await), private);
    for (query, headers, status) in [
        ("?table=nonsense", auth.as_str(), 400),
        ("?nonsense=1", &auth, 400),
        ("?path=/nonsense/", &auth, 404),
        ("?path=/tenant/00000000-0000-0000-0000-000000000001", &auth, 404),
        ("?path=/host/", "", 401),
    ] {
        let path = format!("/v1/event-stream{query}");
        assert_eq!(send(sparkle.api(), "GET", &path, headers, "").await.status, status, "{query}");
    }
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_rights_change_has_to_come_again() {
    let (_dir, sparkle, auth) = start().await;
    let data = json!({"method": "password", "password": "s3cret-s3cret"});
    post(&sparkle, &auth, "/v1/user/", json!({"email": "u@x", "data": data})).await;
    let mine = tenant(&sparkle, &auth, "mine").await;
    let user = basic("u@x:s3cret-s3cret");
    let mut events = Events::open(&sparkle, "", &user).await;
    let greeting = events.next().await.unwrap();
    let member = json!({"user": "u@x", "role": "owner"});
    post(&sparkle, &auth, &format!("/v1/tenant/{mine}/member/"), member).await;
    assert!(events.next().await.is_none(), "the stream ends");
    let resume = format!("{user}Last-Event-ID: {}\r\n", greeting.id);
    let mut events = Events::open(&sparkle, "", &resume).await;
    assert_eq!(events.next().await.unwrap().event, "reset", "more is in sight now than ever changed");
    let made =
        post(&sparkle, &auth, &format!("/v1/tenant/{mine}/switch/"), json!({"name": "s", "type": "bridge"}))
            .await;
    assert_eq!(events.said().await.data.unwrap()["pkey"], made.as_str());
    sparkle.shutdown().await;
}

fn request(sparkle: &Sparkle, auth: &str) -> Request {
    let mut request = format!("ws://{}/v1/ws?table=tenant", sparkle.api()).into_client_request().unwrap();
    let value = auth.trim().strip_prefix("Authorization: ").unwrap().parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_says_the_same() {
    let (_dir, sparkle, auth) = start().await;
    let stream = TcpStream::connect(sparkle.api()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request(&sparkle, &auth), stream).await.unwrap();
    let mut next = async || {
        let message = tokio::time::timeout(WAIT_MAX, socket.next()).await.expect("news in time");
        let text = message.expect("no end").unwrap().into_text().unwrap();
        serde_json::from_str::<Json>(&text).unwrap()
    };
    assert_eq!(next().await["type"], "heartbeat");
    let made = tenant(&sparkle, &auth, "one").await;
    let told = next().await;
    assert_eq!(
        (&told["type"], &told["pkey"], &told["current"]),
        (&json!("tenant"), &json!(made), &Json::Null)
    );
    assert_eq!(told["desired"]["name"], "one");
    assert!(told["id"].as_str().is_some_and(|id| id.contains('-')));

    let mut foreign = request(&sparkle, &auth);
    foreign.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    let stream = TcpStream::connect(sparkle.api()).await.unwrap();
    let refused = tokio_tungstenite::client_async(foreign, stream).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
    assert_eq!(send(sparkle.api(), "GET", "/v1/ws", &auth, "").await.status, 400, "no WebSocket at all");
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_do_not_hold_up_a_shutdown() {
    let (_dir, sparkle, auth) = start().await;
    let mut events = Events::open(&sparkle, "", &auth).await;
    events.next().await.unwrap();
    let begun = std::time::Instant::now();
    sparkle.shutdown().await;
    assert!(events.next().await.is_none());
    assert!(begun.elapsed() < Duration::from_secs(5), "the limit after which streams are cut");
}
