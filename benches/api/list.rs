//! A filter that half of a tenant's 50,000 instances pass.

use crate::client::Client;
use crate::cloud::{Cloud, INSTANCES};
use pony_benches::{Report, Sense, median, percentile};
use std::time::Instant;

const RUNS: usize = 100;
/// What the slowest of a hundred may take, milliseconds.
const P99_MS: f64 = 100.0;

pub(crate) async fn measure(report: &mut Report, cloud: &Cloud) -> anyhow::Result<()> {
    let mut client = Client::connect(cloud.sparkle.api(), &cloud.auth).await?;
    let path = format!("/v1/tenant/{}/instance/?state=running", cloud.tenant);
    let mut us = Vec::with_capacity(RUNS);
    for run in 0..=RUNS {
        let begun = Instant::now();
        let body = client.send("GET", &path, "").await?;
        if run > 0 {
            us.push(begun.elapsed().as_secs_f64() * 1e6);
        } else {
            let listed: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&body)?;
            anyhow::ensure!(listed.len() == INSTANCES / 2, "{} are listed", listed.len());
        }
    }
    let p99 = percentile(&us, 99);
    report.figures("filtered list of 25,000 instances", [("median", median(&us)), ("p99", p99)]);
    report.target("filtered list of 25,000 instances, p99, ms", p99 / 1e3, P99_MS, Sense::Max);
    Ok(())
}
