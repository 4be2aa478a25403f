//! Loading everything into typed rows, against draining the same binary COPY to nothing.

use crate::config;
use anyhow::{Context, ensure};
use futures::TryStreamExt;
use pony_benches::{Report, Sense, median};
use pony_core::controller::Controller;
use pony_state::sync::Now;
use pony_state::{Read, Snapshot};
use pony_store::PostgresStore;
use pony_store::conformance::Cluster;
use std::pin::pin;
use std::time::Instant;
use uuid::Uuid;

/// Runs of each, in turn.
const RUNS: usize = 5;

/// Fills the database: of seven rows one is an instance, two are volumes, two are disks, two are cards.
pub(crate) fn fill(cluster: &Cluster, database: &str, rows: usize) -> anyhow::Result<()> {
    let instances = rows / 7;
    let uuid = |table: u32, number: &str| {
        format!("('{table:08x}-0000-4000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid")
    };
    let sql = format!(
        "SET session_replication_role = replica;
         INSERT INTO tenant SELECT {tenant}, 'tenant-' || n, true FROM generate_series(0, 999) AS n;
         INSERT INTO storage_pool (uuid, type, name, host) VALUES ({pool}, 'dir', 'pool', NULL);
         INSERT INTO switch (uuid, name, tenant, type) SELECT {switch}, 'net', {tenant}, 'vxlan' FROM generate_series(0, 999) AS n;
         INSERT INTO instance (uuid, tenant, name, state, vcpu, rcpu, mem, ns) SELECT {instance}, {owner}, 'instance-' || n, 'running', 2, 0.5, 2048, ARRAY['10.0.0.1'::inet] FROM generate_series(0, {instances} - 1) AS n;
         INSERT INTO volume (uuid, name, size, storage_pool, tenant) SELECT {volume}, 'volume-' || n, 8192, {pool}, {volume_owner} FROM generate_series(0, {instances} * 2 - 1) AS n;
         INSERT INTO vdisk (uuid, instance, volume, index) SELECT {vdisk}, {half}, {volume}, n % 2 FROM generate_series(0, {instances} * 2 - 1) AS n;
         INSERT INTO vnic (uuid, instance, switch, macaddr, index) SELECT {vnic}, {half}, {vnic_switch}, ('52:54:00:00:00:00'::macaddr8::macaddr), n % 2 FROM generate_series(0, {instances} * 2 - 1) AS n;
         ANALYZE",
        tenant = uuid(1, "n"),
        pool = uuid(2, "1"),
        switch = uuid(3, "n"),
        instance = uuid(4, "n"),
        owner = uuid(1, "n % 1000"),
        volume = uuid(5, "n"),
        volume_owner = uuid(1, "n % 1000"),
        vdisk = uuid(6, "n"),
        vnic = uuid(7, "n"),
        half = uuid(4, "n / 2"),
        vnic_switch = uuid(3, "n % 1000"),
    );
    let sql = sql.replace("('52:54:00:00:00:00'::macaddr8::macaddr)", "'52:54:00:00:00:01'");
    cluster.psql(database, &sql).map(|_| ()).map_err(anyhow::Error::msg)
}

/// Everything into a controller's rows, as the daemon reads it.
async fn load(store: &PostgresStore) -> anyhow::Result<Controller> {
    let mut controller = Controller::new(Uuid::from_u128(1), 1)?;
    sparkle::load(store, &mut controller).await?;
    Ok(controller)
}

/// The same rows, thrown away as they come.
async fn drain(client: &tokio_postgres::Client, state: &Snapshot) -> anyhow::Result<usize> {
    let mut bytes = 0;
    for table in state.view().tables().filter(|table| table.iter().next().is_some()) {
        let schema = table.def().schema();
        let columns = schema.key.iter().chain(&schema.desired);
        let columns: Vec<String> = columns.map(|column| format!("\"{}\"", column.name)).collect();
        let sql = format!("COPY \"{}\" ({}) TO STDOUT (FORMAT binary)", schema.name, columns.join(", "));
        let mut stream = pin!(client.copy_out(&sql).await?);
        while let Some(piece) = stream.try_next().await? {
            bytes += piece.len();
        }
    }
    Ok(bytes)
}

pub(crate) async fn measure(
    report: &mut Report,
    cluster: &Cluster,
    database: &str,
    rows: usize,
) -> anyhow::Result<()> {
    let store = PostgresStore::open(&config(&cluster.address(database))?).await?;
    let (client, connection) =
        tokio_postgres::connect(&cluster.address(database), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    // First, while the heap is small: what is resident on the way to what stays.
    let before = resident_kib("VmRSS")?;
    std::fs::write("/proc/self/clear_refs", "5").context("resetting the peak of resident memory")?;
    let state = load(&store).await?.snapshot();
    let (peak, after) = (resident_kib("VmHWM")?, resident_kib("VmRSS")?);
    let held: usize = state.view().tables().map(|table| table.iter().count()).sum();
    ensure!(held + 7 >= rows, "{held} rows of {rows} were loaded");
    let memory = (peak - before) / (after - before).max(1.0);
    let (mut drains, mut loads, mut decides) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let start = Instant::now();
        ensure!(drain(&client, &state).await? > 0, "nothing was drained");
        let drained = start.elapsed();
        let start = Instant::now();
        let mut again = load(&store).await?;
        let loaded = start.elapsed();
        let start = Instant::now();
        again.loaded(Now { ms: 0, unix_s: 0 });
        let decided = start.elapsed();
        drop(again);
        if run > 0 {
            drains.push(drained.as_secs_f64() * 1e3);
            loads.push(loaded.as_secs_f64() * 1e3);
            decides.push(decided.as_secs_f64() * 1e3);
        }
    }
    let (drained, loaded) = (median(&drains), median(&loads));
    report.figures("load everything", [("pony", loaded), ("COPY", drained)]);
    report.figures("then decide on it (no host is there)", [("pony", median(&decides))]);
    let ratios: Vec<f64> = loads.iter().zip(&drains).map(|(load, drain)| load / drain).collect();
    report.target(format!("load of {held} rows: time against COPY"), median(&ratios), 1.5, Sense::Max);
    report.target("load: resident memory against what stays", memory, 1.2, Sense::Max);
    Ok(())
}

/// A figure of this process's memory.
fn resident_kib(name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name)).context("no such figure")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}
