//! What watchers are told of changes: what they may read, as of each commit.

use crate::cloud::{Cloud, alicorn};
use crate::reading::member;
use pony_core::document::{Caller, Event, Replay, Sight, UrlPath, Watch, Write};
use pony_core::tables::MemberRole;
use pony_state::{Key, Snapshot, Subscription};
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// A cloud whose changes are written down.
struct Watched {
    cloud: Cloud,
    base: Snapshot,
    commits: Subscription,
}

impl Watched {
    fn new(mut cloud: Cloud) -> Self {
        let commits = cloud.state.subscribe(1000);
        Self { base: cloud.state.snapshot(), cloud, commits }
    }

    fn watch(&self, caller: Caller, tables: &[&str], path: Option<&str>) -> Watch {
        let tables: Vec<String> = tables.iter().map(ToString::to_string).collect();
        let path = path.map(|path| UrlPath::parse(path).unwrap());
        Watch::new(&self.cloud.tree, &self.cloud.state, caller, &tables, path.as_ref()).unwrap()
    }

    /// The events of all commits since the last call: replayed at once, long after the first of them.
    fn events(&mut self) -> Vec<Event> {
        let mut replay = Replay::new(&self.cloud.tree, &self.base);
        let mut events = Vec::new();
        while let Some(commit) = self.commits.try_next().unwrap() {
            events.extend(replay.take(&commit));
        }
        self.base = self.cloud.state.snapshot();
        events
    }

    /// `type+` for a row that is shown, `type-` for one that is gone, `!` for a reset.
    fn told(&self, watch: &Watch, events: &[Event]) -> Vec<String> {
        let tell = |event: &Event| {
            let word = |text: &str, sign: char| {
                let event: Json = serde_json::from_str(text).unwrap();
                Some(format!("{}{sign}", event["type"].as_str().unwrap()))
            };
            match watch.sight(&self.cloud.tree, event) {
                Sight::Nothing => None,
                Sight::Shown => word(event.shown(), '+'),
                Sight::Gone => word(event.gone(), '-'),
                Sight::Reset => Some("!".to_owned()),
            }
        };
        events.iter().filter_map(tell).collect()
    }
}

fn instance(name: &str) -> Json {
    json!({"name": name, "vcpu": 1, "rcpu": 0.5, "mem": 64})
}

/// Tenants `a` and `b`.
fn tenants() -> (Watched, String, String) {
    let mut cloud = Cloud::new();
    let (a, b) = (cloud.post("/tenant/", json!({"name": "a"})), cloud.post("/tenant/", json!({"name": "b"})));
    (Watched::new(cloud), a, b)
}

#[test]
fn everybody_is_told_what_he_may_read() {
    let (mut watched, a, b) = tenants();
    let made = watched.cloud.post(&format!("/tenant/{a}/instance/"), instance("one"));
    watched.cloud.post("/switch/", json!({"name": "public", "type": "bridge"}));
    watched.cloud.report(
        "instance",
        &Key::one(made.parse::<Uuid>().unwrap()),
        json!({"status": "running", "attempts": 0}),
    );
    let events = watched.events();
    let told = |caller| watched.told(&watched.watch(caller, &[], None), &events);
    assert_eq!(told(alicorn()), ["instance+", "switch+", "instance+"]);
    assert_eq!(told(member(&a, MemberRole::Operator)), ["instance+", "switch+", "instance+"]);
    assert_eq!(told(member(&b, MemberRole::Owner)), ["switch+"]);
    assert_eq!(told(Caller::Nobody), ["switch+"]);
    let last: Json = serde_json::from_str(events.last().unwrap().shown()).unwrap();
    assert_eq!((&last["pkey_name"], &last["pkey"]), (&json!("uuid"), &json!(made)));
    assert_eq!(last["desired"]["name"], "one");
    assert_eq!(last["current"], json!({"uuid": made, "status": "running", "attempts": 0}));
}

#[test]
fn what_goes_with_its_parent_is_told_gone() {
    let (mut watched, a, b) = tenants();
    let switch = watched.cloud.post(&format!("/tenant/{a}/switch/"), json!({"name": "s", "type": "bridge"}));
    let made = watched.cloud.post(&format!("/tenant/{a}/instance/"), instance("one"));
    watched.cloud.post(&format!("/tenant/{a}/instance/{made}/vnic/"), json!({"switch": switch, "index": 0}));
    watched.events();
    watched.cloud.write(&format!("/tenant/{a}/instance/{made}"), Write::Delete).unwrap();
    let events = watched.events();
    let owner = watched.watch(member(&a, MemberRole::Owner), &[], None);
    assert_eq!(watched.told(&owner, &events), ["vnic-", "instance-"]);
    let gone: Json = serde_json::from_str(events[1].gone()).unwrap();
    let nothing =
        json!({"type": "instance", "pkey_name": "uuid", "pkey": made, "desired": null, "current": null});
    assert_eq!(gone, nothing);
    let other = watched.watch(member(&b, MemberRole::Owner), &[], None);
    assert!(watched.told(&other, &events).is_empty());
}

