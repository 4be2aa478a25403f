//! What many sessions cost that have nothing to say: memory, and keep-alives.

use crate::ours::{MACHINE, Rows, at, peer, sparkle};
use pony_benches::{Report, Sense, heap, median};
use pony_state::State;
use pony_state::sync::{KEEPALIVE_MS, Message, Session};

/// Hosts of a large cloud.
const SESSIONS: usize = 10_000;

/// Keep-alive periods that are measured.
const PERIODS: u64 = 9;

/// Both ends of a relation, synchronized.
struct Pair([Session; 2]);

impl Pair {
    fn new(rows: &Rows<'_>) -> Self {
        let mut pair = Self([sparkle(), peer()]);
        let ask = |message: Message| message.encode();
        pair.hear(0, &ask(Message::TwilightResync { uuid: MACHINE }), 0);
        pair.hear(1, &ask(Message::SparkleResync { epoch: Some(1) }), 0);
        pair.exchange(rows, 0);
        pair
    }

    fn hear(&mut self, to: usize, body: &str, ms: u64) {
        self.0[to].handle_message(body.as_bytes(), at(ms).unix_s, at(ms));
        while self.0[to].poll_event().is_some() {}
    }

    /// Lets both say what they have to say; gives the number of messages.
    fn exchange(&mut self, rows: &Rows<'_>, ms: u64) -> usize {
        let mut messages = 0;
        for from in [0, 1, 0] {
            self.0[from].handle_timeout(at(ms));
            while let Some(frames) = self.0[from].poll_transmit(at(ms), rows) {
                self.hear(1 - from, &frames.body, ms);
                messages += 1;
            }
        }
        messages
    }
}

/// Processor time of this thread, in nanoseconds: others on the machine do not count.
fn cpu_ns() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}

/// Adds figures and targets of idle sessions.
pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let state = State::builder().build()?;
    let rows = Rows(&state);
    let mut pairs = Vec::with_capacity(SESSIONS);
    let before = heap::held_bytes();
    pairs.extend((0..SESSIONS).map(|_| Pair::new(&rows)));
    let mut periods_ns = Vec::new();
    for period in 1..=PERIODS {
        let start_ns = cpu_ns()?;
        let messages: usize = pairs.iter_mut().map(|pair| pair.exchange(&rows, period * KEEPALIVE_MS)).sum();
        periods_ns.push((cpu_ns()? - start_ns) as f64);
        anyhow::ensure!(messages == 2 * SESSIONS, "{messages} keep-alives of {SESSIONS} sessions");
    }
    let heap_bytes = (heap::held_bytes() - before) as f64 / (2 * SESSIONS) as f64;
    let bytes = heap_bytes + size_of::<Session>() as f64;
    let period_ns = median(&periods_ns);
    report.figures("keep-alive, both ends", [("pony", period_ns / (2 * SESSIONS) as f64)]);
    report.figures("idle session, bytes", [("pony", bytes)]);
    let share = period_ns / (KEEPALIVE_MS as f64 * 1e6) * 100.0;
    report.target("keep-alives of 10,000 sessions, both ends: % of a core", share, 20.0, Sense::Max);
    report.target("memory of an idle session, bytes", bytes, 4096.0, Sense::Max);
    Ok(())
}
