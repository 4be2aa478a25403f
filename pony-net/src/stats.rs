//! Counters of a link: what a metrics endpoint shows.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often what happened on a link since its start.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The living counters behind [`Stats`].
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Connections that came up.
    connected,
    /// Messages handed to the consumer.
    received,
    /// Messages handed to libzmq.
    sent,
    /// Messages that were not three frames as they should be.
    malformed,
    /// Messages for peers that were not connected.
    unroutable,
    /// Messages dropped because the peer's queue was full.
    overflowed,
    /// Handshakes and messages of keys that are not admitted.
    refused,
    /// Connections that ended before they were up: garbage, wrong keys, scans.
    handshakes_failed,
    /// Times that reading paused because the consumer did not keep up.
    stalled,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
