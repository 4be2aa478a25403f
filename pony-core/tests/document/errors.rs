//! What is refused, with which code, path and message: a table of text, `errors.txt`.
//!
//! Each block is a request (method, URL, body; perhaps `as` somebody) and what comes of it. `<T>` and the like stand
//! for rows of the [`fixture`]. To accept changed answers: `UPDATE_GOLDEN=1 cargo test -p pony-core --test document`.

use crate::cloud::{Cloud, alicorn, id};
use pony_core::document::{Caller, DocumentError, Write, parse_body};
use pony_core::tables::MemberRole;
use pony_state::Read;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use uuid::Uuid;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/document").join(name)
}

/// Compares with a file beside the tests. To accept a change: `UPDATE_GOLDEN=1 cargo test`.
pub fn golden(name: &str, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(name), text).unwrap();
    }
    let expected = std::fs::read_to_string(path(name)).unwrap_or_default();
    for (line, (expected, found)) in expected.lines().zip(text.lines()).enumerate() {
        assert_eq!(found, expected, "{name}:{}", line + 1);
    }
    assert_eq!(text.lines().count(), expected.lines().count(), "{name}: lines are missing or too many");
}

/// One of everything that requests run into; the names in `errors.txt`, and what they stand for.
fn fixture() -> (Cloud, Vec<(&'static str, String)>) {
    let mut cloud = Cloud::new();
    let t = cloud.post("/tenant/", json!({"name": "t", "approved": true}));
    let u = cloud.post("/tenant/", json!({"name": "u", "approved": true}));
    let new = cloud.post("/tenant/", json!({"name": "new"}));
    let h = id(0xA00);
    cloud.post("/host/", json!({"uuid": h}));
    let pool = json!({"name": "p", "type": "dir", "host": h, "config": {"path": "/srv/p"}});
    let p = cloud.post("/storage-pool/", pool);
    let m = cloud.post("/image/", json!({"name": "m"}));
    let volumes = format!("/tenant/{t}/volume/");
    let v = cloud.post(&volumes, json!({"size": 8, "storage_pool": p, "base_image": m}));
    let w = cloud.post(&volumes, json!({"size": 8, "storage_pool": p, "state": "deleted"}));
    let instance = |name| json!({"name": name, "vcpu": 1, "rcpu": 1, "mem": 64});
    let i = cloud.post(&format!("/tenant/{t}/instance/"), instance("i"));
    let j = cloud.post(&format!("/tenant/{u}/instance/"), instance("j"));
    let d = cloud.post(&format!("/tenant/{t}/instance/{i}/vdisk/"), json!({"volume": v, "index": 0}));
    let s = cloud.post(&format!("/tenant/{t}/switch/"), json!({"name": "s", "type": "bridge"}));
    let q = cloud.post(&format!("/tenant/{u}/switch/"), json!({"name": "q", "type": "bridge"}));
    let k = cloud.post(&format!("/tenant/{t}/instance/{i}/vnic/"), json!({"switch": s, "index": 0}));
    let n = cloud.post(&format!("/tenant/{t}/switch/{s}/network/"), json!({"range": "10.0.0.0/24"}));
    // A switch that is shared, and what the other tenant has in it.
    cloud.post(&format!("/tenant/{t}/switch/{s}/tenant/"), json!({"tenant": u}));
    let c = cloud.post(&format!("/tenant/{u}/instance/{j}/vnic/"), json!({"switch": s, "index": 0}));
    let address = json!({"ip": "10.0.0.77", "vnic": c});
    let a = cloud.post(&format!("/tenant/{t}/switch/{s}/network/{n}/address/"), address);
    cloud.post("/config/", json!({"key": "k", "value": {"a": [1, 2]}}));
    cloud.post("/user/", json!({"email": "admin@t"}));
    let names = [
        ("T", t),
        ("U", u),
        ("H", h),
        ("P", p),
        ("M", m),
        ("V", v),
        ("W", w),
        ("I", i),
        ("J", j),
        ("D", d),
        ("S", s),
        ("Q", q),
        ("K", k),
        ("N", n),
        ("NEW", new),
        ("C", c),
        ("A", a),
        ("X", id(0xFFFF)),
    ];
    (cloud, names.to_vec())
}

fn caller<'n>(name: &str, tenants: impl Iterator<Item = &'n str>) -> Caller {
    let role = match name {
        "nobody" => return Caller::Nobody,
        "owner" => MemberRole::Owner,
        "admin" => MemberRole::Admin,
        "operator" => MemberRole::Operator,
        other => panic!("no caller {other}"),
    };
    let memberships = tenants.map(|tenant| (tenant.parse::<Uuid>().unwrap(), role)).collect();
    Caller::User { email: format!("{name}@t").into(), alicorn: false, memberships }
}

