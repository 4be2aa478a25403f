//! What follows from orders that change.

use super::Keeper;
use crate::agent::Command;
use crate::agent::facts::PoolState;
use crate::agent::looks::Subject;
use crate::agent::orders::{Order, OrderId, Orders, VolumeOrder};
use crate::agent::reach::concerned;
use crate::host::GuestState;
use uuid::Uuid;

impl Keeper {
    /// Everything that is ordered from now on: see [`change_orders`](Self::change_orders).
    pub fn set_orders(&mut self, now_ms: u64, orders: &Orders) {
        self.change_orders(now_ms, self.orders.changes_to(orders));
    }

    /// Each of these is ordered from now on in the place of what was under its name; everything else stays. The first
    /// call is what lets anything happen at all.
    pub fn change_orders(&mut self, now_ms: u64, changes: Vec<Order>) {
        let is_first = !std::mem::replace(&mut self.ordered, true);
        if is_first {
            self.doubt_everything();
        }
        let mut changes: Vec<Order> =
            changes.into_iter().filter(|order| self.orders.get(order.id()) != *order).collect();
        changes.sort_by_key(Order::id);
        let ids: Vec<OrderId> = changes.iter().map(Order::id).collect();
        ids.iter().for_each(|id| self.index.forget(&self.orders, *id));
        let before: Vec<Order> = changes.into_iter().map(|order| self.orders.put(order)).collect();
        ids.iter().for_each(|id| self.index.add(&self.orders, *id));
        if is_first || ids.contains(&OrderId::Links) {
            self.trial.order(now_ms, &self.orders.links.uplinks);
        }
        for order in before {
            self.follow(now_ms, &order);
        }
    }

    /// An order was this one before.
    fn follow(&mut self, now_ms: u64, before: &Order) {
        match before {
            // Before any step that follows from the same orders, such as deleting what was read.
            Order::Exports(_) => self.commands.push_back(Command::Export(self.orders.exports.clone())),
            Order::Pool(pool, _) => self.follow_pool(now_ms, *pool),
            Order::Volume(volume, before) => self.look_at_given(now_ms, *volume, before.as_ref()),
            Order::Instance(instance, before) => {
                let before = before.as_ref().map(|it| it.placement.clone()).unwrap_or_default();
                if before != self.orders.placement(*instance) {
                    self.doubt_arrival(now_ms, *instance);
                }
            }
            Order::Cpu(..) => self.looks.hint(Subject::Cpus, now_ms),
            Order::Links(_) | Order::Image(..) | Order::Switch(..) => {}
        }
        self.dirty = true;
        match concerned(before, &self.orders, &self.index) {
            Some(ids) => {
                for id in ids {
                    self.leftover.mind(id, &self.facts, &self.index);
                    self.engine.touch(id);
                }
            }
            None => self.all = true,
        }
    }

    fn follow_pool(&mut self, now_ms: u64, pool: Uuid) {
        let Some(order) = self.orders.pools.get(&pool) else {
            self.facts.pools.remove(&pool);
            return self.forget_pool(pool);
        };
        if order.fault.is_some() {
            return;
        }
        let spec = order.spec.clone();
        if self.facts.pools.get(&pool).is_none_or(|it| it.spec != spec) {
            self.facts.pools.insert(pool, PoolState::new(spec));
            self.forget_pool(pool);
        }
        self.looks.watch(Subject::Pool(pool), now_ms);
    }

    /// It is no longer this host's, or no longer the same.
    fn forget_pool(&mut self, pool: Uuid) {
        for subject in [Subject::Pool(pool), Subject::Volumes(pool)] {
            self.looks.forget(subject);
            self.facts.trouble.remove(&subject);
        }
    }

    /// A volume that this host was given has been in other hands: what was seen of it before counts no more.
    fn look_at_given(&mut self, now_ms: u64, volume: Uuid, before: Option<&VolumeOrder>) {
        let Some(order) = self.orders.volumes.get(&volume).filter(|it| it.grant.is_made()) else { return };
        let (pool, serial) = (order.pool, order.grant.serial());
        if serial.is_none() || serial == before.and_then(|it| it.grant.serial()) {
            return;
        }
        if let Some(state) = self.facts.pools.get_mut(&pool) {
            state.volumes.doubt(volume);
            self.looks.hint(Subject::Volumes(pool), now_ms);
        }
    }

    /// A guest that was let in may have arrived by the time that it is ordered otherwise: it must be looked at first.
    fn doubt_arrival(&mut self, now_ms: u64, instance: Uuid) {
        if self.facts.guest(instance).is_some_and(|it| it.state == GuestState::Incoming) {
            self.facts.guests.doubt(instance);
            self.looks.hint(Subject::Guests, now_ms);
        }
    }
}
