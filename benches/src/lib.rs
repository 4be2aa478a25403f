//! What the benches share: measuring peers side by side, the report, a workload from a seed.
//!
//! A bench is a program of its own (`harness = false`) that measures, then hands a [`Report`] its figures. It asserts
//! that its peers gave the same answers, but nothing about time: targets are reported, never tested.

pub mod heap;
mod measure;
mod report;
mod rng;
pub mod workload;

pub use measure::{Op, compare, median, percentile};
pub use report::{Report, ReportError, Sense, Target};
pub use rng::Rng;
