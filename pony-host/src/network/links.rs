//! Links as the kernel has them, through rtnetlink.

use super::datagram;
use super::error::{from_io, transient};
use super::link::{Kind, Link};
use super::name;
use super::namespace::Namespace;
use super::tun::NewTap;
use crate::Result;
use futures::TryStreamExt as _;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, LinkAttribute, LinkMessage,
};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec};
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Time for one request. A list of thousands of links takes milliseconds; see also `namespace::JOB_TIMEOUT`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The links of one network namespace.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) namespace: Namespace,
    handle: Mutex<Option<Handle>>,
}

impl Links {
    /// Those of the calling thread's namespace.
    pub(super) fn current() -> io::Result<Self> {
        Ok(Self { namespace: Namespace::current()?, handle: Mutex::new(None) })
    }

    /// Those of a namespace of its own, with a handle of it.
    pub(super) fn isolated() -> io::Result<(Self, File)> {
        let (namespace, file) = Namespace::isolated()?;
        Ok((Self { namespace, handle: Mutex::new(None) }, file))
    }

    pub(super) async fn all(&self) -> Result<Vec<Link>> {
        let list =
            |handle: Handle| async move { handle.link().get().execute().try_collect::<Vec<_>>().await };
        let found = self.request("list the links", list).await?;
        Ok(found.into_iter().map(Link::from).collect())
    }

    /// Those that are part of a bridge or bond.
    pub(super) async fn on(&self, above: &Link) -> Result<Vec<Link>> {
        let index = above.index;
        let list = |handle: Handle| async move {
            let mut request = handle.link().get();
            request.message_mut().attributes.push(LinkAttribute::Controller(index));
            request.execute().try_collect::<Vec<_>>().await
        };
        let found = self.request(&format!("list what is part of link {}", above.name), list).await?;
        Ok(found.into_iter().map(Link::from).filter(|link| link.above == Some(index)).collect())
    }

    pub(super) async fn find(&self, name: &str) -> Result<Option<Link>> {
        let query = name.to_owned();
        let ask = |handle: Handle| async move {
            match handle.link().get().match_name(query).execute().try_next().await {
                Err(error) if is_absent(&error) => Ok(None),
                found => found,
            }
        };
        Ok(self.request(&format!("look at link {name}"), ask).await?.map(Link::from))
    }

    /// Makes the bridge of a switch, not yet up. One that is there already is left.
    pub(super) async fn add_bridge(&self, name: &str, switch: Uuid, alias: String) -> Result<()> {
        let message = bridge_settings(name).address(name::bridge_mac(switch)).build();
        self.add(&format!("make bridge {name}"), message, alias).await
    }

    /// Makes a link that says from the first moment whose it is. One of its name that is there already is left.
    pub(super) async fn add(&self, doing: &str, message: LinkMessage, alias: String) -> Result<()> {
        let made = self.namespace.run(move || datagram::make(message, alias)).await?;
        made.map_err(|error| from_io(doing, &error))
    }

    /// Several changes of which none is left without the others, even by a process that is killed.
    pub(super) async fn change_at_once(&self, doing: &str, messages: Vec<LinkMessage>) -> Result<()> {
        let changed = self.namespace.run(move || datagram::change(messages)).await?;
        changed.map_err(|error| from_io(doing, &error))
    }

    /// Gives a bridge its alias and all settings, and brings it up. The host stays off it: no address of either
    /// protocol, no answer to who asks for one. Where the bridge is to answer in the place of others (`answers`), it
    /// needs ARP and IPv6 for that, but still has no address.
    pub(super) async fn set_up_bridge(&self, link: &Link, alias: String, answers: bool) -> Result<()> {
        self.keep_host_off(link).await?;
        if answers {
            let name = link.name.clone();
            self.namespace.run(move || answer_for_others(&name)).await?;
        }
        self.stop_waiting(link).await?;
        let message = bridge_settings(&link.name).index(link.index).alias(alias).arp(answers).up().build();
        self.change(&format!("set up bridge {}", link.name), message).await
    }

    /// Turns the spanning tree off, before a bridge is set up: with it, the kernel refuses not to wait before forwarding.
    pub(super) async fn stop_waiting(&self, link: &Link) -> Result<()> {
        if link.kind == (Kind::Bridge { prompt: true }) {
            return Ok(());
        }
        let off = LinkMessageBuilder::<LinkBridge>::new(&link.name).index(link.index);
        let off = off.stp_state(BridgeStpState::Disabled).build();
        self.change(&format!("turn the spanning tree off on bridge {}", link.name), off).await
    }

    /// Makes a tap that stays only if it is kept.
    pub(super) async fn add_tap(&self, name: &str) -> Result<NewTap> {
        let wanted = name.to_owned();
        let made = self.namespace.run(move || NewTap::make(&wanted)).await?;
        made.map_err(|e| from_io(&format!("make tap {name}"), &e))
    }

    /// Waits until all taps are gone that dropped calls left to be thrown away.
    pub(super) async fn settle(&self) -> Result<()> {
        self.namespace.run(|| ()).await
    }

    pub(super) async fn keep_tap(&self, tap: NewTap, name: &str) -> Result<()> {
        let kept = self.namespace.run(move || tap.keep()).await?;
        kept.map_err(|e| from_io(&format!("keep tap {name}"), &e))
    }

    /// Gives a tap its alias and its bridge, and brings it up.
    pub(super) async fn set_up_tap(&self, link: &Link, alias: String, bridge: &Link) -> Result<()> {
        self.keep_host_off(link).await?;
        let message = LinkUnspec::new_with_index(link.index).mtu(bridge.mtu).alias(alias);
        let message = message.controller(bridge.index).up().build();
        self.change(&format!("plug tap {} into its switch", link.name), message).await
    }

