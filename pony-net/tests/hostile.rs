//! Peers without manners: garbage, odd frames, oversize, crowds, slow consumers. None may hurt the others.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "clippy does not know helpers of tests as such")]

mod common;

use common::{Cloud, LOOPBACK, connected_client, connected_server, limits, next, patiently, raw, secure};
use pony_net::{Event, KeyPair, Malformation, Peer, PublicKey, SendError, Server, UndeliveredReason};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A cloud with one well-behaved client, which has to get through at the end.
struct Witness {
    cloud: Cloud,
    client: pony_net::Client,
    peer: Peer,
}

impl Witness {
    async fn new(limits: pony_net::Limits) -> Self {
        let server_keys = KeyPair::generate().unwrap();
        let mut cloud = Cloud::with(limits, LOOPBACK.parse().unwrap(), server_keys, Default::default());
        let mut client = cloud.admitted_client();
        connected_client(&mut client).await;
        let peer = connected_server(&mut cloud.server).await;
        Self { cloud, client, peer }
    }

    /// Both directions still work.
    async fn testify(&mut self) {
        let Self { cloud, client, peer } = self;
        let sparkle = client.server().clone();
        client.sender().send(&sparkle, b"ping".to_vec(), 1).unwrap();
        let from = next!(cloud.server, "ping", Event::Message(m) if m.body == b"ping" => m.peer);
        assert_eq!(from, *peer);
        cloud.server.sender().send(peer, b"pong".to_vec(), 2).unwrap();
        next!(client, "pong", Event::Message(m) if m.body == b"pong");
    }

    fn endpoint(&self) -> String {
        format!("tcp://{}", self.cloud.server.local_addr())
    }
}

fn admitted_keys(witness: &Witness) -> zmq::CurveKeyPair {
    let keys = zmq::CurveKeyPair::new().unwrap();
    witness.cloud.admission.insert(PublicKey::from_bytes(keys.public_key));
    keys
}

