//! `pony dev`: Sparkle and Twilight in one process, with what a first order needs: the host taken in, and a pool.

use super::give;
use crate::cli::{Cli, DevArgs};
use crate::client::Client;
use crate::credentials::Credentials;
use crate::session::{Session, note, say};
use anyhow::Context;
use clap::Parser;
use pony_core::tables::{HostStoragePool, PoolStatus, StoragePool};
use pony_host::{SimFabric, SimHost, SimOptions, SimStore};
use pony_state::{Read, SharedState};
use serde_json::{Value as Json, json};
use sparkle::Sparkle;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use twilight::{Drivers, Twilight};
use uuid::Uuid;

/// How long a first start may take until its hosts are part of the cloud.
const ENROLL_MAX: Duration = Duration::from_secs(60);
/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A host of the all-in-one.
struct DevHost {
    uuid: Uuid,
    twilight: Twilight,
}

pub(super) async fn run(args: DevArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("PONY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    anyhow::ensure!(
        args.sparkle.http.tls_cert.is_none(),
        "`pony dev` speaks to its own Sparkle in plain HTTP on loopback; for HTTPS start `sparkle` and `twilight`"
    );
    let mut sparkle = Sparkle::start(sparkle::Config { enroll: true, ..args.sparkle.clone() }).await?;
    let file = sparkle.credentials();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let credentials: Credentials = text.trim().parse().with_context(|| file.display().to_string())?;
    let url = format!("http://{}", sparkle.api());
    let session = Session::open(Client::new(&url, Some(credentials))?).await?;
    let hosts = start_hosts(&args, &sparkle, &session).await?;
    for host in &hosts {
        await_pool(sparkle.state(), host.uuid).await?;
    }
    greet(&args, &sparkle, &url, hosts.len())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let demo = async {
        if let Some(image) = &args.demo
            && let Err(error) = demonstrate(&session, image).await
        {
            note(&format!("the demo: {error:#}"));
        }
        std::future::pending::<()>().await;
    };
    let asked = tokio::select! {
        _ = terminate.recv() => true,
        _ = tokio::signal::ctrl_c() => true,
        () = sparkle.stopped() => false,
        () = demo => true,
    };
    say("stopping; guests go on, and are found again at the next start\n")?;
    for host in hosts {
        host.twilight.shutdown().await;
    }
    sparkle.shutdown().await;
    anyhow::ensure!(asked, "Sparkle stopped by itself; PONY_LOG=info says why");
    Ok(())
}

async fn start_hosts(args: &DevArgs, sparkle: &Sparkle, session: &Session) -> anyhow::Result<Vec<DevHost>> {
    let dir = std::path::absolute(&args.sparkle.dir)?;
    let config = |dir: PathBuf, host: Uuid| twilight::Config {
        stop_grace: Duration::from_secs(args.stop_grace),
        ..twilight::Config::new(dir, host, sparkle.zmq().into(), sparkle.key())
    };
    let Some(count) = args.sim else {
        let (uuid, twilight_dir, pool_path) = (args.host.uuid()?, dir.join("twilight"), make_pool_dir(&dir)?);
        // Before the probe: the API answers already, and what is ordered meanwhile has where to be.
        order_host(session, sparkle.state(), uuid, "local", &pool_path).await?;
        // Where KVM is there but starts no guest, the probe gives it 15 s: nobody should wonder.
        note("looking by a probe guest whether guests run under KVM here; this may take a minute");
        let drivers = args.host.drivers(&twilight_dir, &sparkle.zmq().into()).await?;
        let twilight = Twilight::start(&config(twilight_dir, uuid), drivers)?;
        return Ok(vec![DevHost { uuid, twilight }]);
    };
    let (mut hosts, store, fabric) = (Vec::new(), SimStore::default(), SimFabric::default());
    for number in 1..=count {
        let options = SimOptions { store: store.clone(), ..SimOptions::numbered(args.sim_seed, number) };
        let (uuid, name) = (options.uuid, options.hostname.clone());
        order_host(session, sparkle.state(), uuid, &name, &Path::new("/sim").join(&name)).await?;
        let host = SimHost::new(options);
        host.join(&fabric);
        let drivers = Drivers::all(Arc::new(host));
        let twilight = Twilight::start(&config(dir.join("sim").join(&name), uuid), drivers)?;
        hosts.push(DevHost { uuid, twilight });
    }
    Ok(hosts)
}

