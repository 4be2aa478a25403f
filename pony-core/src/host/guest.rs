//! What a guest is told of itself, by DHCP, and by cloud-init's NoCloud over HTTP and on a CD-ROM.
//!
//! This is the one place that knows what stands in NoCloud's documents; who asks for them gets texts. JSON is YAML, too.

use crate::reconcile::stamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use uuid::Uuid;

/// What a guest is told of itself, by DHCP and by cloud-init.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestConfig {
    /// `instance.uuid`.
    pub instance: Uuid,
    /// Its name.
    pub hostname: String,
    /// For cloud-init, as ordered.
    pub user_data: Option<String>,
    /// Its name servers.
    pub name_servers: Vec<IpAddr>,
    /// Its cards.
    pub cards: Vec<GuestCard>,
}

/// A card of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestCard {
    /// `52:54:00:…`.
    pub mac: String,
    /// Its addresses.
    pub addresses: Vec<GuestAddress>,
}

/// An address of a guest's card.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestAddress {
    /// The address.
    pub ip: IpAddr,
    /// The length of its network's prefix.
    pub prefix: u8,
    /// The ways out of its network.
    pub routes: Vec<GuestRoute>,
}

/// A way out of a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestRoute {
    /// Where to.
    pub to: IpAddr,
    /// The length of the prefix of that.
    pub prefix: u8,
    /// Through which router.
    pub via: IpAddr,
}

/// Where guests ask who they are, over HTTP and by DHCP; by convention of all clouds.
pub const METADATA_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The documents that cloud-init looks for.
pub const NOCLOUD_DOCUMENTS: [&str; 4] = ["meta-data", "user-data", "vendor-data", "network-config"];

impl GuestConfig {
    /// Stands for all of it.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        stamp(self)
    }

    /// One of [`NOCLOUD_DOCUMENTS`]; `None` where there is no such thing.
    #[must_use]
    pub fn document(&self, name: &str) -> Option<String> {
        match name {
            "meta-data" => {
                Some(json!({"instance-id": self.instance, "local-hostname": self.hostname}).to_string())
            }
            "user-data" => Some(self.user_data.clone().unwrap_or_default()),
            "vendor-data" => Some(String::new()),
            "network-config" => Some(self.network_config().to_string()),
            _ => None,
        }
    }

    /// Version 2 of cloud-init's format. Every route has a router: Debian's cloud-init sets up nothing at all otherwise, so
    /// that the way to [`METADATA_ADDRESS`], which has none, is told by DHCP only.
    fn network_config(&self) -> Json {
        let card = |(n, card)| (format!("card{n}"), self.card_config(card));
        let cards = self.cards.iter().enumerate().map(card);
        json!({"version": 2, "ethernets": cards.collect::<serde_json::Map<_, _>>()})
    }

    fn card_config(&self, card: &GuestCard) -> Json {
        let addresses: Vec<String> =
            card.addresses.iter().map(|it| format!("{}/{}", it.ip, it.prefix)).collect();
        let routes = card.addresses.iter().flat_map(|it| &it.routes);
        let routes =
            routes.map(|it| json!({"to": format!("{}/{}", it.to, it.prefix), "via": it.via.to_string()}));
        let servers: Vec<String> = self.name_servers.iter().map(ToString::to_string).collect();
        json!({
            "match": {"macaddress": card.mac},
            "addresses": addresses,
            "routes": routes.collect::<Vec<_>>(),
            "nameservers": {"addresses": servers},
        })
    }
}

/// A CD-ROM with NoCloud's documents, by what is on it: two are the same where that is.
///
/// Written down it is its stamp alone: whoever reads that knows which CD-ROM it was, and not what a user told the guest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "u64", from = "u64")]
pub struct Seed {
    stamp: u64,
    config: Option<Arc<GuestConfig>>,
}

impl Seed {
    /// The one that tells a guest this.
    #[must_use]
    pub fn new(config: Arc<GuestConfig>) -> Self {
        Self { stamp: config.stamp(), config: Some(config) }
    }

    /// Stands for what is on it.
    #[must_use]
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// What is on it; `None` for one that is only known by its stamp.
    #[must_use]
    pub fn config(&self) -> Option<&GuestConfig> {
        self.config.as_deref()
    }
}

impl From<u64> for Seed {
    fn from(stamp: u64) -> Self {
        Self { stamp, config: None }
    }
}

impl From<Seed> for u64 {
    fn from(seed: Seed) -> Self {
        seed.stamp
    }
}

impl PartialEq for Seed {
    fn eq(&self, other: &Self) -> bool {
        self.stamp == other.stamp
    }
}

impl Eq for Seed {}

impl std::hash::Hash for Seed {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        self.stamp.hash(hasher);
    }
}
