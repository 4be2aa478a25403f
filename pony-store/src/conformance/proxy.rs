//! A way to a server that can be made to fail as networks do: swallow everything without a word, or lead elsewhere.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They go to the server on this port of loopback.
    To(u16),
    /// They go there up to the first `COMMIT`, whose answer is swallowed.
    LosingAnswers(u16),
    /// They go there up to the first `COMMIT`, which is swallowed.
    LosingCommits(u16),
    /// They are swallowed, in both directions, and no connection is ended or refused.
    Nowhere,
}

/// A proxy on loopback. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    way: Arc<watch::Sender<Way>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// One that leads there.
    ///
    /// # Panics
    /// Where no port can be had.
    pub async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let way = Arc::new(watch::channel(way).0);
        let shared = Arc::clone(&way);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, shared.subscribe()));
            }
        });
        Self { port, way, task }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on bytes go there. Connections that went elsewhere are ended; those that are swallowed stay.
    pub fn lead(&self, way: Way) {
        self.way.send_replace(way);
    }
}

/// How a `COMMIT` looks on its way to the server.
const COMMIT: &[u8] = b"COMMIT\0";

/// Carries one connection.
async fn carry(client: TcpStream, mut way: watch::Receiver<Way>) {
    let began = *way.borrow_and_update();
    let (Way::To(port) | Way::LosingAnswers(port) | Way::LosingCommits(port)) = began else {
        // Held open, silently, until bytes go somewhere again.
        let _ = way.wait_for(|way| *way != Way::Nowhere).await;
        return;
    };
    let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Only another server ends a connection.
    let other = |way: &Way| matches!((way, began), (Way::To(now), Way::To(then)) if *now != then);
    let lost = AtomicBool::new(false);
    let mut ended = way.clone();
    tokio::select! {
        _ = pump(from_client, to_server, way.clone(), &lost) => {}
        _ = pump(from_server, to_client, way.clone(), &lost) => {}
        _ = ended.wait_for(other) => {}
    }
}

/// Carries one direction; what comes while bytes go nowhere is lost.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: watch::Receiver<Way>,
    lost: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        let now = *way.borrow();
        let commits = buffer[..count].windows(COMMIT.len()).any(|bytes| bytes == COMMIT);
        if now == Way::Nowhere || commits && matches!(now, Way::LosingCommits(_)) {
            lost.store(true, Ordering::Relaxed);
        }
        let is_last = commits && matches!(now, Way::LosingAnswers(_)) && !lost.swap(true, Ordering::Relaxed);
        if lost.load(Ordering::Relaxed) && !is_last {
            // A stream with a hole in it is of no use to anybody; nor is it ended.
            if count == 0 {
                std::future::pending::<()>().await;
            }
            continue;
        }
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}
