//! A Sparkle with one tenant that has many instances.

use crate::client::Client;
use base64::Engine;
use pony_benches::Rng;
use pony_core::tables::Metering;
use pony_state::Read;
use serde_json::{Value as Json, json};
use sparkle::{Config, DatabaseArgs, HttpArgs, Sparkle};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Instances of the tenant; half of them are ordered to run.
pub(crate) const INSTANCES: usize = 50_000;
/// Instances that are ordered in one request.
const AT_ONCE: usize = 5_000;
const SEED: u64 = 7;
/// How long the controller may take for what follows from the orders.
const REST_MAX: Duration = Duration::from_secs(300);

pub(crate) struct Cloud {
    pub(crate) sparkle: Sparkle,
    pub(crate) auth: String,
    pub(crate) tenant: String,
    pub(crate) instances: Vec<Uuid>,
    _dir: tempfile::TempDir,
}

impl Cloud {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = Config {
            dir: dir.path().join("state"),
            listen: "127.0.0.1:0".parse()?,
            zmq: "127.0.0.1:0".parse()?,
            enroll: false,
            database: DatabaseArgs::default(),
            http: HttpArgs::default(),
        };
        let sparkle = Sparkle::start(config).await?;
        let credentials = std::fs::read_to_string(sparkle.credentials())?;
        let auth = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(credentials.trim()));
        let mut client = Client::connect(sparkle.api(), &auth).await?;
        let tenant = json!({"desired": {"name": "bench", "approved": true}});
        let made = client.send("POST", "/v1/tenant/", &tenant.to_string()).await?;
        let made: Json = serde_json::from_slice(&made)?;
        let tenant = made["uuids"]["POST"].as_str().unwrap_or_default().to_owned();
        let mut rng = Rng::new(SEED);
        let mut instances = Vec::with_capacity(INSTANCES);
        for first in (0..INSTANCES).step_by(AT_ONCE) {
            let order = order(first, &mut rng);
            let made = client.send("PATCH", &format!("/v1/tenant/{tenant}"), &order.to_string()).await?;
            let made: Json = serde_json::from_slice(&made)?;
            let uuids = made["uuids"].as_object().into_iter().flat_map(|uuids| uuids.values());
            instances.extend(uuids.filter_map(|uuid| uuid.as_str()?.parse::<Uuid>().ok()));
        }
        anyhow::ensure!(instances.len() == INSTANCES, "{} instances were made", instances.len());
        rest(&sparkle).await?;
        Ok(Self { sparkle, auth, tenant, instances, _dir: dir })
    }

    pub(crate) async fn stop(self) {
        self.sparkle.shutdown().await;
    }
}

/// Waits until the controller has written what follows from the orders: that they are metered.
async fn rest(sparkle: &Sparkle) -> anyhow::Result<()> {
    let metered = || sparkle.state().snapshot().table::<Metering>().len();
    let begun = Instant::now();
    let mut before = 0;
    while before < INSTANCES || before != metered() {
        before = metered();
        anyhow::ensure!(begun.elapsed() < REST_MAX, "{before} rows of metering, and still more");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Ok(())
}

/// Some instances as one operation of a patch.
fn order(first: usize, rng: &mut Rng) -> Json {
    let instance = |number: usize| {
        let state = if number.is_multiple_of(2) { "running" } else { "stopped" };
        let (vcpu, mem) = (1 + rng.below(8), 64 << rng.below(6));
        let desired =
            json!({"name": format!("i{number}"), "state": state, "vcpu": vcpu, "rcpu": 1, "mem": mem});
        (format!("$i{number}"), json!({"desired": desired}))
    };
    let instances: serde_json::Map<String, Json> = (first..first + AT_ONCE).map(instance).collect();
    json!([{"op": "x-merge", "path": "", "value": {"children": {"instance": instances}}}])
}
