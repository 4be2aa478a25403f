//! What joins a switch with other hosts: a VXLAN link on its bridge, and the tables that say what is where.
//!
//! Nothing is learned from traffic and nothing is sent to a group: the order names every hardware address behind every
//! other host ([`Overlay`]). Unknown ones lead nowhere; broadcasts go to each peer. The bridge answers in the place of those
//! whose addresses are known, from its table of neighbours.

use super::link::{Kind, Link};
use super::links::Links;
use super::neighbours::{Entry, Station, Tables};
use super::{error::transient, name};
use crate::Result;
use pony_core::host::Overlay;
use rtnetlink::{LinkBridgePort, LinkUnspec, LinkVxlan};
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// The UDP port that IANA has for VXLAN.
pub(super) const PORT: u16 = 4789;

/// What a tunnel adds to a frame: Ethernet, VXLAN, UDP, and IPv4 or IPv6. Bytes.
const OVERHEAD_V4: u32 = 50;
const OVERHEAD_V6: u32 = 70;

/// The largest frames that networks carry, bytes; a loopback, over which hosts of tests may talk, would carry more.
const UNDERLAY_MTU_MAX: u32 = 9_216;

impl Links {
    /// Joins the bridge of a switch with other hosts, as ordered.
    pub(super) async fn ensure_overlay(
        &self,
        host: Uuid,
        switch: Uuid,
        bridge: &Link,
        order: &Overlay,
    ) -> Result<()> {
        let link = self.ensure_vxlan(host, switch, bridge, order).await?;
        let port = LinkBridgePort::new(link.index)
            .learning(false)
            .flood(false)
            .neigh_suppress(true)
            .isolated(true)
            .build();
        let doing = format!("make link {} answer for its stations", link.name);
        self.request(&doing, |handle| async move { handle.link().set_port(port).execute().await }).await?;
        let tables = self.tables().await?.remove(link.index, bridge.index);
        self.follow(&link, bridge, tables, order).await
    }

    /// The VXLAN link, up and on its bridge. One with another identifier or another end is replaced.
    async fn ensure_vxlan(&self, host: Uuid, switch: Uuid, bridge: &Link, order: &Overlay) -> Result<Link> {
        let (name, alias) = (name::vxlan(switch), name::alias(host, switch));
        let wanted = Kind::Vxlan { vni: order.vni, local: Some(order.local), fixed: true };
        let mtu = self.mtu_over(order.local).await?;
        if let Some(found) = self.find(&name).await? {
            if found.alias.as_ref().is_some_and(|it| *it != alias) {
                return Err(name::taken(&name, "switch", switch));
            }
            if found.kind == wanted && found.up && found.above == Some(bridge.index) && found.mtu == mtu {
                return Ok(found);
            }
            if found.kind != wanted {
                self.remove(&found).await?;
            }
        }
        let message = LinkVxlan::new(&name, order.vni).port(PORT).learning(false);
        let message = match order.local {
            IpAddr::V4(local) => message.local(local),
            IpAddr::V6(local) => message.local6(local),
        };
        self.add(&format!("make link {name} of VNI {}", order.vni), message.build(), alias.clone()).await?;
        let Some(link) = self.find(&name).await? else {
            return Err(transient(format!("link {name} of switch {switch} was removed while it was made")));
        };
        self.keep_host_off(&link).await?;
        let message =
            LinkUnspec::new_with_index(link.index).mtu(mtu).alias(alias).controller(bridge.index).up();
        self.change(&format!("plug link {name} into its switch"), message.build()).await?;
        Ok(link)
    }

    /// How large a frame may be that goes through a tunnel from this address.
    async fn mtu_over(&self, local: IpAddr) -> Result<u32> {
        let Some(below) = self.mtu_of(local).await? else {
            return Err(transient(format!(
                "no link of this host has the address {local}, from which its tunnels lead"
            )));
        };
        let overhead = if local.is_ipv4() { OVERHEAD_V4 } else { OVERHEAD_V6 };
        Ok(below.min(UNDERLAY_MTU_MAX).saturating_sub(overhead))
    }

    /// Changes what differs in the tables of the kernel.
    async fn follow(&self, link: &Link, bridge: &Link, found: Tables, order: &Overlay) -> Result<()> {
        let peers = order.peers();
        let wanted: BTreeMap<Station, IpAddr> =
            order.stations.iter().filter_map(|(mac, via)| Some((mac.parse().ok()?, *via))).collect();
        for station in found.known().filter(|station| !wanted.contains_key(station)) {
            self.forget(&Entry::Switched { link: link.index, station }).await?;
            if let Some(via) = found.behind.get(&station) {
                self.forget(&Entry::Behind { link: link.index, station, via: *via }).await?;
            }
        }
        for (station, via) in &wanted {
            if found.behind.get(station) != Some(via) || !found.switched.contains(station) {
                self.learn(&Entry::Station { link: link.index, station: *station, via: *via }).await?;
            }
        }
        for via in found.flooded.difference(&peers) {
            self.forget(&Entry::Flooded { link: link.index, via: *via }).await?;
        }
        for via in peers.difference(&found.flooded) {
            self.learn(&Entry::Flooded { link: link.index, via: *via }).await?;
        }
        let wanted: BTreeMap<IpAddr, Station> =
            order.neighbours.iter().filter_map(|(ip, mac)| Some((*ip, mac.parse().ok()?))).collect();
        for (ip, station) in found.neighbours.iter().filter(|(ip, _)| !wanted.contains_key(*ip)) {
            self.forget(&Entry::Neighbour { bridge: bridge.index, ip: *ip, station: *station }).await?;
        }
        for (ip, station) in wanted.iter().filter(|(ip, station)| found.neighbours.get(*ip) != Some(*station))
        {
            self.learn(&Entry::Neighbour { bridge: bridge.index, ip: *ip, station: *station }).await?;
        }
        Ok(())
    }

    /// What joins bridges with other hosts, by the bridges' indexes. Where the tables contradict each other there is
    /// nothing: that has to be ordered anew.
    pub(super) async fn overlays(&self, links: &[Link]) -> Result<BTreeMap<u32, Overlay>> {
        let mut overlays = BTreeMap::new();
        if !links.iter().any(|link| matches!(link.kind, Kind::Vxlan { .. })) {
            return Ok(overlays);
        }
        let mut all = self.tables().await?;
        for link in links.iter().filter(|link| link.up) {
            let (Kind::Vxlan { vni, local: Some(local), fixed: true }, Some(bridge)) =
                (link.kind, link.above)
            else {
                continue;
            };
            let tables = all.remove(link.index, bridge);
            let whole =
                tables.known().all(|it| tables.behind.contains_key(&it) && tables.switched.contains(&it));
            let stations = tables.behind.iter().map(|(station, via)| (station.to_string(), *via)).collect();
            let neighbours =
                tables.neighbours.iter().map(|(ip, station)| (*ip, station.to_string())).collect();
            let overlay = Overlay { vni, local, stations, neighbours };
            if whole && overlay.peers() == tables.flooded {
                overlays.insert(bridge, overlay);
            }
        }
        Ok(overlays)
    }
}
