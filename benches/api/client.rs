//! The plainest HTTP client that keeps its connection: what it costs is to be little beside what is measured.

use anyhow::Context;
use memchr::memmem::find;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

pub(crate) struct Client {
    stream: TcpStream,
    auth: String,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, auth: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, auth: auth.to_owned(), buffer: Vec::with_capacity(READ_BYTES) })
    }

    /// Asks, and reads the answer; its body, if it was a good one.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Vec<u8>> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {}\r\nContent-Length: {}\r\n\r\n",
            self.auth,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body.as_bytes()).await?;
        self.buffer.clear();
        let end = self.read_until(0, b"\r\n\r\n").await? + 4;
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let body = match length {
            Some(length) => {
                while self.buffer.len() < end + length {
                    self.read().await?;
                }
                self.buffer[end..end + length].to_vec()
            }
            None => self.read_chunks(end).await?,
        };
        anyhow::ensure!(head.contains(" 20"), "{head}{}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Reads a body in chunks, which begins at `at`.
    async fn read_chunks(&mut self, mut at: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(at, b"\r\n").await?;
            let length = usize::from_str_radix(std::str::from_utf8(&self.buffer[at..line])?, 16)?;
            let (begin, end) = (line + 2, line + 2 + length);
            while self.buffer.len() < end + 2 {
                self.read().await?;
            }
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&self.buffer[begin..end]);
            at = end + 2;
        }
    }

    /// Reads until the word is there, at or after `from`; says where.
    async fn read_until(&mut self, from: usize, word: &[u8]) -> anyhow::Result<usize> {
        loop {
            if let Some(at) = find(&self.buffer[from..], word) {
                return Ok(from + at);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        self.buffer.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.buffer).await?;
        (read > 0).then_some(()).context("the connection was closed")
    }
}
