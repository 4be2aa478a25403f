//! A web server for images: one that is, one that never comes, one that is none.

use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Images(SocketAddr);

impl Images {
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.0)
    }
}

pub(crate) async fn serve(guest: PathBuf) -> Images {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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
    let (kind, body) = match path {
        "/guest.raw" => ("application/octet-stream", tokio::fs::read(guest).await.unwrap()),
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
    let _ = stream.write_all(&body).await;
}
