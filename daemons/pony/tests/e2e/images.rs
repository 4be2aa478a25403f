//! A web server for images: one that is, one that comes slowly, one that never comes, a large one, a small one,
//! one that is none.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of the large image. None of them are holes, so that every copy takes its time.
const LARGE: usize = 512 << 20;
/// Bytes of the small one: nobody boots from it.
const SMALL: usize = 1 << 20;
/// Pieces that the slow image comes in, and the pause between two.
const PIECES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Images(SocketAddr);

impl Images {
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.0)
    }
}

pub(crate) async fn serve(guest: PathBuf) -> Images {
    serve_at("127.0.0.1", guest).await
}

/// The same at an address that hosts reach.
pub(crate) async fn serve_at(address: &str, guest: PathBuf) -> Images {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, guest.clone()));
        }
    });
    Images(address)
}

async fn answer(mut stream: TcpStream, guest: PathBuf) {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&request[..read]).into_owned();
    let path = text.split(' ').nth(1).unwrap_or_default();
    let octets = "application/octet-stream";
    let (kind, body) = match path {
        "/guest.raw" | "/slow.raw" => (octets, tokio::fs::read(guest).await.unwrap()),
        "/small.raw" => (octets, [0x5a; 512].repeat(SMALL / 512)),
        "/large.raw" => (octets, [0x5a; 512].repeat(LARGE / 512)),
        "/page.html" => ("text/html", b"<!doctype html><title>Not found</title>".to_vec()),
        _ => {
            // Says that much will come, and then nothing.
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\nContent-Type: application/octet-stream\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            std::future::pending::<()>().await;
            return;
        }
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let (pieces, pause) = if path == "/slow.raw" { (PIECES, PAUSE) } else { (1, Duration::ZERO) };
    for piece in body.chunks(body.len().div_ceil(pieces)) {
        let _ = stream.write_all(piece).await;
        tokio::time::sleep(pause).await;
    }
}
