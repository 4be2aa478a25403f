//! What a host is to the other hosts of its cloud: a key, a port, and streams of bytes between two that Sparkle told of each
//! other.
//!
//! A host proves who it is by a key of its process (`identity`), and says by a text (`way`) where it is and which key it has;
//! Sparkle carries that text to whom it concerns. What may be had through the port (`gate`) is for the drivers to say, each of
//! which is a [`Room`] behind it: guests on their way, and volumes that are read. Each stream says first what it wants (`head`).
//!
//! Nobody gets in whom no room knows at the moment, and nothing is remembered: whoever starts anew has another key.

mod gate;
mod head;
mod identity;
mod way;

pub use gate::Peers;
#[cfg(feature = "hypervisor")]
pub(crate) use gate::splice;
pub(crate) use gate::{PATIENCE, Room, Stream};
pub(crate) use head::{Head, Kind};
pub(crate) use way::Way;

use pony_core::host::{DriverError, DriverErrorKind};

/// A failure that may go away by itself.
fn transient(message: impl Into<String>) -> DriverError {
    DriverError { kind: DriverErrorKind::Transient, message: message.into() }
}