    /// Keeps a link of a bridge apart from all others that are kept apart.
    pub(super) async fn isolate(&self, link: &Link) -> Result<()> {
        let port = LinkBridgePort::new(link.index).isolated(true).build();
        let isolate = |handle: Handle| async move { handle.link().set_port(port).execute().await };
        self.request(&format!("isolate link {}", link.name), isolate).await
    }

    /// Removes a link; one that is gone already is fine.
    pub(super) async fn remove(&self, link: &Link) -> Result<()> {
        let index = link.index;
        let remove = |handle: Handle| async move {
            match handle.link().del(index).execute().await {
                Err(error) if is_absent(&error) => Ok(()),
                removed => removed,
            }
        };
        self.request(&format!("remove link {}", link.name), remove).await
    }

    /// Without this a guest could hand the host addresses and routes by IPv6 router advertisements.
    pub(super) async fn keep_host_off(&self, link: &Link) -> Result<()> {
        self.generate_addresses(link, In6AddrGenMode::None).await?;
        let name = link.name.clone();
        self.namespace.run(move || set(&name, "ipv6", "disable_ipv6", "1")).await
    }

    /// Takes that back.
    pub(super) async fn let_host_on(&self, link: &Link) -> Result<()> {
        self.generate_addresses(link, In6AddrGenMode::Eui64).await?;
        let name = link.name.clone();
        self.namespace.run(move || set(&name, "ipv6", "disable_ipv6", "0")).await
    }

    async fn generate_addresses(&self, link: &Link, mode: In6AddrGenMode) -> Result<()> {
        let no_addresses = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]);
        let message = LinkUnspec::new_with_index(link.index)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![no_addresses]))
            .build();
        let change = |handle: Handle| async move {
            match handle.link().change(message).execute().await {
                // A kernel without IPv6 gives nobody an address.
                Err(error) if errno(&error) == Some(nix::libc::EAFNOSUPPORT) => Ok(()),
                changed => changed,
            }
        };
        self.request(&format!("set the addresses of link {}", link.name), change).await
    }

    pub(super) async fn change(&self, doing: &str, message: LinkMessage) -> Result<()> {
        self.request(doing, |handle| async move { handle.link().change(message).execute().await }).await
    }

    /// The largest frame of the link that has this address.
    pub(super) async fn mtu_of(&self, address: IpAddr) -> Result<Option<u32>> {
        let find = |handle: Handle| async move {
            let mut owners = handle.address().get().set_address_filter(address).execute();
            match owners.try_next().await? {
                Some(owner) => handle.link().get().match_index(owner.header.index).execute().try_next().await,
                None => Ok(None),
            }
        };
        Ok(self
            .request(&format!("find the link that has {address}"), find)
            .await?
            .map(|it| Link::from(it).mtu))
    }

    pub(super) async fn request<T, F>(&self, doing: &str, ask: impl FnOnce(Handle) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, rtnetlink::Error>>,
    {
        let handle = self.handle().await?;
        match tokio::time::timeout(REQUEST_TIMEOUT, ask(handle)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match errno(&error) {
                Some(errno) => from_io(doing, &io::Error::from_raw_os_error(errno)),
                None => {
                    // The socket may be broken: the next request opens another.
                    self.slot().take();
                    transient(format!("cannot {doing}: {error}"))
                }
            }),
            Err(_) => {
                self.slot().take();
                let limit = REQUEST_TIMEOUT.as_secs();
                Err(transient(format!("cannot {doing}: the kernel did not answer within {limit} s")))
            }
        }
    }

    async fn handle(&self) -> Result<Handle> {
        let open = self.slot().clone();
        if let Some(handle) = open {
            return Ok(handle);
        }
        let runtime = tokio::runtime::Handle::current();
        let opened = self.namespace.run(move || {
            let _runtime = runtime.enter();
            rtnetlink::new_connection()
        });
        let (connection, handle, _) =
            opened.await?.map_err(|e| from_io("talk to the kernel's network", &e))?;
        // Ends when the last handle is gone.
        tokio::spawn(connection);
        *self.slot() = Some(handle.clone());
        Ok(handle)
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Handle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn bridge_settings(name: &str) -> LinkMessageBuilder<LinkBridge> {
    LinkMessageBuilder::<LinkBridge>::new(name).stp_state(BridgeStpState::Disabled).forward_delay(0)
}

/// Lets a bridge keep neighbours, though it gives the host neither an address nor a route, and answers to nothing that
/// is asked of the host itself.
fn answer_for_others(bridge: &str) {
    set(bridge, "ipv4", "arp_ignore", "8");
    for (what, value) in
        [("accept_ra", "0"), ("accept_redirects", "0"), ("autoconf", "0"), ("disable_ipv6", "0")]
    {
        set(bridge, "ipv6", what, value);
    }
}

/// In the namespace of the calling thread. Where there is no such file there is no such protocol.
fn set(link: &str, protocol: &str, what: &str, value: &str) {
    let file = format!("/proc/sys/net/{protocol}/conf/{link}/{what}");
    match std::fs::write(&file, value) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file, %error, "cannot keep the host off a link: guests may be able to address this host");
        }
        _ => {}
    }
}

pub(super) fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|code| -code.get()),
        _ => None,
    }
}

fn is_absent(error: &rtnetlink::Error) -> bool {
    errno(error) == Some(nix::libc::ENODEV)
}
