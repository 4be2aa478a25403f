//! Removing: who is asked, and what is waited for.

use crate::cloud::{Cloud, finish, signal, stderr};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Output, Stdio};

/// An instance that runs on a host, with a disk and a card.
struct Scene {
    cloud: Cloud,
    host: String,
    tenant: String,
    instance: String,
    volume: String,
}

impl Scene {
    fn new() -> Self {
        let cloud = Cloud::start();
        let (host, pool) = cloud.host("box-1");
        let tenant = cloud.post("/tenant/", json!({"name": "acme", "approved": true}));
        let at = |mount: &str| format!("/tenant/{tenant}/{mount}/");
        let volume = cloud.post(&at("volume"), json!({"name": "data", "size": 5, "storage_pool": pool}));
        let switch = cloud.post(&at("switch"), json!({"name": "lan", "type": "bridge"}));
        let network =
            cloud.post(&format!("{}{switch}/network/", at("switch")), json!({"range": "10.0.0.0/24"}));
        let web = json!({"name": "web", "state": "running", "vcpu": 1, "rcpu": 1.0, "mem": 64});
        let instance = cloud.post(&at("instance"), web);
        let below = |mount: &str| format!("/tenant/{tenant}/instance/{instance}/{mount}/");
        cloud.post(&below("vdisk"), json!({"volume": volume, "index": 0}));
        let card = cloud.post(&below("vnic"), json!({"switch": switch, "index": 3}));
        let address = json!({"network": network, "ip": "10.0.0.7"});
        cloud.post(&format!("{}{card}/address/", below("vnic")), address);
        cloud.report("instance", &[&instance], json!({"host": host, "status": "running", "attempts": 0}));
        cloud.report("host_instance", &[&host, &instance], json!({"status": "running", "attempts": 0}));
        Self { cloud, host, tenant, instance, volume }
    }

    fn count(&self, mount: &str) -> usize {
        self.cloud.rows(&format!("/tenant/{}/{mount}/", self.tenant)).len()
    }
}

#[test]
fn nothing_is_taken_from_others_unasked() {
    let scene = Scene::new();
    let cloud = &scene.cloud;
    for (line, loss) in [
        ("delete switch lan", "instance web (running) loses vnic 3"),
        ("volume delete data", "instance web (running) loses vdisk 0"),
        ("delete network /10.0.0.0", "no network"),
        ("delete tenant acme", "instance web (running) goes along, switch lan goes along, volume data"),
        ("delete host box-1", "storage_pool box-1-pool goes along"),
    ] {
        let patches = cloud.patches();
        let said = cloud.refused(line, 1);
        assert!(said.contains(loss), "{line}: {said}");
        assert!(said.contains("--yes") || loss == "no network", "{line}: {said}");
        assert_eq!(cloud.patches(), patches, "{line}");
    }
    let (network, _) = {
        let (switch, _) = cloud.row(&format!("/tenant/{}/switch/", scene.tenant));
        cloud.row(&format!("/tenant/{}/switch/{switch}/network/", scene.tenant))
    };
    let said = cloud.refused(&format!("delete network {network}"), 1);
    assert!(said.contains("instance web (running) loses address 10.0.0.7"), "{said}");

    // What is the instance's own goes with it, and nobody else has anything of it.
    cloud.pony("instance delete web");
    cloud.pony("delete switch lan");
    cloud.pony("volume delete data");
    assert_eq!((scene.count("instance"), scene.count("switch")), (0, 0));
}

#[test]
fn whoever_says_so_takes_a_card_out_of_a_running_guest() {
    let scene = Scene::new();
    scene.cloud.pony("delete switch lan --yes");
    scene.cloud.pony("volume delete data --force");
    assert_eq!((scene.count("instance"), scene.count("switch")), (1, 0));
    assert_eq!(scene.count(&format!("instance/{}/vdisk", scene.instance)), 0);
}

#[test]
fn a_disk_that_goes_with_its_instance_is_nobodys_loss() {
    let scene = Scene::new();
    scene.cloud.pony("instance delete web --volumes");
    let (_, volume) = scene.cloud.row(&format!("/tenant/{}/volume/", scene.tenant));
    assert_eq!(volume["desired"]["state"], "deleted");
}

/// Runs `pony` at a terminal, and types an answer once it asks.
fn at_a_terminal(cloud: &Cloud, line: &str, answer: &str) -> Output {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = cloud.command(&line.split(' ').collect::<Vec<_>>());
    let mut pony = command.stdin(Stdio::from(terminal.slave)).spawn().unwrap();
    let mut stderr = pony.stderr.take().unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"[y/N]: ") {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "no question: {}", String::from_utf8_lossy(&said));
        said.extend(byte);
    }
    let mut keys = std::fs::File::from(terminal.master);
    keys.write_all(answer.as_bytes()).unwrap();
    stderr.read_to_end(&mut said).unwrap();
    let mut output = finish(pony);
    output.stderr = said;
    output
}

#[test]
fn at_a_terminal_the_user_decides() {
    let scene = Scene::new();
    for no in ["\n", "no\n", "\u{4}"] {
        let refused = at_a_terminal(&scene.cloud, "delete switch lan", no);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains("instance web (running) loses vnic 3\n"), "{}", stderr(&refused));
        assert_eq!(scene.count("switch"), 1);
    }
    let done = at_a_terminal(&scene.cloud, "delete switch lan", "y\n");
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(scene.count("switch"), 0);
}

