//! Servers and clients over real sockets: both directions, keys, restarts, shutdown.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "clippy does not know helpers of tests as such")]

mod common;

use common::{Cloud, LOOPBACK, connected_client, connected_server, limits, message, next, patiently};
use pony_net::{
    BindError, Client, ClientSecurity, ConnectError, DownReason, Event, KeyPair, Limits, SendError, Server,
    ServerSecurity, UndeliveredReason,
};

#[tokio::test]
async fn either_side_may_speak_first() {
    let mut cloud = Cloud::new();
    let mut client = cloud.admitted_client();
    let peer = connected_server(&mut cloud.server).await;
    cloud.server.sender().send(&peer, b"{\"first\":1}".to_vec(), 7).unwrap();
    let sparkle = connected_client(&mut client).await;
    assert_eq!(sparkle, *client.server());
    assert_eq!(patiently("a message", client.recv()).await, Some(message(&sparkle, b"{\"first\":1}", 7)));
    client.sender().send(&sparkle, b"{}".to_vec(), u64::MAX).unwrap();
    assert_eq!(patiently("a reply", cloud.server.recv()).await, Some(message(&peer, b"{}", u64::MAX)));

    // And the other way round, with a second client that the server has not spoken to.
    let mut second = cloud.admitted_client();
    let sparkle = connected_client(&mut second).await;
    second.sender().send(&sparkle, b"hello".to_vec(), 1).unwrap();
    let second_peer = connected_server(&mut cloud.server).await;
    assert_ne!(peer, second_peer);
    assert_eq!(patiently("a message", cloud.server.recv()).await, Some(message(&second_peer, b"hello", 1)));
    let stats = cloud.server.stats();
    assert_eq!((stats.connected, stats.received, stats.sent, stats.malformed), (2, 2, 1, 0));
}

#[tokio::test]
async fn messages_keep_their_order_and_their_bytes() {
    let mut cloud = Cloud::new();
    let mut client = cloud.admitted_client();
    let sparkle = connected_client(&mut client).await;
    let peer = connected_server(&mut cloud.server).await;
    // Within what a peer's queue holds, so that none may be dropped.
    let bodies: Vec<Vec<u8>> = (0..60u32).map(|n| n.to_le_bytes().repeat(1 + n as usize * 997)).collect();
    for body in &bodies {
        client.sender().send(&sparkle, body.clone(), 3).unwrap();
    }
    for body in &bodies {
        assert_eq!(patiently("a message", cloud.server.recv()).await, Some(message(&peer, body, 3)));
    }
}

