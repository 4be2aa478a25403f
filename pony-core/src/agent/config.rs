//! The agent's bounds, each with its unit and its reason.

use super::looks::Subject;
use crate::reconcile::{self, LaneConfig};

/// The lanes that steps run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Links, and removals: short.
    Quick = 0,
    /// Guests: seconds.
    Guest = 1,
    /// Filling volumes: minutes to hours.
    Fill = 2,
    /// Sending guests to other hosts: minutes. Few at a time, since they share the way.
    Move = 3,
}

/// The agent's bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Those of the engine; its lanes are those of [`Lane`].
    pub engine: reconcile::Config,
    /// How long a guest may take to shut down after its power button was pressed, before its plug is pulled.
    /// 0: the plug is pulled at once.
    pub shutdown_grace_ms: u64,
    /// Guests and links are looked at this often, to find what no event told.
    pub look_guests_ms: u64,
    /// What steps promise is looked at after this, once for many of them.
    pub look_promised_ms: u64,
    /// Pools and their volumes: slower to read, and nobody else's business to change.
    pub look_pools_ms: u64,
    /// The machine itself: hardly ever changes, and says so when it does.
    pub look_machine_ms: u64,
    /// A look that is not answered for this long has failed.
    pub look_timeout_ms: u64,
    /// How long Sparkle may be out of reach after a change of uplinks before the change is rolled back. Longer than
    /// a switch needs to let traffic through (30 s with the spanning tree), and to connect again after that.
    pub prove_ms: u64,
    /// What was rolled back is tried again after this; doubles with each time that it had to be.
    pub refused_first_ms: u64,
    /// The longest wait before that: each try cuts the host off for a while.
    pub refused_cap_ms: u64,
    /// Progress of a fill is reported at most this often per volume, to keep messages few.
    pub progress_ms: u64,
    /// Notifications that wait to be sent; beyond it the oldest is dropped, as they are news, not state.
    pub notifications_max: usize,
    /// The same news of the same thing is sent at most this often.
    pub notification_repeat_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        let quick = LaneConfig { slots: 16, stall_ms: 60_000 };
        let guest = LaneConfig { slots: 8, stall_ms: 120_000 };
        let fill = LaneConfig { slots: 4, stall_ms: 300_000 };
        let moves = LaneConfig { slots: 2, stall_ms: 120_000 };
        Self {
            engine: reconcile::Config {
                lanes: vec![quick, guest, fill, moves],
                ..reconcile::Config::default()
            },
            shutdown_grace_ms: 10_000,
            look_guests_ms: 10_000,
            look_promised_ms: 1_000,
            look_pools_ms: 30_000,
            look_machine_ms: 60_000,
            look_timeout_ms: 30_000,
            prove_ms: 60_000,
            refused_first_ms: 600_000,
            refused_cap_ms: 6 * 3_600_000,
            progress_ms: 1_000,
            notifications_max: 256,
            notification_repeat_ms: 60_000,
        }
    }
}

impl Config {
    pub(super) fn look_period(&self, subject: Subject) -> u64 {
        match subject {
            Subject::Host | Subject::Nics | Subject::Disks | Subject::Cpus => self.look_machine_ms,
            Subject::Guests | Subject::Uplinks | Subject::Switches | Subject::Taps => self.look_guests_ms,
            Subject::Pool(_) | Subject::Volumes(_) => self.look_pools_ms,
        }
    }

    /// A failed look is tried again sooner than a good one is repeated: nothing can be decided without it.
    pub(super) fn look_retry_ms(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(16);
        self.engine.backoff_first_ms.saturating_mul(1 << doublings).min(self.look_guests_ms)
    }
}
