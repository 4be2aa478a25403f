//! The network between Sparkle and the hosts.

use pony_core::reconcile::SplitMix64;
use pony_state::sync::Frames;
use std::collections::BTreeMap;

/// What the network does, per thousand messages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    pub(super) drop: u64,
    pub(super) duplicate: u64,
    /// Delayed by up to half a second, which reorders.
    pub(super) jitter: u64,
    /// Delayed by up to 20 s, so that some come too late to be heard.
    pub(super) hold: u64,
}

pub(super) const STORM: Weather = Weather { drop: 30, duplicate: 30, jitter: 150, hold: 10 };

/// The latency of a working network, one way, ms.
const LATENCY_MS: u64 = 5;

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    /// To Sparkle, from the host of that index.
    Sparkle(usize),
    /// To the host of that index.
    Host(usize),
}

/// Messages under way.
#[derive(Default)]
pub(super) struct Net {
    pub(super) weather: Weather,
    flights: BTreeMap<(u64, u64), (Address, Frames)>,
    sent: u64,
}

impl Net {
    pub(super) fn send(&mut self, now_ms: u64, random: &mut SplitMix64, to: Address, frames: Frames) {
        let mut happens = |rate: u64| random.below(1_000) < rate;
        let copies = match (happens(self.weather.drop), happens(self.weather.duplicate)) {
            (true, _) => 0,
            (false, true) => 2,
            (false, false) => 1,
        };
        for _ in 0..copies {
            let mut delay = LATENCY_MS;
            if random.below(1_000) < self.weather.jitter {
                delay += random.below(500);
            }
            if random.below(1_000) < self.weather.hold {
                delay += random.below(20_000);
            }
            self.sent += 1;
            self.flights.insert((now_ms + delay, self.sent), (to, frames.clone()));
        }
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.flights.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn arrive(&mut self, now_ms: u64) -> Option<(Address, Frames)> {
        let first = self.flights.first_entry().filter(|it| it.key().0 <= now_ms)?;
        Some(first.remove())
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn under_way(&self) -> usize {
        self.flights.len()
    }
}