#[tokio::test]
async fn garbage_on_the_port() {
    let mut witness = Witness::new(limits()).await;
    let address = witness.cloud.server.local_addr();
    let zmtp_start: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0CURVE";
    let texts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 4096],
        &[0; 4096],
        zmtp_start,
        b"\x01\0garbage of an old protocol",
    ];
    let mut lingering = Vec::new();
    for round in 0..60 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // The server may have closed already, which is fine.
        let _ = stream.write_all(texts[round % texts.len()]);
        let _ = stream.read(&mut [0; 64]);
        if round % 3 == 0 {
            lingering.push(stream);
        }
    }
    witness.testify().await;
    let stats = witness.cloud.server.stats();
    assert_eq!((stats.connected, stats.malformed), (1, 0));
    patiently("failed handshakes are counted", async {
        while witness.cloud.server.stats().handshakes_failed == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn odd_frames_are_reported_with_their_peer() {
    let mut witness = Witness::new(limits()).await;
    let context = zmq::Context::new();
    for kind in [zmq::DEALER, zmq::ROUTER] {
        let keys = admitted_keys(&witness);
        let socket = raw(&context, kind);
        secure(&socket, &keys, &witness.cloud);
        socket.set_identity(format!("odd-{kind:?}").as_bytes()).unwrap();
        // A ROUTER has to learn the server's id from its probe before it can send.
        socket.connect(&witness.endpoint()).unwrap();
        let probe = socket.recv_multipart(0).unwrap();
        let address = if kind == zmq::ROUTER { vec![probe[0].clone()] } else { Vec::new() };
        // Frames that arrive, and what that counts as (the routing id is one more).
        let cases: [(&[&[u8]], Malformation); 5] = [
            (&[b"alone"], Malformation::Frames(2)),
            (&[b"{}", b"1", b"more"], Malformation::Frames(4)),
            (&[b"", b"", b"", b"", b""], Malformation::Frames(6)),
            (&[b"{}", b"noon"], Malformation::Time),
            (&[b"{}", b""], Malformation::Time),
        ];
        for (frames, expected) in cases {
            let frames = address.iter().cloned().chain(frames.iter().map(|frame| frame.to_vec()));
            socket.send_multipart(frames, 0).unwrap();
            let (peer, from, reason) = next!(
                witness.cloud.server,
                "malformed",
                Event::Malformed { peer, address, reason } => (peer, address, reason)
            );
            assert_eq!(reason, expected);
            assert_eq!(peer.id(), format!("odd-{kind:?}").as_bytes());
            assert_eq!(peer.key(), Some(&PublicKey::from_bytes(keys.public_key)));
            assert_eq!(from.as_deref(), Some("127.0.0.1"));
        }
        // One frame alone, the empty message, is how a peer announces itself: harmless, at any time.
        socket.send_multipart(address.iter().cloned().chain([Vec::new()]), 0).unwrap();
        connected_server(&mut witness.cloud.server).await;
    }
    assert_eq!(witness.cloud.server.stats().malformed, 10);
    witness.testify().await;
}

#[tokio::test]
async fn a_client_survives_odd_frames_of_its_server() {
    let context = zmq::Context::new();
    let fake = raw(&context, zmq::ROUTER);
    fake.set_identity(pony_net::SERVER_ROUTING_ID).unwrap();
    fake.set_router_mandatory(true).unwrap();
    fake.bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = fake.get_last_endpoint().unwrap().unwrap().parse().unwrap();
    let mut client =
        pony_net::Client::connect(&endpoint, &pony_net::ClientSecurity::Plain, limits()).unwrap();
    let id = fake.recv_multipart(0).unwrap()[0].clone();
    fake.send_multipart([id.as_slice(), b"x"], 0).unwrap();
    fake.send_multipart([id.as_slice(), b"x", b"1", b"y"], 0).unwrap();
    fake.send_multipart([id.as_slice(), b"good", b"1"], 0).unwrap();
    for expected in [Malformation::Frames(2), Malformation::Frames(4)] {
        assert_eq!(next!(client, "malformed", Event::Malformed { reason, .. } => reason), expected);
    }
    assert_eq!(next!(client, "a message", Event::Message(m) => m.body), b"good");
}

#[tokio::test]
async fn a_frame_beyond_the_limit_costs_its_sender_the_connection() {
    let mut small = limits();
    small.max_message_bytes = 1000;
    let mut witness = Witness::new(small).await;
    let context = zmq::Context::new();
    let keys = admitted_keys(&witness);
    let socket = raw(&context, zmq::DEALER);
    secure(&socket, &keys, &witness.cloud);
    socket.set_identity(b"big").unwrap();
    socket.set_reconnect_ivl(-1).unwrap();
    socket.connect(&witness.endpoint()).unwrap();
    socket.recv_multipart(0).unwrap();
    socket.send_multipart([vec![b'x'; 1000], b"1".to_vec()], 0).unwrap();
    let (big, body) = next!(witness.cloud.server, "the largest", Event::Message(m) => (m.peer, m.body));
    assert_eq!(body.len(), 1000);
    // What only the allowance for framing let through is still refused, with its peer named.
    socket.send_multipart([vec![b'x'; 1001], b"1".to_vec()], 0).unwrap();
    let reason = next!(witness.cloud.server, "too large", Event::Malformed { reason, .. } => reason);
    assert_eq!(reason, Malformation::TooLarge(1001));
    // Far beyond, libzmq itself stops reading and hangs up.
    socket.send_multipart([vec![b'x'; 1 << 20], b"1".to_vec()], 0).unwrap();
    let reason = patiently("hung up", async {
        loop {
            witness.cloud.server.sender().send(&big, vec![], 0).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            match witness.cloud.server.events().try_recv() {
                Some(Event::Undelivered { reason, .. }) => break reason,
                other => assert_eq!(other, None),
            }
        }
    })
    .await;
    assert_eq!(reason, UndeliveredReason::Unroutable);
    witness.testify().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_told_of_and_bounded() {
    let mut shallow = limits();
    shallow.peer_outbound_messages = 64;
    let mut witness = Witness::new(shallow).await;
    let context = zmq::Context::new();
    let keys = admitted_keys(&witness);
    let slow = raw(&context, zmq::DEALER);
    slow.set_rcvhwm(1).unwrap();
    secure(&slow, &keys, &witness.cloud);
    slow.set_identity(b"slow").unwrap();
    slow.connect(&witness.endpoint()).unwrap();
    slow.send_multipart([""], 0).unwrap();
    let peer = next!(witness.cloud.server, "slow", Event::Connected(p) if p.id() == b"slow" => p);
    let body = vec![b'x'; 1 << 20];
    let mut accepted = 0;
    let reason = patiently("overflow", async {
        loop {
            match witness.cloud.server.sender().send(&peer, body.clone(), 0) {
                Ok(()) => accepted += 1,
                Err(error) => assert_eq!(error, SendError::Full),
            }
            tokio::task::yield_now().await;
            if let Some(Event::Undelivered { peer: whom, reason }) = witness.cloud.server.events().try_recv()
            {
                assert_eq!(whom, peer);
                break reason;
            }
        }
    })
    .await;
    assert_eq!(reason, UndeliveredReason::Full);
    // libzmq's queue, what the kernel buffers, and what waits for the thread.
    assert!(accepted < 64 + 64 + 200, "{accepted} messages of 1 MiB were taken for a peer that reads none");
    assert!(witness.cloud.server.stats().overflowed > 0);
    witness.testify().await;
}

#[tokio::test]
async fn a_consumer_that_sleeps_makes_the_senders_wait_and_loses_nothing() {
    let mut tight = limits();
    (tight.inbound_messages, tight.inbound_bytes) = (16, 1 << 20);
    (tight.peer_outbound_messages, tight.peer_inbound_messages) = (8, 8);
    let mut cloud = Cloud::with(
        tight.clone(),
        LOOPBACK.parse().unwrap(),
        KeyPair::generate().unwrap(),
        Default::default(),
    );
    let keys = KeyPair::generate().unwrap();
    cloud.admission.insert(keys.public());
    let mut client = cloud.client_with(&keys, tight);
    let sparkle = connected_client(&mut client).await;
    // Send until the jam reaches back to the sender: from there on it is told what does not get through.
    let mut sent = Vec::new();
    let mut missing = 0u32;
    patiently("jam", async {
        while missing < 50 {
            let number = sent.len() as u32;
            let mut body = number.to_le_bytes().to_vec();
            body.resize(100_000, b'x');
            client.sender().send(&sparkle, body, 0).unwrap();
            sent.push(number);
            tokio::time::sleep(Duration::from_micros(100)).await;
            while let Some(event) = client.events().try_recv() {
                if let Event::Undelivered { reason, .. } = event {
                    assert_eq!(reason, UndeliveredReason::Full);
                    missing += 1;
                }
            }
        }
    })
    .await;
    assert!(cloud.server.stats().stalled > 0);
    // The consumer awakes: exactly the others arrive, in order.
    let mut got = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(2), cloud.server.recv()).await {
        if let Event::Message(message) = event {
            got.push(u32::from_le_bytes(*message.body.first_chunk().unwrap()));
        }
    }
    while let Some(event) = client.events().try_recv() {
        missing += u32::from(matches!(event, Event::Undelivered { .. }));
    }
    assert!(got.is_sorted_by(|one, other| one < other));
    assert_eq!(got.len() as u32 + missing, sent.len() as u32);
    assert_eq!(client.stats().overflowed, u64::from(missing));
}

#[tokio::test]
async fn a_crowd_of_peers_comes_and_goes() {
    const PEERS: usize = 1000;
    const AT_ONCE: usize = 50;
    let mut witness = Witness::new(limits()).await;
    let endpoint = witness.endpoint();
    let keys: Vec<_> = (0..8).map(|_| admitted_keys(&witness)).collect();
    let server_key = witness.cloud.server_keys.public();
    let crowd = std::thread::spawn(move || {
        let context = zmq::Context::new();
        for group in 0..PEERS / AT_ONCE {
            let sockets: Vec<_> = (0..AT_ONCE)
                .map(|index| {
                    let socket = raw(&context, zmq::DEALER);
                    let pair = &keys[index % keys.len()];
                    socket.set_curve_serverkey(server_key.as_bytes()).unwrap();
                    socket.set_curve_publickey(&pair.public_key).unwrap();
                    socket.set_curve_secretkey(&pair.secret_key).unwrap();
                    socket.set_identity(format!("crowd-{group}-{index}").as_bytes()).unwrap();
                    socket.connect(&endpoint).unwrap();
                    socket.send_multipart(["{}", "1"], 0).unwrap();
                    socket
                })
                .collect();
            for socket in &sockets {
                assert_eq!(socket.recv_multipart(0).unwrap(), [b""], "the server's probe");
            }
        }
    });
    let mut seen = std::collections::HashSet::new();
    patiently("everybody is heard or gone", async {
        while seen.len() < PEERS * 9 / 10 && !(crowd.is_finished() && seen.len() >= PEERS / 2) {
            match tokio::time::timeout(Duration::from_millis(200), witness.cloud.server.recv()).await {
                Ok(Some(Event::Message(message))) => drop(seen.insert(message.peer)),
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => panic!("the link broke"),
            }
        }
    })
    .await;
    crowd.join().unwrap();
    let gone = seen.into_iter().next().unwrap();
    witness.cloud.server.sender().send(&gone, b"{}".to_vec(), 0).unwrap();
    let reason = next!(witness.cloud.server, "unroutable", Event::Undelivered { reason, .. } => reason);
    assert_eq!(reason, UndeliveredReason::Unroutable);
    witness.testify().await;
    let stats = witness.cloud.server.stats();
    assert_eq!((stats.malformed, stats.refused), (0, 0));
    witness.cloud.server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_flood_of_unknown_keys_does_not_fill_the_queue() {
    let mut tight = limits();
    tight.inbound_messages = 8;
    let mut witness = Witness::new(tight).await;
    let context = zmq::Context::new();
    let sockets: Vec<_> = (0..40)
        .map(|_| {
            let socket = raw(&context, zmq::DEALER);
            secure(&socket, &zmq::CurveKeyPair::new().unwrap(), &witness.cloud);
            socket.connect(&witness.endpoint()).unwrap();
            socket
        })
        .collect();
    // Nobody consumes meanwhile.
    patiently("all were refused", async {
        while witness.cloud.server.stats().refused < sockets.len() as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let mut told = 0;
    while let Some(event) = witness.cloud.server.events().try_recv() {
        assert!(matches!(event, Event::Refused { .. }), "{event:?}");
        told += 1;
    }
    assert!((1..=4).contains(&told), "{told} of 8 places");
    witness.testify().await;
}

#[tokio::test]
async fn dropping_a_link_frees_its_port() {
    let cloud = Cloud::new();
    let address = cloud.server.local_addr();
    drop(cloud.server);
    patiently("the port is free", async {
        while Server::bind(address, pony_net::ServerSecurity::Plain, limits()).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