/// Reads on until something was said.
fn next(progress: &mut impl Iterator<Item = String>, what: &str) {
    let said: Vec<String> = progress.take_while(|line| !line.contains(what)).collect();
    assert!(!said.iter().any(|line| line.ends_with(": gone")), "nobody said `{what}`, but {said:?}");
}

#[test]
fn an_instance_is_waited_for_until_its_host_has_let_go() {
    let scene = Scene::new();
    let cloud = &scene.cloud;
    let mut pony = cloud.spawn("instance delete web --wait --timeout 50");
    let mut progress = BufReader::new(pony.stderr.take().unwrap()).lines().map(Result::unwrap);
    next(&mut progress, "instance web: still at host box-1 (running)");
    let stuck = json!({"status": "stopping", "attempts": 2, "error": "it does not end", "next_retry": 4_000_000_000_i64});
    cloud.report("host_instance", &[&scene.host, &scene.instance], stuck);
    next(
        &mut progress,
        "instance web: still at host box-1 (stopping): it does not end (attempt 2, next try in ",
    );
    cloud.report("host", &[&scene.host], json!({"status": "missing", "hostname": "box-1"}));
    next(&mut progress, "; that host is missing");
    cloud.unreport("host_instance", &[&scene.host, &scene.instance]);
    next(&mut progress, "instance web: gone");
    assert!(finish(pony).status.success());
}

#[test]
fn a_volume_is_waited_for_and_the_wait_can_be_left() {
    let scene = Scene::new();
    let (cloud, volume) = (&scene.cloud, &scene.volume);
    cloud.report("volume", &[volume], json!({"status": "ready"}));
    let late = cloud.refused("volume delete data --yes --wait --timeout 1", 1);
    assert!(late.contains("volume data: ready: being deleted"), "{late}");
    assert!(late.contains("not as ordered after 1 s") && late.contains("the order stands"), "{late}");

    let mut pony = cloud.spawn("volume delete data --yes --wait");
    let mut progress = BufReader::new(pony.stderr.take().unwrap());
    let mut first = String::new();
    progress.read_line(&mut first).unwrap();
    assert!(first.contains("volume data: ready: being deleted"), "{first}");
    signal(pony.id(), "INT");
    let mut rest = String::new();
    progress.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("no longer waiting for volume data; the order stands"), "{rest}");
    assert_eq!(finish(pony).status.code(), Some(130));
}

/// Once, `--wait` said that an image's volume was gone as soon as the image was: the volume lies elsewhere from then on.
#[test]
fn a_volume_of_an_image_is_waited_for_where_it_lies_without_it() {
    let cloud = Cloud::start();
    let (_, pool) = cloud.host("box-1");
    let image =
        cloud.post("/image/", json!({"name": "debian", "source_uri": "https://example.org/debian.qcow2"}));
    let below = format!("/image/{image}/volume/");
    let volume = cloud.post(&below, json!({"name": "copy", "size": 5, "storage_pool": pool, "image": image}));
    cloud.report("volume", &[&volume], json!({"status": "ready"}));
    let mut pony = cloud.spawn("image delete debian --yes --wait --timeout 50");
    let mut progress = BufReader::new(pony.stderr.take().unwrap()).lines().map(Result::unwrap);
    next(&mut progress, "image debian: gone");
    next(&mut progress, "volume copy: ready: being deleted");
    cloud.remove("volume", &[&volume]);
    next(&mut progress, "volume copy: gone");
    assert!(finish(pony).status.success());
}

#[test]
fn what_goes_along_is_waited_for_too() {
    let scene = Scene::new();
    let cloud = &scene.cloud;
    cloud.report("host_volume", &[&scene.host, &scene.volume], json!({"status": "ready"}));
    let mut pony = cloud.spawn("delete tenant acme --yes --wait --timeout 50");
    let mut progress = BufReader::new(pony.stderr.take().unwrap()).lines().map(Result::unwrap);
    next(&mut progress, "tenant acme: gone");
    next(&mut progress, "instance web: still at host box-1");
    cloud.unreport("host_instance", &[&scene.host, &scene.instance]);
    next(&mut progress, "instance web: gone");
    let rest: Vec<String> = progress.by_ref().take(1).collect();
    signal(pony.id(), "INT");
    finish(pony);
    assert!(rest[0].starts_with("pony: "), "{rest:?}");
}

/// A tenant's user sees no hosts; the wait ends with what there is to see.
#[test]
fn users_of_a_tenant_are_told_what_they_cannot_see() {
    let scene = Scene::new();
    scene.cloud.join(&scene.tenant);
    let mut command = scene.cloud.command(&["instance", "delete", "web", "--wait", "--timeout", "50"]);
    let output = finish(command.env("PONY_AUTH", crate::cloud::TENANT_USER).spawn().unwrap());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("only operators of the cloud see"), "{}", stderr(&output));
    let rows: serde_json::Map<String, Json> = scene.cloud.rows(&format!("/host/{}/instance/", scene.host));
    assert_eq!(rows.len(), 1, "the host has it still");
}
