//! GET of an entity, beside a bare axum handler that answers with the same bytes.

use crate::client::Client;
use crate::cloud::Cloud;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use pony_benches::{Report, Sense, median};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Clients at the same time: enough to keep the server busy.
const CLIENTS: usize = 16;
/// How long each peer is asked in one run.
const RUN: Duration = Duration::from_millis(1500);
const RUNS: usize = 7;

pub(crate) async fn measure(report: &mut Report, cloud: &Cloud, server: &Handle) -> anyhow::Result<()> {
    let path = format!("/v1/tenant/{}/instance/{}", cloud.tenant, cloud.instances[0]);
    let body = Client::connect(cloud.sparkle.api(), &cloud.auth).await?.send("GET", &path, "").await?;
    let (bare, body) = (bare(server, &path, body.clone()).await?, body);
    let mut us = [Vec::new(), Vec::new()];
    for run in 0..=RUNS {
        for (peer, address) in [cloud.sparkle.api(), bare].into_iter().enumerate() {
            let took = ask(address, &cloud.auth, &path, &body).await?;
            if run > 0 {
                us[peer].push(took);
            }
        }
    }
    let [sparkle, axum] = us.map(|us| median(&us));
    let name = "GET of an entity, 16 clients";
    report.figures(name, [("sparkle", sparkle), ("axum", axum)]);
    report.target("GET of an entity: speed against a bare axum handler", axum / sparkle, 0.5, Sense::Min);
    Ok(())
}

/// A server that does nothing but answer with these bytes.
async fn bare(server: &Handle, path: &str, body: Vec<u8>) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?.into_std()?;
    let address = listener.local_addr()?;
    let body = axum::body::Bytes::from(body);
    let answer = move || {
        let body = body.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], body) }
    };
    let router = Router::new().route(path, get(answer));
    server.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, router).await
    });
    Ok(address)
}

/// Asks for a while. Microseconds for each answer.
async fn ask(address: SocketAddr, auth: &str, path: &str, expected: &[u8]) -> anyhow::Result<f64> {
    let mut tasks = tokio::task::JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CLIENTS {
        let (auth, path, expected) = (auth.to_owned(), path.to_owned(), expected.to_vec());
        tasks.spawn(async move {
            let mut client = Client::connect(address, &auth).await?;
            let mut answers = 0_u32;
            while begun.elapsed() < RUN {
                anyhow::ensure!(client.send("GET", &path, "").await? == expected, "other bytes");
                answers += 1;
            }
            Ok(answers)
        });
    }
    let answers: u32 = tasks.join_all().await.into_iter().sum::<anyhow::Result<u32>>()?;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(answers))
}
