//! How the simulated host behaves.

/// How a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does what it promises.
    Succeed,
    /// It fails without any effect.
    Fail,
    /// It has its effect, and the answer is an error.
    FailAfter,
    /// It has no effect and does not end before it is cancelled.
    Hang,
    /// It has its effect and does not end before it is cancelled.
    HangAfter,
    /// It does what it promises, ten times as slowly.
    Slow,
}

/// How the simulated host behaves. Rates are per thousand and hold while faults are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimConfig {
    /// How long a step takes at the most, ms.
    pub step_ms: u64,
    /// How long filling a volume takes, ms.
    pub fill_ms: u64,
    /// How long sending a guest to another host takes, ms.
    pub move_ms: u64,
    /// How long a look takes at the most, ms.
    pub look_ms: u64,
    /// How long a guest takes to shut down after its button was pressed, ms.
    pub shutdown_ms: u64,
    /// How long a step may take to end once it is cancelled, ms. Beyond the engine's grace, some steps are left
    /// behind.
    pub cancel_ms: u64,
    /// Steps that fail.
    pub fail_rate: u64,
    /// Steps that hang.
    pub hang_rate: u64,
    /// Looks that fail or are never answered.
    pub look_fail_rate: u64,
    /// Guests that crash some time after they started.
    pub crash_rate: u64,
    /// Guests that ignore the power button.
    pub deaf_rate: u64,
    /// Guests that arrive at another host, and go on here as well.
    pub torn_rate: u64,
    /// Hints that are lost.
    pub hint_loss_rate: u64,
    /// Memory of the machine, MiB.
    pub mem_mib: i64,
}

impl Default for SimConfig {
    /// A host on which nothing goes wrong.
    fn default() -> Self {
        Self {
            step_ms: 20,
            fill_ms: 2_000,
            move_ms: 1_000,
            look_ms: 10,
            shutdown_ms: 1_500,
            cancel_ms: 20,
            fail_rate: 0,
            hang_rate: 0,
            look_fail_rate: 0,
            crash_rate: 0,
            deaf_rate: 0,
            torn_rate: 0,
            hint_loss_rate: 0,
            mem_mib: 65_536,
        }
    }
}

impl SimConfig {
    /// A host on which much goes wrong.
    pub fn troubled() -> Self {
        Self {
            step_ms: 200,
            cancel_ms: 900,
            fail_rate: 150,
            hang_rate: 80,
            look_fail_rate: 80,
            crash_rate: 300,
            deaf_rate: 300,
            torn_rate: 200,
            hint_loss_rate: 500,
            ..Self::default()
        }
    }
}
