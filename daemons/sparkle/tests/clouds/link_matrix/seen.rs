//! What is, in the host's kernel and in what users are told.

use super::ground::Ground;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// Links of somebody else, on the host.
const FOREIGN: [&str; 2] = ["foreign", "foreign1"];

/// How the names of links begin that an agent makes: those without an alias are half made.
const PREFIXES: [&str; 3] = ["po", "pl", "pr"];

/// Lines of logs that a failure shows.
const LINES: usize = 20;

impl Ground {
    /// Whether what is ordered is so: in the kernel, with nothing besides, and in what users are told.
    pub(super) async fn is_so(&self) -> bool {
        if self.links() != self.names.links(self.ordered) || self.ordered.is_empty() && self.has_rules() {
            return false;
        }
        for role in self.names.roles(self.ordered) {
            if self.current(&role).await["status"] != "active" {
                return false;
            }
        }
        true
    }

    fn has_rules(&self) -> bool {
        let (succeeded, said) = self.space.run("nft list tables");
        assert!(succeeded, "nft: {said}");
        said.contains("pony_")
    }

    /// All links with their addresses.
    fn all(&self) -> Vec<Json> {
        serde_json::from_str(&self.space.ip("-j -d address")).unwrap()
    }

    /// The links that the agent made, and the cards that have addresses, in words.
    fn links(&self) -> BTreeSet<String> {
        let (all, mark) = (self.all(), format!("pony:{}:", self.host));
        let word = |link: &Json| {
            let name = link["ifname"].as_str()?;
            let alias = link["ifalias"].as_str().and_then(|it| it.strip_prefix(&mark));
            let Some(alias) = alias.and_then(|it| it.split('@').next()) else {
                let half_made = PREFIXES.iter().any(|it| name.starts_with(it));
                let has = addresses(link);
                let used = name.starts_with("up") && !has.is_empty();
                return used.then(|| format!("{name} with {has:?}")).or(half_made.then(|| name.to_owned()));
            };
            let info = &link["linkinfo"];
            Some(match info["info_kind"].as_str()? {
                "bond" => format!("bond {alias} {:?} of {:?}", mode(&info["info_data"])?, on(&all, name)),
                "bridge" => format!("bridge {alias} with {:?}", addresses(link)),
                kind => format!("{kind} {alias}"),
            })
        };
        all.iter().filter_map(word).collect()
    }

    /// Somebody else's links, with what they are and have.
    pub(super) fn foreign_links(&self) -> String {
        let of = |link: &Json| {
            let named = FOREIGN.iter().any(|it| link["ifname"] == *it);
            let what = ["ifname", "master", "flags", "address", "mtu"].map(|it| &link[it]);
            named.then(|| format!("{} {:?}", json!(what), addresses(link)))
        };
        self.all().iter().filter_map(of).collect()
    }

    pub(super) fn others_are_untouched(&self) -> bool {
        self.foreign_links() == self.foreign
    }

    /// What is proven, on trial, and refused.
    pub(super) fn record(&self) -> String {
        self.log("host/uplinks.json")
    }

    /// All that may explain a failure.
    pub(super) async fn told(&self) -> String {
        let wanted = self.names.links(self.ordered);
        let mut told = format!("wanted {wanted:#?}\nfound {:#?}\n", self.links());
        for role in self.names.roles(self.ordered) {
            told += &format!("{role}: {}\n", self.current(&role).await);
        }
        let end = |log: String| {
            let lines: Vec<&str> = log.lines().filter(|it| !it.contains("method=GET")).collect();
            lines[lines.len().saturating_sub(LINES)..].join("\n")
        };
        told + &[self.record(), end(self.log("sparkle.log")), end(self.log("host.log"))].join("\n")
    }
}

fn addresses(link: &Json) -> BTreeSet<String> {
    let given = |it: &&Json| it["family"] == "inet";
    let of = |it: &Json| Some(format!("{}/{}", it["local"].as_str()?, it["prefixlen"]));
    link["addr_info"].as_array().into_iter().flatten().filter(given).filter_map(of).collect()
}

/// The links that are part of another.
fn on<'a>(all: &'a [Json], above: &str) -> BTreeSet<&'a str> {
    all.iter().filter(|it| it["master"] == above).filter_map(|it| it["ifname"].as_str()).collect()
}

/// The mode, and the rate of LACP where that is in use.
fn mode(bond: &Json) -> Option<(&str, Option<&str>)> {
    let mode = bond["mode"].as_str()?;
    Some((mode, bond["ad_lacp_rate"].as_str().filter(|_| mode == "802.3ad")))
}
