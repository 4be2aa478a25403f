//! `pony explain`, completion, answers for programs.

use crate::cloud::{Cloud, stderr};
use serde_json::{Value as Json, json};

/// An instance that waits for a volume, that waits for an image, whose download fails for ever.
fn chain(cloud: &Cloud) -> (String, String) {
    let (host, pool) = cloud.host("box-1");
    let tenant = cloud.post("/tenant/", json!({"name": "acme", "approved": true}));
    let image = cloud.post("/image/", json!({"name": "debian", "source_uri": "https://nowhere.example/d"}));
    let backing = json!({"name": "debian-data", "storage_pool": pool});
    let backing = cloud.post(&format!("/image/{image}/volume/"), backing);
    let volume = json!({"name": "boot", "size": 8, "storage_pool": pool, "base_image": image});
    let volume = cloud.post(&format!("/tenant/{tenant}/volume/"), volume);
    let web = json!({"name": "web", "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 64});
    let web = cloud.post(&format!("/tenant/{tenant}/instance/"), web);
    cloud.post(&format!("/tenant/{tenant}/instance/{web}/vdisk/"), json!({"volume": volume, "index": 0}));
    let waits = format!("volume {volume} is not ready: waiting for image {image}");
    cloud.report(
        "instance",
        &[&web],
        json!({"host": host, "status": "starting", "attempts": 0, "error": waits}),
    );
    cloud.report(
        "volume",
        &[&volume],
        json!({"status": "absent", "error": format!("waiting for image {image}")}),
    );
    let fails = json!({"status": "broken", "error": "no route to nowhere.example", "attempts": 7});
    cloud.report("volume", &[&backing], fails.clone());
    cloud.report("host_volume", &[&host, &backing], fails);
    (web, volume)
}

#[test]
fn a_chain_is_followed_to_its_last_cause_by_names() {
    let cloud = Cloud::start();
    let (web, volume) = chain(&cloud);
    for whole in ["/", "", "/v1/"] {
        let said = cloud.refused(&format!("explain {whole}"), 1);
        assert!(said.contains("`/` is the whole cloud; name a row"), "{whole}: {said}");
    }
    let said = cloud.pony("explain /tenant/acme/instance/web");
    for expected in [
        "instance web: ordered running, is starting: volume boot is not ready: waiting for image debian",
        "\n  volume boot: ordered present, is absent: waiting for image debian",
        "\n    image debian:",
        "\n      volume debian-data: ordered present, is broken: no route to nowhere.example (attempt 7)",
        "\nlast cause: volume debian-data: no route to nowhere.example (attempt 7)",
    ] {
        assert!(said.contains(expected), "{expected}\nin\n{said}");
    }
    assert!(!said.contains(&web) && !said.contains(&volume), "names, not keys: {said}");
    assert_eq!(said, cloud.pony("explain instance web"));
    assert_eq!(said, cloud.pony(&format!("explain /v1/tenant/acme/instance/{web}")));
    let fact: Json = serde_json::from_str(&cloud.pony("--json explain instance web")).unwrap();
    assert_eq!(fact["cause"]["name"], "debian-data");
    assert_eq!(fact["chain"].as_array().unwrap().len(), 4);
    assert!(cloud.pony("explain tenant acme").contains("as ordered"));
    assert!(cloud.refused("explain /tenant/acme/instance", 1).contains("ends in a collection"));
    assert!(cloud.refused("explain /tenant/acme/nonsense/x", 1).contains("no collection `nonsense`"));
}

/// A guest that runs goes on with its cards while the switch that they are in cannot be made as ordered.
#[test]
fn a_switch_is_explained_by_the_host_that_cannot_make_it() {
    let cloud = Cloud::start();
    let (host, _) = cloud.host("box-1");
    let lan = cloud.post("/switch/", json!({"name": "lan", "type": "bridge", "tag": 8}));
    assert!(cloud.pony("explain switch lan").contains("as ordered"));
    let tenant = cloud.post("/tenant/", json!({"name": "acme", "approved": true}));
    let web = json!({"name": "web", "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 64});
    let web = cloud.post(&format!("/tenant/{tenant}/instance/"), web);
    cloud.post(&format!("/tenant/{tenant}/instance/{web}/vnic/"), json!({"switch": lan, "index": 0}));
    let error = format!("switch {lan} is not as ordered: no carrier");
    let current = json!({"host": host, "status": "running", "attempts": 2, "error": error});
    cloud.report("instance", &[&web], current);
    let current = json!({"status": "broken", "attempts": 2, "error": "no carrier"});
    cloud.report("host_switch", &[&host, &lan], current);
    let said = cloud.pony("explain instance web");
    for expected in [
        "switch lan is not as ordered: no carrier",
        "\n  switch lan:",
        "last cause: switch lan: on host box-1: no carrier",
    ] {
        assert!(said.contains(expected), "{expected}\nin\n{said}");
    }
}

#[test]
fn programs_are_answered_in_json() {
    let cloud = Cloud::start();
    cloud.host("box-1");
    let lines = |line: &str| -> Vec<Json> {
        cloud.pony(line).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let made = lines("--json instance create web --mem 64 --stopped");
    assert_eq!((&made[0]["created"], &made[0]["name"]), (&json!("instance"), &json!("web")));
    let ordered = lines("instance start web --json");
    assert_eq!((&ordered[0]["key"], &ordered[0]["state"]), (&made[0]["key"], &json!("running")));
    let shown: Json = serde_json::from_str(&cloud.pony("--json get instance")).unwrap();
    assert_eq!(shown[made[0]["key"].as_str().unwrap()]["desired"]["name"], "web");
    assert_eq!(lines("--json volume add data --size 8")[0]["created"], "volume");
    assert_eq!(lines("--json instance delete web")[0]["deleted"], "instance");
    assert_eq!(lines("--json delete volume data")[0]["deleted"], "volume");
}

#[test]
fn shells_are_told_the_grammar() {
    let cloud = Cloud::start();
    for (shell, word) in [("bash", "_pony"), ("zsh", "#compdef pony"), ("fish", "complete -c pony")] {
        let script = cloud.pony(&format!("completion {shell}"));
        assert!(script.contains(word) && script.contains("console"), "{shell}");
    }
    let output = cloud.run("completion csh");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}
