//! Consoles of guests through a whole Sparkle, over real links, to simulated hosts whose guests echo.

use crate::client::{basic, send};
use crate::servers::eventually;
use futures::{SinkExt, StreamExt};
use pony_host::{SimHost, SimOptions};
use serde_json::{Value as Json, json};
use sparkle::{Config, Sparkle};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use twilight::{Drivers, Twilight};
use uuid::Uuid;

/// How long a busy machine may take for what happens at once, and for what is noticed by silence.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A Sparkle with a host, and a tenant with a guest that runs there.
struct Cloud {
    dir: tempfile::TempDir,
    sparkle: Sparkle,
    agent: Option<Twilight>,
    host: SimHost,
    auth: String,
    tenant: String,
    guest: String,
}

fn agent(dir: &Path, sparkle: &Sparkle, host: &SimHost) -> Twilight {
    let config = twilight::Config {
        stop_grace: Duration::from_secs(1),
        ..twilight::Config::new(
            dir.join(host.uuid().to_string()),
            host.uuid(),
            sparkle.zmq().into(),
            sparkle.key(),
        )
    };
    Twilight::start(&config, Drivers::all(Arc::new(host.clone()))).unwrap()
}

impl Cloud {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sparkle =
            Sparkle::start(Config { enroll: true, ..crate::client::config(dir.path()) }).await.unwrap();
        let (auth, host) = (crate::client::operator(&sparkle), SimHost::new(SimOptions::numbered(1, 1)));
        let agent = Some(agent(dir.path(), &sparkle, &host));
        let (tenant, guest) = (String::new(), String::new());
        let mut cloud = Self { dir, sparkle, agent, host, auth, tenant, guest };
        let present =
            async || cloud.current(&format!("/v1/host/{}", cloud.host.uuid())).await["status"] == "present";
        eventually("the host", present).await;
        cloud.tenant = cloud.post("/v1/tenant/", json!({"name": "t", "approved": true})).await;
        let guest = json!({"name": "web", "state": "running", "vcpu": 1, "rcpu": 0.1, "mem": 16});
        cloud.guest = cloud.post(&format!("/v1/tenant/{}/instance/", cloud.tenant), guest).await;
        eventually("the guest", async || cloud.current(&cloud.path()).await["status"] == "running").await;
        cloud
    }

    fn path(&self) -> String {
        format!("/v1/tenant/{}/instance/{}", self.tenant, self.guest)
    }

    async fn post(&self, path: &str, desired: Json) -> String {
        let body = json!({"desired": desired}).to_string();
        let answer = send(self.sparkle.api(), "POST", path, &self.auth, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["uuids"]["POST"].as_str().unwrap_or_default().to_owned()
    }

    async fn current(&self, path: &str) -> Json {
        let answer = send(self.sparkle.api(), "GET", path, &self.auth, "").await;
        if answer.status == 200 { answer.json()["current"].clone() } else { Json::Null }
    }

    async fn user(&self, email: &str) -> String {
        let data = json!({"method": "password", "password": "a long password"});
        self.post("/v1/user/", json!({"email": email, "data": data})).await;
        basic(&format!("{email}:a long password"))
    }

    /// A user with that role in the tenant.
    async fn member(&self, email: &str, role: &str) -> String {
        let auth = self.user(email).await;
        self.post(&format!("/v1/tenant/{}/member/", self.tenant), json!({"user": email, "role": role})).await;
        auth
    }

    async fn open(&self, what: &str, auth: &str) -> Result<Socket, Refused> {
        open(self.sparkle.api(), &format!("{}/{what}", self.path()), auth, "").await
    }

    async fn end(mut self) {
        if let Some(agent) = self.agent.take() {
            agent.shutdown().await;
        }
        self.sparkle.shutdown().await;
    }
}

/// A client's end of a console.
struct Socket(WebSocketStream<TcpStream>);

