//! The driver itself.

use super::error::{transient, unsupported};
use super::firewall::{Firewall, Guard};
use super::link::{Kind, Link};
use super::links::Links;
use super::name::{self, Segment, taken};
use super::service::Services;
use super::uplinks::{self, Uplinks};
use crate::{Network, Result};
use async_trait::async_trait;
use pony_core::host::{
    DriverErrorKind, SwitchFact, SwitchKind, SwitchSpec, TapFact, TapSpec, UplinkFact, UplinkId, UplinkSpec,
};
use rtnetlink::LinkUnspec;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// How often a link that is just coming or going is looked at again.
const LOOKS_MAX: u32 = 10;

/// The pause between two looks.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// Bridges and taps through the kernel's netlink; see the trait for what each step promises.
///
/// It works in the network namespace of the thread that calls [`new`](Self::new), whichever threads use it later.
/// Links of others are never touched: where one has the name that a link of ours must have, making ours is
/// refused, and removing it finds nothing to remove.
///
/// ```no_run
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// use pony_core::host::{SwitchKind, SwitchSpec};
/// use pony_host::{Netlink, Network as _};
/// let network = Netlink::new(uuid::Uuid::from_u128(1))?;
/// let switch = SwitchSpec { switch: uuid::Uuid::from_u128(2), kind: SwitchKind::Bridge };
/// println!("{}", network.ensure_switch(&switch).await?.bridge);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Netlink {
    host: Uuid,
    links: Links,
    firewall: Firewall,
    services: Services,
    uplink_turn: tokio::sync::Mutex<()>,
}

impl Netlink {
    /// The driver of `host`, whose uuid its links carry.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn new(host: Uuid) -> std::io::Result<Self> {
        Ok(Self {
            host,
            links: Links::current()?,
            firewall: Firewall::new(host),
            services: Services::default(),
            uplink_turn: tokio::sync::Mutex::default(),
        })
    }

    fn uplinks(&self) -> Uplinks<'_> {
        Uplinks { links: &self.links, host: self.host, turn: &self.uplink_turn }
    }

    fn is_ours(&self, link: &Link, uuid: Uuid) -> bool {
        link.alias.as_deref().and_then(|alias| name::parse_alias(self.host, alias)) == Some(uuid)
    }

    /// A link of the right name and kind without an alias is one of ours that is half made.
    fn may_be_ours(&self, link: &Link, uuid: Uuid) -> bool {
        link.alias.is_none() || self.is_ours(link, uuid)
    }

    /// The bridge, made if it is not there; or, by its name, a foreign link.
    async fn find_or_add_bridge(&self, switch: Uuid) -> Result<Link> {
        let name = name::bridge(switch);
        for _ in 0..LOOKS_MAX {
            if let Some(link) = self.links.find(&name).await? {
                return Ok(link);
            }
            self.links.add_bridge(&name, switch, name::alias(self.host, switch)).await?;
        }
        Err(transient(format!(
            "bridge {name} of switch {switch} is removed by somebody as fast as it is made"
        )))
    }

    async fn bridge_of(&self, spec: &TapSpec) -> Result<Link> {
        let TapSpec { vnic, switch, .. } = spec;
        let bridge = self.links.find(&name::bridge(*switch)).await?;
        bridge.filter(|link| link.kind.is_bridge() && self.is_ours(link, *switch)).ok_or_else(|| {
            transient(format!("vnic {vnic} has no switch to plug into: {switch} is not there"))
        })
    }

    /// The tap, if it is there and done. One without alias belongs to a call that was dropped just now, and goes.
    async fn find_tap(&self, vnic: Uuid) -> Result<Option<Link>> {
        let name = name::tap(vnic);
        self.links.settle().await?;
        for _ in 0..LOOKS_MAX {
            match self.links.find(&name).await? {
                Some(link) if link.kind == Kind::Tap && link.alias.is_none() => {
                    tokio::time::sleep(LOOK_PERIOD).await;
                }
                found => return Ok(found),
            }
        }
        Err(taken(&name, "vnic", vnic))
    }

    async fn add_tap(&self, vnic: Uuid, bridge: &Link) -> Result<()> {
        let name = name::tap(vnic);
        let tap = self.links.add_tap(&name).await?;
        let Some(link) = self.links.find(&name).await? else {
            return Err(transient(format!("tap {name} of vnic {vnic} was removed while it was made")));
        };
        self.links.set_up_tap(&link, name::alias(self.host, vnic), bridge).await?;
        self.links.keep_tap(tap, &name).await
    }

    async fn remove(&self, name: &str, uuid: Uuid, is_kind: impl Fn(Kind) -> bool) -> Result<()> {
        match self.links.find(name).await? {
            Some(link) if is_kind(link.kind) && self.may_be_ours(&link, uuid) => {
                self.links.remove(&link).await
            }
            _ => Ok(()),
        }
    }

    /// Nothing of an uplink is plugged into a switch any more.
    async fn unplugged(&self, uplink: UplinkId) -> Result<()> {
        match Segment::of(uplink).filter(|it| it.tag != 0) {
            Some(segment) => self.firewall.release(&self.links.namespace, &segment.vlan()).await,
            None => Ok(()),
        }
    }

    /// Plugs a segment, and no other, into the bridge of a switch; what comes from there is not for this host.
    async fn plug(&self, switch: Uuid, bridge: &Link, segment: Option<UplinkId>) -> Result<()> {
        for link in self.links.on(bridge).await? {
            if uplinks::plugged(self.host, &link).is_some_and(|it| Some(it) != segment) {
                let message = LinkUnspec::new_with_index(link.index).nocontroller().build();
                self.links.change(&format!("take {} out of its switch", link.name), message).await?;
            }
        }
        let Some(plugged) = segment.and_then(Segment::of) else { return Ok(()) };
        let name = plugged.vlan();
        let found = self.links.find(&name).await?.filter(|it| uplinks::plugged(self.host, it) == segment);
        let Some(link) = found else {
            return Err(transient(format!("{plugged}, which joins switch {switch}, is not there")));
        };
        self.firewall.uplink(&self.links.namespace, &name).await?;
        if link.above != Some(bridge.index) {
            let message = LinkUnspec::new_with_index(link.index).controller(bridge.index).up().build();
            self.links.change(&format!("plug {name} into its switch"), message).await?;
        }
        // What tells guests of themselves is isolated as well: it is each host's own.
        self.links.isolate(&link).await
    }

    /// Nothing passes any more that rules would have to look at.
    async fn silence(&self, link: &Link) -> Result<()> {
        let message = LinkUnspec::new_with_index(link.index).down().build();
        self.links.change(&format!("set {} down", link.name), message).await
    }

    async fn guards(&self) -> Result<BTreeMap<String, Guard>> {
        match self.firewall.guards(&self.links.namespace).await {
            // Said where a tap is to be guarded; what there is can be listed without.
            Err(error) if error.kind == DriverErrorKind::Unsupported => Ok(BTreeMap::new()),
            guards => guards,
        }
    }

    fn uuid_of(&self, link: &Link) -> Option<Uuid> {
        name::parse_alias(self.host, link.alias.as_deref()?)
    }
}

