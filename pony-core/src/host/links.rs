//! Switches, taps, and what guests are told through them.

use super::{GuestConfig, UplinkId};
use crate::reconcile::stamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// A virtual L2 switch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SwitchSpec {
    /// `switch.uuid`.
    pub switch: Uuid,
    /// Its kind.
    pub kind: SwitchKind,
}

/// The kinds of switch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SwitchKind {
    /// A bridge of this host, with nothing but taps on it.
    Bridge,
    /// A bridge that a VLAN of the core network joins with those of other hosts.
    Vlan(UplinkId),
    /// A bridge that VXLAN tunnels join with those of other hosts.
    Vxlan(Overlay),
    /// Declared in the model, but this host cannot make it; says why.
    Unsupported(String),
}

/// What a host must know of a VXLAN switch: nothing is learned from traffic, and nothing is sent to hosts that are not
/// named here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Overlay {
    /// The network identifier, 24 bits.
    pub vni: u32,
    /// This host's end of the tunnels.
    pub local: IpAddr,
    /// The hosts' ends of the tunnels by the hardware addresses that are behind them.
    pub stations: BTreeMap<String, IpAddr>,
    /// The hardware addresses of those stations by their addresses: who asks for one is answered on this host.
    pub neighbours: BTreeMap<IpAddr, String>,
}

impl Overlay {
    /// The other hosts that have cards in the switch: broadcasts go to each of them.
    #[must_use]
    pub fn peers(&self) -> BTreeSet<IpAddr> {
        self.stations.values().copied().collect()
    }
}

impl SwitchKind {
    /// What joins it with other hosts.
    #[must_use]
    pub fn overlay(&self) -> Option<&Overlay> {
        match self {
            Self::Vxlan(overlay) => Some(overlay),
            Self::Bridge | Self::Vlan(_) | Self::Unsupported(_) => None,
        }
    }

    /// The segment that is plugged into it.
    #[must_use]
    pub fn segment(&self) -> Option<UplinkId> {
        match self {
            Self::Vlan(segment) => Some(*segment),
            Self::Bridge | Self::Vxlan(_) | Self::Unsupported(_) => None,
        }
    }
}

/// A switch as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchFact {
    /// `switch.uuid`.
    pub switch: Uuid,
    /// The link's name.
    pub bridge: String,
    /// What joins it with other hosts, where that is whole.
    pub overlay: Option<Overlay>,
    /// The segment that is plugged into it.
    pub segment: Option<UplinkId>,
    /// Whether the bridge is there and forwards at once. Where not, it is half made, or somebody changed it.
    pub whole: bool,
}

impl SwitchFact {
    /// Whether it forwards, and is joined with other hosts as ordered.
    #[must_use]
    pub fn is_joined(&self, kind: &SwitchKind) -> bool {
        self.whole && self.overlay.as_ref() == kind.overlay() && self.segment == kind.segment()
    }
}

/// An address of a guest's card, and the VLAN on the card that it is used in; 0 for what has no tag.
pub type CardAddress = (u16, IpAddr);

/// The host's end of a vnic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TapSpec {
    /// `vnic.uuid`.
    pub vnic: Uuid,
    /// The switch that it is plugged into; its bridge must exist.
    pub switch: Uuid,
    /// The guest's address, `52:54:00:…`.
    pub mac: String,
    /// What the guest may send from. `None`: its switch has no networks, and addresses are the guests' own affair.
    pub addresses: Option<BTreeSet<CardAddress>>,
    /// What the guest is told of itself through this tap; nothing where its switch has no networks.
    pub config: Option<Arc<GuestConfig>>,
}

/// Raised whenever drivers hold guests to other rules, so that those in force are replaced on hosts that run.
const RULES: u8 = 2;

impl TapSpec {
    /// Stands for what the guest may send as.
    #[must_use]
    pub fn guard(&self) -> u64 {
        stamp(&(RULES, &self.mac, &self.addresses))
    }
}

/// A tap as it was found. Of one that is half made or half removed there may be only the rules for what its guest may send:
/// then it is on no bridge, and carries nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapFact {
    /// `vnic.uuid`.
    pub vnic: Uuid,
    /// The link's name.
    pub link: String,
    /// The name of the bridge that it is on.
    pub bridge: Option<String>,
    /// The largest frame that it carries, bytes.
    pub mtu: u32,
    /// What its guest is held to, as [`TapSpec::guard`] says; `None` where to nothing.
    pub guard: Option<u64>,
    /// What its guest is told, as [`GuestConfig::stamp`] says; `None` where nothing.
    pub told: Option<u64>,
}
