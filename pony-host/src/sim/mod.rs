//! A simulated host: the four driver traits over a world in memory, with the same promises as the real drivers,
//! held to the same conformance tests, and told by a seed (or by hand) when to fail, hang or crash.
//!
//! Every operation takes simulated time (`tokio::time`, so a test may pause the clock), takes effect at one
//! moment in its middle, and may fail before that moment (nothing happened) or after it (it happened, and the
//! answer is lost). Every side effect is counted, so that a test can prove that nothing happens twice.
//!
//! It does not simulate contents: a volume has a size and a format, no bytes; a guest has a state, no program; but its
//! consoles echo.

mod discovery;
mod echo;
mod effects;
mod errors;
mod faults;
mod guests;
mod host;
mod hypervisor;
mod links;
mod moves;
mod network;
mod op;
mod options;
mod random;
mod storage;
mod store;
mod uplinks;
mod usage;
mod volumes;
mod world;

pub use host::SimHost;
pub use moves::SimFabric;
pub use op::SimOp;
pub use options::SimOptions;
pub use store::SimStore;
