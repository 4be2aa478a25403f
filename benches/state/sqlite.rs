//! SQLite in memory, with the same columns and indexes, its statements prepared once.

use crate::peer::Peer;
use pony_benches::workload::{Cloud, Instance};
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
    CREATE TABLE volume (uuid BLOB PRIMARY KEY, name TEXT, size_mib INT) WITHOUT ROWID;
    CREATE TABLE vdisk (
        instance BLOB, number INT, volume BLOB, PRIMARY KEY (instance, number)
    ) WITHOUT ROWID;
    CREATE INDEX vdisk_volume ON vdisk(volume);
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
        desired.name,
        desired.state.as_str(),
        desired.vcpu,
        desired.rcpu,
        desired.mem,
        desired.ns.map(|ns| ns.to_string()),
        desired.cpu_profile.as_ref().map(Uuid::as_bytes),
        desired.boot,
        desired.user_data,
        desired.priority,
        current.status.as_str(),
        current.host.as_bytes(),
        current.error,
        current.attempts,
        current.next_retry,
        current.console,
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

impl Peer for Sqlite {
    fn load(cloud: &Cloud) -> anyhow::Result<Self> {
        let mut connection = Connection::open_in_memory()?;
        connection.execute_batch(SCHEMA)?;
        let tx = connection.transaction()?;
        for row in &cloud.instances {
            insert_instance(&tx, row)?;
        }
        for row in &cloud.volumes {
            let Some(desired) = &row.desired else { continue };
            let mut insert = tx.prepare_cached("INSERT INTO volume VALUES (?, ?, ?)")?;
            insert.execute(params![row.uuid.as_bytes(), desired.name, desired.size_mib])?;
        }
        for row in &cloud.vdisks {
            let volume = row.desired.as_ref().map(|desired| desired.volume.as_bytes());
            let mut insert = tx.prepare_cached("INSERT INTO vdisk VALUES (?, ?, ?)")?;
            insert.execute(params![row.instance.as_bytes(), row.index, volume])?;
        }
        tx.commit()?;
        Ok(Self { connection })
    }

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

    fn update(&mut self, instance: Uuid, host: Uuid) -> anyhow::Result<i64> {
        let sql = "UPDATE instance SET is_host = ? WHERE uuid = ? RETURNING is_attempts";
        self.sum(sql, [host.as_bytes(), instance.as_bytes()])
    }

    fn scan(&self) -> anyhow::Result<i64> {
        self.sum("SELECT mem FROM instance", [])
    }
}
