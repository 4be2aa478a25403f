//! The kernel's tables of hardware addresses: which are behind which tunnel, and which belong to which address.

use super::links::{Links, errno};
use crate::Result;
use futures::{StreamExt as _, TryStreamExt as _};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Station([u8; 6]);

impl Station {
    pub(super) const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// `NUD_NOARP | NUD_REACHABLE`: kept for ever by a bridge, and by a tunnel, which takes nothing that is not reachable.
const FIXED: NeighbourState = NeighbourState::Other(0x42);

/// What the kernel keeps of those that get what nobody in particular is sent.
const EVERYBODY: Station = Station([0; 6]);

impl FromStr for Station {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let mut bytes = text.split(':').map(|part| u8::from_str_radix(part, 16));
        let mut station = [0; 6];
        for byte in &mut station {
            *byte = bytes.next().and_then(std::result::Result::ok).ok_or(())?;
        }
        if bytes.next().is_some() { Err(()) } else { Ok(Self(station)) }
    }
}

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An entry of one of the tables.
#[derive(Debug)]
pub(super) enum Entry {
    /// A station in both tables: behind a tunnel, and towards the link of the tunnels.
    Station { link: u32, station: Station, via: IpAddr },
    /// A station towards a link of a bridge.
    Switched { link: u32, station: Station },
    /// A station behind a tunnel.
    Behind { link: u32, station: Station, via: IpAddr },
    /// A tunnel that what is for everybody goes through.
    Flooded { link: u32, via: IpAddr },
    /// The station of an address.
    Neighbour { bridge: u32, ip: IpAddr, station: Station },
}

impl Entry {
    fn message(&self) -> NeighbourMessage {
        let (link, family, state, flags, station, to) = match *self {
            Self::Station { link, station, via } => {
                let flags = NeighbourFlags::Own | NeighbourFlags::Controller;
                (link, AddressFamily::Bridge, FIXED, flags, station, Some(via))
            }
            Self::Switched { link, station } => (
                link,
                AddressFamily::Bridge,
                NeighbourState::Noarp,
                NeighbourFlags::Controller,
                station,
                None,
            ),
            Self::Behind { link, station, via } => {
                (link, AddressFamily::Bridge, FIXED, NeighbourFlags::Own, station, Some(via))
            }
            Self::Flooded { link, via } => (
                link,
                AddressFamily::Bridge,
                NeighbourState::Permanent,
                NeighbourFlags::Own,
                EVERYBODY,
                Some(via),
            ),
            Self::Neighbour { bridge, ip, station } => {
                let family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
                (bridge, family, NeighbourState::Permanent, NeighbourFlags::empty(), station, Some(ip))
            }
        };
        let mut message = NeighbourMessage::default();
        (message.header.family, message.header.ifindex) = (family, link);
        (message.header.state, message.header.flags) = (state, flags);
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(station.bytes()));
        message.attributes.extend(to.map(|ip| match ip {
            IpAddr::V4(ip) => NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)),
            IpAddr::V6(ip) => NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)),
        }));
        message
    }
}

/// What the tables say of one link and its bridge.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) behind: BTreeMap<Station, IpAddr>,
    pub(super) switched: BTreeSet<Station>,
    pub(super) flooded: BTreeSet<IpAddr>,
    pub(super) neighbours: BTreeMap<IpAddr, Station>,
}

impl Tables {
    /// All stations that are in one of the tables.
    pub(super) fn known(&self) -> impl Iterator<Item = Station> {
        self.behind.keys().chain(&self.switched).copied().collect::<BTreeSet<_>>().into_iter()
    }
}

/// The tables of all links.
#[derive(Debug, Default)]
pub(super) struct AllTables {
    links: BTreeMap<u32, Tables>,
    neighbours: BTreeMap<u32, BTreeMap<IpAddr, Station>>,
}

