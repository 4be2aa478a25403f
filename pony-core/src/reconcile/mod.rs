//! The reconcile engine: decides which step runs now, which running step is abandoned, and when a failed one is
//! tried again.
//!
//! It knows nothing of guests, volumes or tables. A [`World`] says which resources there are, what is ordered of
//! each ([`Stamp`]s that change when the order does) and which step would bring it closer to its order
//! ([`Plan`]); the engine adds what is the same for all of them: one step per resource at a time, bounded
//! lanes, cancellation the moment an order changes, endless retries with capped and jittered back-off.
//!
//! It depends on no hints: [`Engine::review`] looks at everything, once per period at least, so that a lost signal costs
//! time and never correctness. In between, [`Engine::attend`] looks at what was [touched](Engine::touch) and at what
//! is due, so that an event among thousands of resources costs what it concerns. It performs no I/O, reads no clock and
//! draws no randomness: `now_ms` and the seed are arguments.
//!
//! Its neighbours: [`crate::agent`] implements `World` over orders and facts; the drivers carry out the steps.

mod agenda;
mod backoff;
mod config;
mod engine;
mod runs;
mod status;
mod world;

#[cfg(test)]
mod tests;

pub use backoff::SplitMix64;
pub use config::{Config, LaneConfig};
pub use engine::{Command, Ended, Engine, FailureEvent, Outcome};
pub use runs::{Run, RunId, Runs};
pub use status::{Phase, Status};
pub use world::{Plan, Stamp, World, stamp};
