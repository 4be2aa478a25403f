//! `pony apply`: names become UUIDs, and the same documents can be applied again.

use crate::cloud::{Cloud, finish, stderr};
use serde_json::{Value as Json, json};
use std::io::Write;
use std::process::{Output, Stdio};

fn apply(cloud: &Cloud, documents: &str, more: &[&str]) -> Output {
    let arguments = [&["apply", "-f", "-"], more].concat();
    let mut pony = cloud.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    pony.stdin.take().unwrap().write_all(documents.as_bytes()).unwrap();
    finish(pony)
}

fn applied(cloud: &Cloud, documents: &str) -> String {
    let output = apply(cloud, documents, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(cloud: &Cloud, documents: &str) -> String {
    let output = apply(cloud, documents, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    stderr(&output)
}

const DOCUMENTS: &str = "
# Names stand for what there is, or for what is made here.
tenant:
  acme:
    desired: {approved: true}
    children:
      instance:
        web:
          desired: {vcpu: 1, rcpu: 1.0, mem: 256, state: running}
          children:
            vdisk:
              $root: {desired: {volume: data, index: 0}}
            vnic:
              $lan: {desired: {switch: lan, index: 0}}
---
switch: {lan: {desired: {type: bridge}}}
---
tenant:
  acme:
    children:
      volume:
        data: {desired: {size: 1024, storage_pool: box-1-pool}}
";

/// Disks, cards and members have no names, and were made a second time (or refused) at the second run.
#[test]
fn what_has_no_name_is_known_again() {
    let cloud = Cloud::start();
    cloud.host("box-1");
    let documents = DOCUMENTS.replace("$root", "root").replace("$lan", "card");
    let documents = documents
        + "---\nuser: {boss@example.org: {desired: {alicorn: false}}}\n---\ntenant: {acme: {children: {member: {boss: {desired: {user: boss@example.org, role: owner}}}}}}\n";
    assert!(applied(&cloud, &documents).contains("created /tenant/acme/instance/web/vnic/card"));
    let said = applied(&cloud, &documents);
    assert!(
        said.contains("merged /tenant/acme/instance/web/vnic/card") && !said.contains("created"),
        "{said}"
    );
    let (tenant, _) = cloud.row("/tenant/");
    let (instance, _) = cloud.row(&format!("/tenant/{tenant}/instance/"));
    for collection in
        ["member/".to_owned(), format!("instance/{instance}/vdisk/"), format!("instance/{instance}/vnic/")]
    {
        cloud.row(&format!("/tenant/{tenant}/{collection}"));
    }
}

#[test]
fn a_cloud_in_documents_is_made_at_once_and_kept_when_applied_again() {
    let cloud = Cloud::start();
    let (_, pool) = cloud.host("box-1");
    let said = applied(&cloud, DOCUMENTS);
    assert_eq!(cloud.patches(), 1);
    assert!(said.lines().any(|line| line == "created /tenant/acme/instance/web"), "{said}");
    let (tenant, row) = cloud.row("/tenant/");
    assert_eq!(row["desired"]["name"], "acme");
    let (volume, row) = cloud.row(&format!("/tenant/{tenant}/volume/"));
    assert_eq!((&row["desired"]["storage_pool"], &row["desired"]["name"]), (&json!(pool), &json!("data")));
    let (instance, _) = cloud.row(&format!("/tenant/{tenant}/instance/"));
    let (_, vdisk) = cloud.row(&format!("/tenant/{tenant}/instance/{instance}/vdisk/"));
    assert_eq!(vdisk["desired"]["volume"], volume.as_str());
    let (switch, _) = cloud.row("/switch/");
    let (_, vnic) = cloud.row(&format!("/tenant/{tenant}/instance/{instance}/vnic/"));
    assert_eq!(vnic["desired"]["switch"], switch.as_str());

    // What has a name is found again; nothing is made twice.
    let again = "tenant: {acme: {children: {instance: {web: {desired: {mem: 512, user_data: hello}}}}}}";
    assert_eq!(applied(&cloud, again), "merged /tenant/acme/instance/web\n");
    let (same, row) = cloud.row(&format!("/tenant/{tenant}/instance/"));
    assert_eq!((same, &row["desired"]["mem"], &row["desired"]["vcpu"]), (instance, &json!(512), &json!(1)));

    // Null removes: a column, an entity.
    let less = "tenant: {acme: {children: {instance: {web: {desired: {user_data: null}}, none: null}}}}";
    assert_eq!(applied(&cloud, less), "merged /tenant/acme/instance/web\n");
    assert_eq!(cloud.row(&format!("/tenant/{tenant}/instance/")).1["desired"].get("user_data"), None);
    assert_eq!(
        applied(&cloud, "tenant: {acme: {children: {instance: {web: null}}}}"),
        "removed /tenant/acme/instance/web\n"
    );
    assert!(cloud.rows(&format!("/tenant/{tenant}/instance/")).is_empty());
}

#[test]
fn a_dry_run_shows_the_patch() {
    let cloud = Cloud::start();
    cloud.host("box-1");
    let output = apply(&cloud, DOCUMENTS, &["--dry-run"]);
    let patch: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        patch[0],
        json!({"op": "x-merge", "path": ["tenant", "$/tenant/acme"],
        "value": {"desired": {"name": "acme", "approved": true}}})
    );
    assert_eq!(patch.as_array().unwrap().len(), 6);
    assert!(cloud.rows("/tenant/").is_empty());
}

#[test]
fn what_get_shows_can_be_edited_and_applied() {
    let cloud = Cloud::start();
    cloud.post("/tenant/", json!({"name": "acme", "approved": true}));
    let text = cloud.pony("get tenants -o yaml").replace("approved: true", "approved: false");
    let document: String = std::iter::once("tenant:\n".to_owned())
        .chain(text.lines().map(|line| format!("  {line}\n")))
        .collect();
    applied(&cloud, &document);
    assert_eq!(cloud.row("/tenant/").1["desired"]["approved"], false);
}

#[test]
fn keys_that_people_choose_stay_as_they_are() {
    let cloud = Cloud::start();
    applied(
        &cloud,
        "config: {host-redundancy: {desired: {value: 1}}}\nuser: {me@example.org: {desired: {alicorn: false}}}",
    );
    assert_eq!(cloud.row("/config/").0, "host-redundancy");
    assert_eq!(cloud.row("/user/").0, "me@example.org");
    applied(&cloud, "config: {host-redundancy: {desired: {value: {hosts: 2}}}}");
    assert_eq!(cloud.row("/config/").1["desired"]["value"], json!({"hosts": 2}));
}

#[test]
fn mistakes_are_told_with_their_place_and_nothing_is_done() {
    let cloud = Cloud::start();
    cloud.host("box-1");
    for (documents, message) in [
        ("tenant: [1", "not YAML or JSON"),
        ("- tenant", "document: expected an object of collections"),
        ("dragons: {}", "there is no collection `dragons` here"),
        ("tenant: {acme: {children: {dragons: {}}}}", "/tenant/acme: there is no collection `dragons` here"),
        (
            "tenant: {acme: {desire: {}}}",
            "/tenant/acme: entities have `desired` and `children`, not `desire`",
        ),
        ("tenant: {acme: 3}", "/tenant/acme: expected an entity"),
        ("tenant: {acme: {desired: {approved: maybe}}}", "approved"),
        (
            "tenant: {acme: {desired: {approved: true}, children: {volume: {v: {desired: {size: 1, storage_pool: nowhere}}}}}}",
            "/tenant/acme/volume/v: column `storage_pool`: there is no storage_pool `nowhere`",
        ),
    ] {
        let said = refused(&cloud, documents);
        assert!(said.contains(message), "{documents}: {said}");
    }
    assert!(cloud.rows("/tenant/").is_empty());
    assert!(cloud.refused("apply -f /nonexistent.yaml", 1).contains("cannot read /nonexistent.yaml"));
}