#[tokio::test]
async fn every_message_carries_the_key_that_its_sender_proved() {
    let mut cloud = Cloud::new();
    let keys: Vec<KeyPair> = (0..3).map(|_| KeyPair::generate().unwrap()).collect();
    for (index, pair) in keys.iter().enumerate() {
        cloud.admission.insert(pair.public());
        let mut client = cloud.client(pair);
        let sparkle = connected_client(&mut client).await;
        client.sender().send(&sparkle, vec![index as u8], 0).unwrap();
        let got = next!(cloud.server, "a message", Event::Message(message) => message);
        assert_eq!((got.body, got.peer.key()), (vec![index as u8], Some(&pair.public())));
        client.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_key_is_admitted_when_the_operator_says_so_and_cut_off_when_he_takes_it_back() {
    let mut cloud = Cloud::new();
    let keys = KeyPair::generate().unwrap();
    let mut client = cloud.client(&keys);
    assert_eq!(next!(client, "refusal", Event::Down(reason) => reason), DownReason::Refused);
    let refused = next!(cloud.server, "refusal", Event::Refused { key, address } => (key, address));
    assert_eq!(refused, (keys.public(), Some("127.0.0.1".to_owned())));
    let sparkle = client.server().clone();
    client.sender().send(&sparkle, b"{}".to_vec(), 0).unwrap();
    let reason = next!(client, "undelivered", Event::Undelivered { reason, .. } => reason);
    assert_eq!(reason, UndeliveredReason::Unroutable);

    cloud.admission.insert(keys.public());
    connected_client(&mut client).await;
    let peer = connected_server(&mut cloud.server).await;

    // The connection stays, but nothing passes in either direction.
    cloud.admission.remove(&keys.public());
    client.sender().send(&sparkle, b"{}".to_vec(), 0).unwrap();
    let key = next!(cloud.server, "refused message", Event::Refused { key, .. } => key);
    assert_eq!(key, keys.public());
    cloud.server.sender().send(&peer, b"{}".to_vec(), 0).unwrap();
    let reason = next!(cloud.server, "undelivered", Event::Undelivered { reason, .. } => reason);
    assert_eq!(reason, UndeliveredReason::NotAdmitted);
    assert_eq!((cloud.server.stats().received, client.stats().received), (0, 0));
}

#[tokio::test]
async fn an_open_server_takes_any_key() {
    let mut cloud = Cloud::new();
    cloud.admission.set_open(true);
    let keys = KeyPair::generate().unwrap();
    let _client = cloud.client(&keys);
    assert_eq!(connected_server(&mut cloud.server).await.key(), Some(&keys.public()));
}

#[tokio::test]
async fn a_client_with_the_wrong_server_key_never_gets_through() {
    let mut cloud = Cloud::new();
    cloud.admission.set_open(true);
    let security = ClientSecurity::Curve {
        keys: KeyPair::generate().unwrap(),
        server_key: KeyPair::generate().unwrap().public(),
    };
    let mut client = Client::connect(&cloud.server.local_addr().into(), &security, limits()).unwrap();
    assert_eq!(next!(client, "handshake failure", Event::Down(reason) => reason), DownReason::Handshake);
    // Someone with the right key still does.
    let _good = cloud.admitted_client();
    connected_server(&mut cloud.server).await;
    assert_eq!((cloud.server.stats().connected, client.stats().connected), (1, 0));
}

#[tokio::test]
async fn plain_is_for_loopback_only() {
    let error = Server::bind("0.0.0.0:0".parse().unwrap(), ServerSecurity::Plain, limits()).unwrap_err();
    assert!(matches!(error, BindError::PlainBeyondLoopback { .. }), "{error}");
    let endpoint = "192.0.2.1:9850".parse().unwrap();
    let error = Client::connect(&endpoint, &ClientSecurity::Plain, limits()).unwrap_err();
    assert!(matches!(error, ConnectError::PlainBeyondLoopback { .. }), "{error}");

    let mut server = Server::bind(LOOPBACK.parse().unwrap(), ServerSecurity::Plain, limits()).unwrap();
    let mut client = Client::connect(&server.local_addr().into(), &ClientSecurity::Plain, limits()).unwrap();
    assert_eq!(connected_server(&mut server).await.key(), None);
    connected_client(&mut client).await;
}

#[tokio::test]
async fn plain_and_curve_do_not_talk() {
    let cloud = Cloud::new();
    cloud.admission.set_open(true);
    let mut plain =
        Client::connect(&cloud.server.local_addr().into(), &ClientSecurity::Plain, limits()).unwrap();
    assert_eq!(next!(plain, "handshake failure", Event::Down(reason) => reason), DownReason::Handshake);
    assert_eq!(cloud.server.stats().connected, 0);

    let mut server = Server::bind(LOOPBACK.parse().unwrap(), ServerSecurity::Plain, limits()).unwrap();
    let address = server.local_addr();
    let security = cloud.security(&KeyPair::generate().unwrap());
    let mut client = Client::connect(&address.into(), &security, limits()).unwrap();
    assert_eq!(next!(client, "handshake failure", Event::Down(reason) => reason), DownReason::Handshake);
    assert_eq!(server.events().try_recv(), None);

    // Once the server is set right, the client gets through without a restart of its own.
    server.shutdown().await.unwrap();
    let _cloud = Cloud::with(limits(), address, cloud.server_keys, cloud.admission);
    connected_client(&mut client).await;
}

#[tokio::test]
async fn a_server_restarts_on_its_port() {
    let mut cloud = Cloud::new();
    let mut client = cloud.admitted_client();
    let sparkle = connected_client(&mut client).await;
    let before = connected_server(&mut cloud.server).await;
    let (address, keys, admission) = (cloud.server.local_addr(), cloud.server_keys, cloud.admission);
    cloud.server.shutdown().await.unwrap();
    assert_eq!(next!(client, "loss", Event::Down(reason) => reason), DownReason::Lost);
    client.sender().send(&sparkle, b"lost".to_vec(), 0).unwrap();
    next!(client, "undelivered", Event::Undelivered { .. });

    let mut cloud = Cloud::with(limits(), address, keys, admission);
    connected_client(&mut client).await;
    assert_eq!(connected_server(&mut cloud.server).await, before, "one process, one routing id");
    client.sender().send(&sparkle, b"again".to_vec(), 0).unwrap();
    let got = next!(cloud.server, "a message", Event::Message(message) => message);
    assert_eq!(got.body, b"again");
}

#[tokio::test]
async fn a_restarted_client_is_a_new_peer_and_the_old_one_unroutable() {
    let mut cloud = Cloud::new();
    let keys = KeyPair::generate().unwrap();
    cloud.admission.insert(keys.public());
    let client = cloud.client(&keys);
    let old = connected_server(&mut cloud.server).await;
    client.shutdown().await.unwrap();
    let mut client = cloud.client(&keys);
    let new = connected_server(&mut cloud.server).await;
    assert_ne!(old.id(), new.id());
    assert_eq!(old.key(), new.key());
    // The server has noticed the end of the old connection by now, or does so soon.
    let reason = patiently("unroutable", async {
        loop {
            cloud.server.sender().send(&old, b"{}".to_vec(), 0).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            if let Some(Event::Undelivered { peer, reason }) = cloud.server.events().try_recv() {
                break (peer, reason);
            }
        }
    })
    .await;
    assert_eq!(reason, (old, UndeliveredReason::Unroutable));
    cloud.server.sender().send(&new, b"{}".to_vec(), 0).unwrap();
    next!(client, "a message", Event::Message(_));
}

#[tokio::test]
async fn nobody_there_is_told_once() {
    let listener = std::net::TcpListener::bind(LOOPBACK).unwrap();
    let endpoint = listener.local_addr().unwrap().into();
    drop(listener);
    let mut client = Client::connect(&endpoint, &ClientSecurity::Plain, limits()).unwrap();
    assert_eq!(patiently("down", client.recv()).await, Some(Event::Down(DownReason::Unreachable)));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(client.events().try_recv(), None);
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let cloud = Cloud::new();
    let error = Server::bind(cloud.server.local_addr(), ServerSecurity::Plain, limits()).unwrap_err();
    assert!(matches!(error, BindError::Bind { source: zmq::Error::EADDRINUSE, .. }), "{error:?}");
}

#[tokio::test]
async fn what_is_too_large_is_refused_at_once_and_a_closed_link_says_so() {
    let mut small = limits();
    small.max_message_bytes = 100;
    let mut cloud = Cloud::with(
        small.clone(),
        LOOPBACK.parse().unwrap(),
        KeyPair::generate().unwrap(),
        Default::default(),
    );
    let keys = KeyPair::generate().unwrap();
    cloud.admission.insert(keys.public());
    let client = cloud.client_with(&keys, small);
    connected_server(&mut cloud.server).await;
    let (sender, sparkle) = (client.sender().clone(), client.server().clone());
    assert_eq!(sender.send(&sparkle, vec![0; 101], 0), Err(SendError::TooLarge { bytes: 101, max: 100 }));
    sender.send(&sparkle, vec![0; 100], 0).unwrap();
    next!(cloud.server, "a message", Event::Message(_));
    client.shutdown().await.unwrap();
    assert_eq!(sender.send(&sparkle, vec![], 0), Err(SendError::Closed));
}

#[tokio::test]
async fn ipv6_loopback_works_where_there_is_one() {
    let address = "[::1]:0".parse().unwrap();
    let Ok(mut server) = Server::bind(address, ServerSecurity::Plain, Limits::default()) else {
        println!("skipped: ipv6_loopback_works_where_there_is_one: this machine has no ::1");
        return;
    };
    let _client = Client::connect(&server.local_addr().into(), &ClientSecurity::Plain, limits()).unwrap();
    connected_server(&mut server).await;
}
