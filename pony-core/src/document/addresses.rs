//! Addresses that were ordered without saying which: each gets the lowest of its network that is free.
//!
//! This is done when the request is settled, on what the request comes to, and the requests of a cloud are decided one
//! after the other: no two get the same. Against others who write to the database, uniqueness holds there.

use super::draft::{Draft, Entry};
use super::error::{DocumentError, Problem};
use super::rows::{Cells as _, Rows};
use pony_state::{Cidr, Key, PartKind, TableDef, Value};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is left of a network: addresses are given from below.
struct Pool {
    range: Cidr,
    next: Option<IpAddr>,
    taken: BTreeSet<IpAddr>,
}

impl<R: Rows> Draft<'_, R> {
    /// Gives an address to each touched row that has none.
    pub(super) fn settle_addresses(&mut self) -> Result<(), DocumentError> {
        let Some(table) = self.tree.schema().table("address").cloned() else { return Ok(()) };
        let without = |((id, key), entry): (&(_, Key), &Entry)| {
            let columns = entry.desired.as_ref().filter(|it| *id == table.id() && !it.contains_key("ip"))?;
            let network = columns.get("network")?.as_str()?.parse().ok().map(Value::Uuid)?;
            Some((key.clone(), network, entry.clone()))
        };
        let waiting: Vec<(Key, Value, Entry)> = self.entries().iter().filter_map(without).collect();
        let mut pools = BTreeMap::new();
        for (key, network, mut entry) in waiting {
            if !pools.contains_key(&network) {
                // A network that is not there is refused when references are looked at.
                let Some(pool) = self.pool(&table, &network) else { continue };
                pools.insert(network.clone(), pool);
            }
            let Some(pool) = pools.get_mut(&network) else { continue };
            let Some(address) = pool.take() else {
                let problem = Problem::NoAddressLeft { range: pool.range.to_string() };
                return Err(DocumentError::at(&entry.path, problem));
            };
            if let Some(columns) = &mut entry.desired {
                columns.insert("ip".to_owned(), Json::String(address.to_string()));
            }
            self.put(table.id(), &key, entry)?;
        }
        Ok(())
    }

    /// A network, with what is taken: by addresses, and by the routers that its routes lead through.
    fn pool(&self, addresses: &TableDef, network: &Value) -> Option<Pool> {
        let schema = self.tree.schema();
        let key = Key::one(network.clone());
        let range = self.value(schema.table("network")?.id(), &key, PartKind::Desired, "range")?;
        let Value::Cidr(range) = range else { return None };
        let mut pool = Pool { range, next: first(range), taken: BTreeSet::new() };
        for (table, column) in [(addresses.id(), "ip"), (schema.table("route")?.id(), "via")] {
            for key in self.find(table, "network", network) {
                if let Some(Value::Inet(inet)) = self.value(table, &key, PartKind::Desired, column) {
                    pool.taken.insert(inet.addr());
                }
            }
        }
        Some(pool)
    }
}

impl Pool {
    /// The lowest that is free.
    fn take(&mut self) -> Option<IpAddr> {
        while let Some(address) =
            self.next.filter(|it| self.range.contains(*it) && !is_broadcast(self.range, *it))
        {
            self.next = following(address);
            if self.taken.insert(address) {
                return Some(address);
            }
        }
        None
    }
}

/// The first that a host may have: not the one that stands for the network itself, where there is such.
fn first(range: Cidr) -> Option<IpAddr> {
    if has_none_for_itself(range) { Some(range.addr()) } else { following(range.addr()) }
}

/// Networks of two addresses or one use them all.
fn has_none_for_itself(range: Cidr) -> bool {
    range.prefix() >= if range.addr().is_ipv4() { 31 } else { 127 }
}

fn is_broadcast(range: Cidr, address: IpAddr) -> bool {
    address.is_ipv4() && !has_none_for_itself(range) && address == range.last()
}

fn following(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(range: &str, taken: &[&str]) -> Vec<String> {
        let range: Cidr = range.parse().unwrap();
        let taken = taken.iter().map(|it| it.parse().unwrap()).collect();
        let mut pool = Pool { range, next: first(range), taken };
        std::iter::from_fn(|| pool.take()).take(4).map(|it| it.to_string()).collect()
    }

    #[test]
    fn the_lowest_free_ones_are_given_but_not_those_of_the_network_itself() {
        assert_eq!(
            all("10.0.0.0/29", &["10.0.0.1", "10.0.0.3"]),
            ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
        );
        assert_eq!(all("10.0.0.4/30", &[]), ["10.0.0.5", "10.0.0.6"]);
        assert_eq!(all("10.0.0.4/31", &[]), ["10.0.0.4", "10.0.0.5"]);
        assert_eq!(all("255.255.255.255/32", &[]), ["255.255.255.255"]);
        assert_eq!(all("fd00::/64", &["fd00::1"]), ["fd00::2", "fd00::3", "fd00::4", "fd00::5"]);
        assert_eq!(all("fd00::8/127", &[]), ["fd00::8", "fd00::9"]);
    }
}
