//! Channels: streams of bytes between Sparkle and what is on a host (the consoles of guests), beside the state exchange
//! on the same links.
//!
//! **Messages.** Two events more of the protocol, `sparkle-channel` and `twilight-channel`. Their members: `event` (which
//! stands first), `uuid` (the host, in those of hosts), `channel` (a UUID that Sparkle drew when it opened it), and one of
//!
//! | member | who | says |
//! |---|---|---|
//! | `open` | Sparkle | `{"instance", "console": "serial" or "vnc", "epoch"}`: connect me; an older epoch than the host's is refused |
//! | `data`, `seq` | both | bytes in Base64; messages of a direction are numbered from 0 |
//! | `credit` | both | messages below this number may be sent; said again, it is a sign of life |
//! | `close` | both | why it ends. Nothing follows |
//!
//! The host answers `open` with its first `credit` once the console is there, or with `close`. Both begin with a credit of
//! [`WINDOW_MESSAGES`]; whoever took a message grants one more: that is all that a channel can have on a link and in
//! memory, however slow its reader. The links may lose messages when they break, and a channel does not outlive that:
//! a number that does not follow closes it, and so does silence of both kinds.
//!
//! What it does not do: connect anything, count channels, or know who may open one. [`Channel`] is one end of one.

mod flow;
mod message;

pub use flow::{Channel, FlowError, Heard, KEEPALIVE_MS, SILENT_TICKS_MAX, WINDOW_MESSAGES};
pub use message::{ChannelError, DATA_BYTES_MAX, Message, Opening, Say, Side, is_channel, is_old};
