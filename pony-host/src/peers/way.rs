//! How a host is reached by others: what [`HostFact::migration`](pony_core::host::HostFact::migration) says
//! where this driver says it.

use super::transient;
use crate::Result;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Length of a way as text; longer ones are somebody's mistake.
const TEXT_BYTES_MAX: usize = 1_024;

/// Where a host is, and what the other one has to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Way {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    /// By what it proves who it is, on either end of a stream: its public key (RFC 7250), hexadecimal.
    pub(crate) key: String,
    /// Its directory of consoles.
    pub(crate) consoles: Option<PathBuf>,
}

impl Way {
    /// # Errors
    ///
    /// `Transient` if it is none: the other host is of another version, perhaps not for long.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let parsed = (text.len() <= TEXT_BYTES_MAX).then(|| serde_json::from_str(text).ok()).flatten();
        parsed.ok_or_else(|| transient("the other host says in words of another version how it is reached"))
    }

    pub(crate) fn text(&self) -> String {
        // Values that are all texts can be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_comes_back_and_others_are_refused() {
        let at = "10.0.0.1:9851".parse().unwrap();
        let way = Way { at, key: hex(&[0, 0xab]), consoles: Some("/c".into()) };
        assert_eq!((Way::parse(&way.text()).unwrap(), &*way.key), (way.clone(), "00ab"));
        for text in ["", "{}", "sim:1", &"x".repeat(2_000)] {
            assert!(Way::parse(text).is_err(), "{text}");
        }
    }
}
