//! The consoles of guests that are open through this Sparkle: each a channel to the host that has the guest. Who may
//! open one, and how it is carried to a client, is `http/console.rs`'s affair.

mod board;

pub(crate) use board::{Ask, Board, Seat};

use pony_core::channel::{Channel, FlowError, Heard, Message, Say, WINDOW_MESSAGES};
use pony_core::host::ConsoleKind;
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Messages to hosts that may wait for the link; beyond it those who have something to say wait.
pub(crate) const ASKED_WAITING_MAX: usize = 256;
/// Messages of a host that may wait for a client: the channel's window, and the credits for what the client said.
const HEARD_WAITING_MAX: usize = 4 * WINDOW_MESSAGES as usize;
/// How long a host may take to open a console.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// What is to be opened, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) caller: String,
    pub(crate) host: Uuid,
    pub(crate) instance: Uuid,
    pub(crate) console: ConsoleKind,
}

/// Why a console could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The host, or the board, says why.
    #[error("{0}")]
    Refused(String),
    /// There was no answer.
    #[error("its host did not open the console within {} s", OPEN_MAX.as_secs())]
    Silent,
    /// This Sparkle ends.
    #[error("Sparkle is shutting down")]
    Stopping,
}

/// This end of an open console. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct OpenConsole {
    channel: Uuid,
    end: Channel,
    heard: mpsc::Receiver<Say>,
    asks: mpsc::Sender<Ask>,
}

impl OpenConsole {
    /// Has a host open a console.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) async fn open(asks: &mpsc::Sender<Ask>, wish: Wish) -> Result<Self, OpenError> {
        let (hear, heard) = mpsc::channel(HEARD_WAITING_MAX);
        let channel = Uuid::new_v4();
        let seat = Seat { channel, wish, heard: hear };
        asks.send(Ask::Open(seat)).await.map_err(|_| OpenError::Stopping)?;
        let mut this = Self { channel, end: Channel::default(), heard, asks: asks.clone() };
        match tokio::time::timeout(OPEN_MAX, this.next()).await {
            Ok(Some(Ok(Heard::Nothing))) => Ok(this),
            Ok(Some(Ok(Heard::Closed(reason)))) => Err(OpenError::Refused(reason)),
            Ok(Some(Ok(Heard::Bytes(_)))) => {
                Err(OpenError::Refused("its host does not keep to the protocol".to_owned()))
            }
            Ok(Some(Err(error))) => Err(OpenError::Refused(error.to_string())),
            Ok(None) => Err(OpenError::Stopping),
            Err(_) => Err(OpenError::Silent),
        }
    }

    /// What the host says next; nothing once the console is gone. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Heard, FlowError>> {
        let say = self.heard.recv().await?;
        Some(self.end.hear(say))
    }

    /// Whether the host takes more bytes now.
    pub(crate) const fn may_send(&self) -> bool {
        self.end.may_send()
    }

    /// Sends bytes to the guest, at most one message's. Only while [`OpenConsole::may_send`].
    pub(crate) async fn send(&mut self, bytes: Vec<u8>) {
        let say = self.end.send(bytes);
        self.say(say).await;
    }

    /// The client took what [`OpenConsole::next`] gave.
    pub(crate) async fn took(&mut self) {
        let say = self.end.took();
        self.say(say).await;
    }

    /// A sign of life; to be given every [`KEEPALIVE_MS`](pony_core::channel::KEEPALIVE_MS).
    ///
    /// # Errors
    /// [`FlowError::Silent`], when the host gives none.
    pub(crate) async fn tick(&mut self) -> Result<(), FlowError> {
        let say = self.end.tick()?;
        self.say(say).await;
        Ok(())
    }

    async fn say(&self, say: Say) {
        // Where nobody takes it any more, `next` ends too.
        let _ = self.asks.send(Ask::Say(Message { channel: self.channel, say })).await;
    }
}

impl Drop for OpenConsole {
    fn drop(&mut self) {
        let say = Say::Close("the client left".to_owned());
        // Where there is no room, the host notices the silence.
        let _ = self.asks.try_send(Ask::Say(Message { channel: self.channel, say }));
    }
}
