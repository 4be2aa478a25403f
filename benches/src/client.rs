//! The plainest client of the API, which costs next to nothing itself. (What is measured shares its processors.)

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of an answer; a longer one is not what a bench asked for.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A connection that stays open, of somebody who has signed in.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    authorization: String,
    received: Vec<u8>,
}

impl Client {
    /// Connects; `credentials` are `email:password`.
    ///
    /// # Errors
    /// Where nobody is there.
    pub async fn connect(api: SocketAddr, credentials: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(api).await?;
        stream.set_nodelay(true)?;
        let authorization = BASE64_STANDARD.encode(credentials.trim());
        Ok(Self { stream, authorization, received: Vec::new() })
    }

    /// Sends a request with a JSON body, and gives the body of the answer.
    ///
    /// # Errors
    /// Where the answer is another than 200, or none.
    pub async fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let (status, body) = self.ask(method, path, body).await?;
        ensure!(status == 200, "{method} {path}: {status}: {body}");
        Ok(body)
    }

    /// The same, whatever the answer is: its status comes first.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn ask(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.authorization,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.received.clear();
        let (head, length) = loop {
            if let Some(head) = self.received.windows(4).position(|it| it == b"\r\n\r\n") {
                break (head + 4, content_length(&self.received[..head])?);
            }
            self.receive().await?;
        };
        while self.received.len() < head + length {
            self.receive().await?;
        }
        let answer = String::from_utf8_lossy(&self.received);
        let status = answer.split(' ').nth(1).context("the answer has no status")?.parse()?;
        Ok((status, answer.get(head..).unwrap_or_default().to_owned()))
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        ensure!(self.received.len() < ANSWER_BYTES_MAX, "the answer does not end");
        ensure!(self.stream.read_buf(&mut self.received).await? > 0, "the server hung up");
        Ok(())
    }
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(length.context("the answer has no length")?.trim().parse()?)
}
