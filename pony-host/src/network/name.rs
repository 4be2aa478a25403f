//! Names of links. The kernel gives 15 characters, a uuid has 32.
//!
//! A name is two letters and 48 bits mixed from all 128 of the uuid, so that uuids which share a part (made in
//! one millisecond, or counted up by hand) still differ. For n links of a host two names collide with a chance of
//! about n² / 2⁴⁹: 2 in 10⁹ for a thousand. If it happens, the second link is refused in words, since the alias
//! of the first says another uuid; they are never mixed up.

use super::error::order;
use pony_core::host::{DriverError, UplinkId};
use std::fmt;
use uuid::Uuid;

const BRIDGE_PREFIX: &str = "pb";
const TAP_PREFIX: &str = "pt";
const VXLAN_PREFIX: &str = "pv";
const BOND_PREFIX: &str = "po";
const VLAN_PREFIX: &str = "pl";
const SEGMENT_PREFIX: &str = "pr";
const SERVICE_PREFIX: &str = "pm";
const SERVICE_PEER_PREFIX: &str = "pn";

/// The bridge of a switch.
pub(super) fn bridge(switch: Uuid) -> String {
    format!("{BRIDGE_PREFIX}{:012x}", fold(switch))
}

/// The link through which a switch reaches other hosts.
pub(super) fn vxlan(switch: Uuid) -> String {
    format!("{VXLAN_PREFIX}{:012x}", fold(switch))
}

/// A bond.
pub(super) fn bond(bond: Uuid) -> String {
    format!("{BOND_PREFIX}{:012x}", fold(bond))
}

/// What a bond carries under a tag, or under two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    /// `bond.uuid`.
    pub(super) bond: Uuid,
    /// The outer tag of two; 0 where there are not two.
    pub(super) within: u16,
    /// The tag; 0 for what has none.
    pub(super) tag: u16,
}

impl Segment {
    /// What a bond carries without a tag.
    pub(super) fn untagged(bond: Uuid) -> Self {
        Self { bond, within: 0, tag: 0 }
    }

    /// The one that an uplink is.
    pub(super) fn of(uplink: UplinkId) -> Option<Self> {
        match uplink {
            UplinkId::Segment { bond, within, tag } => Some(Self { bond, within, tag }),
            UplinkId::Bond(_) => None,
        }
    }

    pub(super) fn id(self) -> UplinkId {
        let Self { bond, within, tag } = self;
        UplinkId::Segment { bond, within, tag }
    }

    /// The VLAN that it is in.
    pub(super) fn outer(self) -> Option<Self> {
        (self.within != 0).then_some(Self { within: 0, tag: self.within, ..self })
    }

    /// The link that carries its frames.
    pub(super) fn vlan(self) -> String {
        format!("{VLAN_PREFIX}{:012x}", self.fold())
    }

    /// The bridge of the host's own that ends it.
    pub(super) fn bridge(self) -> String {
        format!("{SEGMENT_PREFIX}{:012x}", self.fold())
    }

    /// What a link of `host` for it says about itself.
    pub(super) fn alias(self, host: Uuid) -> String {
        let Self { bond, within, tag } = self;
        match within {
            0 => format!("{}/{tag}", alias(host, bond)),
            _ => format!("{}/{within}/{tag}", alias(host, bond)),
        }
    }

    /// The one that a link of `host` is for; `None` for all others.
    pub(super) fn parse(host: Uuid, alias: &str) -> Option<Self> {
        let (bond, tags) = alias.split_once('/')?;
        let (within, tag) = tags.split_once('/').unwrap_or(("0", tags));
        Some(Self { bond: parse_alias(host, bond)?, within: within.parse().ok()?, tag: tag.parse().ok()? })
    }

    fn fold(self) -> u64 {
        let tags = u128::from(self.tag) << 48 | u128::from(self.within) << 64;
        fold(Uuid::from_u128(self.bond.as_u128() ^ tags))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag {
            0 => write!(f, "what has no tag ")?,
            tag => write!(f, "VLAN {tag} ")?,
        }
        if self.within != 0 {
            write!(f, "in VLAN {} ", self.within)?;
        }
        write!(f, "of bond {}", self.bond)
    }
}

/// The link through which guests of a switch reach what tells them of themselves.
pub(super) fn service(switch: Uuid) -> String {
    format!("{SERVICE_PREFIX}{:012x}", fold(switch))
}

/// The other end of that.
pub(super) fn service_peer(switch: Uuid) -> String {
    format!("{SERVICE_PEER_PREFIX}{:012x}", fold(switch))
}

