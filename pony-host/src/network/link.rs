//! A link as the kernel describes it. Asks for nothing.

use super::overlay;
use pony_core::host::{BondMode, XmitHash};
use rtnetlink::packet_route::link::{
    BondLacpRate, BondMode as Mode, BondXmitHashPolicy, BridgeStpState, InfoBond, InfoBondPort, InfoBridge,
    InfoData, InfoKind, InfoPortData, InfoVlan, InfoVxlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use std::net::IpAddr;

/// What a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bridge; whether it forwards at once, without the spanning tree protocol.
    Bridge {
        /// It does.
        prompt: bool,
    },
    /// A tap or tun.
    Tap,
    /// A link of VXLAN tunnels.
    Vxlan {
        /// Its network identifier.
        vni: u32,
        /// This host's end.
        local: Option<IpAddr>,
        /// It learns nothing from traffic, and uses the port that all hosts use.
        fixed: bool,
    },
    /// A bond; how its cards share the work, where that is a way which can be ordered.
    Bond(Option<BondMode>),
    /// What a link carries under a tag.
    Vlan {
        /// The tag.
        tag: u16,
    },
    /// One end of a pair.
    Veth,
    /// A network card.
    Card,
    /// Anything else.
    Other,
}

impl Kind {
    pub(super) fn is_bridge(self) -> bool {
        matches!(self, Self::Bridge { .. })
    }

    /// Whether it can be part of a bond. The end of a pair is the card of a host that is a namespace.
    pub(super) fn is_card(self) -> bool {
        matches!(self, Self::Card | Self::Veth)
    }
}

/// A link as it was found.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) alias: Option<String>,
    pub(super) kind: Kind,
    pub(super) up: bool,
    /// Whether ARP is spoken on it.
    pub(super) arp: bool,
    /// The largest frame that it carries, bytes.
    pub(super) mtu: u32,
    /// Index of the bridge or bond that it is part of.
    pub(super) above: Option<u32>,
    /// Index of the link that it is made on.
    pub(super) below: Option<u32>,
    /// Its hardware address.
    pub(super) address: Vec<u8>,
    /// The one that it was made with, where it is part of a bond, which lends it another.
    pub(super) own_address: Option<Vec<u8>>,
    /// Whether something is heard on it.
    pub(super) carrier: bool,
}

impl Link {
    /// The hardware address that it was made with.
    pub(super) fn own(&self) -> &[u8] {
        self.own_address.as_ref().unwrap_or(&self.address)
    }

    /// The same, as people know it.
    pub(super) fn mac(&self) -> String {
        text(self.own())
    }
}

fn text(address: &[u8]) -> String {
    address.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            alias: None,
            kind: if flags.contains(LinkFlags::Loopback) { Kind::Other } else { Kind::Card },
            up: flags.contains(LinkFlags::Up),
            arp: !flags.contains(LinkFlags::Noarp),
            mtu: 0,
            above: None,
            below: None,
            address: Vec::new(),
            own_address: None,
            carrier: flags.contains(LinkFlags::LowerUp),
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias).filter(|alias| !alias.is_empty()),
                LinkAttribute::Controller(above) => link.above = Some(above).filter(|above| *above != 0),
                LinkAttribute::Link(below) => link.below = Some(below).filter(|below| *below != 0),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Address(address) => link.address = address,
                LinkAttribute::PermAddress(address) => {
                    link.own_address.get_or_insert(address);
                }
                LinkAttribute::LinkInfo(infos) => {
                    link.kind = kind(&infos).unwrap_or(link.kind);
                    link.own_address = lent(&infos).or(link.own_address);
                }
                _ => {}
            }
        }
        link
    }
}

/// The address of its own that a card of a bond had before.
fn lent(infos: &[LinkInfo]) -> Option<Vec<u8>> {
    let ports = infos.iter().filter_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BondPort(port)) => Some(port),
        _ => None,
    });
    ports.flatten().find_map(|it| match it {
        InfoBondPort::PermHwaddr(address) => Some(address.clone()),
        _ => None,
    })
}

