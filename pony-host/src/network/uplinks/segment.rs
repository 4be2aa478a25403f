//! What a bond carries under one tag, and the bridge that ends it.

use super::{Uplinks, again, mtu_on};
use crate::Result;
use crate::network::error::transient;
use crate::network::link::{Kind, Link};
use crate::network::links::bridge_settings;
use crate::network::name::{self, Segment};
use pony_core::host::{SegmentSpec, UplinkFact, UplinkSpec};
use rtnetlink::{LinkUnspec, LinkVlan};
use std::collections::BTreeSet;

impl Uplinks<'_> {
    pub(super) async fn ensure_segment(&self, spec: &SegmentSpec) -> Result<UplinkFact> {
        let segment = Segment { bond: spec.bond, within: spec.within, tag: spec.tag };
        let bond = self.bond(spec.bond).await?;
        let below = self.ensure_below(segment, &bond).await?;
        let (end, carried) = if spec.bridged {
            self.ensure_end(spec, segment, &below).await?
        } else {
            self.remove_end(segment, Some(&below)).await?;
            (below.clone(), BTreeSet::new())
        };
        Ok(UplinkFact {
            spec: UplinkSpec::Segment(spec.clone()),
            carried,
            below: below.name,
            link: end.name,
            carrier: bond.carrier,
            whole: true,
        })
    }

    /// The link that carries the frames, up.
    async fn ensure_below(&self, segment: Segment, bond: &Link) -> Result<Link> {
        if segment.tag == 0 {
            return Ok(bond.clone());
        }
        let on = match segment.outer() {
            Some(outer) => self.outer(outer).await?,
            None => bond.clone(),
        };
        let (name, alias, mtu) = (segment.vlan(), segment.alias(self.host), mtu_on(&on, segment));
        let wanted = |it: &Link| it.kind == Kind::Vlan { tag: segment.tag } && it.below == Some(on.index);
        if let Some(found) = self.links.find(&name).await? {
            let is_vlan = matches!(found.kind, Kind::Vlan { .. });
            self.check(&found, is_vlan && self.may_be(&found, &alias), &segment.to_string())?;
            if wanted(&found) && found.up && found.mtu == mtu && found.alias.is_some() {
                return Ok(found);
            }
            if !wanted(&found) {
                self.links.remove(&found).await?;
            }
        }
        let message = LinkVlan::new(&name, on.index, segment.tag).mtu(mtu).build();
        self.links.add(&format!("make {segment}"), message, alias.clone()).await?;
        let made = again(self.links, &name).await?;
        if !wanted(&made) {
            return Err(transient(format!("{segment} is made by somebody else")));
        }
        self.links.keep_host_off(&made).await?;
        let message = LinkUnspec::new_with_index(made.index).mtu(mtu).alias(alias).up().build();
        self.links.change(&format!("set up VLAN {name}"), message).await?;
        again(self.links, &name).await
    }

    /// The VLAN that another is to be in, which must be there.
    async fn outer(&self, outer: Segment) -> Result<Link> {
        let found = self.links.find(&outer.vlan()).await?;
        let alias = outer.alias(self.host);
        let ours = found.filter(|it| it.kind == (Kind::Vlan { tag: outer.tag }) && self.may_be(it, &alias));
        ours.ok_or_else(|| transient(format!("{outer} is not there")))
    }

    /// The bridge, up, with the ordered addresses; and what it has from others.
    async fn ensure_end(
        &self,
        spec: &SegmentSpec,
        segment: Segment,
        below: &Link,
    ) -> Result<(Link, BTreeSet<pony_core::host::HostAddress>)> {
        let bridge = self.find_or_add_end(segment, below).await?;
        if below.above != Some(bridge.index) {
            self.links.hand_over(below, &bridge).await?;
            self.links.keep_host_off(below).await?;
            let message = LinkUnspec::new_with_index(below.index).controller(bridge.index).build();
            self.links.change(&format!("plug {} into bridge {}", below.name, bridge.name), message).await?;
        }
        let found = self.links.addresses().await?.remove(&bridge.index).unwrap_or_default();
        for address in spec.addresses.iter().filter(|it| !found.have(it)) {
            self.links.add_address(&bridge, *address).await?;
        }
        for address in found.ours.difference(&spec.addresses) {
            self.links.remove_address(&bridge, *address).await?;
        }
        Ok((bridge, found.others))
    }

    async fn find_or_add_end(&self, segment: Segment, below: &Link) -> Result<Link> {
        let (name, alias) = (segment.bridge(), segment.alias(self.host));
        let found = match self.links.find(&name).await? {
            Some(found) => found,
            None => {
                let message = bridge_settings(&name).address(below.address.clone()).mtu(below.mtu).build();
                self.links.add(&format!("make bridge {name}"), message, alias.clone()).await?;
                again(self.links, &name).await?
            }
        };
        let what = format!("the bridge of {segment}");
        self.check(&found, found.kind.is_bridge() && self.may_be(&found, &alias), &what)?;
        let done = found.up
            && found.alias.is_some()
            && found.kind == (Kind::Bridge { prompt: true })
            && found.mtu == below.mtu
            && found.address == below.address;
        if done {
            return Ok(found);
        }
        self.links.stop_waiting(&found).await?;
        let message = bridge_settings(&name).index(found.index).address(below.address.clone());
        let message = message.mtu(below.mtu).alias(alias).up().build();
        self.links.change(&format!("set up bridge {name}"), message).await?;
        again(self.links, &name).await
    }

    /// Removes the bridge of a segment; what others gave it goes to the link below.
    async fn remove_end(&self, segment: Segment, below: Option<&Link>) -> Result<()> {
        let Some(bridge) = self.links.find(&segment.bridge()).await? else { return Ok(()) };
        if !bridge.kind.is_bridge() || !self.may_be(&bridge, &segment.alias(self.host)) {
            return Ok(());
        }
        if let Some(below) = below {
            let message = LinkUnspec::new_with_index(below.index).nocontroller().build();
            self.links.change(&format!("take {} out of bridge {}", below.name, bridge.name), message).await?;
            self.links.let_host_on(below).await?;
            self.links.hand_over(&bridge, below).await?;
        }
        self.links.remove(&bridge).await
    }

    pub(super) async fn remove_segment(&self, segment: Segment) -> Result<()> {
        let Segment { bond, tag, .. } = segment;
        if tag == 0 {
            let link = self.links.find(&name::bond(bond)).await?;
            let ours = link.filter(|it| self.may_be_bond(it, bond));
            return self.remove_end(segment, ours.as_ref()).await;
        }
        self.remove_end(segment, None).await?;
        let alias = segment.alias(self.host);
        let vlan = self.links.find(&segment.vlan()).await?;
        match vlan.filter(|it| it.kind == Kind::Vlan { tag } && self.may_be(it, &alias)) {
            Some(vlan) => self.links.remove(&vlan).await,
            None => Ok(()),
        }
    }
}
