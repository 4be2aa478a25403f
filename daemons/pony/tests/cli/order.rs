//! The verbs that order something, and waiting for it.

use crate::cloud::{Cloud, TENANT_USER, finish, signal, stderr};
use serde_json::json;
use std::io::{BufRead, BufReader, Read};

/// A public image that is ready on the host.
fn image(cloud: &Cloud, host: &str, pool: &str) -> String {
    let image = cloud.post("/image/", json!({"name": "cirros"}));
    let backing = cloud.post(&format!("/storage-pool/{pool}/volume/"), json!({"image": image}));
    cloud.report("host_volume", &[host, &backing], json!({"status": "ready", "size": 112}));
    cloud.report("volume", &[&backing], json!({"status": "ready"}));
    image
}

/// Reads on until something was said.
fn next(progress: &mut impl Iterator<Item = String>, what: &str) {
    let mut said = Vec::new();
    for line in progress {
        if line.contains(what) {
            return;
        }
        said.push(line);
    }
    panic!("nobody said `{what}`, but {said:#?}");
}

fn tenant(cloud: &Cloud) -> String {
    cloud.post("/tenant/", json!({"name": "acme", "approved": true}))
}

#[test]
fn a_tenant_is_said_to_be_made_once_it_is() {
    let cloud = Cloud::start();
    let refused = cloud.refused("instance create web --image nope", 1);
    assert!(!refused.contains("tenant"), "nothing was made: {refused}");
    let made = cloud.run("instance create web --stopped");
    assert!(stderr(&made).contains("made `default`"), "{}", stderr(&made));
}

#[test]
fn an_instance_with_all_it_needs_is_one_transaction() {
    let cloud = Cloud::start();
    let (host, pool) = cloud.host("box-1");
    let image = image(&cloud, &host, &pool);
    let switch = cloud.post("/switch/", json!({"name": "lan", "type": "bridge"}));
    let said = cloud.pony("instance create web --image cirros --mem 256 --vcpu 2 --switch lan --switch lan");
    assert_eq!(cloud.patches(), 1);

    let (tenant, row) = cloud.row("/tenant/");
    assert_eq!(row["desired"]["name"], "default", "the first tenant comes along");
    let (instance, row) = cloud.row(&format!("/tenant/{tenant}/instance/"));
    assert_eq!(said, format!("created instance web ({instance})\n"));
    let desired = &row["desired"];
    assert_eq!(
        [&desired["state"], &desired["vcpu"], &desired["mem"], &desired["rcpu"]],
        [&json!("running"), &json!(2), &json!(256), &json!(2.0)]
    );
    let (volume, row) = cloud.row(&format!("/tenant/{tenant}/volume/"));
    let desired = &row["desired"];
    assert_eq!(
        [&desired["size"], &desired["base_image"], &desired["storage_pool"]],
        [&json!(112), &json!(image), &json!(pool)]
    );
    let (_, vdisk) = cloud.row(&format!("/tenant/{tenant}/instance/{instance}/vdisk/"));
    assert_eq!([&vdisk["desired"]["volume"], &vdisk["desired"]["index"]], [&json!(volume), &json!(0)]);
    let vnics = cloud.rows(&format!("/tenant/{tenant}/instance/{instance}/vnic/"));
    let mut indexes: Vec<i64> =
        vnics.values().map(|vnic| vnic["desired"]["index"].as_i64().unwrap()).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1]);
    assert!(vnics.values().all(|vnic| vnic["desired"]["switch"] == switch.as_str()));

    // The same name again is refused, and nothing half-made is left.
    cloud.refused("instance create web --volume nonsense", 1);
    assert_eq!(cloud.rows(&format!("/tenant/{tenant}/volume/")).len(), 1);
}

#[test]
fn what_cannot_be_guessed_is_asked_for() {
    let cloud = Cloud::start();
    assert!(cloud.refused("volume add data --size 5", 1).contains("no storage pool"));
    let (host, pool) = cloud.host("box-1");
    cloud.host("box-2");
    tenant(&cloud);
    assert!(cloud.refused("volume add data --size 5", 1).contains("--pool box-"));
    cloud.pony("volume add data --size 5 --pool box-2-pool");
    // The image decides between the pools; its size is not known before it is there.
    image(&cloud, &host, &pool);
    cloud.pony("volume add root --image cirros");
    cloud.post("/tenant/", json!({"name": "other", "approved": true}));
    assert!(cloud.refused("instance create web", 1).contains("--tenant"));
    cloud.pony("instance create web --tenant other --stopped");
    // Names that several have are no choice.
    let twin = cloud.post("/tenant/", json!({"name": "other", "approved": true}));
    let said = cloud.refused("instance create db", 1);
    assert!(said.contains(&twin[..8]) && !said.contains("|other"), "{said}");
    cloud.pony(&format!("delete tenant {twin}"));
    assert!(
        cloud.refused("instance create web --image dragon --tenant acme", 1).contains("no image `dragon`")
    );
}

