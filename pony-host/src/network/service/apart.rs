//! Tells guests apart that ask from the same address: all that know the service from their disc do ([`METADATA_GUEST`]).
//!
//! In the service's namespace each card has a number, an address of a kind that no guest can have. What comes from a card is
//! given its number on the way in, by the hardware address, which the firewall holds the guest to; on the way out it is
//! taken off again.

use super::{Guests, PAUSE};
use crate::Result;
use crate::network::links::Links;
use crate::network::neighbours::{Entry, Station};
use crate::network::nft;
use pony_core::host::METADATA_GUEST;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, PoisonError};
use tokio::sync::Notify;

/// Where numbers come from: nobody has such an address.
const NUMBERS: (Ipv4Addr, u8) = (Ipv4Addr::new(240, 0, 0, 0), 8);

/// A number that none of these is.
pub(super) fn free(taken: impl Iterator<Item = Ipv4Addr>) -> Ipv4Addr {
    let taken: BTreeSet<u32> = taken.map(Ipv4Addr::to_bits).collect();
    let first = NUMBERS.0.to_bits() + 1;
    Ipv4Addr::from_bits((first..).find(|it| !taken.contains(it)).unwrap_or(first))
}

/// Whether an address is a number.
pub(super) fn is_number(address: Ipv4Addr) -> bool {
    address.octets()[0] == NUMBERS.0.octets()[0]
}

/// Has the kernel give guests their numbers, now and whenever they change.
pub(super) async fn keep(inside: Arc<Links>, link: (String, u32), guests: Guests, changed: Arc<Notify>) {
    let mut known = BTreeMap::new();
    loop {
        match number(&inside, &link, &guests, &mut known).await {
            Ok(()) => changed.notified().await,
            Err(error) => {
                tracing::warn!(%error, "guests that know of metadata from their disc are not answered");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn number(
    inside: &Links,
    (name, index): &(String, u32),
    guests: &Guests,
    known: &mut BTreeMap<Station, Ipv4Addr>,
) -> Result<()> {
    let wanted: BTreeMap<Station, Ipv4Addr> = {
        let guests = guests.read().unwrap_or_else(PoisonError::into_inner);
        guests.values().filter_map(|guest| Some((guest.mac.parse().ok()?, guest.number))).collect()
    };
    if *known == wanted {
        return Ok(());
    }
    for (station, number) in wanted.iter().filter(|(station, number)| known.get(*station) != Some(*number)) {
        let entry = Entry::Neighbour { bridge: *index, ip: IpAddr::V4(*number), station: *station };
        inside.learn(&entry).await?;
    }
    nft::commit(&inside.namespace, script(name, &wanted)).await?;
    *known = wanted;
    Ok(())
}

fn script(link: &str, numbers: &BTreeMap<Station, Ipv4Addr>) -> String {
    let ((guest, _), (all, prefix)) = (METADATA_GUEST, NUMBERS);
    let elements: Vec<String> =
        numbers.iter().map(|(station, number)| format!("{station} : {number}")).collect();
    let elements = match elements.as_slice() {
        [] => String::new(),
        some => format!("add element netdev guests numbers {{ {} }}\n", some.join(", ")),
    };
    format!(
        "add table netdev guests\ndelete table netdev guests\nadd table netdev guests\n\
         add map netdev guests numbers {{ type ether_addr : ipv4_addr; }}\n{elements}\
         add chain netdev guests from_guests {{ type filter hook ingress device \"{link}\" priority 0; }}\n\
         add chain netdev guests to_guests {{ type filter hook egress device \"{link}\" priority 0; }}\n\
         add rule netdev guests from_guests ip saddr {all}/{prefix} drop\n\
         add rule netdev guests from_guests ip saddr {guest} ip saddr set ether saddr map @numbers\n\
         add rule netdev guests to_guests ip daddr {all}/{prefix} ip daddr set {guest}\n"
    )
}
