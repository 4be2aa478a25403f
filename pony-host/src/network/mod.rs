//! The network driver: bridges, tunnels and taps of this host, made through rtnetlink.
//!
//! What it does: makes a link be there, as ordered and up, and repairs one that is not. What it does not do: touch
//! any link that does not carry this host's uuid, give the host an address on a switch, or decide anything.
//!
//! Links are known by their alias, `pony:<host>:<switch or vnic>`, which holds both uuids in full; their names
//! ([`name`]) only have to be unique. The driver works in the network namespace of the thread that made it.
//!
//! A process may be killed at any moment. So links say whose they are from the first moment (`datagram`), and of things that
//! belong together the one that is listed is made first and removed last, or each of them is listed.
//!
//! Neighbours: `netlink` (the driver) orders links from `links` (rtnetlink), which opens its socket on the thread
//! of `namespace`; `overlay` joins bridges with those of other hosts, by the tables of `neighbours`; `firewall` holds
//! guests to `rules`, through `nft`; `service` tells them of themselves; `uplinks` are the
//! host's own way to the outside; `tun` is the only
//! unsafe code.

mod datagram;
mod error;
mod firewall;
mod link;
mod links;
mod name;
mod namespace;
mod neighbours;
mod netlink;
mod nft;
mod overlay;
mod rules;
mod service;
#[allow(unsafe_code)]
mod tun;
mod uplinks;

pub use netlink::Netlink;
