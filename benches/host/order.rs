//! How long an order takes, alone and among a hundred, from the API to the hypervisor's driver: HTTP, database, placement, ZeroMQ and agent are real,
//! the host is simulated, so that nothing of what libvirt itself takes is in it.

use super::cloud::{Client, Cloud, PATIENCE, start};
use pony_benches::{Report, Sense, median, percentile};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

const ORDERS: usize = 100;

/// The first ones find caches cold and are not counted.
const WARM_UP: usize = 5;

/// The rest between two orders: the machine is to be idle when the next one comes.
const REST: Duration = Duration::from_millis(50);

/// What an order takes on an idle machine, in milliseconds.
const ANSWER_TO_DRIVER_MS: f64 = 20.0;

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

async fn one_by_one(cloud: &mut Cloud, client: &Client, tenant: Uuid) -> anyhow::Result<Vec<Times>> {
    let mut times = Vec::new();
    for number in 0..WARM_UP + ORDERS {
        let one = order(cloud, client, tenant, number).await?;
        if number >= WARM_UP {
            times.push(one);
        }
        sleep(REST).await;
    }
    Ok(times)
}

/// All in one request. How long until it is answered, and until the driver was called for the last, in milliseconds.
async fn at_once(cloud: &mut Cloud, client: &Client, tenant: Uuid) -> anyhow::Result<(f64, f64)> {
    let sent = Instant::now();
    let instances = client.order_instances(tenant, ORDERS).await?;
    let answered = sent.elapsed();
    let last = timeout(PATIENCE, cloud.all_called(&instances)).await??;
    Ok((ms(answered), ms(last.saturating_duration_since(sent))))
}

fn tell(report: &mut Report, times: &[Times]) {
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
}

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    Runtime::new()?.block_on(async {
        let dir = tempfile::tempdir()?;
        let mut cloud = start(dir.path()).await?;
        let client = Client::new(&cloud.sparkle)?;
        let tenant = client.post("tenant", &json!({"name": "bench", "approved": true})).await?;
        let times = one_by_one(&mut cloud, &client, tenant).await?;
        let (answer, last) = at_once(&mut cloud, &client, tenant).await?;
        cloud.shutdown().await;
        tell(report, &times);
        report
            .figures("100 orders at once", [("to answer", answer), ("to the last call of the driver", last)]);
        Ok(())
    })
}