#[test]
fn a_row_that_changes_hands_resets_those_between_whom_it_went() {
    let (mut watched, a, b) = tenants();
    let made = watched.cloud.post(&format!("/tenant/{a}/instance/"), instance("one"));
    watched.events();
    let (from, to) =
        (format!("/tenant/{a}/children/instance/{made}"), format!("/tenant/{b}/children/instance/{made}"));
    watched.cloud.patch("/", json!([{"op": "move", "from": from, "path": to}])).unwrap();
    let events = watched.events();
    for tenant in [&a, &b] {
        let watch = watched.watch(member(tenant, MemberRole::Owner), &[], None);
        assert_eq!(watched.told(&watch, &events), ["!"], "what is below it changed hands, too");
        let vnics = watched.watch(member(tenant, MemberRole::Owner), &["vnic"], None);
        assert_eq!(watched.told(&vnics, &events), ["!"]);
    }
    assert_eq!(watched.told(&watched.watch(alicorn(), &[], None), &events), ["instance+"]);
}

/// Where a row lay was once judged when its event was fetched: the next owner would have been told what the last one
/// took out before he gave it away.
#[test]
fn rights_are_judged_as_of_each_commit() {
    let (mut watched, a, b) = tenants();
    let pool = json!({"type": "dir", "name": "p", "config": {"path": "/p"}});
    let pool = watched.cloud.post("/storage-pool/", pool);
    let volume = json!({"name": "secret", "size": 1, "storage_pool": pool});
    let volume = watched.cloud.post(&format!("/tenant/{a}/volume/"), volume);
    let at = format!("/tenant/{a}/children/volume/{volume}");
    let rename = json!([{"op": "replace", "path": format!("{at}/desired/name"), "value": "scrubbed"}]);
    watched.cloud.patch("/", rename).unwrap();
    let give = json!([{"op": "move", "from": at, "path": format!("/tenant/{b}/children/volume/{volume}")}]);
    watched.cloud.patch("/", give).unwrap();
    let events = watched.events();
    let owner = watched.watch(member(&b, MemberRole::Owner), &[], None);
    for event in &events {
        let told = owner.sight(&watched.cloud.tree, event);
        assert!(told != Sight::Shown || !event.shown().contains("secret"), "{}", event.shown());
    }
    let taker = watched.told(&owner, &events);
    assert_eq!(taker.last().map(String::as_str), Some("!"), "{taker:?}");
}

#[test]
fn no_secret_is_told_and_rights_that_change_are_noticed() {
    let mut cloud = Cloud::new();
    let user = json!({"email": "m@example.org", "data": {"method": "password", "hash": "one"}});
    cloud.post("/user/", user);
    let tenant = cloud.post("/tenant/", json!({"name": "a"}));
    let mut watched = Watched::new(cloud);
    let change = json!([{"op": "replace", "path": "/user/m@example.org/desired/data/hash", "value": "two"}]);
    watched.cloud.patch("/", change).unwrap();
    watched
        .cloud
        .post(&format!("/tenant/{tenant}/member/"), json!({"user": "m@example.org", "role": "owner"}));
    let events = watched.events();
    assert!(events.iter().all(|event| !event.shown().contains("two")), "{events:?}");
    let mine = watched.watch(member(&tenant, MemberRole::Owner), &[], None);
    assert!(events.iter().all(|event| mine.rights_changed(event)));
    let others = watched.watch(alicorn(), &[], None);
    assert!(!events.iter().any(|event| others.rights_changed(event)));
}

#[test]
fn tables_and_places_narrow_what_is_told() {
    let (mut watched, a, b) = tenants();
    for tenant in [&a, &b] {
        let made = watched.cloud.post(&format!("/tenant/{tenant}/instance/"), instance("one"));
        let switch =
            watched.cloud.post(&format!("/tenant/{tenant}/switch/"), json!({"name": "s", "type": "bridge"}));
        let vnic = json!({"switch": switch, "index": 0});
        watched.cloud.post(&format!("/tenant/{tenant}/instance/{made}/vnic/"), vnic);
    }
    let events = watched.events();
    let told =
        |tables: &[&str], path: Option<&str>| watched.told(&watched.watch(alicorn(), tables, path), &events);
    assert_eq!(told(&["vnic"], None), ["vnic+", "vnic+"]);
    assert_eq!(told(&[], Some(&format!("/tenant/{a}"))), ["instance+", "switch+", "vnic+"]);
    assert_eq!(told(&[], Some(&format!("/tenant/{a}/instance/"))), ["instance+", "vnic+"]);
    assert_eq!(told(&["instance", "switch"], Some(&format!("/tenant/{b}"))), ["instance+", "switch+"]);
    assert!(told(&[], Some("/host/")).is_empty());
    let stranger = Watch::new(
        &watched.cloud.tree,
        &watched.cloud.state,
        member(&b, MemberRole::Owner),
        &[],
        Some(&UrlPath::parse(&format!("/tenant/{a}")).unwrap()),
    );
    assert_eq!(stranger.unwrap_err().to_string(), "you may not see this");
    let nonsense = ["nonsense".to_owned()];
    let wrong = Watch::new(&watched.cloud.tree, &watched.cloud.state, alicorn(), &nonsense, None);
    assert!(wrong.unwrap_err().to_string().contains("there is no table `nonsense`; there are: "));
}