/// The status of a refusal, and the code and message in its body.
#[derive(Debug, PartialEq)]
struct Refused(u16, String, String);

async fn open(api: SocketAddr, path: &str, auth: &str, protocols: &str) -> Result<Socket, Refused> {
    let mut request = format!("ws://{api}{path}").into_client_request().unwrap();
    if let Some(value) = auth.trim().strip_prefix("Authorization: ") {
        request.headers_mut().insert("authorization", value.parse().unwrap());
    }
    if !protocols.is_empty() {
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    }
    let stream = TcpStream::connect(api).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(Socket(socket)),
        Err(Error::Http(answer)) => {
            let body: Json = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            Err(Refused(answer.status().as_u16(), text("error"), text("message")))
        }
        Err(other) => panic!("{other}"),
    }
}

impl Socket {
    async fn say(&mut self, bytes: &[u8]) {
        self.0.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            match tokio::time::timeout(WAIT_MAX, self.0.next()).await.expect("something in time") {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return other.and_then(Result::ok),
            }
        }
    }

    /// Bytes, however they are cut.
    async fn hear(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < bytes {
            match self.next().await {
                Some(Message::Binary(piece)) => heard.extend_from_slice(&piece),
                other => panic!("{other:?} after {} bytes", heard.len()),
            }
        }
        heard
    }

    /// The end of it: the code, and why.
    async fn ended(&mut self) -> (CloseCode, String) {
        loop {
            match self.next().await {
                Some(Message::Binary(_)) => {}
                Some(Message::Close(Some(frame))) => return (frame.code, frame.reason.to_string()),
                other => panic!("{other:?}"),
            }
        }
    }
}

