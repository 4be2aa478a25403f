//! How long an order takes from the API to the hypervisor's driver: HTTP, database, placement, ZeroMQ and agent are real,
//! the host is simulated, so that nothing of what libvirt itself takes is in it.

mod recorder;

use anyhow::Context;
use pony_benches::{Report, Sense, median, percentile};
use pony_core::tables::Host;
use pony_host::{SimHost, SimOptions};
use pony_state::Read;
use recorder::{Call, Recorder};
use serde_json::{Value as Json, json};
use sparkle::Sparkle;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use twilight::{Drivers, Twilight};
use uuid::Uuid;

const ORDERS: usize = 100;

/// The first ones find caches cold and are not counted.
const WARM_UP: usize = 5;

/// The rest between two orders: the machine is to be idle when the next one comes.
const REST: Duration = Duration::from_millis(50);

/// Beyond this something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls of the driver that may wait: some for each order.
const CALLS_MAX: usize = 16;

/// What an order takes on an idle machine, in milliseconds.
const ANSWER_TO_DRIVER_MS: f64 = 20.0;

/// A cloud of one host.
struct Cloud {
    sparkle: Sparkle,
    twilight: Twilight,
    host: Uuid,
    calls: mpsc::Receiver<Call>,
}

async fn start(dir: &Path) -> anyhow::Result<Cloud> {
    let config = sparkle::Config {
        dir: dir.join("sparkle"),
        listen: "127.0.0.1:0".parse()?,
        zmq: "127.0.0.1:0".parse()?,
        enroll: true,
        database: sparkle::DatabaseArgs::default(),
        http: sparkle::HttpArgs::default(),
    };
    let sparkle = Sparkle::start(config).await?;
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
    };
    let twilight = Twilight::start(&config, Drivers { hypervisor, ..Drivers::all(Arc::new(host)) })?;
    let cloud = Cloud { sparkle, twilight, host: uuid, calls };
    timeout(PATIENCE, cloud.host_is_there()).await.context("the host did not show up")?;
    Ok(cloud)
}

impl Cloud {
    async fn host_is_there(&self) {
        let is_there = || {
            let snapshot = self.sparkle.state().snapshot();
            snapshot.get::<Host>(&self.host).is_some_and(|row| row.desired.is_some() && row.current.is_some())
        };
        while !is_there() {
            sleep(REST).await;
        }
    }

    /// When the driver was called for an instance.
    async fn called(&mut self, instance: Uuid) -> anyhow::Result<Instant> {
        loop {
            let call = timeout(PATIENCE, self.calls.recv()).await.context("the driver was not called")?;
            let (called, at) = call.context("the agent has ended")?;
            if called == instance {
                return Ok(at);
            }
        }
    }
}

/// A client of the API, whose connection stays open.
struct Client {
    http: reqwest::Client,
    url: String,
    email: String,
    password: String,
}

impl Client {
    fn new(sparkle: &Sparkle) -> anyhow::Result<Self> {
        let credentials = std::fs::read_to_string(sparkle.credentials())?;
        let (email, password) =
            credentials.trim().split_once(':').context("credentials are email:password")?;
        // It is asked for even where nothing is encrypted; somebody else in this process may have been faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let url = format!("http://{}/v1", sparkle.api());
        Ok(Self { http, url, email: email.to_owned(), password: password.to_owned() })
    }

    async fn post(&self, collection: &str, desired: &Json) -> anyhow::Result<Uuid> {
        let request = self.http.post(format!("{}/{collection}/", self.url));
        let request =
            request.basic_auth(&self.email, Some(&self.password)).json(&json!({ "desired": desired }));
        let response = request.send().await?;
        let (status, answer) = (response.status(), response.text().await?);
        anyhow::ensure!(status.is_success(), "POST {collection}: {status}: {answer}");
        let answer: Json = serde_json::from_str(&answer)?;
        Ok(answer["uuids"]["POST"].as_str().context("the answer names no uuid")?.parse()?)
    }
}

/// The times of one order, in milliseconds.
struct Times {
    to_answer: f64,
    to_driver: f64,
    /// 0 where the driver was faster than the answer.
    answer_to_driver: f64,
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

async fn order(cloud: &mut Cloud, client: &Client, tenant: Uuid, number: usize) -> anyhow::Result<Times> {
    let name = format!("instance-{number}");
    let desired = json!({"name": name, "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 16});
    let sent = Instant::now();
    let instance = client.post(&format!("tenant/{tenant}/instance"), &desired).await?;
    let answered = Instant::now();
    let called = cloud.called(instance).await?;
    Ok(Times {
        to_answer: ms(answered - sent),
        to_driver: ms(called - sent),
        answer_to_driver: ms(called.saturating_duration_since(answered)),
    })
}

async fn measure(cloud: &mut Cloud) -> anyhow::Result<Vec<Times>> {
    let client = Client::new(&cloud.sparkle)?;
    let tenant = client.post("tenant", &json!({"name": "bench"})).await?;
    let mut times = Vec::new();
    for number in 0..WARM_UP + ORDERS {
        let one = order(cloud, &client, tenant, number).await?;
        if number >= WARM_UP {
            times.push(one);
        }
        sleep(REST).await;
    }
    Ok(times)
}

fn report(times: &[Times]) -> Report {
    let mut report = Report::new("order", "ms");
    let mut figure = |name, figure: fn(&Times) -> f64| {
        let all: Vec<f64> = times.iter().map(figure).collect();
        report.figures(name, [("median", median(&all)), ("p95", percentile(&all, 95))]);
    };
    figure("request to answer", |times| times.to_answer);
    figure("request to driver", |times| times.to_driver);
    figure("answer to driver", |times| times.answer_to_driver);
    for percentile in ["median", "p95"] {
        let value = report.figure("answer to driver", percentile).unwrap_or(f64::INFINITY);
        report.target(format!("answer to driver, {percentile}, ms"), value, ANSWER_TO_DRIVER_MS, Sense::Max);
    }
    report
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut cloud = start(dir.path()).await?;
    let times = measure(&mut cloud).await;
    cloud.twilight.shutdown().await;
    cloud.sparkle.shutdown().await;
    Ok(report(&times?).finish()?)
}
