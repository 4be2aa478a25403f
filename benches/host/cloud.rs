//! A cloud of one simulated host, and a client of its API.

use super::recorder::{Call, Recorder};
use anyhow::Context;
use pony_core::tables::Host;
use pony_host::{SimHost, SimOptions};
use pony_state::Read;
use serde_json::{Value as Json, json};
use sparkle::Sparkle;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use twilight::{Drivers, Twilight};
use uuid::Uuid;

/// Between two looks at what came of something.
const REST: Duration = Duration::from_millis(50);

/// Beyond this something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Calls of the driver that may wait: a few for each of the instances that are ordered at once.
const CALLS_MAX: usize = 4_096;

/// A cloud of one host.
pub(crate) struct Cloud {
    pub(crate) sparkle: Sparkle,
    twilight: Twilight,
    calls: mpsc::Receiver<Call>,
}

/// A Sparkle that takes in every host.
pub(crate) async fn start_sparkle(dir: &Path) -> anyhow::Result<Sparkle> {
    let config = sparkle::Config {
        dir: dir.join("sparkle"),
        listen: "127.0.0.1:0".parse()?,
        zmq: "127.0.0.1:0".parse()?,
        enroll: true,
        database: sparkle::DatabaseArgs::default(),
        http: sparkle::HttpArgs::default(),
    };
    Sparkle::start(config).await
}

/// Until the host talks.
pub(crate) async fn await_host(sparkle: &Sparkle, host: Uuid) -> anyhow::Result<()> {
    let is_there = || {
        let snapshot = sparkle.state().snapshot();
        snapshot.get::<Host>(&host).is_some_and(|row| row.desired.is_some() && row.current.is_some())
    };
    let looking = async {
        while !is_there() {
            sleep(REST).await;
        }
    };
    timeout(PATIENCE, looking).await.context("the host did not show up")
}

pub(crate) async fn start(dir: &Path) -> anyhow::Result<Cloud> {
    let sparkle = start_sparkle(dir).await?;
    let (record, calls) = mpsc::channel(CALLS_MAX);
    let host = SimHost::new(SimOptions::numbered(1, 1));
    let uuid = host.uuid();
    let hypervisor = Arc::new(Recorder { host: host.clone(), calls: record });
    let config = twilight::Config {
        dir: dir.join("twilight"),
        host: uuid,
        sparkle: sparkle.zmq().into(),
        sparkle_key: sparkle.key(),
        stop_grace: Duration::from_secs(1),
        prove: twilight::PROVE,
        measuring: twilight::Measuring::default(),
    };
    let twilight = Twilight::start(&config, Drivers { hypervisor, ..Drivers::all(Arc::new(host)) })?;
    await_host(&sparkle, uuid).await?;
    Ok(Cloud { sparkle, twilight, calls })
}

impl Cloud {
    pub(crate) async fn shutdown(self) {
        self.twilight.shutdown().await;
        self.sparkle.shutdown().await;
    }

    /// When the driver was called for an instance.
    pub(crate) async fn called(&mut self, instance: Uuid) -> anyhow::Result<Instant> {
        loop {
            let call = timeout(PATIENCE, self.calls.recv()).await.context("the driver was not called")?;
            let (called, at) = call.context("the agent has ended")?;
            if called == instance {
                return Ok(at);
            }
        }
    }
}

impl Cloud {
    /// When the driver was called for the last of these.
    pub(crate) async fn all_called(&mut self, instances: &[Uuid]) -> anyhow::Result<Instant> {
        let mut open: HashSet<Uuid> = instances.iter().copied().collect();
        loop {
            let (called, at) = self.calls.recv().await.context("the agent has ended")?;
            open.remove(&called);
            if open.is_empty() {
                return Ok(at);
            }
        }
    }
}

/// A client of the API, whose connection stays open.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    email: String,
    password: String,
}

impl Client {
    pub(crate) fn new(sparkle: &Sparkle) -> anyhow::Result<Self> {
        let credentials = std::fs::read_to_string(sparkle.credentials())?;
        let (email, password) =
            credentials.trim().split_once(':').context("credentials are email:password")?;
        // It is asked for even where nothing is encrypted; somebody else in this process may have been faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let url = format!("http://{}/v1", sparkle.api());
        Ok(Self { http, url, email: email.to_owned(), password: password.to_owned() })
    }

    pub(crate) async fn post(&self, collection: &str, desired: &Json) -> anyhow::Result<Uuid> {
        let request =
            self.http.post(format!("{}/{collection}/", self.url)).json(&json!({ "desired": desired }));
        let answer = self.send(request).await?;
        Ok(answer["uuids"]["POST"].as_str().context("the answer names no uuid")?.parse()?)
    }

    /// Orders this many instances of a tenant in one request; says which.
    pub(crate) async fn order_instances(&self, tenant: Uuid, count: usize) -> anyhow::Result<Vec<Uuid>> {
        let name = |number: usize| format!("together-{number}");
        let add = |number| {
            let desired =
                json!({"name": name(number), "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 16});
            let path = format!("/tenant/{tenant}/children/instance/${}", name(number));
            json!({"op": "add", "path": path, "value": {"desired": desired}})
        };
        let patch = serde_json::to_vec(&(0..count).map(add).collect::<Vec<_>>())?;
        let request =
            self.http.patch(&self.url).header("content-type", "application/json-patch+json").body(patch);
        let answer = self.send(request).await?;
        let uuid = |number| answer["uuids"][format!("${}", name(number))].as_str()?.parse().ok();
        (0..count)
            .map(uuid)
            .collect::<Option<_>>()
            .with_context(|| format!("the answer names not all: {answer}"))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Json> {
        let response = request.basic_auth(&self.email, Some(&self.password)).send().await?;
        let (status, answer) = (response.status(), response.text().await?);
        anyhow::ensure!(status.is_success(), "{status}: {answer}");
        Ok(serde_json::from_str(&answer)?)
    }
}
