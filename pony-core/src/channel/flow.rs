//! One end of a channel: numbers, credit, signs of life.

use super::message::{DATA_BYTES_MAX, Say};

/// Messages that a direction of a channel may have under way: with [`DATA_BYTES_MAX`] each, a quarter of a MiB. Fast
/// enough for a screen at the other end of a continent, little enough that a host's channels leave its link free.
pub const WINDOW_MESSAGES: u64 = 8;
/// How often [`Channel::tick`] is to be called, milliseconds: a sign of life each time.
pub const KEEPALIVE_MS: u64 = 5_000;
/// Ticks without a sign of life from the other end after which the channel is given up.
pub const SILENT_TICKS_MAX: u32 = 6;

/// One end of a channel. It holds no bytes: whoever has it sends only while [`Channel::may_send`], and takes what he
/// heard from a queue of [`WINDOW_MESSAGES`].
///
/// ```
/// use pony_core::channel::{Channel, Heard, Say};
///
/// let (mut here, mut there) = (Channel::default(), Channel::default());
/// let said = here.send(b"hello".to_vec());
/// assert_eq!(there.hear(said)?, Heard::Bytes(b"hello".to_vec()));
/// let credit = there.took();
/// assert_eq!(here.hear(credit)?, Heard::Nothing);
/// # Ok::<_, pony_core::channel::FlowError>(())
/// ```
#[derive(Debug)]
pub struct Channel {
    /// The number of the next message that is sent, and the first that may not be.
    next: u64,
    until: u64,
    /// The number of the next message that is heard, and how many of them were taken.
    expected: u64,
    taken: u64,
    silent_ticks: u32,
}

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Bytes, which are to be taken, and [`Channel::took`] to be said then.
    Bytes(Vec<u8>),
    /// A credit: there may be something to send now.
    Nothing,
    /// The end, and why.
    Closed(String),
}

/// Why a channel cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// The link lost a message.
    #[error("the link lost message {expected} of the channel: {found} came")]
    Gap {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The other end sends more than it was granted, or grants more than there can be.
    #[error("the other end does not keep to the channel's window of {WINDOW_MESSAGES} messages")]
    Window,
    /// More bytes than a message has.
    #[error("{bytes} bytes in one message of a channel, where at most {DATA_BYTES_MAX} are allowed")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// A channel that is open is opened.
    #[error("the channel is open already")]
    Opened,
    /// The other end is gone.
    #[error("nothing was heard from the other end for {} s", u64::from(SILENT_TICKS_MAX) * KEEPALIVE_MS / 1000)]
    Silent,
}

impl Default for Channel {
    fn default() -> Self {
        Self { next: 0, until: WINDOW_MESSAGES, expected: 0, taken: 0, silent_ticks: 0 }
    }
}

impl Channel {
    /// Whether the other end takes a message now.
    #[must_use]
    pub const fn may_send(&self) -> bool {
        self.next < self.until
    }

    /// The next message with these bytes, at most [`DATA_BYTES_MAX`]. Only while [`Channel::may_send`].
    pub fn send(&mut self, bytes: Vec<u8>) -> Say {
        let seq = self.next;
        self.next += 1;
        Say::Data { seq, bytes }
    }

    /// One message was taken: what the other end is to be told of it.
    pub const fn took(&mut self) -> Say {
        self.taken += 1;
        self.credit()
    }

    /// What the other end may send, as things are.
    #[must_use]
    pub const fn credit(&self) -> Say {
        Say::Credit(self.taken + WINDOW_MESSAGES)
    }

    /// Takes in what the other end says.
    ///
    /// # Errors
    /// [`FlowError`], after which the channel is to be closed.
    pub fn hear(&mut self, say: Say) -> Result<Heard, FlowError> {
        self.silent_ticks = 0;
        match say {
            Say::Open(_) => Err(FlowError::Opened),
            Say::Close(reason) => Ok(Heard::Closed(reason)),
            Say::Credit(until) if until > self.next.saturating_add(WINDOW_MESSAGES) => Err(FlowError::Window),
            Say::Credit(until) => {
                self.until = self.until.max(until);
                Ok(Heard::Nothing)
            }
            Say::Data { bytes, .. } if bytes.len() > DATA_BYTES_MAX => {
                Err(FlowError::TooLong { bytes: bytes.len() })
            }
            Say::Data { seq, .. } if seq != self.expected => {
                Err(FlowError::Gap { expected: self.expected, found: seq })
            }
            Say::Data { seq, .. } if seq >= self.taken + WINDOW_MESSAGES => Err(FlowError::Window),
            Say::Data { bytes, .. } => {
                self.expected += 1;
                Ok(Heard::Bytes(bytes))
            }
        }
    }

    /// To be called every [`KEEPALIVE_MS`]: the sign of life to send.
    ///
    /// # Errors
    /// [`FlowError::Silent`].
    pub fn tick(&mut self) -> Result<Say, FlowError> {
        self.silent_ticks += 1;
        if self.silent_ticks > SILENT_TICKS_MAX { Err(FlowError::Silent) } else { Ok(self.credit()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sends_more_than_the_other_end_takes() {
        let (mut here, mut there) = (Channel::default(), Channel::default());
        let mut sent = 0;
        while here.may_send() {
            let said = here.send(vec![sent]);
            assert_eq!(there.hear(said), Ok(Heard::Bytes(vec![sent])));
            sent += 1;
        }
        assert_eq!(u64::from(sent), WINDOW_MESSAGES);
        let credit = there.took();
        assert_eq!(here.hear(credit.clone()), Ok(Heard::Nothing));
        assert!(here.may_send());
        let last = here.send(vec![]);
        there.hear(last).unwrap();
        assert!(!here.may_send());
        here.hear(credit).unwrap();
        assert!(!here.may_send(), "an old credit grants nothing");
    }

    #[test]
    fn what_is_lost_or_too_much_ends_it() {
        let data = |seq, bytes: usize| Say::Data { seq, bytes: vec![0; bytes] };
        let mut channel = Channel::default();
        assert_eq!(channel.hear(data(1, 1)), Err(FlowError::Gap { expected: 0, found: 1 }));
        assert_eq!(
            channel.hear(data(0, DATA_BYTES_MAX + 1)),
            Err(FlowError::TooLong { bytes: DATA_BYTES_MAX + 1 })
        );
        for seq in 0..WINDOW_MESSAGES {
            channel.hear(data(seq, 1)).unwrap();
        }
        assert_eq!(channel.hear(data(WINDOW_MESSAGES, 1)), Err(FlowError::Window));
        assert_eq!(channel.hear(Say::Credit(u64::MAX)), Err(FlowError::Window));
        assert_eq!(channel.hear(Say::Close("off".into())), Ok(Heard::Closed("off".into())));
    }

    #[test]
    fn silence_ends_it() {
        let mut channel = Channel::default();
        for _ in 0..SILENT_TICKS_MAX {
            assert_eq!(channel.tick(), Ok(Say::Credit(WINDOW_MESSAGES)));
        }
        channel.hear(Say::Credit(WINDOW_MESSAGES)).unwrap();
        for _ in 0..SILENT_TICKS_MAX {
            channel.tick().unwrap();
        }
        assert_eq!(channel.tick(), Err(FlowError::Silent));
    }
}
