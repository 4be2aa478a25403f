//! What a host takes for its work: one module for each kind of work, all in one report.
//!
//! `PONY_BENCH_ONLY` names the only part to measure: `fill`.

mod fill;

use pony_benches::Report;

fn main() -> anyhow::Result<()> {
    let only = std::env::var("PONY_BENCH_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut report = Report::new("host", "ms");
    if wanted("fill") {
        fill::measure(&mut report)?;
    }
    Ok(report.finish()?)
}