/// The tap of a vnic.
pub(super) fn tap(vnic: Uuid) -> String {
    format!("{TAP_PREFIX}{:012x}", fold(vnic))
}

/// A bridge's own hardware address: local, and the same whatever is plugged in.
pub(super) fn bridge_mac(switch: Uuid) -> Vec<u8> {
    let mut mac = fold(switch).to_be_bytes()[2..].to_vec();
    mac[0] = 0x02;
    mac
}

/// 48 bits of a mix of all 128 (the finalizer of SplitMix64). Names on running hosts depend on it: never change it.
fn fold(uuid: Uuid) -> u64 {
    let (high, low) = uuid.as_u64_pair();
    let mut mix = high.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(low);
    mix = (mix ^ (mix >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mix = (mix ^ (mix >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mix ^ (mix >> 31)) >> 16
}

/// What is said where a link of ours would need a name that another has.
pub(super) fn taken(name: &str, what: &str, uuid: Uuid) -> DriverError {
    order(format!(
        "the name {name} for {what} {uuid} is taken by a link that is not ours: rename that one, or give the {what} \
         another uuid"
    ))
}

/// What a link of `host` for `uuid` says about itself.
pub(super) fn alias(host: Uuid, uuid: Uuid) -> String {
    format!("pony:{host}:{uuid}")
}

/// What a bond of `host` says about itself; `home`: the card that gets back what the bond has from others.
pub(super) fn bond_alias(host: Uuid, bond: Uuid, home: Option<&str>) -> String {
    let alias = alias(host, bond);
    home.map_or_else(|| alias.clone(), |home| format!("{alias}@{home}"))
}

/// The bond and its home; `None` for all others.
pub(super) fn parse_bond_alias(host: Uuid, alias: &str) -> Option<(Uuid, Option<String>)> {
    match alias.split_once('@') {
        Some((alias, home)) => Some((parse_alias(host, alias)?, Some(home.to_owned()))),
        None => Some((parse_alias(host, alias)?, None)),
    }
}

/// The uuid that a link of `host` is for; `None` for all others.
pub(super) fn parse_alias(host: Uuid, alias: &str) -> Option<Uuid> {
    let (owner, uuid) = alias.strip_prefix("pony:")?.split_once(':')?;
    (Uuid::parse_str(owner).ok()? == host).then(|| Uuid::parse_str(uuid).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_fit_and_differ() {
        // Counted by hand, in the low or the high end; and as version 7 makes them: time first, then a few bits.
        let counted = (0..1000_u128).flat_map(|n| [Uuid::from_u128(n), Uuid::from_u128((n + 1) << 64)]);
        let timed = (0..1000_u128).map(|n| Uuid::from_u128((0x019a_0000_0000_7000_u128 << 64) | (n << 32)));
        let names: Vec<_> = counted.chain(timed).map(tap).collect();
        assert!(names.iter().all(|name| name.len() <= 15));
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert_eq!(tap(Uuid::from_u128(1)), "pt5692161d100b", "links on running hosts would be lost");
    }

    #[test]
    fn an_alias_says_all() {
        let (host, vnic) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(parse_alias(host, &alias(host, vnic)), Some(vnic));
        assert_eq!(parse_alias(vnic, &alias(host, vnic)), None);
        let segments = [(0, 7), (0, 0), (9, 7)].map(|(within, tag)| Segment { bond: vnic, within, tag });
        for segment in segments {
            assert_eq!(Segment::parse(host, &segment.alias(host)), Some(segment));
            assert_eq!(parse_alias(host, &segment.alias(host)), None);
        }
        assert_eq!(segments.map(Segment::vlan).into_iter().collect::<HashSet<_>>().len(), segments.len());
        let named = Segment { bond: Uuid::from_u128(1), within: 0, tag: 7 }.vlan();
        assert_eq!(named, "pl0db971809861", "links on running hosts would be lost");
        for home in [None, Some("02:00:00:00:00:01")] {
            let alias = bond_alias(host, vnic, home);
            assert_eq!(parse_bond_alias(host, &alias), Some((vnic, home.map(str::to_owned))));
        }
        assert_eq!(Segment::parse(host, &alias(host, vnic)), None);
        for foreign in ["", "pony", "pony:", "pony::", "eth0 to the world", &format!("pony:{host}:")] {
            assert_eq!(parse_alias(host, foreign), None);
        }
    }

    #[test]
    fn a_bridges_address_is_local_and_for_one() {
        let mac = bridge_mac(Uuid::from_u128(u128::MAX - 5));
        assert_eq!((mac.len(), mac[0] & 0x03), (6, 0x02));
    }
}
