//! Drivers of a host, each behind a small trait ([`Hypervisor`], [`Network`], [`Storage`], [`Discovery`]) and a
//! cargo feature; and `sim`, a simulated host that keeps the same promises and can be told to fail.

mod traits;

pub use traits::{Discovery, Hypervisor, Network, Progress, Result, Storage};
