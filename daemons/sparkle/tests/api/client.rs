//! The plainest HTTP client.
#![allow(dead_code, reason = "not every test needs all of it")]

use serde_json::Value as Json;
use sparkle::{Config, DatabaseArgs, HttpArgs, Sparkle};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A Sparkle on a database of its own in `dir`, on ports of its own.
pub(crate) fn config(dir: &Path) -> Config {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (database, http) = (DatabaseArgs::default(), HttpArgs::default());
    Config { dir: dir.join("state"), listen: any, zmq: any, enroll: false, database, http }
}

/// The header of its first operator.
pub(crate) fn operator(sparkle: &Sparkle) -> String {
    basic(&std::fs::read_to_string(sparkle.credentials()).unwrap())
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// One request in plain HTTP, so that nothing between the test and the server is polite.
pub(crate) async fn send(api: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let answer = try_send(api, method, path, headers, body).await;
    answer.unwrap_or_else(|| panic!("no answer to {method} {path}"))
}

/// The same, where there may be nobody.
pub(crate) async fn try_send(
    api: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Option<Answer> {
    let mut stream = TcpStream::connect(api).await.ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    // A server that refuses a body early closes the connection before all of it is written.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok())?;
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

/// The header of a caller.
pub(crate) fn basic(credentials: &str) -> String {
    use base64::Engine;
    format!("Authorization: Basic {}\r\n", base64::prelude::BASE64_STANDARD.encode(credentials.trim()))
}
