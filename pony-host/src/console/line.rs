//! Serial lines with one end only, as an emulator's socket is, for any number of users: one connection to the guest
//! while anybody has it open, a copy of all that it says for each of them.

use super::Console;
use crate::Result;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::{broadcast, mpsc};
use uuid::Uuid;

/// Bytes of what a guest said that are kept while its line is open, for those who come later: a few screens.
pub(crate) const HISTORY_BYTES: usize = 64 << 10;
/// Bytes moved at once.
const CHUNK_BYTES: usize = 4 << 10;
/// Chunks that a user may be behind the guest, who never waits for one. Beyond it he misses some, and is told.
const CHUNKS_BEHIND_MAX: usize = 64;
/// Chunks of input that wait for the guest. Beyond it those who type wait.
const TYPED_WAITING_MAX: usize = 4;
/// How long the guest may leave a chunk of input unread before it is lost, as on a real line.
const TYPED_MAX: Duration = Duration::from_secs(10);
/// What is shown in the place of what was missed.
const MISSED: &[u8] = b"\r\n[some output is missing here: it came faster than it was read]\r\n";

/// A piece of what was said or typed.
type Chunk = Arc<[u8]>;

/// The lines that are open.
#[derive(Debug, Default)]
pub(crate) struct Lines(tokio::sync::Mutex<HashMap<Uuid, Line>>);

/// An open line, as long as it lasts: its task keeps what was said, its users keep the way to the guest.
#[derive(Debug)]
struct Line {
    said: Weak<Said>,
    typed: mpsc::WeakSender<Chunk>,
}

#[derive(Debug)]
struct Said(Mutex<Voice>);

#[derive(Debug)]
struct Voice {
    history: VecDeque<u8>,
    listeners: broadcast::Sender<Chunk>,
}

impl Lines {
    /// Joins the guest's line. Where nobody has it open, `open` connects, and says what the guest said before.
    ///
    /// # Errors
    /// Those of `open`.
    pub(crate) async fn join<S>(
        &self,
        guest: Uuid,
        open: impl Future<Output = Result<(S, Vec<u8>)>>,
    ) -> Result<Console>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let mut lines = self.0.lock().await;
        lines.retain(|_, line| line.parts().is_some());
        if let Some((said, typed)) = lines.get(&guest).and_then(Line::parts) {
            return Ok(user(&said, typed));
        }
        let (stream, before) = open.await?;
        let said = Said::after(&before);
        let (typed, to_type) = mpsc::channel(TYPED_WAITING_MAX);
        lines.insert(guest, Line { said: Arc::downgrade(&said), typed: typed.downgrade() });
        let console = user(&said, typed);
        tokio::spawn(serve(stream, said, to_type));
        Ok(console)
    }
}

impl Line {
    fn parts(&self) -> Option<(Arc<Said>, mpsc::Sender<Chunk>)> {
        self.said.upgrade().zip(self.typed.upgrade())
    }
}

impl Said {
    fn after(before: &[u8]) -> Arc<Self> {
        let history = before.iter().skip(before.len().saturating_sub(HISTORY_BYTES)).copied().collect();
        Arc::new(Self(Mutex::new(Voice { history, listeners: broadcast::channel(CHUNKS_BEHIND_MAX).0 })))
    }

    fn voice(&self) -> MutexGuard<'_, Voice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, bytes: &[u8]) {
        let mut voice = self.voice();
        let over = (voice.history.len() + bytes.len()).saturating_sub(HISTORY_BYTES);
        let over = over.min(voice.history.len());
        voice.history.drain(..over);
        voice.history.extend(bytes);
        // Nobody may be listening just now.
        let _ = voice.listeners.send(bytes.into());
    }

    /// What was said so far, and all that follows.
    fn listen(&self) -> (Vec<u8>, broadcast::Receiver<Chunk>) {
        let voice = self.voice();
        (voice.history.iter().copied().collect(), voice.listeners.subscribe())
    }
}

/// Serves a line until the guest closes it, or its last user is gone.
async fn serve(stream: impl AsyncRead + AsyncWrite, said: Arc<Said>, mut to_type: mpsc::Receiver<Chunk>) {
    let (mut voice, mut keys) = split(stream);
    let hear = async {
        let mut chunk = [0; CHUNK_BYTES];
        while let Ok(bytes @ 1..) = voice.read(&mut chunk).await {
            said.say(&chunk[..bytes]);
        }
    };
    let press = async {
        while let Some(chunk) = to_type.recv().await {
            if let Ok(Err(_)) = tokio::time::timeout(TYPED_MAX, keys.write_all(&chunk)).await {
                return;
            }
        }
    };
    tokio::select! { () = hear => {}, () = press => {} }
}