#[async_trait]
impl Network for Netlink {
    async fn ensure_uplink(&self, spec: &UplinkSpec) -> Result<UplinkFact> {
        if matches!(spec, UplinkSpec::Segment(segment) if segment.bridged) {
            // What a switch was joined by becomes the host's own.
            self.unplugged(spec.id()).await?;
        }
        self.uplinks().ensure(spec).await
    }

    async fn remove_uplink(&self, uplink: UplinkId) -> Result<()> {
        if let Some(segment) = Segment::of(uplink).filter(|it| it.tag != 0)
            && let Some(link) = self.links.find(&segment.vlan()).await?
            && uplinks::plugged(self.host, &link) == Some(uplink)
        {
            self.silence(&link).await?;
        }
        self.unplugged(uplink).await?;
        // Last, since the link is what shows that there is something to remove.
        self.uplinks().remove(uplink).await
    }

    async fn list_uplinks(&self) -> Result<Vec<UplinkFact>> {
        self.uplinks().list().await
    }

    async fn ensure_switch(&self, spec: &SwitchSpec) -> Result<SwitchFact> {
        let switch = spec.switch;
        if let SwitchKind::Unsupported(why) = &spec.kind {
            return Err(unsupported(format!("switch {switch} cannot be made here: {why}")));
        }
        let link = self.find_or_add_bridge(switch).await?;
        if !link.kind.is_bridge() || !self.may_be_ours(&link, switch) {
            return Err(taken(&link.name, "switch", switch));
        }
        let overlay = spec.kind.overlay();
        let is_done = link.up
            && link.kind == Kind::Bridge { prompt: true }
            && link.arp == overlay.is_some()
            && self.is_ours(&link, switch);
        if !is_done {
            self.links.set_up_bridge(&link, name::alias(self.host, switch), overlay.is_some()).await?;
        }
        if let Some(overlay) = overlay {
            self.firewall.uplink(&self.links.namespace, &name::vxlan(switch)).await?;
            self.links.ensure_overlay(self.host, switch, &link, overlay).await?;
            self.services.resize(&self.links, self.host, switch, &link.name).await?;
        }
        self.plug(switch, &link, spec.kind.segment()).await?;
        if spec.kind.segment().is_some() {
            self.services.resize(&self.links, self.host, switch, &link.name).await?;
        }
        let (overlay, segment) = (overlay.cloned(), spec.kind.segment());
        Ok(SwitchFact { switch, bridge: link.name, overlay, segment, whole: true })
    }

