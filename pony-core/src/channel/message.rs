//! What channels say, and its text.

use crate::host::ConsoleKind;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pony_state::sync::AGE_S_MAX;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes in one message: enough for the pieces of a screen, short enough not to hold up state on the same link.
pub const DATA_BYTES_MAX: usize = 32 << 10;
/// Bytes of a message's text: its data in Base64, and the other members.
const TEXT_BYTES_MAX: usize = DATA_BYTES_MAX.div_ceil(3) * 4 + 1024;
/// Characters of a reason that are sent and shown.
const REASON_CHARS_MAX: usize = 500;

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Sparkle, to a host.
    Sparkle,
    /// A host, to Sparkle.
    Twilight {
        /// The host.
        uuid: Uuid,
    },
}

/// A message of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which channel.
    pub channel: Uuid,
    /// What it says.
    pub say: Say,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// Open it.
    Open(Opening),
    /// The next bytes.
    Data {
        /// The number of this message in its direction, from 0.
        seq: u64,
        /// At most [`DATA_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// Messages below this number may be sent.
    Credit(u64),
    /// It ends.
    Close(String),
}

/// What is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Which guest.
    pub instance: Uuid,
    /// Which of its consoles.
    pub console: ConsoleKind,
    /// The epoch of the Sparkle that asks.
    pub epoch: u64,
}

/// Why a message of a channel could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Longer than any that is sent.
    #[error("a message of a channel has {bytes} bytes, at most {TEXT_BYTES_MAX} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not the JSON that it should be.
    #[error("a message of a channel is not as the protocol says")]
    Shape(#[source] serde_json::Error),
    /// Its data are no Base64.
    #[error("the data of channel {channel} are not Base64")]
    Data {
        /// Which channel.
        channel: Uuid,
        /// What is wrong with them.
        #[source]
        source: base64::DecodeError,
    },
    /// None of the members that say something.
    #[error("a message of channel {channel} has none of open, data with seq, credit, close")]
    Empty {
        /// Which channel.
        channel: Uuid,
    },
}

/// The members as they stand in the text.
#[derive(Serialize, Deserialize)]
struct Text<'a> {
    #[serde(skip_deserializing)]
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<Uuid>,
    channel: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<Opening>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<String>,
}

impl Side {
    const fn event(self) -> &'static str {
        match self {
            Self::Sparkle => "sparkle-channel",
            Self::Twilight { .. } => "twilight-channel",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Sparkle => Self::Twilight { uuid: Uuid::nil() },
            Self::Twilight { .. } => Self::Sparkle,
        }
    }
}

