//! How often somebody may try to sign in: for each account and for each address a budget of failures, which comes back
//! with time. A success costs nothing.
//!
//! Budgets lie in a table of fixed size, by a keyed hash: nobody can make it grow, push another's budget out of it, or
//! choose whom to share one with.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Budgets of each kind. At the pace of hashing (some 40 a second) nobody uses up more than a few of them.
const BUDGETS: usize = 16_384;
/// Of one account: enough for a person who does not remember; 8,640 guesses a day for somebody who guesses.
const ACCOUNT: Rate = Rate { failures: 10, back_s: 10 };
/// Of one address, behind which an office may be.
const ADDRESS: Rate = Rate { failures: 50, back_s: 1 };

/// So many failures, and how long until one of them is forgotten, s.
#[derive(Debug, Clone, Copy)]
struct Rate {
    failures: u32,
    back_s: u32,
}

/// Budgets of accounts and addresses.
pub(crate) struct Limiter {
    hasher: RandomState,
    accounts: Mutex<Box<[Budget]>>,
    addresses: Mutex<Box<[Budget]>>,
}

/// Failures that are not forgotten yet, as of a moment.
#[derive(Debug, Clone, Copy)]
struct Budget {
    failures: f32,
    at: Instant,
}

/// Too many failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted {
    /// When the next attempt is due.
    pub(crate) wait_s: u32,
}

impl Limiter {
    pub(crate) fn new(now: Instant) -> Self {
        let budgets = || Mutex::new(vec![Budget { failures: 0.0, at: now }; BUDGETS].into());
        Self { hasher: RandomState::new(), accounts: budgets(), addresses: budgets() }
    }

    /// Whether an attempt may be made now.
    ///
    /// # Errors
    /// [`Exhausted`] where the account's or the address's budget is used up.
    pub(crate) fn check(
        &self,
        account: &str,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), Exhausted> {
        self.with(&self.accounts, account, |budget| budget.room(ACCOUNT, now))?;
        let Some(address) = address else { return Ok(()) };
        self.with(&self.addresses, network(address), |budget| budget.room(ADDRESS, now)).map(|_| ())
    }

    /// Counts an attempt as a failure, beforehand: of several at a time none is free.
    ///
    /// # Errors
    /// As [`Self::check`]; nothing is counted then.
    pub(crate) fn begin(
        &self,
        account: &str,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), Exhausted> {
        self.check(account, address, now)?;
        self.with(&self.accounts, account, |budget| budget.take(ACCOUNT, now))?;
        let Some(address) = address else { return Ok(()) };
        self.with(&self.addresses, network(address), |budget| budget.take(ADDRESS, now))
    }

    /// Takes an attempt out of the count: it succeeded, or was not made.
    pub(crate) fn succeeded(&self, account: &str, address: Option<IpAddr>) {
        self.with(&self.accounts, account, Budget::give_back);
        if let Some(address) = address {
            self.with(&self.addresses, network(address), Budget::give_back);
        }
    }

    fn with<T>(
        &self,
        budgets: &Mutex<Box<[Budget]>>,
        key: impl Hash,
        act: impl FnOnce(&mut Budget) -> T,
    ) -> T {
        let place = usize::try_from(self.hasher.hash_one(key) % BUDGETS as u64).unwrap_or_default();
        act(&mut budgets.lock().unwrap_or_else(PoisonError::into_inner)[place])
    }
}

impl Budget {
    /// The failures that count now, if there may be one more.
    fn room(&self, rate: Rate, now: Instant) -> Result<f32, Exhausted> {
        let passed = now.saturating_duration_since(self.at).as_secs_f32();
        let left = (self.failures - passed / rate.back_s as f32).max(0.0);
        let beyond = left + 1.0 - rate.failures as f32;
        if beyond <= 0.0 {
            return Ok(left);
        }
        let wait = Duration::from_secs_f32(beyond * rate.back_s as f32);
        Err(Exhausted { wait_s: u32::try_from(wait.as_secs() + 1).unwrap_or(u32::MAX) })
    }

    fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Exhausted> {
        *self = Self { failures: self.room(rate, now)? + 1.0, at: now };
        Ok(())
    }

    fn give_back(&mut self) {
        self.failures = (self.failures - 1.0).max(0.0);
    }
}

/// What belongs to one customer: an IPv4 address, or the /64 of an IPv6 address.
fn network(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(it) => it.to_ipv6_mapped().octets(),
        IpAddr::V6(it) => (it.to_bits() >> 64 << 64).to_be_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(limiter: &Limiter, account: &str, address: IpAddr, now: Instant) -> Result<(), u32> {
        limiter.begin(account, Some(address), now).map_err(|it| it.wait_s)
    }

    #[test]
    fn an_account_has_ten_failures_and_gets_one_back_every_ten_seconds() {
        let now = Instant::now();
        let (limiter, second) = (Limiter::new(now), Duration::from_secs(1));
        for n in 0..10 {
            // From wherever they come.
            assert_eq!(after(&limiter, "a@x", IpAddr::from([10, 0, 0, n]), now), Ok(()), "{n}");
        }
        let here = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(after(&limiter, "a@x", here, now), Err(11));
        assert_eq!(after(&limiter, "a@x", here, now + 9 * second), Err(2));
        assert_eq!(after(&limiter, "b@x", here, now), Ok(()), "others are not concerned");
        assert_eq!(after(&limiter, "a@x", here, now + 10 * second), Ok(()));
        assert_eq!(after(&limiter, "a@x", here, now + 10 * second), Err(11));
        assert_eq!(after(&limiter, "a@x", here, now + 3600 * second), Ok(()));
    }

    #[test]
    fn an_address_has_fifty_failures_whatever_the_accounts() {
        let now = Instant::now();
        let limiter = Limiter::new(now);
        let v6 = |low: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 1, 2, 3, low]);
        for n in 0..50 {
            assert_eq!(after(&limiter, &format!("{n}@x"), v6(n), now), Ok(()), "{n}");
        }
        assert_eq!(after(&limiter, "z@x", v6(77), now), Err(2), "one /64 is one address");
        assert_eq!(after(&limiter, "z@x", IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]), now), Ok(()));
    }

    #[test]
    fn successes_cost_nothing() {
        let now = Instant::now();
        let limiter = Limiter::new(now);
        let here = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..1000 {
            assert_eq!(after(&limiter, "a@x", here, now), Ok(()));
            limiter.succeeded("a@x", Some(here));
        }
    }
}
