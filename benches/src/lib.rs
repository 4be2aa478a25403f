//! What the benches share: measuring peers side by side, the report, a workload from a seed.
//!
//! A bench is a program of its own (`harness = false`) that measures, then hands a [`Report`] its figures. It asserts
//! that its peers gave the same answers, but nothing about time: targets are reported, never tested.

#[cfg(feature = "database")]
mod client;
pub mod heap;
mod measure;
mod report;
mod rng;
pub mod workload;

#[cfg(feature = "database")]
pub use client::Client;
pub use measure::{Op, compare, median, percentile};
pub use report::{Report, ReportError, Sense, Target};
pub use rng::Rng;
