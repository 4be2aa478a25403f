//! Measuring: medians, and peers that take turns, so that a machine that is busy for a while slows all of them.

use std::time::Instant;

/// One peer's side of an operation.
pub struct Op<'a> {
    /// The peer.
    pub peer: &'static str,
    /// Does the work once and says what it found, which must be the same for all peers, and how many nanoseconds it took.
    pub run: Box<dyn FnMut() -> (i64, f64) + 'a>,
}

impl<'a> Op<'a> {
    /// A peer's side.
    pub fn new(peer: &'static str, mut run: impl FnMut() -> i64 + 'a) -> Self {
        Self::timed(peer, move || {
            let start = Instant::now();
            let found = std::hint::black_box(run());
            (found, start.elapsed().as_nanos() as f64)
        })
    }

    /// The side of a peer that says itself how long the work took.
    pub fn timed(peer: &'static str, run: impl FnMut() -> (i64, f64) + 'a) -> Self {
        Self { peer, run: Box::new(run) }
    }
}

/// The middle one; of an even number, the lower one of the two in the middle. 0 of nothing.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50)
}

/// The least sample that at least `percent` of all do not exceed (nearest rank). 0 of nothing.
#[must_use]
pub fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// Runs all peers `runs` times in turn, and once before to warm up. Gives each one's median in nanoseconds, divided by
/// `units`: the number of things that one run does.
///
/// # Panics
/// When the peers find different things: they did not do the same work then.
pub fn compare(runs: usize, units: usize, ops: &mut [Op<'_>]) -> Vec<(&'static str, f64)> {
    let mut samples = vec![Vec::with_capacity(runs); ops.len()];
    for run in 0..=runs {
        let mut found: Option<(&str, i64)> = None;
        for (op, samples) in ops.iter_mut().zip(&mut samples) {
            let (result, elapsed_ns) = (op.run)();
            let (peer, expected) = *found.get_or_insert((op.peer, result));
            assert_eq!(result, expected, "{} and {peer} found different things", op.peer);
            if run > 0 {
                samples.push(elapsed_ns / units.max(1) as f64);
            }
        }
    }
    ops.iter().zip(&samples).map(|(op, samples)| (op.peer, median(samples))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let samples: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(
            (median(&samples), percentile(&samples, 95), percentile(&samples, 100)),
            (10.0, 19.0, 20.0)
        );
        assert_eq!((median(&[3.0]), percentile(&[3.0], 0), median(&[])), (3.0, 3.0, 0.0));
    }

    #[test]
    fn peers_take_turns() {
        let log = std::cell::RefCell::new(String::new());
        let op = |name: &'static str| {
            let log = &log;
            Op::new(name, move || {
                log.borrow_mut().push_str(name);
                1
            })
        };
        let medians = compare(2, 1, &mut [op("a"), op("b")]);
        assert_eq!(log.borrow().as_str(), "ababab");
        assert_eq!(medians.iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    #[should_panic(expected = "b and a found different things")]
    fn different_work_is_noticed() {
        compare(1, 1, &mut [Op::new("a", || 1), Op::new("b", || 2)]);
    }
}
