//! Hosts of a cloud whose database is away, and of one with two Sparkles. The hosts are simulated; their agents, the links
//! and the servers are real.

use crate::servers::{Daemon, cluster, config, eventually, free_address, operator};
use pony_core::host::NicFact;
use pony_host::{SimHost, SimOp, SimOptions};
use pony_net::KeyPair;
use pony_store::conformance::{Proxy, Stop, Way};
use serde_json::{Value as Json, json};
use sparkle::{Command, Config, Role, Sparkle};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use twilight::{Drivers, Twilight};
use uuid::Uuid;

/// For so long nothing happens to a guest that must not be touched: some periods of the agent, and of a session.
const CALM: Duration = Duration::from_secs(5);

/// An agent on a simulated host, whose Sparkle has the key in this directory.
fn agent(dir: &Path, host: &SimHost, sparkle: SocketAddr, key: &Path) -> Twilight {
    let config = twilight::Config {
        stop_grace: Duration::from_secs(1),
        ..twilight::Config::new(
            dir.join("twilight"),
            host.uuid(),
            sparkle.into(),
            KeyPair::load_or_create(&key.join("sparkle.key")).unwrap().public(),
        )
    };
    Twilight::start(&config, Drivers::all(Arc::new(host.clone()))).unwrap()
}

/// What the API shows of a row as it is.
async fn current(api: SocketAddr, auth: &str, path: &str) -> Json {
    match crate::client::try_send(api, "GET", path, auth, "").await {
        Some(answer) if answer.status == 200 => answer.json()["current"].clone(),
        _ => Json::Null,
    }
}

async fn is_present(api: SocketAddr, auth: &str, host: &SimHost) -> bool {
    current(api, auth, &format!("/v1/host/{}", host.uuid())).await["status"] == "present"
}

/// Orders an instance to run; gives its path below the API, and its uuid.
async fn order(api: SocketAddr, auth: &str, name: &str) -> (String, Uuid) {
    let tenant = json!({"desired": {"name": name, "approved": true}}).to_string();
    let made = crate::client::send(api, "POST", "/v1/tenant/", auth, &tenant).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let path = format!("/v1/tenant/{}/instance/", made.json()["uuids"]["POST"].as_str().unwrap());
    let instance = json!({"desired": {"name": name, "state": "running", "vcpu": 1, "rcpu": 0.1, "mem": 16}});
    let made = crate::client::send(api, "POST", &path, auth, &instance.to_string()).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let uuid = made.json()["uuids"]["POST"].as_str().unwrap().to_owned();
    (format!("{path}{uuid}"), uuid.parse().unwrap())
}

async fn is_running(api: SocketAddr, auth: &str, path: &str) -> bool {
    current(api, auth, path).await["status"] == "running"
}

/// All that the event stream says, as it comes.
async fn events(api: SocketAddr, auth: &str) -> tokio::sync::watch::Receiver<String> {
    let mut stream = tokio::net::TcpStream::connect(api).await.unwrap();
    let request = format!("GET /v1/event-stream HTTP/1.1\r\nHost: x\r\n{auth}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (said, heard) = tokio::sync::watch::channel(String::new());
    tokio::spawn(async move {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            said.send_modify(|text| text.push_str(&String::from_utf8_lossy(&piece[..count])));
        }
    });
    heard
}

/// How often a host is looked at that says nothing. Changes that are seen in a fraction of that were told.
const LOOKS: Duration = Duration::from_secs(60);

