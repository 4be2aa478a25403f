//! SQLite in memory, with the same columns and indexes, its statements prepared once.

use crate::peer::{Peer, Reads};
use pony_benches::workload::{Instance, Member};
use rusqlite::{Connection, Params, params};
use uuid::Uuid;

const SCHEMA: &str = "
    CREATE TABLE instance (
        uuid BLOB PRIMARY KEY, tenant BLOB, host BLOB, name TEXT, state TEXT, vcpu INT, rcpu REAL, mem INT, ns TEXT,
        cpu_profile BLOB, boot TEXT, user_data TEXT, priority INT,
        is_status TEXT, is_host BLOB, is_error TEXT, is_attempts INT, is_next_retry INT, is_console TEXT
    ) WITHOUT ROWID;
    CREATE INDEX instance_tenant ON instance(tenant);
    CREATE INDEX instance_host ON instance(host);
    CREATE INDEX instance_is_host ON instance(is_host);
    CREATE TABLE volume (
        uuid BLOB PRIMARY KEY, name TEXT, size_mib INT, format TEXT, storage_pool BLOB
    ) WITHOUT ROWID;
    CREATE INDEX volume_pool ON volume(storage_pool);
    CREATE TABLE vdisk (uuid BLOB PRIMARY KEY, instance BLOB, volume BLOB, number INT) WITHOUT ROWID;
    CREATE INDEX vdisk_instance ON vdisk(instance);
    CREATE INDEX vdisk_volume ON vdisk(volume);
    CREATE TABLE vnic (uuid BLOB PRIMARY KEY, instance BLOB, switch BLOB, macaddr BLOB, number INT) WITHOUT ROWID;
    CREATE INDEX vnic_instance ON vnic(instance);
    CREATE INDEX vnic_switch ON vnic(switch);
    CREATE TABLE host_instance (
        host BLOB, instance BLOB, serial INT, released INT, is_status TEXT, is_attempts INT, is_error TEXT,
        PRIMARY KEY (host, instance)
    ) WITHOUT ROWID;
    CREATE INDEX host_instance_instance ON host_instance(instance);
";

const INSERT_INSTANCE: &str =
    "INSERT INTO instance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

pub(crate) struct Sqlite {
    connection: Connection,
}

fn insert_instance(connection: &Connection, row: &Instance) -> anyhow::Result<()> {
    let (Some(desired), Some(current)) = (&row.desired, &row.current) else { return Ok(()) };
    connection.prepare_cached(INSERT_INSTANCE)?.execute(params![
        row.uuid.as_bytes(),
        desired.tenant.as_bytes(),
        desired.host.as_bytes(),
        &*desired.name,
        desired.state.as_str(),
        desired.vcpu,
        desired.rcpu,
        desired.mem,
        desired.ns.map(|ns| ns.to_string()),
        desired.cpu_profile.as_ref().map(Uuid::as_bytes),
        &*desired.boot,
        desired.user_data.as_deref(),
        desired.priority,
        current.status.as_str(),
        current.host.as_bytes(),
        current.error.as_deref(),
        current.attempts,
        current.next_retry,
        current.console.as_deref(),
    ])?;
    Ok(())
}

fn insert_satellites(connection: &Connection, member: &Member) -> anyhow::Result<()> {
    for row in &member.volumes {
        let Some(part) = &row.desired else { continue };
        let mut insert = connection.prepare_cached("INSERT INTO volume VALUES (?, ?, ?, ?, ?)")?;
        insert.execute(params![
            row.uuid.as_bytes(),
            &*part.name,
            part.size_mib,
            part.format.as_str(),
            part.storage_pool.as_bytes()
        ])?;
    }
    for row in &member.vdisks {
        let Some(part) = &row.desired else { continue };
        let mut insert = connection.prepare_cached("INSERT INTO vdisk VALUES (?, ?, ?, ?)")?;
        insert.execute(params![
            row.uuid.as_bytes(),
            part.instance.as_bytes(),
            part.volume.as_bytes(),
            part.index
        ])?;
    }
    for row in &member.vnics {
        let Some(part) = &row.desired else { continue };
        let mut insert = connection.prepare_cached("INSERT INTO vnic VALUES (?, ?, ?, ?, ?)")?;
        let (instance, switch) = (part.instance.as_bytes(), part.switch.as_bytes());
        insert.execute(params![row.uuid.as_bytes(), instance, switch, part.macaddr.0, part.index])?;
    }
    let row = &member.placement;
    let (Some(desired), Some(current)) = (&row.desired, &row.current) else { return Ok(()) };
    connection.prepare_cached("INSERT INTO host_instance VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        row.host.as_bytes(),
        row.instance.as_bytes(),
        desired.serial,
        desired.released,
        current.status.as_str(),
        current.attempts,
        current.error.as_deref(),
    ])?;
    Ok(())
}

impl Sqlite {
    /// The sum of the one column that `sql` selects, made here as the other peers do.
    fn sum(&self, sql: &str, params: impl Params) -> anyhow::Result<i64> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut sum = 0;
        while let Some(row) = rows.next()? {
            sum += row.get::<_, i64>(0)?;
        }
        Ok(sum)
    }
}

impl Reads for Sqlite {
    fn get(&self, instance: Uuid) -> anyhow::Result<i64> {
        self.sum("SELECT mem FROM instance WHERE uuid = ?", [instance.as_bytes()])
    }

    fn of_tenant(&self, tenant: Uuid) -> anyhow::Result<i64> {
        self.sum("SELECT mem FROM instance WHERE tenant = ?", [tenant.as_bytes()])
    }

    fn on_host(&self, host: Uuid) -> anyhow::Result<i64> {
        self.sum("SELECT mem FROM instance WHERE host = ?1 OR is_host = ?1", [host.as_bytes()])
    }

    fn volumes_of(&self, instance: Uuid) -> anyhow::Result<i64> {
        let sql = "SELECT size_mib FROM vdisk JOIN volume ON volume.uuid = vdisk.volume WHERE instance = ?";
        self.sum(sql, [instance.as_bytes()])
    }

    fn scan(&self) -> anyhow::Result<i64> {
        self.sum("SELECT mem FROM instance", [])
    }
}

impl Peer for Sqlite {
    const NAME: &'static str = "sqlite";

    fn create() -> anyhow::Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection })
    }

    fn add_instances(&mut self, members: &[Member]) -> anyhow::Result<()> {
        let tx = self.connection.transaction()?;
        members.iter().try_for_each(|member| insert_instance(&tx, &member.instance))?;
        Ok(tx.commit()?)
    }

    fn add_satellites(&mut self, members: &[Member]) -> anyhow::Result<()> {
        let tx = self.connection.transaction()?;
        members.iter().try_for_each(|member| insert_satellites(&tx, member))?;
        Ok(tx.commit()?)
    }

    fn read(&self, ask: &mut dyn FnMut(&dyn Reads) -> anyhow::Result<i64>) -> anyhow::Result<i64> {
        ask(self)
    }

    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64> {
        let sql = "UPDATE instance SET is_host = ? WHERE uuid = ? RETURNING is_attempts";
        self.sum(sql, [host.as_bytes(), instance.as_bytes()])
    }
}