/// The request of a block's first line: caller, method, URL, body.
fn parse<'l>(line: &'l str, names: &[(&str, String)]) -> (Caller, &'l str, String, String) {
    // Members of T, and of a tenant that nobody has approved.
    let tenants = names.iter().filter(|(name, _)| ["T", "NEW"].contains(name)).map(|(_, uuid)| uuid.as_str());
    let (who, line) = match line.strip_prefix("as ").and_then(|line| line.split_once(' ')) {
        Some((name, line)) => (caller(name, tenants), line),
        None => (alicorn(), line),
    };
    let (method, line) = line.split_once(' ').unwrap();
    let (url, body) = line.split_once(' ').unwrap_or((line, ""));
    let fill = |text: &str| {
        names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("<{name}>"), value))
    };
    // A body can hold what a line of text cannot.
    let body = match body {
        "<deep>" => format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        "<long>" => Json::from(vec![json!({"op": "remove", "path": "/x"}); 5000]).to_string(),
        body => repeat(&fill(body)),
    };
    (who, method, fill(url), body)
}

/// `<x*255>` stands for so many of these.
fn repeat(body: &str) -> String {
    let mut parts = body.split('<');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let repeated = part.split_once('>').and_then(|(what, rest)| {
            let (piece, times) = what.split_once('*')?;
            Some(format!("{}{rest}", piece.repeat(times.parse().ok()?)))
        });
        text.push_str(&repeated.unwrap_or_else(|| format!("<{part}")));
    }
    text
}

fn answer(who: &Caller, method: &str, url: &str, body: &str) -> Result<String, DocumentError> {
    let (mut cloud, _) = fixture();
    let write = match method {
        "GET" if url.contains('?') || url.ends_with('/') => {
            let entities = cloud.list_as(who, url)?;
            return Ok(format!("200 {} entities", entities.len()));
        }
        "GET" => return cloud.get_as(who, url).map(|entity| format!("200 {entity}")),
        "POST" => Write::Create(parse_body(body.as_bytes())?),
        "PATCH" => Write::Patch(parse_body(body.as_bytes())?),
        "MERGE" => Write::Merge(parse_body(body.as_bytes())?),
        "DELETE" => Write::Delete,
        other => panic!("no method {other}"),
    };
    let before = cloud.state.version();
    let effect = cloud.write_as(who, url, &write);
    assert!(effect.is_ok() || cloud.state.version() == before, "a refused request changed something");
    effect.map(|effect| format!("200 {} operations", effect.ops.len()))
}

#[test]
fn the_table_of_answers() {
    let (_, names) = fixture();
    let mut text = String::new();
    for block in std::fs::read_to_string(path("errors.txt")).unwrap().split("\n\n") {
        let comment = |line: &&str| line.starts_with('#');
        let comments: Vec<&str> = block.lines().take_while(comment).collect();
        let Some(request) = block.lines().find(|line| !comment(line)) else {
            text.push_str(&format!("{}\n\n", comments.join("\n")));
            continue;
        };
        let (who, method, url, body) = parse(request, &names);
        let found = answer(&who, method, &url, &body).unwrap_or_else(|error| {
            let at = error.path.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            format!("{} {} {at}\n{error}", error.code().status(), error.code().as_str())
        });
        // Rows go by their names in answers, too.
        let found = names.iter().fold(found, |text, (name, value)| text.replace(value, &format!("<{name}>")));
        let lines: Vec<&str> = comments.into_iter().chain([request, found.as_str()]).collect();
        text.push_str(&format!("{}\n\n", lines.join("\n")));
    }
    golden("errors.txt", &format!("{}\n", text.trim_end()));
}
