//! What every peer can do: the operations of the bench, each giving a number that all peers must agree in.

use pony_benches::workload::Cloud;
use uuid::Uuid;

pub(crate) trait Peer {
    /// Holds the rows of the cloud.
    fn load(cloud: &Cloud) -> anyhow::Result<Self>
    where
        Self: Sized;

    /// Memory of an instance, by its key.
    fn get(&self, instance: Uuid) -> anyhow::Result<i64>;

    /// Memory of all instances of a tenant.
    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64>;

    /// Memory of all instances that should be or are on a host.
    fn on_host(&self, host: Uuid) -> anyhow::Result<i64>;

    /// Size of all volumes of an instance, through the join table.
    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64>;

    /// Reports an instance to be on a host: one row, one index, and one event where the peer has events. Gives the
    /// number of attempts of the row that changed.
    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64>;

    /// Memory of all instances.
    fn scan(&self) -> anyhow::Result<i64>;
}
