//! What comes in at the REST API's port: too many connections, slow ones, large ones, web pages, TLS.

use crate::client::{Answer, config, operator};
use sparkle::{HttpLimits, Sparkle};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(dir: &tempfile::TempDir, limits: HttpLimits) -> Sparkle {
    let mut config = config(dir.path());
    config.http.limits = limits;
    Sparkle::start(config).await.unwrap()
}

async fn send(sparkle: &Sparkle, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    crate::client::send(sparkle.api(), method, path, headers, body).await
}

async fn connect(sparkle: &Sparkle) -> TcpStream {
    TcpStream::connect(sparkle.api()).await.unwrap()
}

/// Asks on a connection that stays open.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// What is sent until the server closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("it is never closed");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_and_whoever_is_beyond_is_told() {
    let dir = tempfile::tempdir().unwrap();
    // Of eight places one address can have six.
    let sparkle = start(&dir, HttpLimits { connections_max: 8, ..HttpLimits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..6 {
        let mut stream = connect(&sparkle).await;
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 "));
        held.push(stream);
    }
    let refused = send(&sparkle, "GET", "/", "", "").await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (429, Some("too-many-requests")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    held.pop();
    let began = Instant::now();
    while send(&sparkle, "GET", "/", "", "").await.status != 200 {
        assert!(began.elapsed() < PATIENCE, "a place that is given back can be had");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ask(&mut held[0]).await.starts_with("HTTP/1.1 200 "), "those that are open go on");
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_its_request_for_ever_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let short = Duration::from_millis(400);
    let sparkle = start(&dir, HttpLimits { head_max: short, body_max: short, ..HttpLimits::default() }).await;
    // A head that never ends, a byte now and then; and one that does not even begin.
    let mut slow = connect(&sparkle).await;
    let mut silent = connect(&sparkle).await;
    let began = Instant::now();
    while slow.write_all(b"G").await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "its connection is never closed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until_closed(&mut silent).await;
    // A body that never ends is answered.
    let mut body = connect(&sparkle).await;
    let head =
        format!("POST /v1/tenant/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n{}\r\n{{", operator(&sparkle));
    body.write_all(head.as_bytes()).await.unwrap();
    let answer = until_closed(&mut body).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"request-timeout\""), "{answer}");
    // Others are served meanwhile and afterwards.
    assert_eq!(send(&sparkle, "GET", "/", "", "").await.status, 200);
    sparkle.shutdown().await;
}

