//! Addresses and routes of the host itself: those that it is ordered to have, and those that it had before, which follow
//! its cards.
//!
//! What is ours is marked (`IFA_PROTO`); all else is somebody's, and only moved from link to link, never dropped.

use crate::Result;
use crate::network::link::Link;
use crate::network::links::{Links, errno};
use futures::TryStreamExt as _;
use nix::libc;
use pony_core::host::HostAddress;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteType};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The mark of addresses of ours: `p`.
const OURS: AddressProtocol = AddressProtocol::Other(b'p');

/// The addresses of links, with whose they are.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) ours: BTreeSet<HostAddress>,
    pub(super) others: BTreeSet<HostAddress>,
}

impl Addresses {
    pub(super) fn is_empty(&self) -> bool {
        self.ours.is_empty() && self.others.is_empty()
    }

    pub(super) fn have(&self, address: &HostAddress) -> bool {
        self.ours.contains(address) || self.others.contains(address)
    }
}

/// Whether an address is one that somebody gave the host, and not one that a link gives itself.
fn is_given(message: &AddressMessage) -> bool {
    let by_router = |it: &AddressAttribute| {
        matches!(it, AddressAttribute::Protocol(AddressProtocol::RouterAnnouncement))
            || matches!(it, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Managetempaddr))
    };
    message.header.scope != AddressScope::Link && !message.attributes.iter().any(by_router)
}

fn is_ours(message: &AddressMessage) -> bool {
    message.attributes.iter().any(|it| matches!(it, AddressAttribute::Protocol(OURS)))
}

/// The address itself: at the end of a tunnel, `Address` is that of the other end.
fn value(message: &AddressMessage) -> Option<HostAddress> {
    let local = message.attributes.iter().find_map(|it| match it {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let any = message.attributes.iter().find_map(|it| match it {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    Some((local.or(any)?, message.header.prefix_len))
}

/// The same address for another link. What a link's name or a moment is in does not come along.
fn moved(message: &AddressMessage, to: u32) -> AddressMessage {
    let mut message = message.clone();
    message.header.index = to;
    message.header.flags = AddressHeaderFlags::empty();
    message.attributes.retain(|it| {
        !matches!(
            it,
            AddressAttribute::Label(_) | AddressAttribute::Flags(_) | AddressAttribute::TargetNetNsId(_)
        )
    });
    message
}

fn goes_over(route: &RouteMessage, link: u32) -> bool {
    route.attributes.iter().any(|it| matches!(it, RouteAttribute::Oif(index) if *index == link))
}

/// Whether somebody made the route: not the kernel for an address, nor a router by an announcement.
fn is_made(route: &RouteMessage) -> bool {
    route.header.kind == RouteType::Unicast
        && !matches!(route.header.protocol, RouteProtocol::Kernel | RouteProtocol::Ra)
}

fn rerouted(route: &RouteMessage, to: u32) -> RouteMessage {
    let mut route = route.clone();
    route.header.flags = RouteFlags::empty();
    route.attributes.retain(|it| !matches!(it, RouteAttribute::CacheInfo(_)));
    for attribute in &mut route.attributes {
        if let RouteAttribute::Oif(index) = attribute {
            *index = to;
        }
    }
    route
}

impl Links {
    async fn address_messages(&self) -> Result<Vec<AddressMessage>> {
        let list =
            |handle: Handle| async move { handle.address().get().execute().try_collect::<Vec<_>>().await };
        self.request("list the host's addresses", list).await
    }

    /// The addresses of all links that somebody gave them, by the links' indexes.
    pub(super) async fn addresses(&self) -> Result<BTreeMap<u32, Addresses>> {
        let mut found: BTreeMap<u32, Addresses> = BTreeMap::new();
        for message in self.address_messages().await?.iter().filter(|it| is_given(it)) {
            let addresses = found.entry(message.header.index).or_default();
            let set = if is_ours(message) { &mut addresses.ours } else { &mut addresses.others };
            set.extend(value(message));
        }
        Ok(found)
    }

    /// Gives a link an address.
    pub(super) async fn add_address(&self, link: &Link, (ip, prefix): HostAddress) -> Result<()> {
        let index = link.index;
        let doing = format!("give link {} the address {ip}/{prefix}", link.name);
        let add = |handle: Handle| async move {
            let mut request = handle.address().add(index, ip, prefix);
            request.message_mut().attributes.push(AddressAttribute::Protocol(OURS));
            unless(libc::EEXIST, request.execute().await)
        };
        self.request(&doing, add).await
    }

    /// Takes one of our addresses away from a link.
    pub(super) async fn remove_address(&self, link: &Link, address: HostAddress) -> Result<()> {
        for message in self.address_messages().await? {
            if message.header.index == link.index && is_ours(&message) && value(&message) == Some(address) {
                self.drop_address(link, message).await?;
            }
        }
        Ok(())
    }

    async fn drop_address(&self, link: &Link, message: AddressMessage) -> Result<()> {
        let doing = format!("take an address away from link {}", link.name);
        let drop = |handle: Handle| async move {
            unless(libc::EADDRNOTAVAIL, handle.address().del(message).execute().await)
        };
        self.request(&doing, drop).await
    }

    /// Moves addresses and routes that somebody gave one link to another, which is up. First there, then away here: a
    /// process that ends in the middle leaves none behind.
    pub(super) async fn hand_over(&self, from: &Link, to: &Link) -> Result<()> {
        let given = |it: &AddressMessage| it.header.index == from.index && is_given(it) && !is_ours(it);
        let addresses: Vec<_> = self.address_messages().await?.into_iter().filter(given).collect();
        let routes = self.routes_over(from).await?;
        for address in &addresses {
            let (doing, message) = (format!("move addresses to link {}", to.name), moved(address, to.index));
            let add = |handle: Handle| async move {
                let mut request = handle.address().add(0, IpAddr::from([0, 0, 0, 0]), 0);
                *request.message_mut() = message;
                unless(libc::EEXIST, request.execute().await)
            };
            self.request(&doing, add).await?;
        }
        for route in &routes {
            self.reroute(route, to).await?;
        }
        for address in addresses {
            self.drop_address(from, address).await?;
        }
        Ok(())
    }

    /// The routes over a link that somebody made, with those that others need first.
    pub(super) async fn routes_over(&self, link: &Link) -> Result<Vec<RouteMessage>> {
        let list = |family: AddressFamily| {
            move |handle: Handle| async move {
                let mut query = RouteMessage::default();
                query.header.address_family = family;
                handle.route().get(query).execute().try_collect::<Vec<_>>().await
            }
        };
        let mut routes = self.request("list the host's routes", list(AddressFamily::Inet)).await?;
        routes.extend(self.request("list the host's routes", list(AddressFamily::Inet6)).await?);
        routes.retain(|route| goes_over(route, link.index) && is_made(route));
        routes
            .sort_by_key(|route| route.attributes.iter().any(|it| matches!(it, RouteAttribute::Gateway(_))));
        Ok(routes)
    }

    /// Makes a route lead over another link.
    pub(super) async fn reroute(&self, route: &RouteMessage, to: &Link) -> Result<()> {
        let message = rerouted(route, to.index);
        let add = |handle: Handle| async move { handle.route().add(message).replace().execute().await };
        self.request(&format!("move routes to link {}", to.name), add).await
    }
}

/// What the kernel refuses for this reason is so already.
fn unless(
    reason: i32,
    done: std::result::Result<(), rtnetlink::Error>,
) -> std::result::Result<(), rtnetlink::Error> {
    match done {
        Err(error) if errno(&error) == Some(reason) => Ok(()),
        done => done,
    }
}