#[test]
fn waiting_shows_progress_until_it_runs() {
    let cloud = Cloud::start();
    let (host, pool) = cloud.host("box-1");
    image(&cloud, &host, &pool);
    let tenant = tenant(&cloud);
    let mut pony = cloud.spawn("instance create web --image cirros --wait --timeout 50");
    let mut progress = BufReader::new(pony.stderr.take().unwrap()).lines().map(Result::unwrap);
    next(&mut progress, "instance web: -: waiting for volume web: not there yet");
    let (instance, _) = cloud.row(&format!("/tenant/{tenant}/instance/"));
    let (volume, _) = cloud.row(&format!("/tenant/{tenant}/volume/"));
    cloud.report("volume", &[&volume], json!({"status": "initializing", "progress": 0.42}));
    cloud.report("instance", &[&instance], json!({"host": host, "status": "starting", "attempts": 0}));
    next(&mut progress, "instance web: starting: waiting for volume web: 42 % filled");
    cloud.report("volume", &[&volume], json!({"status": "ready"}));
    let trouble =
        json!({"status": "broken", "attempts": 3, "error": "no bridge", "next_retry": 4_000_000_000_i64});
    cloud.report("instance", &[&instance], trouble);
    next(&mut progress, "instance web: broken: no bridge (attempt 3, next try in ");
    cloud.report("instance", &[&instance], json!({"host": host, "status": "running", "attempts": 0}));
    next(&mut progress, "instance web: running");
    assert!(finish(pony).status.success());
}

#[test]
fn waiting_ends_in_time_or_when_the_user_has_had_enough() {
    let cloud = Cloud::start();
    let tenant = tenant(&cloud);
    cloud.post(
        &format!("/tenant/{tenant}/instance/"),
        json!({"name": "web", "vcpu": 1, "rcpu": 1.0, "mem": 64}),
    );
    let said = cloud.refused("instance start web --wait --timeout 1", 1);
    assert!(said.contains("not as ordered after 1 s") && said.contains("the order stands"), "{said}");

    let mut pony = cloud.spawn("instance start web --wait");
    let mut progress = BufReader::new(pony.stderr.take().unwrap());
    progress.read_line(&mut String::new()).unwrap();
    signal(pony.id(), "INT");
    let mut rest = String::new();
    progress.read_to_string(&mut rest).unwrap();
    assert_eq!(finish(pony).status.code(), Some(130));
    assert!(rest.contains("no longer waiting for instance web; the order stands"), "{rest}");
    let (instance, _) = cloud.row(&format!("/tenant/{tenant}/instance/"));
    cloud.report("instance", &[&instance], json!({"status": "stopped", "attempts": 0}));
    cloud.pony("instance stop web --wait --timeout 20");
}

#[test]
fn a_later_order_reaches_several_instances_at_once() {
    let cloud = Cloud::start();
    let tenant = tenant(&cloud);
    for name in ["one", "two"] {
        cloud.post(
            &format!("/tenant/{tenant}/instance/"),
            json!({"name": name, "vcpu": 1, "rcpu": 1.0, "mem": 64}),
        );
    }
    for (verb, state) in [("start", "running"), ("pause", "paused"), ("stop", "stopped")] {
        let said = cloud.pony(&format!("instance {verb} one two one"));
        assert_eq!(said.lines().count(), 2, "{said}");
        let rows = cloud.rows(&format!("/tenant/{tenant}/instance/"));
        assert!(rows.values().all(|row| row["desired"]["state"] == state), "{rows:?}");
    }
    assert_eq!(cloud.patches(), 3);
    assert!(cloud.refused("instance start one three", 1).contains("no instance `three`"));
    assert_eq!(cloud.patches(), 3, "all or nothing");
}

