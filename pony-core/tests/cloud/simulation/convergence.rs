//! How long clouds take to be as ordered once nothing fails any more, for people.

use super::promises::CONVERGE_MS_MAX;
use super::world::{HOSTS, HOSTS_FEW, SMALL};

/// So many clouds are worth to be written down.
pub(super) const WHOLE: u64 = 1_000;

const HEAD: &str = "\
# After faults all converges: how soon

<!-- Written by the simulation when it runs 1,000 seeds or more (`make test-long`); not to be edited. -->

Each seed is a cloud of the real controller and real agents on simulated hosts, in virtual time. For 90 s users order at
random, while agents, machines, links, Sparkle and the database fail, messages are lost and reordered, and steps fail or hang.
Then all faults end but one kind: what hangs goes on hanging. The time counts from there until every row is as ordered, on the
hosts and in what users are shown, without an operator but for those who confirm that a machine is off. After every event no
instance runs twice, and no volume is written by two.

";

/// The time that so many of a thousand do not exceed; `times` are in order.
fn quantile(times: &[u64], per_mille: usize) -> u64 {
    let at = (times.len() * per_mille).div_ceil(1_000).max(1) - 1;
    times.get(at).copied().unwrap_or_default()
}

/// `times`: by seed, ms.
pub(super) fn write(times: &[u64]) -> String {
    let worst = times.iter().enumerate().max_by_key(|(_, ms)| **ms).map_or(0, |(seed, _)| seed);
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let [median, most, nearly, all] = [500, 900, 990, 1_000].map(|it| quantile(&sorted, it));
    format!(
        "{HEAD}{} clouds, the first {SMALL} of {HOSTS_FEW} hosts, all others of {HOSTS}; all converged.\n\n\
         | half within, ms | nine in ten | 99 in 100 | all (the slowest: seed {worst}) | the bound |\n\
         |---|---|---|---|---|\n\
         | {median} | {most} | {nearly} | {all} | {CONVERGE_MS_MAX} |\n",
        times.len()
    )
}

#[test]
fn quantiles() {
    let times: Vec<u64> = (1..=1_000).collect();
    assert_eq!([500, 990, 1_000].map(|it| quantile(&times, it)), [500, 990, 1_000]);
    assert_eq!((quantile(&[7], 500), quantile(&[], 500)), (7, 0));
}