/// What changes of a machine is shown as it happens, without a look that is due; and what is worth telling is told once.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_of_a_machine_is_shown_at_once_and_told_once() {
    const CHANGES: u32 = 6;
    let dir = tempfile::tempdir().unwrap();
    let sparkle = Sparkle::start(Config { enroll: true, ..crate::client::config(dir.path()) }).await.unwrap();
    let (api, auth) = (sparkle.api(), crate::client::operator(&sparkle));
    let mac = "52:54:00:00:00:01";
    let card = |carrier| NicFact {
        hwaddr: mac.into(),
        link_name: "eno1".into(),
        up: true,
        carrier,
        ..NicFact::default()
    };
    let host = SimHost::new(SimOptions { nics: vec![card(true)], ..SimOptions::numbered(1, 1) });
    let twilight = agent(dir.path(), &host, sparkle.zmq(), &dir.path().join("state"));
    let below = format!("/v1/host/{}", host.uuid());
    let nic = format!("{below}/nic/{mac}");
    let shows = async |carrier: bool| current(api, &auth, &nic).await["carrier"] == carrier;
    eventually("the card", async || shows(true).await).await;
    let began = Instant::now();
    for change in 0..CHANGES {
        let carrier = change % 2 == 1;
        host.set_nics(vec![card(carrier)]);
        eventually("the change", async || shows(carrier).await).await;
    }
    host.set_nics(vec![]);
    eventually("that it is gone", async || current(api, &auth, &nic).await.is_null()).await;
    assert!(began.elapsed() < LOOKS, "{CHANGES} changes took as long as a look that comes by itself");

    let events = async || crate::client::send(api, "GET", &format!("{below}/event/"), &auth, "").await.json();
    let count = |rows: &Json, kind: &str| {
        let of_kind = rows.as_object().unwrap().values().filter(|row| row["desired"]["type"] == kind);
        of_kind.map(|row| row["desired"]["count"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    eventually("the news", async || !count(&events().await, "link-down").is_empty()).await;
    assert_eq!(count(&events().await, "link-down"), [1], "{}", events().await);
    twilight.shutdown().await;
    sparkle.shutdown().await;
}

/// The server is stopped. Guests that die are started again, also by an agent that begins anew and has to be told all
/// orders; what becomes of them is shown and told to subscribers; and orders take effect once it is back.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_go_on_while_the_database_is_away() {
    let Some(cluster) = cluster(&["fsync = off"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = Config { enroll: true, ..config(dir.path(), &cluster.address("cloud")) };
    Command::Migrate { check: false }.run(&config).await.unwrap();
    let sparkle = Sparkle::start(config).await.unwrap();
    let (api, auth) = (sparkle.api(), operator(dir.path()));
    let host = SimHost::new(SimOptions::numbered(1, 1));
    let first = agent(dir.path(), &host, sparkle.zmq(), dir.path());
    eventually("the host", async || is_present(api, &auth, &host).await).await;
    let (path, uuid) = order(api, &auth, "web").await;
    eventually("the guest", async || is_running(api, &auth, &path).await).await;
    let heard = events(api, &auth).await;

    cluster.stop(Stop::Fast);
    let is_away = async || crate::client::send(api, "GET", "/readyz", "", "").await.status == 503;
    eventually("the outage", is_away).await;
    // A guest that dies, and cannot be started for a while.
    let starts = host.effects_of(SimOp::Start, uuid);
    host.hang(SimOp::Start);
    host.crash(uuid);
    eventually("the news", async || !is_running(api, &auth, &path).await).await;
    host.release(SimOp::Start);
    eventually("its return", async || is_running(api, &auth, &path).await).await;
    assert!(host.effects_of(SimOp::Start, uuid) > starts && host.active_guests() == [uuid]);
    eventually("an event", async || heard.borrow().contains(&uuid.to_string())).await;
    // One that dies while nobody cares for the host.
    first.shutdown().await;
    host.crash(uuid);
    let second = agent(dir.path(), &host, sparkle.zmq(), dir.path());
    eventually("its second return", async || {
        host.active_guests() == [uuid] && is_running(api, &auth, &path).await
    })
    .await;
    assert!(is_away().await, "all that was without the database");

    cluster.restart();
    let stop = json!([{"op": "replace", "path": "/desired/state", "value": "stopped"}]).to_string();
    let stops = async || crate::client::send(api, "PATCH", &path, &auth, &stop).await.status == 200;
    eventually("an order", stops).await;
    eventually("its effect", async || host.active_guests().is_empty()).await;
    second.shutdown().await;
    sparkle.shutdown().await;
}

/// The one that leads is frozen, and another one takes over. Thawed, and without a database that could tell it, the first
/// still commands; the host, which is led back to it, tells it how things are, and obeys in nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_obeys_no_sparkle_of_an_older_epoch() {
    let Some(cluster) = cluster(&["fsync = off"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let to_database = Proxy::start(Way::To(cluster.port())).await;
    let port = (cluster.port().to_string(), to_database.port().to_string());
    let address = cluster.tcp_address("cloud");
    Command::Migrate { check: false }.run(&config(&one, &address)).await.unwrap();
    let old = Daemon::start(&one, &address.replace(&port.0, &port.1));
    let auth = old.operator().await;
    // Hosts are sent to whichever leads.
    let link = Proxy::start(Way::To(old.zmq.port())).await;
    let host = SimHost::new(SimOptions::numbered(1, 1));
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, link.port()));
    let agent = agent(dir.path(), &host, at, &one);
    eventually("the host", async || is_present(old.api, &auth, &host).await).await;
    let (_, first) = order(old.api, &auth, "first").await;
    eventually("the guest", async || host.active_guests() == [first]).await;

    std::fs::create_dir(&two).unwrap();
    std::fs::copy(one.join("sparkle.key"), two.join("sparkle.key")).unwrap();
    let zmq = free_address();
    let new = Sparkle::start(Config { zmq, ..config(&two, &address) }).await.unwrap();
    old.signal("STOP");
    eventually("the lead", async || *new.role().borrow() == Role::Leads).await;
    link.lead(Way::To(zmq.port()));
    eventually("the host at the new one", async || is_present(new.api(), &auth, &host).await).await;
    let (_, second) = order(new.api(), &auth, "second").await;
    eventually("the second guest", async || host.active_guests().len() == 2).await;

    to_database.lead(Way::Nowhere);
    old.signal("CONT");
    eventually("the host's silence", async || {
        let path = format!("/v1/host/{}", host.uuid());
        current(old.api, &auth, &path).await["status"] == "missing"
    })
    .await;
    link.lead(Way::To(old.zmq.port()));
    eventually("the host at the old one", async || is_present(old.api, &auth, &host).await).await;
    tokio::time::sleep(CALM).await;
    let touched = [SimOp::Shutdown, SimOp::Destroy, SimOp::Undefine].map(|op| host.effects_of(op, second));
    assert_eq!(touched, [0; 3], "the old one knows nothing of that guest");
    assert_eq!(host.active_guests().len(), 2);

    link.lead(Way::To(zmq.port()));
    let third = order(new.api(), &auth, "third").await.1;
    eventually("the third guest", async || host.active_guests().contains(&third)).await;
    agent.shutdown().await;
    new.shutdown().await;
    drop(old);
}
