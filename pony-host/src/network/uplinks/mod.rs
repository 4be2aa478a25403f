//! Uplinks: bonds of the host's cards, the VLANs on them, and the bridges that end them.
//!
//! A card that is ordered into a bond is taken: but what it was used for goes on. Its addresses and routes move to where
//! the bond's untagged traffic ends, which has its hardware address, so that neither the host's neighbours nor what it is
//! talking to notices; and they move back when the bond goes. Which card that is stands in the bond's alias.

mod addresses;
mod bond;
mod list;
mod segment;

pub(super) use list::plugged;

use super::error::{order, transient};
use super::link::{Kind, Link};
use super::links::Links;
use super::name::{self, Segment};
use crate::Result;
use pony_core::host::{UplinkFact, UplinkId, UplinkSpec};
use rtnetlink::LinkUnspec;
use uuid::Uuid;

/// What a tag adds to a frame, bytes. Cards have room for one.
const TAG_LENGTH: u32 = 4;

/// The uplinks of a host.
#[derive(Debug)]
pub(super) struct Uplinks<'a> {
    pub(super) links: &'a Links,
    pub(super) host: Uuid,
    /// Addresses move from link to link in several steps.
    pub(super) turn: &'a tokio::sync::Mutex<()>,
}

impl Uplinks<'_> {
    pub(super) async fn ensure(&self, spec: &UplinkSpec) -> Result<UplinkFact> {
        let _turn = self.turn.lock().await;
        match spec {
            UplinkSpec::Bond(spec) => self.ensure_bond(spec).await,
            UplinkSpec::Segment(spec) => self.ensure_segment(spec).await,
        }
    }

    pub(super) async fn remove(&self, uplink: UplinkId) -> Result<()> {
        let _turn = self.turn.lock().await;
        match Segment::of(uplink) {
            Some(segment) => self.remove_segment(segment).await,
            None => self.remove_bond(uplink.bond()).await,
        }
    }

    /// The bond, which must be there.
    async fn bond(&self, bond: Uuid) -> Result<Link> {
        let found = self.links.find(&name::bond(bond)).await?;
        let ours = found.filter(|it| self.may_be_bond(it, bond));
        ours.ok_or_else(|| transient(format!("bond {bond} is not there")))
    }

    /// Whether a link of the right name is this bond, perhaps half made.
    fn may_be_bond(&self, link: &Link, bond: Uuid) -> bool {
        let is_it = |alias: &str| name::parse_bond_alias(self.host, alias).is_some_and(|(it, _)| it == bond);
        matches!(link.kind, Kind::Bond(_)) && link.alias.as_deref().is_none_or(is_it)
    }

    /// A link of the right name without an alias is one of ours that is half made.
    #[allow(clippy::unused_self)]
    fn may_be(&self, link: &Link, alias: &str) -> bool {
        link.alias.as_deref().is_none_or(|it| it == alias)
    }

    /// Refuses to take what is not ours for ours.
    #[allow(clippy::unused_self)]
    fn check(&self, link: &Link, is_ours: bool, what: &str) -> Result<()> {
        if is_ours {
            return Ok(());
        }
        Err(order(format!(
            "the name {} for {what} is taken by a link that is not ours: rename that one, or give the bond another uuid",
            link.name
        )))
    }

    /// Where the untagged traffic of a bond ends.
    async fn end_of(&self, bond: &Link, uuid: Uuid) -> Result<Link> {
        let untagged = Segment::untagged(uuid);
        let (bridge, alias) = (self.links.find(&untagged.bridge()).await?, untagged.alias(self.host));
        let ours = bridge.filter(|it| it.kind.is_bridge() && it.alias.as_deref() == Some(&alias));
        Ok(ours.filter(|it| bond.above == Some(it.index)).unwrap_or_else(|| bond.clone()))
    }

    async fn up(&self, link: &Link) -> Result<()> {
        let message = LinkUnspec::new_with_index(link.index).up().build();
        self.links.change(&format!("bring link {} up", link.name), message).await
    }
}

/// A link that was made or seen just now, as it is now.
async fn again(links: &Links, link: &str) -> Result<Link> {
    let found = links.find(link).await?;
    found.ok_or_else(|| transient(format!("link {link} was removed while it was made")))
}

/// The largest frame of a segment on this link: a second tag takes its room from what is in the frame.
fn mtu_on(below: &Link, segment: Segment) -> u32 {
    if segment.within == 0 { below.mtu } else { below.mtu.saturating_sub(TAG_LENGTH) }
}
