//! What guests are told of themselves: addresses, routes and name servers by DHCP, and cloud-init's NoCloud by HTTP on
//! the link-local address that clouds use for that.
//!
//! For each switch with networks there is a network namespace without a name, in which this process listens, joined with
//! the bridge by a pair of links. So the addresses of different switches may be the same, nothing listens where hosts do,
//! and a process that ends leaves nothing behind. Guests that are asked about are those behind taps of this host: the
//! link is isolated from other hosts. Who asks is known by hardware address or address, which the firewall holds guests
//! to: nobody reads what another is told.
//!
//! Neighbours: `dhcp` and `http` answer; `answers` says what; `apart` tells guests apart that ask from the same address;
//! `namespace` and `links` make the rest.

mod answers;
mod apart;
mod dhcp;
mod http;

use super::error::{from_io, transient};
use super::link::Link;
use super::links::Links;
use super::name;
use super::neighbours::{Entry, Station};
use crate::Result;
use pony_core::host::{GuestConfig, METADATA_ADDRESS, TapSpec};
use rtnetlink::{LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Where guests ask.
const ADDRESS: Ipv4Addr = METADATA_ADDRESS;

/// The hardware address of that. It may be the same on every host, since it is seen on none but its own.
pub(super) const STATION: Station = Station::new([0x02, 0, 169, 254, 169, 254]);

/// The pause after a failure, so that one that lasts costs nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// A guest's card, and what is said to whoever has it.
#[derive(Debug, Clone)]
struct Guest {
    mac: String,
    mtu: u32,
    config: Arc<GuestConfig>,
    /// What it is known by where hardware addresses are not: no two of a service have the same.
    number: Ipv4Addr,
}

/// By vnic.
type Guests = Arc<RwLock<BTreeMap<Uuid, Guest>>>;

/// The service of one switch; ends when it is dropped.
#[derive(Debug)]
struct Service {
    guests: Guests,
    /// Told when there is another guest.
    changed: Arc<Notify>,
    _tasks: JoinSet<()>,
}

/// The services of a host.
#[derive(Debug, Default)]
pub(super) struct Services {
    running: Mutex<BTreeMap<Uuid, Service>>,
    /// Making and ending takes several steps.
    turn: tokio::sync::Mutex<()>,
}

impl Services {
    /// Answers the guest behind a tap as ordered, from now on.
    pub(super) async fn serve(&self, links: &Links, host: Uuid, bridge: &Link, spec: &TapSpec) -> Result<()> {
        let Some(config) = spec.config.clone() else { return self.forget(links, spec.vnic).await };
        let _turn = self.turn.lock().await;
        // What the switch is joined with may have become narrower since.
        let bridge = &links.get(&bridge.name).await?;
        let mut guest = Guest {
            mac: spec.mac.to_lowercase(),
            mtu: bridge.mtu,
            config,
            number: apart::free([].into_iter()),
        };
        let found = links.find(&name::service(spec.switch)).await?;
        let joined = found.is_some_and(|it| it.up && it.above == Some(bridge.index));
        let mut guests = BTreeMap::new();
        if let Some(service) = self.running().get(&spec.switch) {
            let mut all = service.guests.write().unwrap_or_else(PoisonError::into_inner);
            all.remove(&spec.vnic);
            guest.number = apart::free(all.values().map(|it| it.number));
            all.insert(spec.vnic, guest.clone());
            if joined {
                service.changed.notify_one();
                return Ok(());
            }
            guests = std::mem::take(&mut *all);
        }
        guests.insert(spec.vnic, guest);
        let service = start(links, host, spec.switch, bridge, guests).await?;
        self.running().insert(spec.switch, service);
        Ok(())
    }

    /// Tells guests how large a frame may be from now on: as the bridge says.
    pub(super) async fn resize(&self, links: &Links, host: Uuid, switch: Uuid, bridge: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        let Some(mut guests) = self.guests_of(switch) else { return Ok(()) };
        let bridge = links.get(bridge).await?;
        if guests.values().all(|guest| guest.mtu == bridge.mtu) {
            return Ok(());
        }
        guests.values_mut().for_each(|guest| guest.mtu = bridge.mtu);
        let service = start(links, host, switch, &bridge, guests).await?;
        self.running().insert(switch, service);
        Ok(())
    }

    fn guests_of(&self, switch: Uuid) -> Option<BTreeMap<Uuid, Guest>> {
        let running = self.running();
        let guests = running.get(&switch)?.guests.read().unwrap_or_else(PoisonError::into_inner);
        Some(guests.clone())
    }

    /// Answers the guest no more. A service without guests ends.
    pub(super) async fn forget(&self, links: &Links, vnic: Uuid) -> Result<()> {
        let _turn = self.turn.lock().await;
        let mut idle = None;
        for (switch, service) in &mut *self.running() {
            let mut guests = service.guests.write().unwrap_or_else(PoisonError::into_inner);
            if guests.remove(&vnic).is_some() && guests.is_empty() {
                idle = Some(*switch);
            }
        }
        let Some(switch) = idle else { return Ok(()) };
        self.running().remove(&switch);
        match links.find(&name::service(switch)).await? {
            Some(link) => links.remove(&link).await,
            None => Ok(()),
        }
    }

    /// What guests are told, as stamps by vnic, on the switches whose services are joined with their bridges.
    pub(super) fn stamps(&self, links: &[Link]) -> BTreeMap<Uuid, u64> {
        let mut stamps = BTreeMap::new();
        for (switch, service) in &*self.running() {
            let name = name::service(*switch);
            if links.iter().any(|link| link.name == name && link.up && link.above.is_some()) {
                let guests = service.guests.read().unwrap_or_else(PoisonError::into_inner);
                stamps.extend(guests.iter().map(|(vnic, guest)| (*vnic, guest.config.stamp())));
            }
        }
        stamps
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<Uuid, Service>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the namespace, its link with the bridge, and the sockets.
async fn start(
    links: &Links,
    host: Uuid,
    switch: Uuid,
    bridge: &Link,
    guests: BTreeMap<Uuid, Guest>,
) -> Result<Service> {
    let (name, peer) = (name::service(switch), name::service_peer(switch));
    let (inside, handle) = Links::isolated().map_err(|error| from_io("make a network namespace", &error))?;
    if let Some(old) = links.find(&name).await? {
        // Of a service that ended half-way, or was torn from its bridge.
        links.remove(&old).await?;
    }
    let alias = name::alias(host, switch);
    links.add(&format!("make link {name}"), LinkVeth::new(&name, &peer).build(), alias.clone()).await?;
    let moved = links.get(&peer).await?;
    let message = LinkUnspec::new_with_index(moved.index).setns_by_fd(handle.as_raw_fd()).build();
    links.change(&format!("move link {peer}"), message).await?;
    let outside = links.get(&name).await?;
    links.keep_host_off(&outside).await?;
    let message =
        LinkUnspec::new_with_index(outside.index).mtu(bridge.mtu).alias(alias).controller(bridge.index).up();
    links.change(&format!("plug link {name} into its switch"), message.build()).await?;
    links.isolate(&outside).await?;
    // So that what is for the service is not sent to each port until it has said something.
    links.learn(&Entry::Switched { link: outside.index, station: STATION }).await?;
    let index = set_up_inside(&inside, &peer, bridge.mtu).await?;
    listen(Arc::new(inside), (peer, index), guests).await
}

async fn set_up_inside(inside: &Links, peer: &str, mtu: u32) -> Result<u32> {
    let link = inside.get(peer).await?;
    inside.keep_host_off(&link).await?;
    let message = LinkUnspec::new_with_index(link.index).address(STATION.bytes()).mtu(mtu).up().build();
    inside.change(&format!("set up link {peer}"), message).await?;
    let index = link.index;
    let route = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(index).build();
    let address = |handle: rtnetlink::Handle| async move {
        handle.address().add(index, IpAddr::V4(ADDRESS), 32).execute().await?;
        handle.route().add(route).execute().await
    };
    inside.request(&format!("give link {peer} the address {ADDRESS}"), address).await?;
    Ok(index)
}

async fn listen(inside: Arc<Links>, link: (String, u32), guests: BTreeMap<Uuid, Guest>) -> Result<Service> {
    let open = || {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, dhcp::SERVER_PORT));
        let dhcp = std::net::UdpSocket::bind(any)?;
        dhcp.set_broadcast(true)?;
        dhcp.set_nonblocking(true)?;
        let http = std::net::TcpListener::bind((ADDRESS, http::PORT))?;
        http.set_nonblocking(true)?;
        Ok((dhcp, http))
    };
    let failed = |error: std::io::Error| from_io(&format!("listen on {ADDRESS} for guests"), &error);
    let (dhcp, http) = inside.namespace.run(open).await?.map_err(failed)?;
    let (dhcp, http) =
        (UdpSocket::from_std(dhcp).map_err(failed)?, TcpListener::from_std(http).map_err(failed)?);
    let guests: Guests = Arc::new(RwLock::new(guests));
    let (mut tasks, changed) = (JoinSet::new(), Arc::new(Notify::new()));
    tasks.spawn(apart::keep(inside, link, Arc::clone(&guests), Arc::clone(&changed)));
    tasks.spawn(dhcp::serve(dhcp, Arc::clone(&guests)));
    tasks.spawn(http::serve(http, Arc::clone(&guests)));
    Ok(Service { guests, changed, _tasks: tasks })
}

impl Links {
    /// A link that must be there.
    async fn get(&self, name: &str) -> Result<Link> {
        let gone = || transient(format!("link {name} was removed while it was made"));
        self.find(name).await?.ok_or_else(gone)
    }
}