/// Answers, and streams of events, to whoever does not read them take places and memory for so long only.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    // One address can have six connections.
    let unread_max = Duration::from_millis(500);
    let sparkle = start(&dir, HttpLimits { connections_max: 8, unread_max, ..HttpLimits::default() }).await;
    let mut deaf = Vec::new();
    for _ in 0..6 {
        let mut stream = connect(&sparkle).await;
        // More than the system keeps for a connection.
        let asked = "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
        stream.write_all(asked.as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    let began = Instant::now();
    while crate::client::try_send(sparkle.api(), "GET", "/", "", "")
        .await
        .is_none_or(|answer| answer.status != 200)
    {
        assert!(began.elapsed() < PATIENCE, "they keep their places");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    // A password takes longer than that to be looked at.
    let request_max = Duration::from_millis(1);
    let sparkle = start(&dir, HttpLimits { request_max, ..HttpLimits::default() }).await;
    let slow = send(&sparkle, "GET", "/v1/tenant/", &operator(&sparkle), "").await;
    assert_eq!(slow.status, 503, "{}", slow.body);
    assert!(slow.header("retry-after").is_some());
    assert!(slow.json()["message"].as_str().unwrap().contains("took longer than"), "{}", slow.body);
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_heads_are_taken_up_to_their_bounds() {
    const BODY_BYTES_MAX: usize = 8 << 20;
    let dir = tempfile::tempdir().unwrap();
    let sparkle = start(&dir, HttpLimits::default()).await;
    let auth = operator(&sparkle);
    for (bytes, status) in
        [(BODY_BYTES_MAX - 1, 200), (BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413), (10 << 20, 413)]
    {
        let body = format!("[]{}", " ".repeat(bytes - 2));
        let answer = send(&sparkle, "PATCH", "/v1/", &auth, &body).await;
        assert_eq!(answer.status, status, "{bytes} bytes: {}", answer.body);
    }
    for (bytes, status) in [(8 << 10, 200), ((8 << 10) + 1, 413)] {
        let url = format!("/v1/tenant/?name={}", "x".repeat(bytes - 17));
        assert_eq!(send(&sparkle, "GET", &url, &auth, "").await.status, status, "a URL of {bytes} bytes");
    }
    for (bytes, status) in [(20 << 10, 200), (40 << 10, 431)] {
        let header = format!("X-Long: {}\r\n", "x".repeat(bytes));
        assert_eq!(send(&sparkle, "GET", "/", &header, "").await.status, status, "a header of {bytes} bytes");
    }
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_its_request() {
    let dir = tempfile::tempdir().unwrap();
    let sparkle = start(&dir, HttpLimits::default()).await;
    let own = send(&sparkle, "GET", "/", "X-Request-Id: mine-1\r\n", "").await;
    assert_eq!(own.header("x-request-id"), Some("mine-1"));
    let (one, two) = (send(&sparkle, "GET", "/x", "", "").await, send(&sparkle, "GET", "/x", "", "").await);
    assert!(one.header("x-request-id").is_some() && one.header("x-request-id") != two.header("x-request-id"));
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_origins_that_were_named_may_use_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.http.cors_origin = vec!["https://rainbow.example".parse().unwrap()];
    let sparkle = Sparkle::start(config).await.unwrap();
    let preflight = |origin: &str| format!("Origin: {origin}\r\nAccess-Control-Request-Method: PATCH\r\n");
    let allowed = "access-control-allow-origin";
    let known = send(&sparkle, "OPTIONS", "/v1/tenant/", &preflight("https://rainbow.example"), "").await;
    assert_eq!((known.status, known.header(allowed)), (204, Some("https://rainbow.example")));
    assert!(known.header("access-control-allow-methods").is_some_and(|it| it.contains("patch")));
    let read = send(&sparkle, "GET", "/v1/image/", "Origin: https://rainbow.example\r\n", "").await;
    assert_eq!((read.status, read.header(allowed)), (200, Some("https://rainbow.example")));
    assert_eq!(read.header("access-control-allow-credentials"), None);
    for other in
        ["https://evil.example", "null", "https://rainbow.example.evil.example", "http://rainbow.example"]
    {
        let asked = send(&sparkle, "OPTIONS", "/v1/image/", &preflight(other), "").await;
        assert_eq!(
            (asked.header(allowed), asked.header("access-control-allow-methods")),
            (None, None),
            "{other}"
        );
        let read = send(&sparkle, "GET", "/v1/image/", &format!("Origin: {other}\r\n"), "").await;
        assert_eq!((read.status, read.header(allowed)), (200, None), "{other}");
    }
    // Without an origin, OPTIONS says what the place takes.
    let options = send(&sparkle, "OPTIONS", "/v1/image/", "", "").await;
    assert_eq!((options.status, options.header("allow")), (204, Some("get, post, patch, head, options")));
    sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_nothing_is_served_that_can_be_overheard() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let refused = Sparkle::start(config.clone()).await.err().expect("plain HTTP beyond loopback");
    assert!(refused.to_string().contains("--tls-cert"), "{refused}");
    config.http.plain_http = true;
    let sparkle = Sparkle::start(config).await.unwrap();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, sparkle.api().port()));
    assert_eq!(
        crate::client::send(at, "GET", "/v1/host/", "", "").await.status,
        401,
        "nor to anybody unknown"
    );
    sparkle.shutdown().await;
}
