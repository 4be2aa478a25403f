//! HTTP for cloud-init: a guest reads its own files, and learns of no others.

use super::{Guest, Guests, PAUSE, apart};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

pub(super) const PORT: u16 = 80;

/// Connections of one switch at a time; a guest asks four times, one after the other.
const CONNECTIONS_MAX: usize = 64;

/// The longest head of a request, bytes. cloud-init sends some hundred.
const HEAD_MAX: usize = 8_192;

/// How long a request and its answer may take; both lie within one host.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers until the socket is closed.
pub(super) async fn serve(listener: TcpListener, guests: Guests) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let guests = Arc::clone(&guests);
        tokio::spawn(async move {
            let _place = place;
            // Whoever is too slow, or goes away, asks again.
            let _ = tokio::time::timeout(PATIENCE, converse(stream, from, &guests)).await;
        });
    }
}

async fn converse(mut stream: TcpStream, from: SocketAddr, guests: &Guests) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut piece = [0; 1_024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut piece).await?;
        if count == 0 || head.len() > HEAD_MAX {
            return Ok(());
        }
        head.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    let answer = answer(&String::from_utf8_lossy(&head), from.ip(), guests);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The whole answer to a request.
fn answer(head: &str, from: IpAddr, guests: &Guests) -> String {
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let document =
        path.strip_prefix('/').and_then(|name| find(from, guests).and_then(|it| it.config.document(name)));
    let (status, body) = match (method, document) {
        ("GET" | "HEAD", Some(body)) => ("200 OK", body),
        ("GET" | "HEAD", None) => {
            ("404 Not Found", "there is no such file: meta-data, user-data, network-config\n".into())
        }
        _ => ("405 Method Not Allowed", "these files are read only\n".into()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    if method == "HEAD" { head } else { head + &body }
}

/// The guest that has an address, or a number, on this switch.
fn find(from: IpAddr, guests: &Guests) -> Option<Guest> {
    let guests = guests.read().unwrap_or_else(PoisonError::into_inner);
    if let IpAddr::V4(number) = from
        && apart::is_number(number)
    {
        return guests.values().find(|guest| guest.number == number).cloned();
    }
    let has = |guest: &&Guest| {
        let own = guest.config.cards.iter().filter(|card| card.mac.eq_ignore_ascii_case(&guest.mac));
        own.flat_map(|card| &card.addresses).any(|address| address.tag == 0 && address.ip == from)
    };
    guests.values().find(has).cloned()
}
