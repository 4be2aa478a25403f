//! The kernel's refusals, in words for the person who ordered.

use pony_core::host::{DriverError, DriverErrorKind};
use std::io;

/// A failure that may go away by itself.
pub(super) fn transient(message: impl Into<String>) -> DriverError {
    DriverError { kind: DriverErrorKind::Transient, message: message.into() }
}

/// An order that cannot be met as it stands.
pub(super) fn order(message: impl Into<String>) -> DriverError {
    DriverError { kind: DriverErrorKind::Order, message: message.into() }
}

/// Something that this host cannot do.
pub(super) fn unsupported(message: impl Into<String>) -> DriverError {
    DriverError { kind: DriverErrorKind::Unsupported, message: message.into() }
}

/// `doing` failed in the kernel: "cannot {doing}: {reason}".
pub(super) fn from_io(doing: &str, error: &io::Error) -> DriverError {
    let message = format!("cannot {doing}: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => unsupported(format!("{message}; the agent must run as root")),
        io::ErrorKind::Unsupported => unsupported(format!("{message}; this kernel lacks the kind of link")),
        _ => transient(message),
    }
}
