//! Orders one by one: what is made of rows, compared and minded as one.

use super::{ImageOrder, InstanceOrder, LinkOrders, Orders, PoolOrder, SwitchOrder, VolumeOrder};
use crate::host::{CpuSpec, Export};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Names an order. Those that others are minded by come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderId {
    /// The host's own links, all of them.
    Links,
    /// What others may read here, all of it.
    Exports,
    /// `storage_pool.uuid`.
    Pool(Uuid),
    /// `volume.uuid`.
    Volume(Uuid),
    /// `image.uuid`.
    Image(Uuid),
    /// `switch.uuid`.
    Switch(Uuid),
    /// `instance.uuid`.
    Instance(Uuid),
    /// `cpu_profile.uuid`.
    Cpu(Uuid),
}

impl OrderId {
    /// Those that there always are, whatever rows there are.
    pub const WHOLE: [Self; 2] = [Self::Links, Self::Exports];
}

/// An order with its name; `None`: nothing is ordered under that name.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Of the host's own links.
    Links(LinkOrders),
    /// Of what others may read here.
    Exports(Vec<Export>),
    /// Of a storage pool.
    Pool(Uuid, Option<PoolOrder>),
    /// Of a volume.
    Volume(Uuid, Option<VolumeOrder>),
    /// Of an image.
    Image(Uuid, Option<ImageOrder>),
    /// Of a switch.
    Switch(Uuid, Option<SwitchOrder>),
    /// Of an instance.
    Instance(Uuid, Option<InstanceOrder>),
    /// Of a CPU profile.
    Cpu(Uuid, Option<CpuSpec>),
}

impl Order {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> OrderId {
        match self {
            Self::Links(_) => OrderId::Links,
            Self::Exports(_) => OrderId::Exports,
            Self::Pool(uuid, _) => OrderId::Pool(*uuid),
            Self::Volume(uuid, _) => OrderId::Volume(*uuid),
            Self::Image(uuid, _) => OrderId::Image(*uuid),
            Self::Switch(uuid, _) => OrderId::Switch(*uuid),
            Self::Instance(uuid, _) => OrderId::Instance(*uuid),
            Self::Cpu(uuid, _) => OrderId::Cpu(*uuid),
        }
    }
}

impl Orders {
    /// The names of all that is ordered.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<OrderId> {
        OrderId::WHOLE
            .into_iter()
            .chain(self.pools.keys().copied().map(OrderId::Pool))
            .chain(self.volumes.keys().copied().map(OrderId::Volume))
            .chain(self.images.keys().copied().map(OrderId::Image))
            .chain(self.switches.keys().copied().map(OrderId::Switch))
            .chain(self.instances.keys().copied().map(OrderId::Instance))
            .chain(self.cpus.keys().copied().map(OrderId::Cpu))
            .collect()
    }

    /// What is ordered under a name.
    #[must_use]
    pub fn get(&self, id: OrderId) -> Order {
        match id {
            OrderId::Links => Order::Links(self.links.clone()),
            OrderId::Exports => Order::Exports(self.exports.clone()),
            OrderId::Pool(uuid) => Order::Pool(uuid, self.pools.get(&uuid).cloned()),
            OrderId::Volume(uuid) => Order::Volume(uuid, self.volumes.get(&uuid).cloned()),
            OrderId::Image(uuid) => Order::Image(uuid, self.images.get(&uuid).cloned()),
            OrderId::Switch(uuid) => Order::Switch(uuid, self.switches.get(&uuid).cloned()),
            OrderId::Instance(uuid) => Order::Instance(uuid, self.instances.get(&uuid).cloned()),
            OrderId::Cpu(uuid) => Order::Cpu(uuid, self.cpus.get(&uuid).cloned()),
        }
    }

    /// Puts an order in the place of the one of its name, and returns that.
    pub fn put(&mut self, order: Order) -> Order {
        match order {
            Order::Links(links) => Order::Links(std::mem::replace(&mut self.links, links)),
            Order::Exports(exports) => Order::Exports(std::mem::replace(&mut self.exports, exports)),
            Order::Pool(uuid, order) => Order::Pool(uuid, swap(&mut self.pools, uuid, order)),
            Order::Volume(uuid, order) => Order::Volume(uuid, swap(&mut self.volumes, uuid, order)),
            Order::Image(uuid, order) => Order::Image(uuid, swap(&mut self.images, uuid, order)),
            Order::Switch(uuid, order) => Order::Switch(uuid, swap(&mut self.switches, uuid, order)),
            Order::Instance(uuid, order) => Order::Instance(uuid, swap(&mut self.instances, uuid, order)),
            Order::Cpu(uuid, order) => Order::Cpu(uuid, swap(&mut self.cpus, uuid, order)),
        }
    }

    /// What has to be put for these to become `other`.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> Vec<Order> {
        let ids = self.ids().into_iter().chain(other.ids()).collect::<BTreeSet<_>>();
        ids.into_iter().map(|id| other.get(id)).filter(|order| self.get(order.id()) != *order).collect()
    }
}

fn swap<V>(of: &mut BTreeMap<Uuid, V>, uuid: Uuid, order: Option<V>) -> Option<V> {
    match order {
        Some(order) => of.insert(uuid, order),
        None => of.remove(&uuid),
    }
}
