//! What a guest is told of itself, by DHCP, and by cloud-init's NoCloud over HTTP and on a CD-ROM.
//!
//! This is the one place that knows what stands in NoCloud's documents; who asks for them gets texts. JSON is YAML, too.

use crate::reconcile::stamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;
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
    /// Whether it leads to [`METADATA_ADDRESS`]: then it has [`METADATA_GUEST`] for that. One card of a guest does at most.
    pub metadata: bool,
    /// Its addresses.
    pub addresses: Vec<GuestAddress>,
}

/// An address of a guest's card.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestAddress {
    /// The VLAN on the card that it is used in; 0 for what has no tag.
    pub tag: u16,
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

/// From which address guests ask there that know it from their disc, which names no router for it: all have the same one, and
/// each its own port. The two are all that there is in the smallest network that they are in, so that no other address of
/// this kind which a guest may use leads elsewhere than it did.
pub const METADATA_GUEST: (Ipv4Addr, u8) = (Ipv4Addr::new(169, 254, 169, 253), 30);

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

    /// Version 2 of cloud-init's format. Every route has a router: Debian's cloud-init sets up nothing at all otherwise. So the
    /// way to [`METADATA_ADDRESS`], which has none, is told by an address beside it.
    fn network_config(&self) -> Json {
        let (mut cards, mut vlans) = (Map::new(), Map::new());
        for (n, card) in self.cards.iter().enumerate() {
            let name = format!("card{n}");
            let tags: BTreeSet<u16> =
                card.addresses.iter().map(|it| it.tag).filter(|tag| *tag != 0).collect();
            for tag in tags {
                let link = [("id".to_owned(), json!(tag)), ("link".to_owned(), json!(name))];
                vlans.insert(format!("{name}.{tag}"), link.into_iter().chain(self.link(card, tag)).collect());
            }
            let found_by = [("match".to_owned(), json!({"macaddress": card.mac}))];
            cards.insert(name, found_by.into_iter().chain(self.link(card, 0)).collect());
        }
        let mut config = json!({"version": 2, "ethernets": cards});
        if !vlans.is_empty() {
            config["vlans"] = vlans.into();
        }
        config
    }

    /// What a card has in one of its VLANs, or without a tag.
    fn link(&self, card: &GuestCard, tag: u16) -> Map<String, Json> {
        let own = card.addresses.iter().filter(|it| it.tag == tag);
        let mut addresses: Vec<String> = own.clone().map(|it| format!("{}/{}", it.ip, it.prefix)).collect();
        if card.metadata && tag == 0 {
            let (ip, prefix) = METADATA_GUEST;
            addresses.push(format!("{ip}/{prefix}"));
        }
        let routes = own.flat_map(|it| &it.routes);
        let routes =
            routes.map(|it| json!({"to": format!("{}/{}", it.to, it.prefix), "via": it.via.to_string()}));
        let servers: Vec<String> = self.name_servers.iter().map(ToString::to_string).collect();
        Map::from_iter([
            ("addresses".to_owned(), json!(addresses)),
            ("routes".to_owned(), routes.collect()),
            ("nameservers".to_owned(), json!({"addresses": servers})),
        ])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_has_its_vlans_and_one_of_the_guest_leads_to_metadata() {
        let route = GuestRoute { to: [0; 4].into(), prefix: 0, via: [10, 0, 0, 254].into() };
        let address = |tag, ip: &str, routes: &[GuestRoute]| GuestAddress {
            tag,
            ip: ip.parse().unwrap(),
            prefix: 24,
            routes: routes.to_vec(),
        };
        let addresses = vec![
            address(0, "10.0.0.5", &[route]),
            address(7, "10.7.0.5", &[]),
            address(7, "10.7.0.6", &[]),
            address(9, "10.9.0.5", &[]),
        ];
        let config = GuestConfig {
            instance: Uuid::nil(),
            hostname: "web".into(),
            user_data: None,
            name_servers: vec![],
            cards: vec![
                GuestCard { mac: "a".into(), metadata: false, addresses: vec![] },
                GuestCard { mac: "b".into(), metadata: true, addresses },
            ],
        };
        let found: Json = serde_json::from_str(&config.document("network-config").unwrap()).unwrap();
        let none = json!({"addresses": []});
        let link = |id: u16, addresses: &[&str]| json!({"id": id, "link": "card1", "addresses": addresses, "routes": [], "nameservers": none});
        let wanted = json!({
            "version": 2,
            "ethernets": {
                "card0": {"match": {"macaddress": "a"}, "addresses": [], "routes": [], "nameservers": none},
                "card1": {
                    "match": {"macaddress": "b"},
                    "addresses": ["10.0.0.5/24", "169.254.169.253/30"],
                    "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.254"}],
                    "nameservers": none,
                },
            },
            "vlans": {
                "card1.7": link(7, &["10.7.0.5/24", "10.7.0.6/24"]),
                "card1.9": link(9, &["10.9.0.5/24"]),
            },
        });
        assert_eq!(found, wanted);
    }
}
