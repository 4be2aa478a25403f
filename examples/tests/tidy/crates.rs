//! Which crate may use which: only what stands above it, and each technology in one place.

use crate::sources::{files, read};
use std::collections::BTreeSet;

/// The crates of this workspace, and which of the others each may use. Development dependencies do not count.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("pony-state/derive", &[]),
    ("pony-state", &["pony-state-derive"]),
    ("pony-state/docs", &["pony-state"]),
    ("pony-state/fuzz", &["pony-state"]),
    ("pony-core", &["pony-state"]),
    ("pony-net", &["pony-state"]),
    ("pony-store", &["pony-state"]),
    ("pony-host", &["pony-core"]),
    ("daemons/sparkle", &["pony-state", "pony-core", "pony-net", "pony-store"]),
    ("daemons/twilight", &["pony-state", "pony-core", "pony-net", "pony-host"]),
    ("daemons/pony", &["pony-state", "pony-core", "pony-net", "pony-host", "sparkle", "twilight"]),
    ("bindings", &["pony-state"]),
    ("examples", &["pony-state"]),
];

/// Everything that the pure crates are built with, no more and no less.
const PURE: [(&str, &[&str]); 3] = [
    ("pony-state/derive", &["proc-macro2", "quote", "serde_json", "syn"]),
    (
        "pony-state",
        &[
            "hashbrown",
            "pony-state-derive",
            "serde",
            "serde_json",
            "smol_str",
            "thiserror",
            "triomphe",
            "uuid",
        ],
    ),
    ("pony-core", &["base64", "pony-state", "serde", "serde_json", "sha2", "thiserror", "uuid"]),
];

/// Technologies, and the only places that know them.
const KNOWN_TO: [(&str, &[&str]); 13] = [
    ("axum", &["daemons/sparkle"]),
    ("pyo3", &["bindings"]),
    ("zmq", &["pony-net"]),
    ("rusqlite", &["pony-store"]),
    ("tokio-postgres", &["pony-store"]),
    ("tokio-rustls", &["pony-store", "pony-host", "daemons/sparkle"]),
    ("virt", &["pony-host"]),
    ("virt-sys", &["pony-host"]),
    ("rtnetlink", &["pony-host"]),
    ("argon2", &["daemons/sparkle"]),
    ("mimalloc", &["daemons/sparkle"]),
    ("tokio-tungstenite", &["daemons/pony"]),
    ("clap", &["daemons/sparkle", "daemons/twilight", "daemons/pony"]),
];

/// The dependencies in a manifest, without those for development.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if matches!(section, "dependencies" | "build-dependencies") && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().filter(|name| !name.is_empty());
            found.extend(name.map(str::to_owned));
        }
    }
    found
}

/// The crates of the workspace: directory and dependencies.
fn members() -> Vec<(String, BTreeSet<String>)> {
    let manifests = files("", "Cargo.toml").into_iter();
    let directory = |path: String| Some(path.strip_suffix("/Cargo.toml")?.to_owned());
    manifests
        .filter_map(directory)
        .map(|it| (it.clone(), dependencies(&read(format!("{it}/Cargo.toml")))))
        .collect()
}

fn look_up<'t>(table: &[(&str, &'t [&'t str])], name: &str) -> Option<&'t [&'t str]> {
    table.iter().find(|(it, _)| *it == name).map(|(_, list)| *list)
}

#[test]
fn a_crate_uses_only_what_stands_above_it() {
    let own = |name: &&String| name.starts_with("pony-") || ["sparkle", "twilight"].contains(&name.as_str());
    for (member, dependencies) in members().iter().filter(|(member, _)| member != "benches") {
        let may = look_up(&MAY_USE, member).unwrap_or_else(|| panic!("{member}: name it in MAY_USE"));
        let uses: Vec<&String> =
            dependencies.iter().filter(own).filter(|it| !may.contains(&it.as_str())).collect();
        assert!(uses.is_empty(), "{member} must not use {uses:?}: see ARCHITECTURE.md");
    }
}

#[test]
fn the_pure_crates_are_built_with_little() {
    for (member, dependencies) in members() {
        let Some(may) = look_up(&PURE, &member) else { continue };
        let pinned: BTreeSet<String> = may.iter().map(ToString::to_string).collect();
        assert_eq!(dependencies, pinned, "{member}: whoever embeds it pays for what it is built with");
    }
}

#[test]
fn each_technology_is_known_in_its_place_only() {
    for (member, dependencies) in members().iter().filter(|(member, _)| member != "benches") {
        for name in dependencies {
            let places = look_up(&KNOWN_TO, name);
            assert!(places.is_none_or(|it| it.contains(&member.as_str())), "{member} must not know {name}");
        }
    }
}

#[test]
fn manifests_are_read() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n# c\n\
                    d = { workspace = true }\n[dev-dependencies]\ne.workspace = true\n";
    assert_eq!(dependencies(manifest), ["a", "b", "d"].map(str::to_owned).into());
    assert!(members().len() >= 13);
}