    async fn remove_switch(&self, switch: Uuid) -> Result<()> {
        let uplink = name::vxlan(switch);
        self.remove(&uplink, switch, |kind| matches!(kind, Kind::Vxlan { .. })).await?;
        self.firewall.release(&self.links.namespace, &uplink).await?;
        // Left by a service of a process that ended half-way.
        self.remove(&name::service(switch), switch, |kind| kind == Kind::Veth).await?;
        self.remove(&name::bridge(switch), switch, Kind::is_bridge).await
    }

    async fn list_switches(&self) -> Result<Vec<SwitchFact>> {
        let links = self.links.all().await?;
        let mut overlays = self.links.overlays(&links).await?;
        let mut facts = BTreeMap::new();
        let plugged = |link: &Link| Some((link.above?, uplinks::plugged(self.host, link)?));
        let segments: BTreeMap<u32, UplinkId> = links.iter().filter_map(plugged).collect();
        for link in &links {
            let Some(switch) = self.uuid_of(link) else { continue };
            let bridge = name::bridge(switch);
            match link.kind {
                Kind::Bridge { .. } => {
                    let overlay = overlays.remove(&link.index);
                    let (bridge, segment) = (link.name.clone(), segments.get(&link.index).copied());
                    let whole = link.up && link.kind == Kind::Bridge { prompt: true };
                    facts.insert(switch, SwitchFact { switch, bridge, overlay, segment, whole });
                }
                // What is left of a switch whose bridge somebody removed.
                Kind::Vxlan { .. } => {
                    facts.entry(switch).or_insert(SwitchFact {
                        switch,
                        bridge,
                        overlay: None,
                        segment: None,
                        whole: false,
                    });
                }
                _ => {}
            }
        }
        Ok(facts.into_values().collect())
    }

    async fn ensure_tap(&self, spec: &TapSpec) -> Result<TapFact> {
        let vnic = spec.vnic;
        let bridge = self.bridge_of(spec).await?;
        let found = self.find_tap(vnic).await?;
        if let Some(link) = found.as_ref().filter(|it| it.kind != Kind::Tap || !self.is_ours(it, vnic)) {
            return Err(taken(&link.name, "vnic", vnic));
        }
        // Before a frame of the guest can pass.
        self.firewall.guard(&self.links.namespace, &name::tap(vnic), spec).await?;
        match found {
            None => self.add_tap(vnic, &bridge).await?,
            Some(link) if link.up && link.above == Some(bridge.index) && link.mtu == bridge.mtu => {}
            Some(link) => self.links.set_up_tap(&link, name::alias(self.host, vnic), &bridge).await?,
        }
        self.services.serve(&self.links, self.host, &bridge, spec).await?;
        let (guard, told) = (Some(spec.guard()), spec.config.as_ref().map(|config| config.stamp()));
        let (link, mtu) = (name::tap(vnic), bridge.mtu);
        Ok(TapFact { vnic, link, bridge: Some(bridge.name), mtu, guard, told })
    }

    async fn remove_tap(&self, vnic: Uuid) -> Result<()> {
        let name = name::tap(vnic);
        let found = self.links.find(&name).await?;
        if let Some(link) = found.filter(|it| it.kind == Kind::Tap && self.may_be_ours(it, vnic)) {
            self.silence(&link).await?;
        }
        self.services.forget(&self.links, vnic).await?;
        self.firewall.release(&self.links.namespace, &name).await?;
        // Last, since what a guest is told does not show that there is something to remove.
        self.remove(&name, vnic, |kind| kind == Kind::Tap).await
    }

    async fn list_taps(&self) -> Result<Vec<TapFact>> {
        let (links, mut guards) = (self.links.all().await?, self.guards().await?);
        let told = self.services.stamps(&links);
        let name_of =
            |index: u32| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
        let fact = |link: &Link| {
            let bridge = link.above.and_then(name_of);
            let (vnic, guard) = (self.uuid_of(link)?, guards.remove(&link.name).and_then(|it| it.stamp));
            let (name, mtu, told) = (link.name.clone(), link.mtu, told.get(&vnic).copied());
            Some(TapFact { vnic, link: name, bridge, mtu, guard, told })
        };
        let mut facts: Vec<_> = links.iter().filter(|link| link.kind == Kind::Tap).filter_map(fact).collect();
        // Rules are there before their link, and may be after it.
        let without_link = |(link, guard): (String, Guard)| TapFact {
            vnic: guard.vnic,
            link,
            bridge: None,
            mtu: 0,
            guard: None,
            told: None,
        };
        facts.extend(guards.into_iter().map(without_link));
        Ok(facts)
    }
}
