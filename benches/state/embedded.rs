//! `redb` on its in-memory backend: rows as bytes by key, an index as a multimap. A row that is read is decoded to the same
//! type that the other peers hold. Commits are not durable.

use crate::peer::{Peer, Reads, Scanner};
use crate::pony::{mem, size_mib};
use pony_benches::workload::{
    Activity, Format, Instance, InstanceCurrent, InstanceDesired, Member, Vdisk, VdiskDesired, Volume,
    VolumeDesired,
};
use pony_state::Text;
use redb::{
    Database, Durability, MultimapTableDefinition, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, WriteTransaction, backends::InMemoryBackend,
};
use std::sync::Arc;
use uuid::Uuid;

type Key = [u8; 16];
type Pair = [u8; 32];

const INSTANCES: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("instance");
const BY_TENANT: MultimapTableDefinition<'_, Key, Key> = MultimapTableDefinition::new("instance_tenant");
const BY_HOST: MultimapTableDefinition<'_, Key, Key> = MultimapTableDefinition::new("instance_host");
const VOLUMES: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("volume");
const VOLUMES_BY_POOL: MultimapTableDefinition<'_, Key, Key> = MultimapTableDefinition::new("volume_pool");
const VDISKS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("vdisk");
const VDISKS_BY_INSTANCE: MultimapTableDefinition<'_, Key, Key> =
    MultimapTableDefinition::new("vdisk_instance");
const VDISKS_BY_VOLUME: MultimapTableDefinition<'_, Key, Key> = MultimapTableDefinition::new("vdisk_volume");
const VNICS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("vnic");
const VNICS_BY_INSTANCE: MultimapTableDefinition<'_, Key, Key> =
    MultimapTableDefinition::new("vnic_instance");
const VNICS_BY_SWITCH: MultimapTableDefinition<'_, Key, Key> = MultimapTableDefinition::new("vnic_switch");
const PLACEMENTS: TableDefinition<'_, Pair, &[u8]> = TableDefinition::new("host_instance");
const PLACEMENTS_BY_HOST: MultimapTableDefinition<'_, Key, Pair> =
    MultimapTableDefinition::new("host_instance_host");
const PLACEMENTS_BY_INSTANCE: MultimapTableDefinition<'_, Key, Pair> =
    MultimapTableDefinition::new("host_instance_instance");

fn number(bytes: &mut Vec<u8>, number: i64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(text.len() as u8);
    bytes.extend_from_slice(text.as_bytes());
}

fn optional(bytes: &mut Vec<u8>, it: Option<&str>) {
    bytes.push(u8::from(it.is_some()));
    if let Some(it) = it {
        text(bytes, it);
    }
}

fn instance_bytes(row: &Instance) -> Vec<u8> {
    let (Some(desired), Some(current)) = (&row.desired, &row.current) else { return Vec::new() };
    let mut bytes = Vec::with_capacity(256);
    for id in [desired.tenant, desired.host, current.host, desired.cpu_profile.unwrap_or_default()] {
        bytes.extend_from_slice(id.as_bytes());
    }
    let numbers =
        [desired.vcpu, desired.mem, desired.priority, current.attempts, current.next_retry.unwrap_or(-1)];
    numbers.into_iter().for_each(|it| number(&mut bytes, it));
    number(&mut bytes, desired.rcpu.to_bits() as i64);
    bytes.extend_from_slice(&[desired.state as u8, current.status as u8]);
    text(&mut bytes, &desired.name);
    text(&mut bytes, &desired.boot);
    for it in [&desired.user_data, &current.error, &current.console] {
        optional(&mut bytes, it.as_deref());
    }
    bytes
}

