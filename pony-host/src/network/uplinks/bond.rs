//! Bonds, and taking cards and letting go of them.

use super::{Uplinks, again};
use crate::Result;
use crate::network::error::{order, transient};
use crate::network::link::{Kind, Link};
use crate::network::name;
use pony_core::host::{BondMode, BondSpec, UplinkFact, UplinkSpec, XmitHash};
use rtnetlink::packet_route::link::{BondLacpRate, BondMode as Mode, BondXmitHashPolicy};
use rtnetlink::{LinkBond, LinkMessageBuilder, LinkUnspec};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How often the bond looks whether its cards hear anything, ms: what its documentation says is good.
const MONITOR_MS: u32 = 100;

fn settings(name: &str, mode: BondMode) -> LinkMessageBuilder<LinkBond> {
    let bond = LinkBond::new(name).miimon(MONITOR_MS);
    match mode {
        BondMode::ActiveBackup => bond.mode(Mode::ActiveBackup),
        BondMode::Lacp { fast, hash } => bond
            .mode(Mode::Ieee8023Ad)
            .ad_lacp_rate(if fast { BondLacpRate::Fast } else { BondLacpRate::Slow })
            .xmit_hash_policy(match hash {
                XmitHash::Layer2 => BondXmitHashPolicy::Layer2,
                XmitHash::Layer23 => BondXmitHashPolicy::Layer23,
                XmitHash::Layer34 => BondXmitHashPolicy::Layer34,
            }),
    }
}

