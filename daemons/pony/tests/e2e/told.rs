//! Debian's own cloud-init takes what a guest is told: from its disc, before there is a network, and over HTTP.

use crate::cloud::{Cloud, merge, named};
use crate::{SOON, images, skip};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// Two boots of cloud-init under emulation, which take a minute or two; other builds may share the machine.
const TOLD: Duration = Duration::from_secs(600);

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk7v8Zx3Qb0nq1m5s9d2f4g6h8j0k1l3m5n7p9r2t4v somebody@example.com";

fn user_data() -> String {
    let config = json!({
        "users": [{"name": "root"}],
        "disable_root": false,
        "ssh_genkeytypes": ["ed25519"],
        "ssh_authorized_keys": [KEY],
        "runcmd": ["echo was-run >/run/script"],
    });
    format!("#cloud-config\n{config}\n")
}

/// Gives the tenant and the instance.
async fn order(cloud: &Cloud, source: &str) -> (String, Uuid) {
    let (tenant, pool) = ("/tenant/$tenant", cloud.pool.as_str());
    let (switch, instance) =
        ("/tenant/$tenant/children/switch/$switch", "/tenant/$tenant/children/instance/$instance");
    let (network, card) = (format!("{switch}/children/network"), format!("{instance}/children/vnic/$vnic"));
    let address = |name: &str, network: &str, ip: &str| {
        merge(&format!("{card}/children/address/{name}"), &json!({"network": network, "ip": ip}))
    };
    let uuids = cloud
        .patch(&[
            merge(tenant, &json!({"name": "told", "approved": true})),
            merge("/image/$image", &json!({"name": "told", "source_uri": source})),
            merge("/image/$image/children/volume/$backing", &json!({"storage_pool": pool, "format": "raw"})),
            merge(switch, &json!({"name": "told", "type": "bridge"})),
            merge(&format!("{network}/$four"), &json!({"range": "10.77.0.0/24"})),
            merge(&format!("{network}/$four/children/route/$out"), &json!({"route": "0.0.0.0/0", "via": "10.77.0.254"})),
            merge(&format!("{network}/$six"), &json!({"range": "fd00:77::/64"})),
            merge(&format!("{tenant}/children/volume/$volume"), &json!({
                "name": "told", "storage_pool": pool, "size": 256, "format": "qcow2", "base_image": "$image",
            })),
            merge(instance, &json!({
                "name": "told", "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 640, "ns": ["10.77.0.53"],
                "user_data": user_data(),
            })),
            merge(&format!("{instance}/children/vdisk/$vdisk"), &json!({"volume": "$volume", "index": 0})),
            merge(&card, &json!({"switch": "$switch", "index": 0})),
            address("$one", "$four", "10.77.0.5"),
            address("$two", "$six", "fd00:77::5"),
        ])
        .await;
    (named(&uuids, "$tenant"), named(&uuids, "$instance").parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes where guests are emulated: make test-long runs it"]
async fn debians_cloud_init_takes_what_a_guest_is_told() {
    let Some(guest) = skip::cloud_init("debians_cloud_init_takes_what_a_guest_is_told") else { return };
    let images = images::serve(guest).await;
    let cloud = Cloud::start().await;
    let (tenant, instance) = order(&cloud, &images.url("guest.raw")).await;
    cloud.wait_for_console(instance, "PONY-CLOUD-INIT done", 1, TOLD).await;

    let console = cloud.console(instance);
    let lines: Vec<&str> = console.lines().filter_map(|it| it.split("PONY-CLOUD-INIT ").nth(1)).collect();
    println!("{}", lines.join("\n"));
    let said = |start: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("it does not say {start:?}: {console}")).trim()
    };
    // It need not look for where it is told.
    assert_eq!(said("serial "), "ds=nocloud;dsmode=net");
    assert!(said("identified ").starts_with("0 ") && said("identified ").contains("NoCloud"));
    assert!(said("disc local ").contains("/dev/sr0"), "before there is a network");
    let over_http = said("http query ");
    assert!(over_http.contains("http://169.254.169.254/") && !over_http.contains("/dev/"), "{over_http}");
    for way in ["disc", "http"] {
        assert!(said(&format!("{way} query ")).starts_with(&instance.to_string()));
        assert_eq!(said(&format!("{way} hostname ")), "told");
        assert_eq!(said(&format!("{way} key ")), KEY);
    }
    assert_eq!(said("disc script "), "was-run");
    assert!(said("addresses ").contains("10.77.0.5/24") && said("addresses ").contains("fd00:77::5/64"));
    assert!(said("routes ").contains("default via 10.77.0.254"));
    assert!(said("disc file ").contains(&instance.to_string()), "the disc tells the way to metadata");
    assert_eq!(said("http addresses "), "10.77.0.5/24");

    // The disc goes with the guest.
    assert_eq!(cloud.discs().len(), 1);
    let path = format!("/tenant/{tenant}/children/instance/{instance}");
    cloud.patch(&[json!({"op": "remove", "path": path})]).await;
    cloud.wait_until("its disc is gone", SOON, async |cloud: &Cloud| cloud.discs().is_empty()).await;
}
