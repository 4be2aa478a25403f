//! What the host and its guests use, for those who watch it: Prometheus asks (`endpoint`, `prometheus`), collectd is told
//! (`collectd`, `packet`). Numbers, and names of devices, instances and the host only.

mod collectd;
mod endpoint;
mod packet;
mod prometheus;

pub use collectd::{Auth, Collectd};
pub use endpoint::NotLoopback;

pub(crate) use collectd::tell;
pub(crate) use endpoint::{bind, serve};

use crate::drivers::Drivers;
use pony_host::{GuestUsage, HostUsage};
use std::net::SocketAddr;
use std::time::Duration;

/// How long machine and hypervisor may take to answer: less than Prometheus waits (10 s).
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom what is used is told.
#[derive(Debug, Clone, Default)]
pub struct Measuring {
    /// Where Prometheus may ask, on loopback: nobody is asked for a password there.
    pub prometheus: Option<SocketAddr>,
    /// The collectd that is told.
    pub collectd: Option<Collectd>,
}

/// What is used now. What did not answer is missing.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) host: Option<HostUsage>,
    pub(crate) guests: Option<Vec<GuestUsage>>,
}

impl Usage {
    /// Asks for it.
    pub(crate) async fn now(drivers: &Drivers) -> Self {
        let host = tokio::time::timeout(PATIENCE, drivers.discovery.usage());
        let guests = tokio::time::timeout(PATIENCE, drivers.hypervisor.usage());
        let (host, guests) = tokio::join!(host, guests);
        Self { host: host.ok().and_then(Result::ok), guests: guests.ok().and_then(Result::ok) }
    }
}