/// Whether a message that `receiver` got is one of a channel, and not of the state exchange.
#[must_use]
pub fn is_channel(receiver: Side, body: &[u8]) -> bool {
    let rest = body.strip_prefix(br#"{"event":""#);
    rest.and_then(|rest| rest.strip_prefix(receiver.other().event().as_bytes()))
        .is_some_and(|rest| rest.starts_with(b"\""))
}

/// Whether a message is too old to be heard, as in the state exchange: its channel ends by the gap.
#[must_use]
pub const fn is_old(sent_unix_s: u64, now_unix_s: u64) -> bool {
    now_unix_s.saturating_sub(sent_unix_s) > AGE_S_MAX
}

impl Message {
    /// Its text.
    #[must_use]
    pub fn encode(&self, sender: Side) -> Vec<u8> {
        let uuid = if let Side::Twilight { uuid } = sender { Some(uuid) } else { None };
        let (channel, event) = (self.channel, sender.event());
        let (open, seq, data, credit, close) = (None, None, None, None, None);
        let mut text = Text { event, uuid, channel, open, seq, data, credit, close };
        match &self.say {
            Say::Open(opening) => text.open = Some(*opening),
            Say::Data { seq, bytes } => {
                text.seq = Some(*seq);
                text.data = Some(BASE64_STANDARD.encode(bytes));
            }
            Say::Credit(until) => text.credit = Some(*until),
            Say::Close(reason) => text.close = Some(reason.chars().take(REASON_CHARS_MAX).collect()),
        }
        // Numbers, UUIDs and text: there is nothing in it that could not be written.
        serde_json::to_vec(&text).unwrap_or_default()
    }

    /// Reads a text that [`is_channel`].
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn decode(body: &[u8]) -> Result<Self, ChannelError> {
        if body.len() > TEXT_BYTES_MAX {
            return Err(ChannelError::TooLong { bytes: body.len() });
        }
        let text: Text<'_> = serde_json::from_slice(body).map_err(ChannelError::Shape)?;
        let channel = text.channel;
        let say = match text {
            Text { open: Some(opening), .. } => Say::Open(opening),
            Text { data: Some(data), seq: Some(seq), .. } => {
                let bytes = BASE64_STANDARD.decode(data);
                Say::Data { seq, bytes: bytes.map_err(|source| ChannelError::Data { channel, source })? }
            }
            Text { credit: Some(until), .. } => Say::Credit(until),
            Text { close: Some(reason), .. } => Say::Close(reason.chars().take(REASON_CHARS_MAX).collect()),
            _ => return Err(ChannelError::Empty { channel }),
        };
        Ok(Self { channel, say })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_those_of_the_protocol() {
        let (channel, instance) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let host = Side::Twilight { uuid: Uuid::from_u128(3) };
        let open = Opening { instance, console: ConsoleKind::Vnc, epoch: 7 };
        let id = "00000000-0000-0000-0000-00000000000";
        for (sender, say, text) in [
            (
                Side::Sparkle,
                Say::Open(open),
                format!(
                    r#"{{"event":"sparkle-channel","channel":"{id}1","open":{{"instance":"{id}2","console":"vnc","epoch":7}}}}"#
                ),
            ),
            (
                host,
                Say::Data { seq: 0, bytes: b"\0\xffhi".to_vec() },
                format!(
                    r#"{{"event":"twilight-channel","uuid":"{id}3","channel":"{id}1","seq":0,"data":"AP9oaQ=="}}"#
                ),
            ),
            (
                Side::Sparkle,
                Say::Credit(9),
                format!(r#"{{"event":"sparkle-channel","channel":"{id}1","credit":9}}"#),
            ),
            (
                host,
                Say::Close("off".into()),
                format!(r#"{{"event":"twilight-channel","uuid":"{id}3","channel":"{id}1","close":"off"}}"#),
            ),
        ] {
            let message = Message { channel, say };
            assert_eq!(String::from_utf8(message.encode(sender)).unwrap(), text);
            assert!(is_channel(sender.other(), text.as_bytes()) && !is_channel(sender, text.as_bytes()));
            assert_eq!(Message::decode(text.as_bytes()).unwrap(), message);
        }
        assert!(!is_channel(Side::Sparkle, br#"{"event":"twilight-update-state"}"#));
    }

    #[test]
    fn what_is_too_long_or_says_nothing_is_refused() {
        let full = Say::Data { seq: u64::MAX, bytes: vec![0xff; DATA_BYTES_MAX] };
        let full = Message { channel: Uuid::max(), say: full };
        let mut text = full.encode(Side::Twilight { uuid: Uuid::max() });
        assert_eq!(Message::decode(&text).unwrap(), full, "the longest that is sent is read");
        text.resize(TEXT_BYTES_MAX + 1, b' ');
        assert!(matches!(Message::decode(&text), Err(ChannelError::TooLong { .. })));
        let with = |members: &str| {
            Message::decode(format!(r#"{{"event":"x","channel":"{}"{members}}}"#, Uuid::nil()).as_bytes())
        };
        assert!(matches!(with(""), Err(ChannelError::Empty { .. })));
        assert!(matches!(with(r#","data":"AA==""#), Err(ChannelError::Empty { .. })));
        assert!(matches!(with(r#","seq":1,"data":"%""#), Err(ChannelError::Data { .. })));
        assert!(matches!(with(r#","credit":-1"#), Err(ChannelError::Shape(_))));
        assert!(with(r#","credit":1,"later":{}"#).is_ok(), "later versions may add members");
    }
}
