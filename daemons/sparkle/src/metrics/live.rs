//! What is looked up when somebody asks.

use super::census::TableCount;
use super::{Metrics, TableLabel};
use pony_core::controller::SessionState;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt::Error;
use uuid::Uuid;

/// Hosts that are told one by one: each is three lines. Of larger clouds only how many are in which state.
const HOSTS_MAX: usize = 1_000;

/// How the controller stands.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    pub(crate) sessions: Vec<(Uuid, SessionState)>,
    /// Rows that wait to be told to hosts.
    pub(crate) pending_rows: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Live {
    tables: Vec<TableCount>,
    inspection: Inspection,
    queues: Vec<(&'static str, usize)>,
    flags: [(&'static str, &'static str, bool); 2],
}

#[derive(Debug, EncodeLabelSet)]
struct RowLabels {
    table: String,
    part: &'static str,
}

#[derive(Debug, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Debug, EncodeLabelSet)]
struct HostLabels {
    host: String,
    state: &'static str,
}

#[derive(Debug, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

impl Live {
    /// `queues`: how much waits in each.
    pub(crate) fn new(
        metrics: &Metrics,
        inspection: Inspection,
        queues: Vec<(&'static str, usize)>,
        leads: bool,
        available: bool,
    ) -> Self {
        let flags = [
            ("leads", "Whether this Sparkle leads", leads),
            ("database_available", "Whether the database answers", available),
        ];
        Self { tables: metrics.counts(), inspection, queues, flags }
    }
}

/// Writes gauges of one name.
fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: impl IntoIterator<Item = (L, f64)>,
) -> Result<(), Error> {
    let gauge = ConstGauge::new(0.0_f64);
    let mut encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        let rows = self.tables.iter().flat_map(|count| {
            [("desired", count.desired), ("current", count.current)]
                .map(|(part, rows)| (RowLabels { table: count.table.clone(), part }, rows as f64))
        });
        gauges(encoder, ("rows", "Rows of a table that have a part"), rows)?;
        let acted_on = || {
            self.tables.iter().filter(|count| ["host", "instance", "volume"].contains(&count.table.as_str()))
        };
        let label = |count: &TableCount| TableLabel { table: count.table.clone() };
        let differing = acted_on().map(|count| (label(count), count.differing as f64));
        gauges(encoder, ("unconverged_rows", "Rows that are not as ordered"), differing)?;
        let oldest = acted_on().map(|count| (label(count), count.oldest.as_secs_f64()));
        let help = "For how long the row that has been so longest is not as ordered";
        gauges(encoder, ("unconverged_oldest_seconds", help), oldest)?;
        self.encode_hosts(encoder)?;
        let queues = self.queues.iter().map(|(queue, waiting)| (QueueLabel { queue }, *waiting as f64));
        let pending = (QueueLabel { queue: "rows_for_hosts" }, self.inspection.pending_rows as f64);
        gauges(encoder, ("queue", "What waits in a queue"), queues.chain([pending]))?;
        for (name, help, flag) in self.flags {
            let none: [(&str, &str); 0] = [];
            gauges(encoder, (name, help), [(none, f64::from(u8::from(flag)))])?;
        }
        Ok(())
    }
}

impl Live {
    fn encode_hosts(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let sessions = &self.inspection.sessions;
        let states = SessionState::ALL.map(|state| {
            let count = sessions.iter().filter(|(_, it)| *it == state).count();
            (StateLabel { state: state.as_str() }, count as f64)
        });
        gauges(encoder, ("hosts", "Hosts in a state of the exchange with them"), states)?;
        let told = if sessions.len() <= HOSTS_MAX { sessions.as_slice() } else { &[] };
        let each = told.iter().flat_map(|(host, now)| {
            SessionState::ALL.map(|state| {
                let labels = HostLabels { host: host.to_string(), state: state.as_str() };
                (labels, f64::from(u8::from(state == *now)))
            })
        });
        let help = "1 for the state of the exchange with a host; left out where there are more than a thousand hosts";
        gauges(encoder, ("host_session", help), each)
    }
}
