//! What uplinks there are.

use super::Uplinks;
use super::addresses::Addresses;
use crate::Result;
use crate::network::link::{Kind, Link};
use crate::network::name;
use pony_core::host::{BondMode, BondSpec, SegmentSpec, UplinkFact, UplinkId, UplinkSpec};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The links of a segment.
#[derive(Default)]
struct Segment<'a> {
    vlan: Option<&'a Link>,
    bridge: Option<&'a Link>,
}

impl Uplinks<'_> {
    pub(in crate::network) async fn list(&self) -> Result<Vec<UplinkFact>> {
        let links = self.links.all().await?;
        let alias = |link: &Link| link.alias.as_deref().map(str::to_owned);
        let mut bonds = BTreeMap::new();
        let mut segments: BTreeMap<(Uuid, u16), Segment<'_>> = BTreeMap::new();
        for link in &links {
            let Some(alias) = alias(link) else { continue };
            if let (Kind::Bond(_), Some((bond, _))) = (link.kind, name::parse_bond_alias(self.host, &alias)) {
                bonds.insert(bond, link);
            } else if let Some(id) = name::parse_segment_alias(self.host, &alias) {
                let segment = segments.entry(id).or_default();
                match link.kind {
                    Kind::Vlan { .. } => segment.vlan = Some(link),
                    Kind::Bridge { .. } => segment.bridge = Some(link),
                    _ => {}
                }
            }
        }
        if bonds.is_empty() && segments.is_empty() {
            return Ok(Vec::new());
        }
        let mut addresses = self.links.addresses().await?;
        let bond = |(uuid, link): (&Uuid, &&Link)| bond_fact(*uuid, link, &links);
        let mut facts: Vec<UplinkFact> = bonds.iter().map(bond).collect();
        facts.extend(segments.into_iter().map(|((uuid, tag), segment)| {
            let given = segment.bridge.and_then(|it| addresses.remove(&it.index)).unwrap_or_default();
            segment_fact(uuid, tag, &segment, bonds.get(&uuid).copied(), given)
        }));
        Ok(facts)
    }
}

/// The segment of a link that is plugged into a switch.
pub(in crate::network) fn plugged(host: Uuid, link: &Link) -> Option<UplinkId> {
    let (bond, tag) = name::parse_segment_alias(host, link.alias.as_deref()?)?;
    matches!(link.kind, Kind::Vlan { .. }).then_some(UplinkId::Segment { bond, tag })
}

fn bond_fact(bond: Uuid, link: &Link, links: &[Link]) -> UplinkFact {
    let cards = || links.iter().filter(|it| it.above == Some(link.index));
    let nics = cards().map(Link::mac).collect();
    let (mode, known) = match link.kind {
        Kind::Bond(Some(mode)) => (mode, true),
        _ => (BondMode::ActiveBackup, false),
    };
    UplinkFact {
        spec: UplinkSpec::Bond(BondSpec { bond, mode, nics }),
        carried: BTreeSet::new(),
        below: link.name.clone(),
        link: link.name.clone(),
        carrier: link.carrier,
        whole: known && link.up && cards().all(|card| card.up),
    }
}

fn segment_fact(
    bond: Uuid,
    tag: u16,
    segment: &Segment<'_>,
    bond_link: Option<&Link>,
    given: Addresses,
) -> UplinkFact {
    let below = if tag == 0 { bond_link } else { segment.vlan };
    let sound = |it: &Link| it.up && bond_link.is_some_and(|bond| bond.mtu == it.mtu);
    let on_bond = |it: &Link| tag == 0 || it.below == bond_link.map(|bond| bond.index);
    let ended = |it: &Link| {
        segment.bridge.is_none_or(|bridge| {
            it.above == Some(bridge.index) && sound(bridge) && bridge.kind == (Kind::Bridge { prompt: true })
        })
    };
    let name = |link: Option<&Link>| link.map(|it| it.name.clone()).unwrap_or_default();
    UplinkFact {
        spec: UplinkSpec::Segment(SegmentSpec {
            bond,
            tag,
            bridged: segment.bridge.is_some(),
            addresses: given.ours,
        }),
        carried: given.others,
        below: name(below),
        link: name(segment.bridge.or(below)),
        carrier: bond_link.is_some_and(|it| it.carrier),
        whole: below.is_some_and(|it| sound(it) && on_bond(it) && ended(it)),
    }
}