/// Reads what stands in a row's bytes, from the front.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((array, rest)) = self.0.split_first_chunk() else { return [0; N] };
        self.0 = rest;
        *array
    }

    fn id(&mut self) -> Uuid {
        Uuid::from_bytes(self.array())
    }

    fn number(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let [place] = self.array::<1>();
        all[place as usize]
    }

    fn text(&mut self) -> Text {
        let [len] = self.array();
        let (text, rest) = self.0.split_at(len as usize);
        self.0 = rest;
        std::str::from_utf8(text).unwrap_or_default().into()
    }

    fn optional(&mut self) -> Option<Text> {
        (self.array() == [1]).then(|| self.text())
    }
}

fn instance(uuid: Key, bytes: &[u8]) -> Instance {
    let mut bytes = Bytes(bytes);
    let (tenant, host, is_at, cpu_profile) = (bytes.id(), bytes.id(), bytes.id(), bytes.id());
    let (vcpu, mem, priority) = (bytes.number(), bytes.number(), bytes.number());
    let (attempts, next_retry) = (bytes.number(), bytes.number());
    let rcpu = f64::from_bits(bytes.number() as u64);
    let (state, status) = (bytes.one_of(&Activity::ALL), bytes.one_of(&Activity::ALL));
    let (name, boot) = (bytes.text(), bytes.text());
    let (user_data, error, console) = (bytes.optional(), bytes.optional(), bytes.optional());
    let cpu_profile = Some(cpu_profile);
    let desired = InstanceDesired {
        tenant,
        host,
        name,
        state,
        vcpu,
        rcpu,
        mem,
        ns: None,
        cpu_profile,
        boot,
        user_data,
        priority,
    };
    let next_retry = (next_retry >= 0).then_some(next_retry);
    let current = InstanceCurrent { status, host: is_at, error, attempts, next_retry, console };
    Instance { uuid: Uuid::from_bytes(uuid), desired: Some(desired), current: Some(current) }
}

fn volume(uuid: Key, bytes: &[u8]) -> Volume {
    let mut bytes = Bytes(bytes);
    let (size_mib, storage_pool) = (bytes.number(), bytes.id());
    let (format, name) = (bytes.one_of(&Format::ALL), bytes.text());
    let desired = VolumeDesired { name, size_mib, format, storage_pool };
    Volume { uuid: Uuid::from_bytes(uuid), desired: Some(desired) }
}

fn vdisk(uuid: Key, bytes: &[u8]) -> Vdisk {
    let mut bytes = Bytes(bytes);
    let desired = VdiskDesired { instance: bytes.id(), volume: bytes.id(), index: bytes.number() };
    Vdisk { uuid: Uuid::from_bytes(uuid), desired: Some(desired) }
}

fn add_instances(tx: &WriteTransaction, members: &[Member]) -> anyhow::Result<()> {
    let mut instances = tx.open_table(INSTANCES)?;
    let (mut by_tenant, mut by_host) = (tx.open_multimap_table(BY_TENANT)?, tx.open_multimap_table(BY_HOST)?);
    for row in members.iter().map(|member| &member.instance) {
        let (Some(desired), Some(current)) = (&row.desired, &row.current) else { continue };
        let id = row.uuid.into_bytes();
        instances.insert(id, instance_bytes(row).as_slice())?;
        by_tenant.insert(desired.tenant.into_bytes(), id)?;
        by_host.insert(desired.host.into_bytes(), id)?;
        by_host.insert(current.host.into_bytes(), id)?;
    }
    Ok(())
}