impl AllTables {
    /// Those of a link and its bridge.
    pub(super) fn remove(&mut self, link: u32, bridge: u32) -> Tables {
        let neighbours = self.neighbours.remove(&bridge).unwrap_or_default();
        Tables { neighbours, ..self.links.remove(&link).unwrap_or_default() }
    }

    fn note(&mut self, message: &NeighbourMessage) {
        let (mut station, mut to) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    station = bytes.as_slice().try_into().ok().map(Station);
                }
                NeighbourAttribute::Destination(address) => to = ip(address),
                _ => {}
            }
        }
        let Some(station) = station else { return };
        let (header, link) = (&message.header, message.header.ifindex);
        match (header.family, to) {
            (AddressFamily::Bridge, Some(via)) if header.flags.contains(NeighbourFlags::Own) => {
                let tables = self.links.entry(link).or_default();
                if station == EVERYBODY {
                    tables.flooded.insert(via);
                } else {
                    tables.behind.insert(station, via);
                }
            }
            // What is permanent there is a link's own address.
            (AddressFamily::Bridge, None) if header.state == NeighbourState::Noarp => {
                self.links.entry(link).or_default().switched.insert(station);
            }
            (AddressFamily::Inet | AddressFamily::Inet6, Some(ip))
                if header.state == NeighbourState::Permanent =>
            {
                self.neighbours.entry(link).or_default().insert(ip, station);
            }
            _ => {}
        }
    }
}

fn ip(address: &NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(ip) => Some((*ip).into()),
        NeighbourAddress::Inet6(ip) => Some((*ip).into()),
        NeighbourAddress::Other(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes.as_slice()).ok().map(IpAddr::from);
            v4.or_else(|| <[u8; 16]>::try_from(bytes.as_slice()).ok().map(IpAddr::from))
        }
        _ => None,
    }
}

impl Links {
    /// All entries of all links.
    pub(super) async fn tables(&self) -> Result<AllTables> {
        let mut all = AllTables::default();
        for family in [AddressFamily::Bridge, AddressFamily::Inet, AddressFamily::Inet6] {
            let list = |handle: rtnetlink::Handle| async move {
                let found = handle.neighbours().get().set_address_family(family).execute();
                match found.try_collect::<Vec<_>>().await {
                    // A kernel without IPv6 has no neighbours there.
                    Err(error) if family == AddressFamily::Inet6 && errno(&error).is_some() => Ok(Vec::new()),
                    found => found,
                }
            };
            self.request("list the neighbours", list).await?.iter().for_each(|message| all.note(message));
        }
        Ok(all)
    }

    /// Makes the entry be there.
    pub(super) async fn learn(&self, entry: &Entry) -> Result<()> {
        let how = if matches!(entry, Entry::Flooded { .. }) { NLM_F_APPEND } else { NLM_F_REPLACE };
        let message = RouteNetlinkMessage::NewNeighbour(entry.message());
        self.neighbour(&format!("note {entry:?}"), message, NLM_F_CREATE | how).await
    }

    /// Makes the entry not be there.
    pub(super) async fn forget(&self, entry: &Entry) -> Result<()> {
        let message = RouteNetlinkMessage::DelNeighbour(entry.message());
        self.neighbour(&format!("forget {entry:?}"), message, 0).await
    }

    async fn neighbour(&self, doing: &str, message: RouteNetlinkMessage, flags: u16) -> Result<()> {
        let removes = matches!(message, RouteNetlinkMessage::DelNeighbour(_));
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let ask = |mut handle: rtnetlink::Handle| async move {
            let mut answers = handle.request(request)?;
            while let Some(answer) = answers.next().await {
                if let NetlinkPayload::Error(error) = answer.payload {
                    let error = rtnetlink::Error::NetlinkError(error);
                    let gone = removes && errno(&error) == Some(nix::libc::ENOENT);
                    return if gone || errno(&error).is_none() { Ok(()) } else { Err(error) };
                }
            }
            Ok(())
        };
        self.request(doing, ask).await
    }
}
