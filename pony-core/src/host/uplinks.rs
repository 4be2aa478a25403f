//! The host's own way to the outside: bonds of its cards, the VLANs on them, and bridges for what those are used for.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use uuid::Uuid;

/// Names an uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UplinkId {
    /// `bond.uuid`.
    Bond(Uuid),
    /// The traffic of a bond under one tag.
    Segment {
        /// `bond.uuid`.
        bond: Uuid,
        /// The VLAN that this one is in, where it has two tags; 0 where not.
        within: u16,
        /// The VLAN, 1 to 4094; 0 for what has no tag.
        tag: u16,
    },
}

/// The uplinks of a host.
pub type Uplinks = BTreeMap<UplinkId, UplinkSpec>;

/// An uplink as a driver needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UplinkSpec {
    /// Cards used as one.
    Bond(BondSpec),
    /// The traffic of a bond under one tag.
    Segment(SegmentSpec),
}

/// Cards used as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BondSpec {
    /// `bond.uuid`.
    pub bond: Uuid,
    /// How they share the work.
    pub mode: BondMode,
    /// `nic.hwaddr` of each. Those that are not there are left out.
    pub nics: BTreeSet<String>,
}

/// How the cards of a bond share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondMode {
    /// One works, the others wait.
    ActiveBackup,
    /// Link aggregation by LACP.
    Lacp {
        /// Packets are asked for every second, not every 30 s.
        fast: bool,
        /// By what the card of a packet is chosen.
        hash: XmitHash,
    },
}

/// By what the card of a packet is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XmitHash {
    /// Hardware addresses.
    Layer2,
    /// Hardware and IP addresses.
    Layer23,
    /// IP addresses and ports.
    Layer34,
}

/// The traffic of a bond under one tag, or under two. Its largest frame is that of the bond, and a bond's that of its cards;
/// a second tag takes its own length of that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SegmentSpec {
    /// The bond, which must be there.
    pub bond: Uuid,
    /// The VLAN that this one is in, which must be there as well; 0 for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub within: u16,
    /// The VLAN; 0 for what has no tag.
    pub tag: u16,
    /// Whether it ends in a bridge of the host's own. One without can be plugged into the bridge of a switch.
    pub bridged: bool,
    /// The host's addresses on that bridge.
    pub addresses: BTreeSet<HostAddress>,
}

/// An address of the host, and the length of its network's prefix.
pub type HostAddress = (IpAddr, u8);

/// An uplink as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkFact {
    /// What it would have been ordered as. Its addresses are those that this software gave it.
    pub spec: UplinkSpec,
    /// Addresses that it has from others: a card that is taken keeps those that it had.
    pub carried: BTreeSet<HostAddress>,
    /// The name of the link that carries its frames: the bond, or the VLAN on it.
    pub below: String,
    /// The name of the link that ends it: the bond, the VLAN, or the bridge.
    pub link: String,
    /// Whether a card below it hears the other end of its cable.
    pub carrier: bool,
    /// Whether it is up, and put together as it should be.
    pub whole: bool,
}

impl UplinkSpec {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> UplinkId {
        match self {
            Self::Bond(spec) => UplinkId::Bond(spec.bond),
            Self::Segment(spec) => UplinkId::Segment { bond: spec.bond, within: spec.within, tag: spec.tag },
        }
    }
}

impl UplinkId {
    /// The bond that it is, or is on.
    #[must_use]
    pub fn bond(self) -> Uuid {
        match self {
            Self::Bond(bond) | Self::Segment { bond, .. } => bond,
        }
    }

    /// What it is made on; `None` for a bond.
    #[must_use]
    pub fn below(self) -> Option<Self> {
        match self {
            Self::Bond(_) => None,
            Self::Segment { bond, within: 0, .. } => Some(Self::Bond(bond)),
            Self::Segment { bond, within, .. } => Some(Self::Segment { bond, within: 0, tag: within }),
        }
    }
}

impl SegmentSpec {
    /// One that is only there to be plugged into a switch.
    #[must_use]
    pub fn plain(bond: Uuid, within: u16, tag: u16) -> Self {
        Self { bond, within, tag, bridged: false, addresses: BTreeSet::new() }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(tag: &u16) -> bool {
    *tag == 0
}

impl UplinkFact {
    /// Whether it is a segment that can be plugged into a switch.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(&self.spec, UplinkSpec::Segment(spec) if !spec.bridged)
    }

    /// Whether it is what is ordered. An ordered address counts whoever gave it.
    #[must_use]
    pub fn is_as_ordered(&self, order: &UplinkSpec) -> bool {
        self.whole
            && match (&self.spec, order) {
                (UplinkSpec::Bond(found), UplinkSpec::Bond(order)) => found == order,
                (UplinkSpec::Segment(found), UplinkSpec::Segment(order)) => {
                    let has = |it: &HostAddress| found.addresses.contains(it) || self.carried.contains(it);
                    found.bridged == order.bridged
                        && order.addresses.iter().all(has)
                        && found.addresses.is_subset(&order.addresses)
                }
                _ => false,
            }
    }
}
