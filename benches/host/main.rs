//! What a host takes for its work: one module for each kind of work, all in one report.
//!
//! `PONY_BENCH_ONLY` names the only part to measure: `fill`, `order`, `memory`, `links`.

mod cloud;
mod fill;
mod links;
mod memory;
mod order;
mod recorder;
mod sparkle;

use pony_benches::Report;

fn main() -> anyhow::Result<()> {
    if memory::be_agent()? {
        return Ok(());
    }
    let only = std::env::var("PONY_BENCH_ONLY").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut report = Report::new("host", "ms");
    if wanted("fill") {
        fill::measure(&mut report)?;
    }
    if wanted("links") {
        links::measure(&mut report)?;
    }
    if wanted("order") {
        order::measure(&mut report)?;
    }
    if wanted("memory") {
        memory::measure(&mut report)?;
    }
    Ok(report.finish()?)
}