fn add_storage(tx: &WriteTransaction, members: &[Member]) -> anyhow::Result<()> {
    let (mut volumes, mut by_pool) = (tx.open_table(VOLUMES)?, tx.open_multimap_table(VOLUMES_BY_POOL)?);
    for row in members.iter().flat_map(|member| &member.volumes) {
        let Some(part) = &row.desired else { continue };
        let mut bytes = part.size_mib.to_le_bytes().to_vec();
        bytes.extend_from_slice(part.storage_pool.as_bytes());
        bytes.push(part.format as u8);
        text(&mut bytes, &part.name);
        volumes.insert(row.uuid.into_bytes(), bytes.as_slice())?;
        by_pool.insert(part.storage_pool.into_bytes(), row.uuid.into_bytes())?;
    }
    let (mut vdisks, mut by_instance) = (tx.open_table(VDISKS)?, tx.open_multimap_table(VDISKS_BY_INSTANCE)?);
    let mut by_volume = tx.open_multimap_table(VDISKS_BY_VOLUME)?;
    for row in members.iter().flat_map(|member| &member.vdisks) {
        let Some(part) = &row.desired else { continue };
        let (id, instance, volume) =
            (row.uuid.into_bytes(), part.instance.into_bytes(), part.volume.into_bytes());
        let bytes = [instance.as_slice(), &volume, &part.index.to_le_bytes()].concat();
        vdisks.insert(id, bytes.as_slice())?;
        by_instance.insert(instance, id)?;
        by_volume.insert(volume, id)?;
    }
    Ok(())
}

fn add_rest(tx: &WriteTransaction, members: &[Member]) -> anyhow::Result<()> {
    let (mut vnics, mut by_instance) = (tx.open_table(VNICS)?, tx.open_multimap_table(VNICS_BY_INSTANCE)?);
    let mut by_switch = tx.open_multimap_table(VNICS_BY_SWITCH)?;
    for row in members.iter().flat_map(|member| &member.vnics) {
        let Some(part) = &row.desired else { continue };
        let (id, instance, switch) =
            (row.uuid.into_bytes(), part.instance.into_bytes(), part.switch.into_bytes());
        let bytes = [instance.as_slice(), &switch, &part.macaddr.0, &part.index.to_le_bytes()].concat();
        vnics.insert(id, bytes.as_slice())?;
        by_instance.insert(instance, id)?;
        by_switch.insert(switch, id)?;
    }
    let mut placements = tx.open_table(PLACEMENTS)?;
    let mut by_host = tx.open_multimap_table(PLACEMENTS_BY_HOST)?;
    let mut by_instance = tx.open_multimap_table(PLACEMENTS_BY_INSTANCE)?;
    for row in members.iter().map(|member| &member.placement) {
        let (Some(desired), Some(current)) = (&row.desired, &row.current) else { continue };
        let mut pair = Pair::default();
        pair[..16].copy_from_slice(row.host.as_bytes());
        pair[16..].copy_from_slice(row.instance.as_bytes());
        let mut bytes = desired.serial.to_le_bytes().to_vec();
        bytes.extend_from_slice(&current.attempts.to_le_bytes());
        bytes.push(u8::from(desired.released));
        text(&mut bytes, current.status.as_str());
        placements.insert(pair, bytes.as_slice())?;
        by_host.insert(row.host.into_bytes(), pair)?;
        by_instance.insert(row.instance.into_bytes(), pair)?;
    }
    Ok(())
}

fn scan(tx: &ReadTransaction) -> anyhow::Result<i64> {
    let mut sum = 0;
    for row in tx.open_table(INSTANCES)?.iter()? {
        let (id, bytes) = row?;
        sum += mem(&instance(id.value(), bytes.value()));
    }
    Ok(sum)
}

/// A view, with its tables open.
struct View {
    tx: ReadTransaction,
    instances: redb::ReadOnlyTable<Key, &'static [u8]>,
    volumes: redb::ReadOnlyTable<Key, &'static [u8]>,
    vdisks: redb::ReadOnlyTable<Key, &'static [u8]>,
    by_tenant: redb::ReadOnlyMultimapTable<Key, Key>,
    by_host: redb::ReadOnlyMultimapTable<Key, Key>,
    by_instance: redb::ReadOnlyMultimapTable<Key, Key>,
}