const GREETING: &[u8] = b"simulated console of web\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_used_by_its_consoles() {
    let cloud = Cloud::start().await;
    let admin = cloud.member("admin@x", "admin").await;
    let mut console = cloud.open("console", &admin).await.unwrap();
    assert_eq!(console.hear(GREETING.len()).await, GREETING);
    console.say(b"ls\r").await;
    assert_eq!(console.hear(3).await, b"ls\r");
    // Whoever comes later is shown what was said; both see what either types.
    let mut second = cloud.open("console", &cloud.auth).await.unwrap();
    assert_eq!(second.hear(GREETING.len() + 3).await, [GREETING, b"ls\r"].concat());
    second.say(b"!").await;
    assert_eq!((console.hear(1).await, second.hear(1).await), (b"!".to_vec(), b"!".to_vec()));

    let mut screen = cloud.open("vnc", &admin).await.unwrap();
    assert_eq!(screen.hear(12).await, b"RFB 003.008\n");
    // Many windows of it, faster than they are read: nothing is lost or changed.
    let sent: Vec<u8> = (0..4_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (mut out, mut back) = screen.0.split();
    let to_send = sent.clone();
    let sending = tokio::spawn(async move {
        for piece in to_send.chunks(20_000) {
            out.send(Message::binary(piece.to_vec())).await.unwrap();
        }
        out
    });
    let mut heard = Vec::new();
    while heard.len() < sent.len() {
        match tokio::time::timeout(WAIT_MAX, back.next()).await.expect("in time") {
            Some(Ok(Message::Binary(piece))) => heard.extend_from_slice(&piece),
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(heard == sent, "what the guest echoes is what was sent");
    drop(sending.await.unwrap());

    // The guest goes off: who looks is told, and nobody can look any more.
    cloud.host.crash(cloud.guest.parse().unwrap());
    assert_eq!(console.ended().await, (CloseCode::Normal, "the guest's console closed".to_owned()));
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_is_for_those_who_may_change_the_instance() {
    let cloud = Cloud::start().await;
    let (reader, admin) =
        (cloud.member("reader@x", "operator").await, cloud.member("admin@x", "admin").await);
    let stranger = cloud.user("stranger@x").await;
    for what in ["console", "vnc"] {
        let refused = async |auth: &str| cloud.open(what, auth).await.err().map(|it| (it.0, it.1));
        assert_eq!(refused("").await, Some((401, "unauthenticated".to_owned())));
        assert_eq!(refused(&stranger).await, Some((403, "access-denied".to_owned())));
        assert_eq!(refused(&reader).await, Some((403, "access-denied".to_owned())), "he may look at it only");
        let path = format!("/v1/tenant/{}/instance/{}/{what}", cloud.tenant, Uuid::new_v4());
        let nobody = open(cloud.sparkle.api(), &path, &admin, "").await.err().unwrap();
        assert_eq!(nobody.0, 404, "{nobody:?}");
        let plain = send(cloud.sparkle.api(), "GET", &format!("{}/{what}", cloud.path()), &admin, "").await;
        assert_eq!(plain.status, 400, "this is for WebSockets");
    }
    // Pages of others may not use what a browser knows; pages can show a token where they can set no headers.
    let token =
        send(cloud.sparkle.api(), "GET", &format!("/v1/tenant/{}/token", cloud.tenant), &admin, "").await;
    let token = token.json()["token"].as_str().unwrap().to_owned();
    let path = format!("{}/console", cloud.path());
    let mut shown = open(cloud.sparkle.api(), &path, "", &format!("binary, bearer.{token}")).await.unwrap();
    assert_eq!(shown.hear(GREETING.len()).await, GREETING);
    // The right ends while it is used, and with it the console.
    let members = format!("/v1/tenant/{}/member/", cloud.tenant);
    let found = send(cloud.sparkle.api(), "GET", &format!("{members}?user=admin@x"), &cloud.auth, "").await;
    let gone = format!("{members}{}", found.json().as_object().unwrap().keys().next().unwrap());
    assert_eq!(send(cloud.sparkle.api(), "DELETE", &gone, &cloud.auth, "").await.status, 200);
    assert_eq!(shown.ended().await.0, CloseCode::Policy);
    cloud.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_ends_with_its_host_and_can_be_opened_again() {
    let mut cloud = Cloud::start().await;
    let mut console = cloud.open("console", &cloud.auth).await.unwrap();
    console.hear(GREETING.len()).await;
    // The agent restarts: the guest lives on, what it said is still there.
    cloud.agent.take().unwrap().shutdown().await;
    cloud.agent = Some(agent(cloud.dir.path(), &cloud.sparkle, &cloud.host));
    let (code, reason) = console.ended().await;
    assert!(code == CloseCode::Normal || code == CloseCode::Again, "{code} {reason}");
    let mut again = None;
    eventually("the console", async || {
        again = cloud.open("console", &cloud.auth).await.ok();
        again.is_some()
    })
    .await;
    let mut again = again.unwrap();
    assert_eq!(again.hear(GREETING.len()).await, GREETING);

    // An instance that is off has none.
    let stop = json!([{"op": "replace", "path": "/desired/state", "value": "stopped"}]).to_string();
    assert_eq!(send(cloud.sparkle.api(), "PATCH", &cloud.path(), &cloud.auth, &stop).await.status, 200);
    again.ended().await;
    eventually("a refusal", async || {
        cloud.open("console", &cloud.auth).await.err().is_some_and(|it| it.0 == 409)
    })
    .await;
    cloud.end().await;
}

/// Nobody has more consoles than there is room for, and places are given back.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_consoles_and_no_more() {
    let cloud = Cloud::start().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(cloud.open("vnc", &cloud.auth).await.unwrap());
    }
    let refused = cloud.open("vnc", &cloud.auth).await.err().unwrap();
    assert_eq!((refused.0, refused.1.as_str()), (409, "conflict"), "{refused:?}");
    drop(open.pop());
    eventually("a place", async || cloud.open("vnc", &cloud.auth).await.is_ok()).await;
    cloud.end().await;
}
