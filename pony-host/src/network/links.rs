//! Links as the kernel has them, through rtnetlink.

use super::error::{from_io, transient};
use super::namespace::Namespace;
use super::tun::NewTap;
use super::{name, overlay};
use crate::Result;
use futures::TryStreamExt as _;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoBridge, InfoData, InfoKind, InfoVxlan,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec};
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Time for one request. A list of thousands of links takes milliseconds; see also `namespace::JOB_TIMEOUT`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bridge; whether it forwards at once, without the spanning tree protocol.
    Bridge {
        /// It does.
        prompt: bool,
    },
    /// A tap or tun.
    Tap,
    /// A link of VXLAN tunnels.
    Vxlan {
        /// Its network identifier.
        vni: u32,
        /// This host's end.
        local: Option<IpAddr>,
        /// It learns nothing from traffic, and uses the port that all hosts use.
        fixed: bool,
    },
    /// Anything else.
    Other,
}

impl Kind {
    pub(super) fn is_bridge(self) -> bool {
        matches!(self, Self::Bridge { .. })
    }
}

/// A link as it was found.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) alias: Option<String>,
    pub(super) kind: Kind,
    pub(super) up: bool,
    /// Whether ARP is spoken on it.
    pub(super) arp: bool,
    /// The largest frame that it carries, bytes.
    pub(super) mtu: u32,
    /// Index of the bridge that it is on.
    pub(super) bridge: Option<u32>,
}

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

    /// Makes a bridge, not yet up. One that is there already is left.
    pub(super) async fn add_bridge(&self, name: &str, switch: Uuid) -> Result<()> {
        let message = bridge_settings(name).address(name::bridge_mac(switch)).build();
        self.add(&format!("make bridge {name}"), message).await
    }

    /// Makes a link. One of its name that is there already is left.
    pub(super) async fn add(&self, doing: &str, message: LinkMessage) -> Result<()> {
        let add = |handle: Handle| async move {
            match handle.link().add(message).execute().await {
                Err(error) if errno(&error) == Some(nix::libc::EEXIST) => Ok(()),
                added => added,
            }
        };
        self.request(doing, add).await
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
        if link.kind != (Kind::Bridge { prompt: true }) {
            // Before the rest: with the protocol on, the kernel refuses not to wait before forwarding.
            let off = LinkMessageBuilder::<LinkBridge>::new(&link.name).index(link.index);
            let off = off.stp_state(BridgeStpState::Disabled).build();
            self.change(&format!("turn the spanning tree off on bridge {}", link.name), off).await?;
        }
        let message = bridge_settings(&link.name).index(link.index).alias(alias).arp(answers).up().build();
        self.change(&format!("set up bridge {}", link.name), message).await
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
        let no_addresses = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
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
        self.request(&format!("keep addresses off link {}", link.name), change).await?;
        let name = link.name.clone();
        self.namespace.run(move || disable_ipv6(&name)).await
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

fn bridge_settings(name: &str) -> LinkMessageBuilder<LinkBridge> {
    LinkMessageBuilder::<LinkBridge>::new(name).stp_state(BridgeStpState::Disabled).forward_delay(0)
}

/// In the namespace of the calling thread.
fn disable_ipv6(link: &str) {
    set(link, "ipv6", "disable_ipv6", "1");
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

fn vxlan(infos: &[LinkInfo]) -> Kind {
    let (mut vni, mut local, mut fixed) = (0, None, true);
    let settings = infos.iter().filter_map(|info| match info {
        LinkInfo::Data(InfoData::Vxlan(settings)) => Some(settings),
        _ => None,
    });
    for setting in settings.flatten() {
        match setting {
            InfoVxlan::Id(id) => vni = *id,
            InfoVxlan::Local(ip) => local = Some(IpAddr::from(*ip)),
            InfoVxlan::Local6(ip) => local = Some(IpAddr::from(*ip)),
            InfoVxlan::Learning(learning) => fixed &= !learning,
            InfoVxlan::Port(port) => fixed &= *port == overlay::PORT,
            _ => {}
        }
    }
    Kind::Vxlan { vni, local, fixed }
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

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let up = message.header.flags.contains(LinkFlags::Up);
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            alias: None,
            kind: Kind::Other,
            up,
            arp: !message.header.flags.contains(LinkFlags::Noarp),
            mtu: 0,
            bridge: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias).filter(|alias| !alias.is_empty()),
                LinkAttribute::Controller(bridge) => link.bridge = Some(bridge).filter(|bridge| *bridge != 0),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::LinkInfo(infos) => link.kind = kind(&infos),
                _ => {}
            }
        }
        link
    }
}

fn kind(infos: &[LinkInfo]) -> Kind {
    let is =
        |wanted: &InfoKind| infos.iter().any(|info| matches!(info, LinkInfo::Kind(kind) if kind == wanted));
    if is(&InfoKind::Tun) {
        return Kind::Tap;
    }
    if is(&InfoKind::Vxlan) {
        return vxlan(infos);
    }
    if !is(&InfoKind::Bridge) {
        return Kind::Other;
    }
    let settings = infos.iter().filter_map(|info| match info {
        LinkInfo::Data(InfoData::Bridge(settings)) => Some(settings),
        _ => None,
    });
    let slow = |setting: &InfoBridge| match setting {
        InfoBridge::StpState(state) => *state != BridgeStpState::Disabled,
        InfoBridge::ForwardDelay(delay) => *delay != 0,
        _ => false,
    };
    Kind::Bridge { prompt: !settings.flatten().any(slow) }
}
