//! The physical network cards: links that have a device behind them.

use super::own_address::OwnAddresses;
use crate::block::files;
use pony_core::host::{NicBond, NicFact, VirtualFunctions};
use std::collections::HashSet;
use std::io;
use std::path::Path;

/// `ARPHRD_ETHER` of `linux/if_arp.h`.
const ETHERNET: i64 = 1;

/// `IFF_UP` of `linux/if.h`.
const UP: u32 = 1;

/// The cards. Where two go by one address (someone gave it to the second), the first is meant.
pub(super) fn nics(root: &Path, own: &OwnAddresses) -> io::Result<Vec<NicFact>> {
    let links = files::entries(&root.join("sys/class/net"))?;
    let mut seen = HashSet::new();
    let cards = links.iter().filter_map(|(name, link)| nic(name, link, own));
    Ok(cards.filter(|card| seen.insert(card.hwaddr.clone())).collect())
}

/// A link as a card, where it is one. A link that goes away while it is read is none.
fn nic(name: &str, link: &Path, own: &OwnAddresses) -> Option<NicFact> {
    let device = link.join("device");
    if !device.exists() || files::number(&link.join("type")) != Some(ETHERNET) {
        return None;
    }
    Some(NicFact {
        hwaddr: hwaddr(name, link, own)?,
        link_name: name.to_owned(),
        up: flags(link) & UP != 0,
        carrier: files::number(&link.join("carrier")) == Some(1),
        speed_mbit: files::number(&link.join("speed")).filter(|speed| *speed > 0),
        driver: files::target(&device.join("driver")),
        functions: functions(&device),
        part_of: files::entries(&device.join("physfn/net")).ok()?.into_iter().map(|(name, _)| name).next(),
        bond: bond(link),
    })
}

fn functions(device: &Path) -> Option<VirtualFunctions> {
    let max = files::number(&device.join("sriov_totalvfs")).filter(|max| *max > 0)?;
    Some(VirtualFunctions { count: files::number(&device.join("sriov_numvfs")).unwrap_or_default(), max })
}

/// The card's own address: a link may show another one, in a bond that of the bond.
fn hwaddr(name: &str, link: &Path, own: &OwnAddresses) -> Option<String> {
    let shown = files::known(&link.join("address"))?.to_ascii_lowercase();
    let slave = files::known(&link.join("bonding_slave/perm_hwaddr"));
    let own = slave.map(|address| address.to_ascii_lowercase()).or_else(|| own.of(name, &shown));
    Some(own.unwrap_or(shown))
}

/// The bond that it is part of, with what it is there.
fn bond(link: &Path) -> Option<NicBond> {
    let port = link.join("bonding_slave");
    let name = std::fs::read_link(link.join("master")).ok()?.file_name()?.to_str()?.to_owned();
    let active = files::known(&port.join("state"))? == "active"
        && files::known(&port.join("mii_status")).is_some_and(|status| status == "up");
    Some(NicBond { name, active })
}

fn flags(link: &Path) -> u32 {
    let text = files::known(&link.join("flags")).unwrap_or_default();
    u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_default()
}