impl View {
    fn open(database: &Database) -> anyhow::Result<Self> {
        let tx = database.begin_read()?;
        Ok(Self {
            instances: tx.open_table(INSTANCES)?,
            volumes: tx.open_table(VOLUMES)?,
            vdisks: tx.open_table(VDISKS)?,
            by_tenant: tx.open_multimap_table(BY_TENANT)?,
            by_host: tx.open_multimap_table(BY_HOST)?,
            by_instance: tx.open_multimap_table(VDISKS_BY_INSTANCE)?,
            tx,
        })
    }

    fn mem(&self, id: Key) -> anyhow::Result<i64> {
        Ok(self.instances.get(id)?.map_or(0, |row| mem(&instance(id, row.value()))))
    }
}

impl Reads for View {
    fn get(&self, instance: Uuid) -> anyhow::Result<i64> {
        self.mem(instance.into_bytes())
    }

    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64> {
        self.by_tenant.get(tenant.into_bytes())?.try_fold(0, |sum, id| Ok(sum + self.mem(id?.value())?))
    }

    fn on_host(&self, host: Uuid) -> anyhow::Result<i64> {
        self.by_host.get(host.into_bytes())?.try_fold(0, |sum, id| Ok(sum + self.mem(id?.value())?))
    }

    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64> {
        let mut sum = 0;
        for id in self.by_instance.get(instance.into_bytes())? {
            let id = id?.value();
            let Some(row) = self.vdisks.get(id)? else { continue };
            let Some(part) = vdisk(id, row.value()).desired else { continue };
            let id = part.volume.into_bytes();
            sum += self.volumes.get(id)?.map_or(0, |row| size_mib(&volume(id, row.value())));
        }
        Ok(sum)
    }

    fn scan(&self) -> anyhow::Result<i64> {
        scan(&self.tx)
    }
}

pub(crate) struct Embedded {
    database: Arc<Database>,
}

impl Embedded {
    fn write(&self) -> anyhow::Result<WriteTransaction> {
        let mut tx = self.database.begin_write()?;
        tx.set_durability(Durability::None)?;
        Ok(tx)
    }
}

impl Peer for Embedded {
    const NAME: &'static str = "redb";

    fn create() -> anyhow::Result<Self> {
        let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
        Ok(Self { database: database.into() })
    }

    fn add_instances(&mut self, members: &[Member]) -> anyhow::Result<()> {
        let tx = self.write()?;
        add_instances(&tx, members)?;
        Ok(tx.commit()?)
    }

    fn add_satellites(&mut self, members: &[Member]) -> anyhow::Result<()> {
        let tx = self.write()?;
        add_storage(&tx, members)?;
        add_rest(&tx, members)?;
        Ok(tx.commit()?)
    }

    fn read(&self, ask: &mut dyn FnMut(&dyn Reads) -> anyhow::Result<i64>) -> anyhow::Result<i64> {
        ask(&View::open(&self.database)?)
    }

    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64> {
        let (tx, id) = (self.write()?, instance.into_bytes());
        let attempts = {
            let mut instances = tx.open_table(INSTANCES)?;
            let Some(mut row) = instances.get(id)?.map(|row| self::instance(id, row.value())) else {
                return Ok(0);
            };
            let ordered = row.desired.as_ref().map(|desired| desired.host);
            let Some(current) = &mut row.current else { return Ok(0) };
            let (left, attempts) = (std::mem::replace(&mut current.host, host), current.attempts);
            instances.insert(id, instance_bytes(&row).as_slice())?;
            let mut by_host = tx.open_multimap_table(BY_HOST)?;
            // The other part may stand for the same value.
            if ordered != Some(left) {
                by_host.remove(left.into_bytes(), id)?;
            }
            by_host.insert(host.into_bytes(), id)?;
            attempts
        };
        tx.commit()?;
        Ok(attempts)
    }

    fn scanner(&self) -> Option<Scanner> {
        let database = Arc::clone(&self.database);
        Some(Box::new(move || scan(&database.begin_read()?)))
    }
}