/// The emulator is another user, who has to get through `dir` to the volumes; what else lies in there is closed to
/// it by modes of its own.
fn make_pool_dir(dir: &Path) -> anyhow::Result<PathBuf> {
    let pool = dir.join("pool");
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&pool)
        .and_then(|()| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711)));
    made.with_context(|| format!("making the pool directory {}", pool.display()))?;
    let is_closed = |it: &&Path| std::fs::metadata(it).is_ok_and(|it| it.permissions().mode() & 0o001 == 0);
    if let Some(closed) = dir.ancestors().find(is_closed) {
        let (closed, dir) = (closed.display(), dir.display());
        note(&format!(
            "the emulator, another user, may not get through {closed} to {dir}: choose another --dir"
        ));
    }
    Ok(pool)
}

/// Orders the host (which is taken in by the first key that it shows), and a pool for it if it has none.
async fn order_host(
    session: &Session,
    state: &SharedState,
    host: Uuid,
    pool_name: &str,
    pool_path: &Path,
) -> anyhow::Result<()> {
    let merge =
        |path: String, desired: Json| json!({"op": "x-merge", "path": path, "value": {"desired": desired}});
    let mut operations = vec![merge(format!("/host/{host}"), json!({}))];
    let has_pool =
        state.snapshot().table::<StoragePool>().find("host", host).any(|row| row.desired.is_some());
    if !has_pool {
        let desired = json!({"name": pool_name, "type": "dir", "host": host, "config": {"path": pool_path}});
        operations.push(merge("/storage-pool/$pool".to_owned(), desired));
    }
    session.client.patch(&operations).await?;
    Ok(())
}

/// Waits until the host is there and its pool can be used.
async fn await_pool(state: &SharedState, host: Uuid) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + ENROLL_MAX;
    let is_there = || {
        let row = state.snapshot();
        row.get::<pony_core::tables::Host>(&host).is_some_and(|row| row.current.is_some())
    };
    while !is_there() {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "host {host} did not show up");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let is_ready = || {
        let ready =
            |row: &HostStoragePool| row.current.as_ref().is_some_and(|it| it.status == PoolStatus::Ready);
        state.snapshot().table::<HostStoragePool>().find("host", host).any(ready)
    };
    // Not being ready is no reason not to start: `pony get host-storage-pool` says why.
    while !is_ready() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// How this program was called: the user's shell may not find it by its name.
fn me() -> String {
    std::env::args().next().unwrap_or_else(|| "pony".to_owned())
}

fn greet(args: &DevArgs, sparkle: &Sparkle, url: &str, hosts: usize) -> anyhow::Result<()> {
    let file = std::path::absolute(sparkle.credentials())?;
    // Each simulated host has a pool of its own.
    let (what, pool) = if args.sim.is_some() {
        (format!("{hosts} simulated hosts"), " --pool sim-1")
    } else {
        ("this machine as its host".to_owned(), "")
    };
    // Whoever came by sudo may not read the file without it.
    let cat = if std::env::var_os("SUDO_UID").is_some() { "sudo cat" } else { "cat" };
    say(&format!(
        "A cloud with {what} is at {url}\n\
         The operator's email:password is in {file}\n\n\
         Try, in another terminal:\n  \
         export PONY_URL={url} PONY_AUTH=$({cat} {file})\n  \
         {me} get host\n  \
         {me} volume add disk --size 64{pool}\n  \
         {me} instance create first --volume disk --mem 128 --wait\n\n\
         Ctrl-C stops the cloud; what runs goes on, and is found again at the next start.\n",
        file = file.display(),
        me = me(),
    ))?;
    Ok(())
}

async fn demonstrate(session: &Session, image: &str) -> anyhow::Result<()> {
    let uri = if image.contains(':') {
        image.to_owned()
    } else {
        let path = std::fs::canonicalize(image).with_context(|| format!("the demo image {image}"))?;
        let uri = reqwest::Url::from_file_path(&path).ok();
        uri.with_context(|| format!("{} cannot be written as an address", path.display()))?.to_string()
    };
    let orders: [&[&str]; 3] = [
        &["image", "add", "demo", &uri, "--wait"],
        &["instance", "create", "demo", "--image", "demo", "--mem", "128", "--wait"],
        &["get", "instance"],
    ];
    let known = session.browser().rows(session.browser().catalog().find("instance")?).await?;
    let orders = if known.iter().any(|row| row.row.desired_text("name") == Some("demo")) {
        &orders[2..]
    } else {
        &orders[..]
    };
    for order in orders {
        say(&format!("\n$ pony {}\n", order.join(" ")))?;
        let cli = Cli::try_parse_from(std::iter::once(&"pony").chain(order.iter()))?;
        give(session, cli.command).await?;
    }
    say(&format!("\nIts serial console: {} instance console demo (Ctrl-] leaves)\n", me()))?;
    Ok(())
}
