//! libvirt's failures, in words for the person who ordered, with what to make of them.

use pony_core::host::{DriverError, DriverErrorKind};
use virt::error::{Error, ErrorNumber};

/// Length of libvirt's own text in a message: it may quote the emulator's whole output.
const DETAIL_CHARS_MAX: usize = 600;

/// A failure that may go away by itself.
pub(super) fn transient(message: impl Into<String>) -> DriverError {
    DriverError { kind: DriverErrorKind::Transient, message: message.into() }
}

/// An order that cannot be met as it stands.
pub(super) fn order(message: impl Into<String>) -> DriverError {
    DriverError { kind: DriverErrorKind::Order, message: message.into() }
}

/// What this host cannot do at all.
pub(super) fn unsupported(message: impl Into<String>) -> DriverError {
    DriverError { kind: DriverErrorKind::Unsupported, message: message.into() }
}

/// `doing` failed at libvirt: "cannot {doing}: {reason}".
pub(super) fn from_virt(doing: &str, error: &Error) -> DriverError {
    let detail = one_line(error.message());
    let hint = hint(&detail);
    DriverError { kind: kind(error), message: format!("cannot {doing}: {detail}{hint}") }
}

/// Whether the domain that was spoken of does not exist.
pub(super) fn is_gone(error: &Error) -> bool {
    error.code() == ErrorNumber::NoDomain
}

fn kind(error: &Error) -> DriverErrorKind {
    use ErrorNumber as E;
    match error.code() {
        E::XmlError | E::XmlDetail | E::XmlInvalidSchema | E::InvalidArg | E::DomExist | E::ParseFailed => {
            DriverErrorKind::Order
        }
        E::ConfigUnsupported | E::NoSupport | E::OperationUnsupported | E::ArgumentUnsupported => {
            DriverErrorKind::Unsupported
        }
        // Everything else may change without the order changing: a missing file appears, memory gets free,
        // the daemon comes back. Telling them apart by libvirt's texts would be guessing.
        _ => DriverErrorKind::Transient,
    }
}

fn hint(detail: &str) -> &'static str {
    if detail.contains("Cannot access storage file") && detail.contains("Permission denied") {
        " (the emulator runs as a user of its own: that user must be able to search every directory above the file)"
    } else if detail.contains("Could not access KVM") {
        " (the emulator's user must be able to open /dev/kvm, which belongs to the group kvm)"
    } else if detail.contains("managed='no'") {
        " (the tap of one of its network cards is not there; the network makes it)"
    } else {
        ""
    }
}

/// Folds white space, and cuts long texts at the front: the emulator's last line is the one that says why.
pub(super) fn one_line(text: &str) -> String {
    let folded = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let folded = folded.collect::<Vec<_>>().join(" ");
    let chars = folded.chars().count();
    if chars <= DETAIL_CHARS_MAX {
        return folded;
    }
    let tail: String = folded.chars().skip(chars - DETAIL_CHARS_MAX).collect();
    format!("…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_bounded_line() {
        assert_eq!(one_line("a\n\tb\u{0} c\n"), "a b c");
        let long = one_line(&"ä ".repeat(5000));
        assert_eq!(long.chars().count(), DETAIL_CHARS_MAX + 1);
        assert!(long.starts_with('…'));
    }
}
