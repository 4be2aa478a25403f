//! Whether the clock of a host goes with ours: messages carry the time at which they were sent. One that is held up on
//! its way looks as if its sender's clock were behind; so what counts is the best of all messages of a while.

use pony_state::sync::Notification;
use serde_json::json;

/// Differences up to this are none, s: messages are stamped in whole seconds, and take some time.
const SKEW_MAX_S: i64 = 5;

/// How long messages are compared, ms: several keep-alives.
const WINDOW_MS: u64 = 60_000;

/// Fewer messages than this in that time prove nothing.
const MESSAGES_MIN: u32 = 3;

/// How the clock of one host goes.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch {
    since_ms: Option<u64>,
    messages: u32,
    /// The smallest difference so far, s; positive where the host's clock is ahead.
    smallest_s: Option<i64>,
}

impl ClockWatch {
    /// Takes in when a message was sent, as decimal text by the sender's clock. Gives news at the end of a while in
    /// which all messages were off.
    pub(crate) fn note(&mut self, sent: &[u8], now_ms: u64, now_unix_s: u64) -> Option<Notification> {
        let sent: u64 = std::str::from_utf8(sent).ok()?.parse().ok()?;
        let ahead_s = i64::try_from(i128::from(sent) - i128::from(now_unix_s)).ok()?;
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        self.messages += 1;
        let smallest_s =
            self.smallest_s.map_or(ahead_s, |it| if ahead_s.abs() < it.abs() { ahead_s } else { it });
        self.smallest_s = Some(smallest_s);
        if now_ms < since_ms.saturating_add(WINDOW_MS) || self.messages < MESSAGES_MIN {
            return None;
        }
        *self = Self::default();
        let clock = if smallest_s > 0 { "ahead" } else { "behind" };
        // Without a figure, which would make every one another event.
        let data = json!({ "clock": clock, "seconds_min": SKEW_MAX_S });
        (smallest_s.abs() > SKEW_MAX_S).then(|| Notification {
            instance: None,
            kind: "clock-skew".into(),
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// What is told after messages at these seconds, each with what the sender's clock says.
    fn told(messages: &[(u64, u64)]) -> Vec<Notification> {
        let mut watch = ClockWatch::default();
        let note = |(at, sent): &(u64, u64)| watch.note(sent.to_string().as_bytes(), at * 1_000, *at);
        messages.iter().filter_map(note).collect()
    }

    #[test]
    fn a_clock_that_is_off_is_told_once_in_a_while() {
        let off: Vec<_> = (0..12).map(|i| (1_000 + i * 15, 1_000 + i * 15 + 40)).collect();
        let news = told(&off);
        assert_eq!(news.len(), 2, "{news:?}");
        assert_eq!((news[0].kind.as_str(), &news[0].data["clock"]), ("clock-skew", &json!("ahead")));
        assert_eq!(news[0], news[1], "it must be one event");
    }

    #[test]
    fn messages_that_were_held_up_prove_nothing() {
        let slow =
            [(1_000, 960), (1_015, 1_015), (1_030, 990), (1_045, 1_000), (1_060, 1_000), (1_075, 1_000)];
        assert_eq!(told(&slow), []);
        assert_eq!(told(&[(1_000, 1), (2_000, 1)]), []);
        let mut watch = ClockWatch::default();
        assert_eq!(watch.note(b"soon", 0, 0), None);
        assert_eq!(watch.note(b"18446744073709551616", 0, 0), None);
    }
}
