//! `kill -9` at any moment: no guest stops, nothing happens twice, nothing acknowledged is lost, all converges.

use crate::cloud::{Cloud, Order, merge};
use crate::daemon::Daemon;
use crate::{BOOT, SOON, images, skip};
use serde_json::json;
use std::time::Duration;

/// When the kill comes after an order, ms: during the commit, the download, the copy, the definition, the start.
const MOMENTS_MS: [u64; 6] = [0, 30, 150, 500, 1300, 2200];

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Sparkle,
    Twilight,
    Both,
}

impl Victim {
    /// All of them in turn.
    fn of(n: usize) -> Self {
        [Self::Twilight, Self::Both, Self::Sparkle][n % 3]
    }

    async fn dies_and_comes_back(self, cloud: &mut Cloud, after_ms: u64) {
        println!("{self:?} is killed after {after_ms} ms");
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        if matches!(self, Self::Twilight | Self::Both) {
            cloud.kill_twilight();
        }
        if matches!(self, Self::Sparkle | Self::Both) {
            cloud.sparkle.kill();
            cloud.start_sparkle().await;
        }
        if matches!(self, Self::Twilight | Self::Both) {
            cloud.start_twilight();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_moment_does_nothing_twice_and_loses_nothing() {
    let Some(guest) = skip::guest("a_kill_at_any_moment_does_nothing_twice_and_loses_nothing") else {
        return;
    };
    let images = images::serve(guest).await;
    let mut cloud = Cloud::start().await;
    for (n, moment_ms) in MOMENTS_MS.into_iter().enumerate() {
        let order = Order::new(&cloud, &format!("order {n}"), &images.url("slow.raw")).await;
        Victim::of(n).dies_and_comes_back(&mut cloud, moment_ms).await;
        order.wait_for(&cloud, "running", BOOT).await;
        let qemu = cloud.qemu_pid(order.instance);
        Victim::of(n + 1).dies_and_comes_back(&mut cloud, 0).await;
        order.wait_for(&cloud, "running", SOON).await;
        assert_eq!(cloud.qemu_pid(order.instance), qemu, "the guest runs on");
        assert_eq!(cloud.starts(order.instance), 1, "it was started once");

        order.set(&cloud, "stopped").await;
        Victim::of(n).dies_and_comes_back(&mut cloud, moment_ms).await;
        order.wait_for(&cloud, "stopped", SOON).await;
        assert_eq!(cloud.starts(order.instance), 1, "nothing started it again");

        order.delete(&cloud).await;
        Victim::of(n).dies_and_comes_back(&mut cloud, moment_ms / 10).await;
        order.wait_until_gone(&cloud, SOON).await;
    }
}

/// Sparkle dies while it commits: what it acknowledged is there afterwards, and nothing is there by halves.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_whole_or_not_at_all() {
    const PARTS: usize = 40;
    let Some(_) = skip::guest("a_commit_is_whole_or_not_at_all") else { return };
    let mut cloud = Cloud::start().await;
    let mut acknowledged = 0;
    for n in 0..10 {
        let name = format!("tenant {n}");
        let switch = |k| {
            merge(
                &format!("/tenant/$t/children/switch/$s{k}"),
                &json!({"name": format!("s{k}"), "type": "bridge"}),
            )
        };
        let mut operations = vec![merge("/tenant/$t", &json!({"name": name, "approved": true}))];
        operations.extend((0..PARTS).map(switch));
        let mut sparkle = std::mem::replace(&mut cloud.sparkle, Daemon::none());
        let kill = async {
            tokio::time::sleep(Duration::from_millis(3 * n)).await;
            sparkle.kill();
        };
        let (answer, ()) = tokio::join!(cloud.try_patch(&operations), kill);
        cloud.start_sparkle().await;
        let tenants = cloud.list(&["tenant"]).await;
        let tenant = tenants.iter().find(|(_, row)| row["desired"]["name"] == *name).map(|(key, _)| key);
        match tenant {
            Some(tenant) => assert_eq!(cloud.list(&["tenant", tenant, "switch"]).await.len(), PARTS),
            None => assert!(answer.is_err(), "{name} was acknowledged"),
        }
        acknowledged += usize::from(answer.is_ok());
    }
    println!("{acknowledged} of 10 were acknowledged");
}