#[test]
fn volumes_go_with_their_instance_when_nobody_else_uses_them() {
    let cloud = Cloud::start();
    cloud.host("box-1");
    let tenant = tenant(&cloud);
    for name in ["own", "shared", "kept"] {
        cloud.pony(&format!("volume add {name} --size 5"));
    }
    cloud.pony("instance create web --volume own --volume shared --stopped");
    cloud.pony("instance create db --volume shared --volume kept --stopped");
    let output = cloud.run("instance delete web --volumes");
    assert!(
        output.status.success() && stderr(&output).contains("volume shared stays"),
        "{}",
        stderr(&output)
    );
    let states = |cloud: &Cloud| {
        let rows = cloud.rows(&format!("/tenant/{tenant}/volume/"));
        let state = |row: &serde_json::Value| {
            format!(
                "{} {}",
                row["desired"]["name"].as_str().unwrap(),
                row["desired"]["state"].as_str().unwrap()
            )
        };
        let mut states: Vec<String> = rows.values().map(state).collect();
        states.sort_unstable();
        states
    };
    assert_eq!(states(&cloud), ["kept present", "own deleted", "shared present"]);
    cloud.pony("instance delete db");
    cloud.pony("delete volumes kept");
    assert_eq!(states(&cloud), ["kept deleted", "own deleted", "shared present"]);
}

#[test]
fn an_image_gets_a_volume_in_each_pool_and_is_waited_for() {
    let cloud = Cloud::start();
    let (_, pool) = cloud.host("box-1");
    let (_, other) = cloud.host("box-2");
    let mut pony =
        cloud.spawn("image add cirros http://example.org/c.img --pool box-1-pool --pool box-2-pool --wait");
    let mut progress = BufReader::new(pony.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(progress.any(|line| line.contains("image cirros: -")));
    let (image, row) = cloud.row("/image/");
    assert_eq!(row["desired"]["source_uri"], "http://example.org/c.img");
    for pool in [&other, &pool] {
        let (_, row) = cloud.row(&format!("/storage-pool/{pool}/volume/"));
        assert_eq!(
            [&row["desired"]["image"], &row["desired"]["name"]],
            [&json!(image), &json!("image-cirros")],
            "`pony volume delete cirros` means the volume of an instance of that name"
        );
    }
    let (volume, _) = cloud.row(&format!("/storage-pool/{pool}/volume/"));
    cloud.report("volume", &[&volume], json!({"status": "ready"}));
    assert!(progress.any(|line| line.contains("image cirros: ready")));
    assert!(finish(pony).status.success());
}

#[test]
fn a_tenants_user_works_within_the_tenant() {
    let cloud = Cloud::start();
    let (host, _) = cloud.host("box-1");
    let acme = tenant(&cloud);
    let other = cloud.post("/tenant/", json!({"name": "other", "approved": true}));
    cloud.join(&acme);
    let desired = json!({"name": "theirs", "vcpu": 1, "rcpu": 1.0, "mem": 64});
    cloud.post(&format!("/tenant/{other}/instance/"), desired);
    let pony = |line: &str| {
        let mut command = cloud.command(&line.split(' ').collect::<Vec<_>>());
        finish(command.env("PONY_AUTH", TENANT_USER).spawn().unwrap())
    };
    let output = pony("instance create mine");
    assert!(output.status.success(), "{}", stderr(&output));
    let (instance, _) = cloud.row(&format!("/tenant/{acme}/instance/"));
    cloud.report("instance", &[&instance], json!({"host": host, "status": "running", "attempts": 0}));
    let list = String::from_utf8(pony("get instances").stdout).unwrap();
    assert!(list.contains("mine") && list.contains("running  running") && !list.contains("theirs"), "{list}");
    let output = pony("get hosts");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("pony: "), "{}", stderr(&output));
    assert_eq!(pony("instance stop theirs").status.code(), Some(1));
}

#[test]
fn an_instance_is_wished_on_a_host_and_a_host_is_emptied() {
    let cloud = Cloud::start();
    let ((first, _), (second, _)) = (cloud.host("box-1"), cloud.host("box-2"));
    let tenant = tenant(&cloud);
    let web = json!({"name": "web", "vcpu": 1, "rcpu": 1, "mem": 64});
    let instance = cloud.post(&format!("/tenant/{tenant}/instance/"), web);
    let pins = format!("/tenant/{tenant}/instance/{instance}/pin/");
    for host in [("box-1", &first), ("box-2", &second)] {
        let said = cloud.pony(&format!("instance move web {}", host.0));
        assert_eq!(said, format!("ordered instance web to be on host {}\n", host.0));
        let (_, pin) = cloud.row(&pins);
        assert_eq!(pin["desired"]["host"], host.1.as_str());
    }
    cloud.pony("instance move web --anywhere");
    assert_eq!(cloud.rows(&pins).len(), 0);
    cloud.pony("instance move web --anywhere");
    cloud.refused("instance move web", 2);
    for (verb, state) in [("evacuate", "evacuated"), ("return", "present")] {
        cloud.pony(&format!("host {verb} box-1"));
        assert_eq!(cloud.rows("/host/")[&first]["desired"]["state"], state);
    }
}
