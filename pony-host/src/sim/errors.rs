//! The three kinds of [`DriverError`], for short.

use pony_core::host::{DriverError, DriverErrorKind};

pub(super) fn error(kind: DriverErrorKind, message: impl Into<String>) -> DriverError {
    DriverError { kind, message: message.into() }
}

pub(super) fn transient(message: impl Into<String>) -> DriverError {
    error(DriverErrorKind::Transient, message)
}

pub(super) fn order(message: impl Into<String>) -> DriverError {
    error(DriverErrorKind::Order, message)
}

pub(super) fn unsupported(message: impl Into<String>) -> DriverError {
    error(DriverErrorKind::Unsupported, message)
}
