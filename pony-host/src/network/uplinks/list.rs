//! What uplinks there are.

use super::addresses::Addresses;
use super::{Uplinks, mtu_on};
use crate::Result;
use crate::network::link::{Kind, Link};
use crate::network::name::{self, Segment};
use pony_core::host::{BondMode, BondSpec, SegmentSpec, UplinkFact, UplinkId, UplinkSpec};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The links of a segment.
#[derive(Default)]
struct Parts<'a> {
    vlan: Option<&'a Link>,
    bridge: Option<&'a Link>,
}

impl Uplinks<'_> {
    pub(in crate::network) async fn list(&self) -> Result<Vec<UplinkFact>> {
        let links = self.links.all().await?;
        let alias = |link: &Link| link.alias.as_deref().map(str::to_owned);
        let mut bonds = BTreeMap::new();
        let mut segments: BTreeMap<Segment, Parts<'_>> = BTreeMap::new();
        for link in &links {
            let Some(alias) = alias(link) else { continue };
            if let (Kind::Bond(_), Some((bond, _))) = (link.kind, name::parse_bond_alias(self.host, &alias)) {
                bonds.insert(bond, link);
            } else if let Some(segment) = Segment::parse(self.host, &alias) {
                let parts = segments.entry(segment).or_default();
                match link.kind {
                    Kind::Vlan { .. } => parts.vlan = Some(link),
                    Kind::Bridge { .. } => parts.bridge = Some(link),
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
        facts.extend(segments.iter().map(|(segment, parts)| {
            let given = parts.bridge.and_then(|it| addresses.remove(&it.index)).unwrap_or_default();
            let outer = segment.outer().map(|outer| segments.get(&outer).and_then(|it| it.vlan));
            let below = outer.unwrap_or(bonds.get(&segment.bond).copied());
            segment_fact(*segment, parts, below, given)
        }));
        Ok(facts)
    }
}

/// The segment of a link that is plugged into a switch.
pub(in crate::network) fn plugged(host: Uuid, link: &Link) -> Option<UplinkId> {
    let segment = Segment::parse(host, link.alias.as_deref()?)?;
    matches!(link.kind, Kind::Vlan { .. }).then_some(segment.id())
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

/// `made_on`: the bond, or the VLAN that it is in.
fn segment_fact(segment: Segment, parts: &Parts<'_>, made_on: Option<&Link>, given: Addresses) -> UplinkFact {
    let Segment { bond, within, tag } = segment;
    let below = if tag == 0 { made_on } else { parts.vlan };
    let sound = |it: &Link| it.up && made_on.is_some_and(|below| mtu_on(below, segment) == it.mtu);
    let is_on = |it: &Link| tag == 0 || it.below == made_on.map(|below| below.index);
    let ended = |it: &Link| {
        parts.bridge.is_none_or(|bridge| {
            it.above == Some(bridge.index) && sound(bridge) && bridge.kind == (Kind::Bridge { prompt: true })
        })
    };
    let name = |link: Option<&Link>| link.map(|it| it.name.clone()).unwrap_or_default();
    UplinkFact {
        spec: UplinkSpec::Segment(SegmentSpec {
            bond,
            within,
            tag,
            bridged: parts.bridge.is_some(),
            addresses: given.ours,
        }),
        carried: given.others,
        below: name(below),
        link: name(parts.bridge.or(below)),
        carrier: made_on.is_some_and(|it| it.carrier),
        whole: below.is_some_and(|it| sound(it) && is_on(it) && ended(it)),
    }
}
