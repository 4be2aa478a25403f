//! What errors that are nobody's fault mean, and when to try again.

use crate::ddl::postgres::STATE_FENCED;
use crate::error::{Outage, Unavailable};
use std::error::Error as _;
use std::time::Duration;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Milliseconds before the first new attempt, and before any later one at most; they double in between.
const RETRY_MS_MIN: u64 = 50;
/// See there.
const RETRY_MS_MAX: u64 = 2_000;

/// What the error means.
pub(super) fn unavailable(error: &Error) -> Unavailable {
    let Some(database) = error.as_db_error() else {
        let cause = error.source().map(|it| format!(": {it}")).unwrap_or_default();
        return Unavailable::new(Outage::Away, format!("it cannot be reached ({error}{cause})"));
    };
    let (outage, words) = match database.code() {
        code if code.code() == STATE_FENCED => (Outage::Fenced, "another Sparkle leads"),
        code if code.code().starts_with("53") && *code != SqlState::TOO_MANY_CONNECTIONS => {
            (Outage::Full, "there is no space left")
        }
        code if code.code().starts_with("57P") || code.code().starts_with("08") => {
            (Outage::Away, "it is down, or coming up")
        }
        code if *code == SqlState::TOO_MANY_CONNECTIONS => {
            (Outage::Overloaded, "it takes no more connections")
        }
        code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => (Outage::ReadOnly, "it can only be read"),
        code if *code == SqlState::LOCK_NOT_AVAILABLE
            || *code == SqlState::QUERY_CANCELED
            || *code == SqlState::T_R_DEADLOCK_DETECTED
            || *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT =>
        {
            (Outage::Locked, "somebody else holds it locked")
        }
        code if code.code().starts_with("58") => (Outage::Io, "reading or writing failed"),
        code if code.code().starts_with("XX") => (Outage::Corrupt, "its contents are damaged"),
        code if code.code().starts_with("28") => (Outage::Denied, "it does not let this user in"),
        _ => (Outage::Internal, "an unexpected error"),
    };
    Unavailable::new(outage, format!("{words} ({})", database.message()))
}

/// It did not answer in time.
pub(super) fn silent(limit: Duration) -> Unavailable {
    Unavailable::new(Outage::Away, format!("it did not answer within {} ms", limit.as_millis()))
}

/// Waits between attempts: doubling, capped, and jittered, so that all who lost a server do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    wait_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { wait_ms: RETRY_MS_MIN }
    }
}

impl Backoff {
    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let wait_ms = self.wait_ms;
        self.wait_ms = (wait_ms * 2).min(RETRY_MS_MAX);
        // Without randomness the waits are merely the same for everybody.
        let random = u64::from(getrandom::u32().unwrap_or_default());
        Duration::from_millis(wait_ms / 2 + random % (wait_ms / 2 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_cap_and_differ() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..40).map(|_| backoff.next().as_millis()).collect();
        assert!(waits[0] <= u128::from(RETRY_MS_MIN));
        let late = &waits[20..];
        let (min, max) = (u128::from(RETRY_MS_MAX / 2), u128::from(RETRY_MS_MAX));
        assert!(late.iter().all(|wait| (min..=max).contains(wait)), "{late:?}");
        assert!(late.iter().any(|wait| *wait != late[0]), "{late:?}");
    }
}
