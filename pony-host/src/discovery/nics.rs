//! The physical network cards: links that have a device behind them.

use super::files;
use pony_core::host::NicFact;
use std::io;
use std::path::Path;

/// `ARPHRD_ETHER` of `linux/if_arp.h`.
const ETHERNET: i64 = 1;

/// `IFF_UP` of `linux/if.h`.
const UP: u32 = 1;

pub(super) fn nics(root: &Path) -> io::Result<Vec<NicFact>> {
    let links = files::entries(&root.join("sys/class/net"))?;
    Ok(links.iter().filter_map(|(name, link)| nic(name, link)).collect())
}

/// A link as a card, where it is one. A link that goes away while it is read is none.
fn nic(name: &str, link: &Path) -> Option<NicFact> {
    if !link.join("device").exists() || files::number(&link.join("type")) != Some(ETHERNET) {
        return None;
    }
    Some(NicFact {
        hwaddr: hwaddr(link)?,
        link_name: name.to_owned(),
        up: flags(link) & UP != 0,
        carrier: files::number(&link.join("carrier")) == Some(1),
        speed_mbit: files::number(&link.join("speed")).filter(|speed| *speed > 0),
    })
}

/// The card's own address: in a bond, the link shows the bond's.
fn hwaddr(link: &Path) -> Option<String> {
    files::known(&link.join("bonding_slave/perm_hwaddr"))
        .or_else(|| files::known(&link.join("address")))
        .map(|address| address.to_ascii_lowercase())
}

fn flags(link: &Path) -> u32 {
    let text = files::known(&link.join("flags")).unwrap_or_default();
    u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_default()
}
