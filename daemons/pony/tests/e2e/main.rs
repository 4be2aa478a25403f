//! The spine, end to end on the real thing: orders over REST, SQLite, ZeroMQ, libvirt and QEMU, a guest that boots.
//!
//! It needs root, libvirt, QEMU and the demo guest (`.ci/guest`); where one is missing it says so and is skipped.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cloud;
mod daemon;
mod ground;
mod host;
mod images;
mod kills;
mod later;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../../pony-host/tests/hypervisor/daemon.rs"]
mod libvirtd;
mod matrix;
mod moves;
mod skip;
mod told;
#[path = "../../../../pony-host/tests/traces/mod.rs"]
mod traces;
#[allow(unreachable_pub)]
#[path = "../../../../pony-host/tests/hypervisor/writes.rs"]
mod writes;

use cloud::{Cloud, Order};
use serde_json::json;
use std::time::Duration;

/// Boots under emulation in seconds; other builds may share the machine.
const BOOT: Duration = Duration::from_secs(120);
/// For everything that is neither.
const SOON: Duration = Duration::from_secs(40);

const MARKER: &str = "PONY-GUEST-READY";

#[tokio::test(flavor = "multi_thread")]
async fn an_order_becomes_a_guest_and_survives_whatever_is_killed() {
    let Some(guest) = skip::guest("an_order_becomes_a_guest_and_survives_whatever_is_killed") else { return };
    let images = images::serve(guest).await;
    let mut cloud = Cloud::start().await;
    let order = Order::new(&cloud, "web", &images.url("guest.raw")).await;

    order.wait_for(&cloud, "running", BOOT).await;
    cloud.wait_for_console(order.instance, MARKER, 1, BOOT).await;
    let console = cloud.console(order.instance);
    assert!(console.contains("disks=1 nics=1"), "the guest sees its disk and card: {console}");
    cloud
        .wait_until("the image and the volume forget their sources", SOON, async |cloud: &Cloud| {
            let image = cloud.get(&["image", &order.image]).await;
            let volume = cloud.get(&["tenant", &order.tenant, "volume", &order.volume]).await;
            image["desired"]["source_uri"].is_null() && volume["desired"]["base_image"].is_null()
        })
        .await;
    let qemu = cloud.qemu_pid(order.instance);

    // Neither daemon's death stops a guest, or does anything twice.
    cloud.kill_twilight();
    assert_eq!(cloud.qemu_pid(order.instance), qemu);
    cloud.start_twilight();
    cloud.sparkle.kill();
    cloud.start_sparkle().await;
    order.wait_for(&cloud, "running", SOON).await;
    cloud.kill_twilight();
    cloud.sparkle.kill();
    cloud.start_sparkle().await;
    cloud.start_twilight();
    order.wait_for(&cloud, "running", SOON).await;
    assert_eq!(cloud.qemu_pid(order.instance), qemu, "the guest ran on");
    assert_eq!(cloud.console(order.instance).matches(MARKER).count(), 1, "it booted once");

    order.set(&cloud, "paused").await;
    order.wait_for(&cloud, "paused", SOON).await;
    order.set(&cloud, "running").await;
    order.wait_for(&cloud, "running", SOON).await;
    assert_eq!(cloud.qemu_pid(order.instance), qemu);

    // An order given while the agent is dead is carried out when it is back.
    cloud.kill_twilight();
    order.set(&cloud, "stopped").await;
    cloud.start_twilight();
    order.wait_for(&cloud, "stopped", SOON).await;
    assert_eq!(cloud.domain_state(order.instance), Some("shut off".to_owned()));
    order.set(&cloud, "running").await;
    cloud.wait_for_console(order.instance, MARKER, 2, BOOT).await;

    order.delete(&cloud).await;
    order.wait_until_gone(&cloud, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_none_is_told_where_the_user_looks() {
    let Some(guest) = skip::guest("an_image_that_is_none_is_told_where_the_user_looks") else { return };
    let images = images::serve(guest).await;
    let cloud = Cloud::start().await;
    let order = Order::new(&cloud, "html", &images.url("page.html")).await;
    cloud
        .wait_until("the backing volume says why", SOON, async |cloud: &Cloud| {
            let volume = cloud.get(&["storage-pool", &cloud.pool, "volume", &order.backing]).await;
            volume["current"]["error"]
                .as_str()
                .is_some_and(|error| error.contains("not an image") || error.contains("html"))
        })
        .await;
    let path = format!("/tenant/{}/children/instance/$new", order.tenant);
    let refusal = cloud.refused(json!({"op": "add", "path": path, "value": {"desired": {"nam": "x"}}})).await;
    assert_eq!((refusal.status, refusal.error.as_str()), (400, "invalid-data"), "{refusal}");
    assert!(refusal.message.contains("nam"), "{refusal}");
    order.delete(&cloud).await;
    order.wait_until_gone(&cloud, SOON).await;
}
