//! What Sparkle tells Prometheus of itself: `/metrics`. Numbers and names of tables, routes and hosts only: no row's content.

mod census;
mod live;
mod store;

pub(crate) use census::Census;
pub(crate) use live::{Inspection, Live};
pub(crate) use store::Measured;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The kind of text that [`Metrics::write`] gives.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the buckets of what users wait for, seconds: from a read out of memory to the request time-out.
const WAIT_BUCKETS_S: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0, 30.0];
/// Upper bounds of the buckets of how long rows differ from what was ordered, seconds: from a switch to a large image.
const CONVERGENCE_BUCKETS_S: [f64; 10] = [0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];

/// What requests are told apart by. Each has few values: a route is one of the router's, or the kind of a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

/// The name of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TableLabel {
    table: String,
}

/// What is measured as it happens.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Histogram>,
    commits: Histogram,
    /// How long rows differed from what was ordered, by table, once they did no longer.
    converged: Family<TableLabel, Histogram>,
    census: Arc<Mutex<Census>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            requests: Family::new_with_constructor(|| Histogram::new(WAIT_BUCKETS_S)),
            commits: Histogram::new(WAIT_BUCKETS_S),
            converged: Family::new_with_constructor(|| Histogram::new(CONVERGENCE_BUCKETS_S)),
            census: Arc::default(),
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let known = ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"];
        let method = known.into_iter().find(|known| *known == method).unwrap_or("other");
        let labels = RequestLabels { method, route: route.unwrap_or("none").to_owned(), status };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    fn committed(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    /// All of it, with what can only be looked up now.
    ///
    /// # Errors
    /// When it cannot be written, which memory does not do.
    pub(crate) fn write(&self, live: Live) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("sparkle");
        let (requests, commits, converged) =
            (self.requests.clone(), self.commits.clone(), self.converged.clone());
        let seconds = Unit::Seconds;
        registry.register_with_unit(
            "http_request",
            "How long requests took to be answered",
            seconds.clone(),
            requests,
        );
        registry.register_with_unit(
            "commit",
            "How long the database took to commit",
            seconds.clone(),
            commits,
        );
        let told = "How long rows differed from what was ordered";
        registry.register_with_unit("convergence", told, seconds, converged);
        registry.register_collector(Box::new(live));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}