/// `None` for a link without a kind of its own.
fn kind(infos: &[LinkInfo]) -> Option<Kind> {
    let named = infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    })?;
    Some(match named {
        InfoKind::Tun => Kind::Tap,
        InfoKind::Vxlan => vxlan(infos),
        InfoKind::Bridge => bridge(infos),
        InfoKind::Bond => Kind::Bond(bond(infos)),
        InfoKind::Vlan => Kind::Vlan { tag: vlan(infos) },
        InfoKind::Veth => Kind::Veth,
        _ => Kind::Other,
    })
}

fn data(infos: &[LinkInfo]) -> impl Iterator<Item = &InfoData> {
    infos.iter().filter_map(|info| match info {
        LinkInfo::Data(data) => Some(data),
        _ => None,
    })
}

fn bridge(infos: &[LinkInfo]) -> Kind {
    let settings = data(infos).filter_map(|data| match data {
        InfoData::Bridge(settings) => Some(settings),
        _ => None,
    });
    let slow = |setting: &InfoBridge| match setting {
        InfoBridge::StpState(state) => *state != BridgeStpState::Disabled,
        InfoBridge::ForwardDelay(delay) => *delay != 0,
        _ => false,
    };
    Kind::Bridge { prompt: !settings.flatten().any(slow) }
}

fn vlan(infos: &[LinkInfo]) -> u16 {
    let settings = data(infos).filter_map(|data| match data {
        InfoData::Vlan(settings) => Some(settings),
        _ => None,
    });
    let tag = |setting: &InfoVlan| if let InfoVlan::Id(tag) = setting { Some(*tag) } else { None };
    settings.flatten().find_map(tag).unwrap_or_default()
}

fn bond(infos: &[LinkInfo]) -> Option<BondMode> {
    let settings = data(infos).filter_map(|data| match data {
        InfoData::Bond(settings) => Some(settings),
        _ => None,
    });
    let (mut mode, mut fast, mut policy) = (None, false, None);
    for setting in settings.flatten() {
        match setting {
            InfoBond::Mode(found) => mode = Some(*found),
            InfoBond::AdLacpRate(rate) => fast = *rate == BondLacpRate::Fast,
            InfoBond::XmitHashPolicy(found) => policy = hash(*found),
            _ => {}
        }
    }
    match mode? {
        Mode::ActiveBackup => Some(BondMode::ActiveBackup),
        Mode::Ieee8023Ad => Some(BondMode::Lacp { fast, hash: policy? }),
        _ => None,
    }
}

fn hash(policy: BondXmitHashPolicy) -> Option<XmitHash> {
    match policy {
        BondXmitHashPolicy::Layer2 => Some(XmitHash::Layer2),
        BondXmitHashPolicy::Layer23 => Some(XmitHash::Layer23),
        BondXmitHashPolicy::Layer34 => Some(XmitHash::Layer34),
        _ => None,
    }
}

fn vxlan(infos: &[LinkInfo]) -> Kind {
    let (mut vni, mut local, mut fixed) = (0, None, true);
    let settings = data(infos).filter_map(|data| match data {
        InfoData::Vxlan(settings) => Some(settings),
        _ => None,
    });
    for setting in settings.flatten() {
        match setting {
            InfoVxlan::Id(id) => vni = *id,
            InfoVxlan::Local(ip) => local = Some(IpAddr::from(*ip)),
            InfoVxlan::Local6(ip) => local = Some(IpAddr::from(*ip)),
            InfoVxlan::Learning(learning) => fixed &= !learning,
            InfoVxlan::Port(port) => fixed &= *port == overlay::PORT,
            _ => {}
        }
    }
    Kind::Vxlan { vni, local, fixed }
}
