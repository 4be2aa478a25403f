//! What a bond carries under one tag, and the bridge that ends it.

use super::{Uplinks, again};
use crate::Result;
use crate::network::error::transient;
use crate::network::link::{Kind, Link};
use crate::network::links::bridge_settings;
use crate::network::name;
use pony_core::host::{SegmentSpec, UplinkFact, UplinkSpec};
use rtnetlink::{LinkUnspec, LinkVlan};
use std::collections::BTreeSet;
use uuid::Uuid;

impl Uplinks<'_> {
    pub(super) async fn ensure_segment(&self, spec: &SegmentSpec) -> Result<UplinkFact> {
        let bond = self.bond(spec.bond).await?;
        let below = self.ensure_below(spec, &bond).await?;
        let (end, carried) = if spec.bridged {
            self.ensure_end(spec, &below).await?
        } else {
            self.remove_end(spec.bond, spec.tag, Some(&below)).await?;
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
    async fn ensure_below(&self, spec: &SegmentSpec, bond: &Link) -> Result<Link> {
        if spec.tag == 0 {
            return Ok(bond.clone());
        }
        let SegmentSpec { bond: uuid, tag, .. } = *spec;
        let (name, alias) = (name::vlan(uuid, tag), name::segment_alias(self.host, uuid, tag));
        let wanted = |it: &Link| it.kind == Kind::Vlan { tag } && it.below == Some(bond.index);
        if let Some(found) = self.links.find(&name).await? {
            let what = format!("VLAN {tag} of bond {uuid}");
            let is_vlan = matches!(found.kind, Kind::Vlan { .. });
            self.check(&found, is_vlan && self.may_be(&found, &alias), &what)?;
            if wanted(&found) && found.up && found.mtu == bond.mtu && found.alias.is_some() {
                return Ok(found);
            }
            if !wanted(&found) {
                self.links.remove(&found).await?;
            }
        }
        let message = LinkVlan::new(&name, bond.index, tag).mtu(bond.mtu).build();
        self.links.add(&format!("make VLAN {tag} of bond {}", bond.name), message).await?;
        let made = again(self.links, &name).await?;
        if !wanted(&made) {
            return Err(transient(format!("VLAN {tag} of bond {} is made by somebody else", bond.name)));
        }
        self.links.keep_host_off(&made).await?;
        let message = LinkUnspec::new_with_index(made.index).mtu(bond.mtu).alias(alias).up().build();
        self.links.change(&format!("set up VLAN {name}"), message).await?;
        again(self.links, &name).await
    }

    /// The bridge, up, with the ordered addresses; and what it has from others.
    async fn ensure_end(
        &self,
        spec: &SegmentSpec,
        below: &Link,
    ) -> Result<(Link, BTreeSet<pony_core::host::HostAddress>)> {
        let bridge = self.find_or_add_end(spec, below).await?;
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

    async fn find_or_add_end(&self, spec: &SegmentSpec, below: &Link) -> Result<Link> {
        let (name, alias) =
            (name::segment(spec.bond, spec.tag), name::segment_alias(self.host, spec.bond, spec.tag));
        let found = match self.links.find(&name).await? {
            Some(found) => found,
            None => {
                let message = bridge_settings(&name).address(below.address.clone()).mtu(below.mtu).build();
                self.links.add(&format!("make bridge {name}"), message).await?;
                again(self.links, &name).await?
            }
        };
        let what = format!("the bridge of bond {} (VLAN {})", spec.bond, spec.tag);
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
    async fn remove_end(&self, bond: Uuid, tag: u16, below: Option<&Link>) -> Result<()> {
        let Some(bridge) = self.links.find(&name::segment(bond, tag)).await? else { return Ok(()) };
        if !bridge.kind.is_bridge() || !self.may_be(&bridge, &name::segment_alias(self.host, bond, tag)) {
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

    pub(super) async fn remove_segment(&self, uuid: Uuid, tag: u16) -> Result<()> {
        if tag == 0 {
            let bond = self.links.find(&name::bond(uuid)).await?;
            let ours = bond.filter(|it| self.may_be_bond(it, uuid));
            return self.remove_end(uuid, tag, ours.as_ref()).await;
        }
        self.remove_end(uuid, tag, None).await?;
        let alias = name::segment_alias(self.host, uuid, tag);
        let vlan = self.links.find(&name::vlan(uuid, tag)).await?;
        match vlan.filter(|it| it.kind == Kind::Vlan { tag } && self.may_be(it, &alias)) {
            Some(vlan) => self.links.remove(&vlan).await,
            None => Ok(()),
        }
    }
}