/// One more user of a line.
fn user(said: &Said, typed: mpsc::Sender<Chunk>) -> Console {
    let (history, mut listener) = said.listen();
    let (near, far) = tokio::io::duplex(CHUNK_BYTES);
    tokio::spawn(async move {
        let (mut keys, mut screen) = split(far);
        let show = async {
            screen.write_all(&history).await?;
            loop {
                match listener.recv().await {
                    Ok(chunk) => screen.write_all(&chunk).await?,
                    Err(broadcast::error::RecvError::Lagged(_)) => screen.write_all(MISSED).await?,
                    Err(broadcast::error::RecvError::Closed) => return std::io::Result::Ok(()),
                }
            }
        };
        let take = async {
            let mut chunk = [0; CHUNK_BYTES];
            while let Ok(bytes @ 1..) = keys.read(&mut chunk).await {
                if typed.send(chunk[..bytes].into()).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! { _ = show => {}, () = take => {} }
    });
    Box::new(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;

    async fn join(lines: &Lines, guest: Uuid, stream: DuplexStream, before: &str) -> Console {
        lines.join(guest, async { Ok((stream, before.as_bytes().to_vec())) }).await.unwrap()
    }

    async fn joined(lines: &Lines, guest: Uuid) -> Console {
        lines.join(guest, async { Err::<(DuplexStream, _), _>(closed()) }).await.unwrap()
    }

    fn closed() -> pony_core::host::DriverError {
        let kind = pony_core::host::DriverErrorKind::Order;
        pony_core::host::DriverError { kind, message: "nobody has it open".to_owned() }
    }

    async fn read(console: &mut Console, bytes: usize) -> String {
        let mut read = vec![0; bytes];
        console.read_exact(&mut read).await.unwrap();
        String::from_utf8(read).unwrap()
    }

    #[tokio::test]
    async fn all_who_have_it_open_see_the_same_and_may_type() {
        let (lines, guest) = (Lines::default(), Uuid::from_u128(1));
        let (mut emulator, stream) = tokio::io::duplex(64);
        let mut first = join(&lines, guest, stream, "before ").await;
        emulator.write_all(b"login: ").await.unwrap();
        assert_eq!(read(&mut first, 14).await, "before login: ");
        let mut second = joined(&lines, guest).await;
        assert_eq!(read(&mut second, 14).await, "before login: ", "what was said before is shown");
        second.write_all(b"root").await.unwrap();
        let mut typed = [0; 4];
        emulator.read_exact(&mut typed).await.unwrap();
        emulator.write_all(&typed).await.unwrap();
        assert_eq!((read(&mut first, 4).await, read(&mut second, 4).await), ("root".into(), "root".into()));
        drop(emulator);
        assert_eq!(first.read(&mut typed).await.unwrap(), 0, "it ends with the guest");
        assert_eq!(second.read(&mut typed).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_line_closes_with_its_last_user_and_is_opened_anew() {
        let (lines, guest) = (Lines::default(), Uuid::from_u128(1));
        let (mut emulator, stream) = tokio::io::duplex(64);
        let (first, second) = (join(&lines, guest, stream, "").await, joined(&lines, guest).await);
        drop(first);
        emulator.write_all(b"still there").await.unwrap();
        drop(second);
        assert_eq!(emulator.read(&mut [0; 1]).await.unwrap(), 0, "the guest's end sees it close");
        let (_emulator, stream) = tokio::io::duplex(64);
        let mut third = join(&lines, guest, stream, "anew").await;
        assert_eq!(read(&mut third, 4).await, "anew");
    }

    /// A guest that waits for whoever looks at it would stand still with him.
    #[tokio::test]
    async fn a_user_who_does_not_read_holds_nobody_up() {
        let (lines, guest) = (Lines::default(), Uuid::from_u128(1));
        let (mut emulator, stream) = tokio::io::duplex(CHUNK_BYTES);
        let mut idle = join(&lines, guest, stream, "").await;
        let chunks = CHUNKS_BEHIND_MAX * 4;
        for _ in 0..chunks {
            emulator.write_all(&[b'x'; CHUNK_BYTES]).await.unwrap();
        }
        let mut late = joined(&lines, guest).await;
        assert_eq!(read(&mut late, HISTORY_BYTES).await, "x".repeat(HISTORY_BYTES), "no more is kept");
        let mut seen = Vec::new();
        while !seen.ends_with(MISSED) {
            seen.push(idle.read_u8().await.unwrap());
        }
        assert!(seen.len() < chunks * CHUNK_BYTES, "{}", seen.len());
    }

    /// A guest that does not read what is typed: whoever leaves can leave.
    #[tokio::test(start_paused = true)]
    async fn a_guest_that_does_not_read_keeps_no_line_open() {
        let (lines, guest) = (Lines::default(), Uuid::from_u128(1));
        let (mut emulator, stream) = tokio::io::duplex(1);
        let mut console = join(&lines, guest, stream, "").await;
        console.write_all(&[b'x'; 100]).await.unwrap();
        drop(console);
        tokio::time::sleep(TYPED_MAX * 2).await;
        let mut typed = Vec::new();
        emulator.read_to_end(&mut typed).await.unwrap();
        assert_eq!(typed, b"x", "the rest was lost");
    }
}
