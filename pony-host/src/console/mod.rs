//! The consoles of guests as streams of bytes: what a driver gives, and a serial line that several have open.
//!
//! It does not find guests, nor decide who may use them.

#[cfg(any(feature = "hypervisor", feature = "sim"))]
mod line;

#[cfg(feature = "hypervisor")]
pub(crate) use line::HISTORY_BYTES;
#[cfg(any(feature = "hypervisor", feature = "sim"))]
pub(crate) use line::Lines;

use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways, for as long as both ends like.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A guest's console, opened: what is written is typed, what is read is shown. It ends when the guest does; dropping
/// it closes it.
pub type Console = Box<dyn Stream>;