impl Uplinks<'_> {
    pub(super) async fn ensure_bond(&self, spec: &BondSpec) -> Result<UplinkFact> {
        let cards = self.cards(spec).await?;
        let bond = self.find_or_add_bond(spec, &cards).await?;
        let bond = self.set_mode(spec, bond).await?;
        // Before anything moves.
        let home = match self.home_of(&bond) {
            Some(home) => Some(home),
            None => self.home(&cards).await?.map(Link::mac),
        };
        let alias = name::bond_alias(self.host, spec.bond, home.as_deref());
        let mtu = cards.iter().map(|it| it.mtu).min().unwrap_or(bond.mtu).min(bond.mtu);
        let message = LinkUnspec::new_with_index(bond.index).alias(alias).mtu(mtu).up();
        self.links.change(&format!("set up bond {}", bond.name), message.build()).await?;
        let within = self.links.on(&bond).await?;
        for card in cards.iter().filter(|card| within.iter().all(|it| it.index != card.index)) {
            self.take(card, &bond, spec.bond).await?;
        }
        for card in within.iter().filter(|card| !spec.nics.contains(&card.mac())) {
            self.let_go(card).await?;
        }
        let bond = again(self.links, &bond.name).await?;
        Ok(UplinkFact {
            spec: UplinkSpec::Bond(spec.clone()),
            carried: BTreeSet::new(),
            below: bond.name.clone(),
            link: bond.name,
            carrier: bond.carrier,
            whole: true,
        })
    }

    /// The ordered cards; none may be in use by what is not ours.
    async fn cards(&self, spec: &BondSpec) -> Result<Vec<Link>> {
        let all = self.links.all().await?;
        let mut cards = Vec::with_capacity(spec.nics.len());
        for mac in &spec.nics {
            let Some(card) = all.iter().find(|it| it.kind.is_card() && it.mac() == *mac) else {
                return Err(transient(format!("card {mac} of bond {} is not in this host", spec.bond)));
            };
            let above = all.iter().find(|it| Some(it.index) == card.above);
            if let Some(foreign) = above.filter(|it| !self.is_bond_of_ours(it)) {
                return Err(order(format!(
                    "card {mac} ({}) is part of link {}, which is not ours: take it out there, or out of the bond",
                    card.name, foreign.name
                )));
            }
            cards.push(card.clone());
        }
        Ok(cards)
    }

    fn is_bond_of_ours(&self, link: &Link) -> bool {
        let alias = link.alias.as_deref().unwrap_or_default();
        matches!(link.kind, Kind::Bond(_)) && name::parse_bond_alias(self.host, alias).is_some()
    }

    async fn find_or_add_bond(&self, spec: &BondSpec, cards: &[Link]) -> Result<Link> {
        let name = name::bond(spec.bond);
        if let Some(found) = self.links.find(&name).await? {
            self.check(&found, self.may_be_bond(&found, spec.bond), &format!("bond {}", spec.bond))?;
            return Ok(found);
        }
        let mut message = settings(&name, spec.mode);
        if let Some(home) = self.home(cards).await? {
            message = message.address(home.own().to_vec());
        }
        if let Some(mtu) = cards.iter().map(|it| it.mtu).min() {
            message = message.mtu(mtu);
        }
        let alias = name::bond_alias(self.host, spec.bond, None);
        self.links.add(&format!("make bond {name}"), message.build(), alias).await?;
        again(self.links, &name).await
    }

    /// The card whose hardware address the bond gets: one that has addresses, where there is one.
    async fn home<'c>(&self, cards: &'c [Link]) -> Result<Option<&'c Link>> {
        let addresses = self.links.addresses().await?;
        let used = |it: &&Link| addresses.get(&it.index).is_some_and(|it| !it.is_empty());
        Ok(cards.iter().find(used).or(cards.first()))
    }

    fn home_of(&self, bond: &Link) -> Option<String> {
        name::parse_bond_alias(self.host, bond.alias.as_deref()?)?.1
    }

    /// The mode of a bond changes only while it is down and has no cards; what has to follow is brought back by the rest.
    async fn set_mode(&self, spec: &BondSpec, bond: Link) -> Result<Link> {
        if bond.kind == Kind::Bond(Some(spec.mode)) {
            return Ok(bond);
        }
        let routes = self.links.routes_over(&bond).await?;
        for card in self.links.on(&bond).await? {
            self.let_go(&card).await?;
        }
        let down = LinkUnspec::new_with_index(bond.index).down().build();
        self.links.change(&format!("bring bond {} down", bond.name), down).await?;
        let message = settings(&bond.name, spec.mode).index(bond.index).address(bond.address.clone());
        let message = message.up().build();
        self.links.change(&format!("set the mode of bond {}", bond.name), message).await?;
        for route in &routes {
            self.links.reroute(route, &bond).await?;
        }
        again(self.links, &bond.name).await
    }

    /// Makes a card part of a bond that is up. What it was used for goes on where the bond's untagged traffic ends.
    async fn take(&self, card: &Link, bond: &Link, uuid: Uuid) -> Result<()> {
        let end = self.end_of(bond, uuid).await?;
        self.links.hand_over(card, &end).await?;
        // A bond takes only cards that are down, and brings them up.
        let down = LinkUnspec::new_with_index(card.index).down().build();
        let taken = LinkUnspec::new_with_index(card.index).controller(bond.index).build();
        let doing = format!("make card {} part of bond {}", card.name, bond.name);
        let done = self.links.change_at_once(&doing, vec![down, taken]).await;
        if done.is_err() {
            self.up(card).await?;
        }
        done
    }

    /// Lets go of a card, which is up afterwards.
    async fn let_go(&self, card: &Link) -> Result<()> {
        // The bond brings it down.
        let free = LinkUnspec::new_with_index(card.index).nocontroller().build();
        let up = LinkUnspec::new_with_index(card.index).up().build();
        self.links.change_at_once(&format!("take card {} out of its bond", card.name), vec![free, up]).await
    }

    /// Who gets what a bond has from others when it goes: its home, or where the untagged traffic of that ends by now. It may have
    /// been let go of already, by an order or by a process before this one, and be part of another bond.
    async fn heir(&self, home: &Link, bond: &Link, all: &[Link]) -> Result<Link> {
        let above = home.above.filter(|above| *above != bond.index);
        let other = above.and_then(|above| all.iter().find(|it| it.index == above));
        let ours =
            other.and_then(|it| Some((it, name::parse_bond_alias(self.host, it.alias.as_deref()?)?.0)));
        match ours.filter(|(other, _)| matches!(other.kind, Kind::Bond(_))) {
            Some((other, uuid)) => self.end_of(other, uuid).await,
            None => Ok(home.clone()),
        }
    }

    pub(super) async fn remove_bond(&self, uuid: Uuid) -> Result<()> {
        let Some(bond) = self.links.find(&name::bond(uuid)).await? else { return Ok(()) };
        if !self.may_be_bond(&bond, uuid) {
            return Ok(());
        }
        let all = self.links.all().await?;
        let cards: Vec<&Link> = all.iter().filter(|it| it.above == Some(bond.index)).collect();
        let home = self.home_of(&bond).unwrap_or_else(|| bond.mac());
        let is_home = |it: &&Link| it.kind.is_card() && it.mac() == home;
        let home = all.iter().find(is_home).or(cards.first().copied());
        for card in &cards {
            self.let_go(card).await?;
        }
        if let Some(home) = home {
            let heir = self.heir(home, &bond, &all).await?;
            self.up(&heir).await?;
            self.links.hand_over(&bond, &heir).await?;
        }
        self.links.remove(&bond).await
    }
}
