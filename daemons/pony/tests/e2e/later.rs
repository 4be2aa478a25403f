//! A later order wins: whatever an earlier one is stuck in, stopping and deleting obey within two seconds, and what is
//! ordered back comes back.

use crate::cloud::{Cloud, Order};
use crate::{BOOT, SOON, images, skip};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// How fast a later order must win, on a machine that runs all other tests at the same time: a start that fails is over
/// when libvirt has seen its QEMU go.
const LATER: Duration = Duration::from_secs(6);

impl Order {
    async fn wait_for_reason(&self, cloud: &Cloud, part: &str) {
        cloud
            .wait_until(&format!("the user is told: {part}"), BOOT, async |cloud: &Cloud| {
                self.current(cloud).await["error"].as_str().is_some_and(|error| error.contains(part))
            })
            .await;
    }

    async fn delete_in_time(&self, cloud: &Cloud) {
        self.delete(cloud).await;
        cloud
            .wait_until("it is gone from its host", LATER, async |cloud: &Cloud| {
                cloud.list(&["host", &cloud.host, "instance"]).await.is_empty()
            })
            .await;
        self.wait_until_gone(cloud, SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_order_wins_over_a_download_that_never_ends() {
    let Some(guest) = skip::guest("a_later_order_wins_over_a_download_that_never_ends") else { return };
    let images = images::serve(guest).await;
    let cloud = Cloud::start().await;
    let order = Order::new(&cloud, "stuck", &images.url("never")).await;
    order.wait_for_reason(&cloud, "waiting").await;
    order.set(&cloud, "stopped").await;
    order.wait_for(&cloud, "stopped", LATER).await;
    order.set(&cloud, "running").await;
    order.wait_for(&cloud, "starting", SOON).await;
    order.delete_in_time(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_order_wins_over_a_copy() {
    let Some(guest) = skip::guest("a_later_order_wins_over_a_copy") else { return };
    let images = images::serve(guest).await;
    let cloud = Cloud::start().await;
    let order = Order::new(&cloud, "copied", &images.url("large.raw")).await;
    let copy = format!("volume {}: ", order.volume);
    order.wait_for_reason(&cloud, &copy).await;
    order.set(&cloud, "stopped").await;
    order.wait_for(&cloud, "stopped", LATER).await;
    order.set(&cloud, "running").await;
    order.wait_for(&cloud, "running", BOOT).await;
    order.delete(&cloud).await;
    order.wait_until_gone(&cloud, SOON).await;

    let order = Order::new(&cloud, "copied again", &images.url("large.raw")).await;
    order.wait_for_reason(&cloud, &format!("volume {}: ", order.volume)).await;
    order.delete_in_time(&cloud).await;
}

/// The emulator refuses a disk with a feature that nobody knows, at every start.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_order_wins_over_a_start_that_always_fails() {
    const FEATURES_AT: u64 = 72;
    let Some(guest) = skip::guest("a_later_order_wins_over_a_start_that_always_fails") else { return };
    let images = images::serve(guest).await;
    let cloud = Cloud::start().await;
    let order = Order::new(&cloud, "fails", &images.url("guest.raw")).await;
    order.wait_for(&cloud, "running", BOOT).await;
    order.set(&cloud, "stopped").await;
    order.wait_for(&cloud, "stopped", SOON).await;
    let disk = cloud.pool_files().into_iter().find(|file| file.to_string_lossy().contains(&order.volume));
    let disk = std::fs::File::options().write(true).open(disk.unwrap()).unwrap();

    disk.write_all_at(&[0x80], FEATURES_AT).unwrap();
    order.set(&cloud, "running").await;
    order.wait_for_reason(&cloud, "feature").await;
    assert_eq!(cloud.list(&["host", &cloud.host, "instance"]).await.len(), 1);
    order.set(&cloud, "stopped").await;
    order.wait_for(&cloud, "stopped", LATER).await;
    disk.write_all_at(&[0], FEATURES_AT).unwrap();
    order.set(&cloud, "running").await;
    order.wait_for(&cloud, "running", BOOT).await;
    order.set(&cloud, "stopped").await;
    order.wait_for(&cloud, "stopped", SOON).await;

    disk.write_all_at(&[0x80], FEATURES_AT).unwrap();
    order.set(&cloud, "running").await;
    order.wait_for_reason(&cloud, "feature").await;
    order.delete_in_time(&cloud).await;
}
