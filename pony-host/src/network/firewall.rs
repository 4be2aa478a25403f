//! What guests may send: a table of nftables with a chain for each tap, and nothing of it for the host itself.
//!
//! The table is named after the host, and says whose it is; tables of others are neither read nor touched. Each change is
//! one transaction of the kernel: a tap has its old rules or its new ones, never none. Changes that wait share a
//! transaction, since each takes a process. The name of a tap's chain says whose tap it is, and holds a stamp of what is
//! allowed, and how many rules that takes: so a look at the table tells what is in force, where somebody removed a rule, and
//! where rules are left of a tap that is not there.

use super::error::{order, transient};
use super::namespace::Namespace;
use super::{nft, rules};
use crate::Result;
use pony_core::host::TapSpec;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Changes that wait; each belongs to a step, of which far fewer run.
const WAITING_MAX: usize = 4_096;

/// A change of what is allowed on one link.
#[derive(Debug, Clone)]
enum Change {
    /// A tap: its guest may send by these rules, and not to the host.
    Guard { link: String, chain: String, rules: Vec<String> },
    /// A link to other hosts: what comes from there is not for this host.
    Uplink(String),
    /// A link that is gone.
    Release(String),
}

/// What is in force.
#[derive(Debug, Default)]
struct Force {
    /// Whether there is a table at all.
    table: bool,
    /// The chains of taps.
    chains: BTreeMap<String, String>,
    /// Links from which nothing is for the host.
    ports: BTreeSet<String>,
}

/// A tap that has rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) vnic: Uuid,
    /// What is allowed; none where the rules are not what their chain says.
    pub(super) stamp: Option<u64>,
}

type Waiting = (Change, oneshot::Sender<Result<()>>);

/// The table of one host.
#[derive(Debug)]
pub(super) struct Firewall {
    table: String,
    host: Uuid,
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
    /// Taps whose rules were found not to be what their chains' names say.
    broken: Mutex<BTreeSet<String>>,
}

impl Firewall {
    pub(super) fn new(host: Uuid) -> Self {
        let table = format!("pony_{}", host.simple());
        Self {
            table,
            host,
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// Lets the guest behind a tap send as `spec` says, and as nobody else.
    pub(super) async fn guard(&self, namespace: &Namespace, link: &str, spec: &TapSpec) -> Result<()> {
        let rules = rules::of(spec).map_err(order)?;
        let chain = format!("{link}_{}_{:016x}_{}", spec.vnic.simple(), spec.guard(), rules.len());
        self.change(namespace, Change::Guard { link: link.to_owned(), chain, rules }).await
    }

    /// Keeps what comes from other hosts off this host.
    pub(super) async fn uplink(&self, namespace: &Namespace, link: &str) -> Result<()> {
        self.change(namespace, Change::Uplink(link.to_owned())).await
    }

    /// Forgets a link that is gone.
    pub(super) async fn release(&self, namespace: &Namespace, link: &str) -> Result<()> {
        self.change(namespace, Change::Release(link.to_owned())).await
    }

    /// The taps that have rules, by their links.
    pub(super) async fn guards(&self, namespace: &Namespace) -> Result<BTreeMap<String, Guard>> {
        let args = ["-j", "list", "table", "bridge", &self.table];
        let Some(table) = self.read(namespace, &args).await? else { return Ok(BTreeMap::new()) };
        let rules = count_rules(&table);
        let count = |chain: &str| rules.get(chain).copied().unwrap_or_default();
        let entered = count("from_guests") == 1 && count("to_host") == 1;
        let (mut guards, mut broken) = (BTreeMap::new(), BTreeSet::new());
        for (link, chain) in chains(&elements(&table, "map", Some("guests"))) {
            let promise = promise(&link, &chain);
            let kept = promise.filter(|it| entered && it.rules == count(&chain));
            if kept.is_none() {
                broken.insert(link.clone());
            }
            if let Some(Promise { vnic, .. }) = promise {
                guards.insert(link, Guard { vnic, stamp: kept.map(|it| it.stamp) });
            }
        }
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = broken;
        Ok(guards)
    }

    async fn change(&self, namespace: &Namespace, change: Change) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.len() >= WAITING_MAX {
                return Err(transient("too many changes of the firewall wait"));
            }
            waiting.push((change, answer));
        }
        {
            let _turn = self.turn.lock().await;
            let batch = std::mem::take(&mut *self.waiting());
            if !batch.is_empty() {
                self.carry_out(namespace, batch).await;
            }
        }
        answered.await.unwrap_or_else(|_| Err(transient("a change of the firewall was given up half-way")))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction for all; where it is refused, one for each, so that a bad one does not hold up the others.
    async fn carry_out(&self, namespace: &Namespace, batch: Vec<Waiting>) {
        let (changes, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let all = self.commit(namespace, &changes).await;
        let alone = all.is_err() && changes.len() > 1;
        for (change, answer) in changes.into_iter().zip(answers) {
            let result = if alone { self.commit(namespace, &[change]).await } else { all.clone() };
            // Whoever was dropped meanwhile does not care.
            let _ = answer.send(result);
        }
    }

    async fn commit(&self, namespace: &Namespace, changes: &[Change]) -> Result<()> {
        let releases_only = changes.iter().all(|it| matches!(it, Change::Release(_)));
        let force = match self.force(namespace).await {
            // Where there is no nft, nothing was ever put into force.
            Err(_) if releases_only && nft::run(namespace, &["--version"], String::new()).await.is_err() => {
                return Ok(());
            }
            force => force?,
        };
        match self.script(force, changes) {
            Some(script) => nft::commit(namespace, script).await,
            None => Ok(()),
        }
    }

    /// The transaction that brings about the changes; `None` where there is nothing to do.
    fn script(&self, mut force: Force, changes: &[Change]) -> Option<String> {
        let (table, host) = (&self.table, self.host);
        let mut script = format!(
            "add table bridge {table} {{ comment \"pony:{host}\"; }}\n\
             add map bridge {table} guests {{ type ifname : verdict; }}\n\
             add set bridge {table} ports {{ type ifname; }}\n\
             add chain bridge {table} from_guests {{ type filter hook prerouting priority -300; policy accept; }}\n\
             add chain bridge {table} to_host {{ type filter hook input priority 0; policy accept; }}\n\
             flush chain bridge {table} from_guests\nflush chain bridge {table} to_host\n\
             add rule bridge {table} from_guests iifname vmap @guests\n\
             add rule bridge {table} to_host iifname @ports drop\n"
        );
        let was_there = force.table;
        let mut differs = false;
        for change in changes {
            differs |= self.step(&mut script, &mut force, change);
        }
        if was_there && force.chains.is_empty() && force.ports.is_empty() {
            return Some(format!("delete table bridge {table}\n"));
        }
        differs.then_some(script)
    }

    /// Appends one change; says whether it is any.
    fn step(&self, script: &mut String, force: &mut Force, change: &Change) -> bool {
        let table = &self.table;
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Writing to a text does not fail.
            let _ = writeln!(script, "{line}");
        };
        match change {
            Change::Guard { link, chain, rules } => {
                let old = force.chains.insert(link.clone(), chain.clone());
                let listed = !force.ports.insert(link.clone());
                let is_broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).remove(link);
                if old.as_ref() == Some(chain) && listed && !is_broken {
                    return false;
                }
                line(format_args!("add chain bridge {table} {chain}\nflush chain bridge {table} {chain}"));
                rules.iter().for_each(|rule| line(format_args!("add rule bridge {table} {chain} {rule}")));
                if let Some(old) = old {
                    line(format_args!("delete element bridge {table} guests {{ \"{link}\" : jump {old} }}"));
                    if old != *chain {
                        line(format_args!("delete chain bridge {table} {old}"));
                    }
                }
                line(format_args!("add element bridge {table} guests {{ \"{link}\" : jump {chain} }}"));
                line(format_args!("add element bridge {table} ports {{ \"{link}\" }}"));
                true
            }
            Change::Uplink(link) => {
                line(format_args!("add element bridge {table} ports {{ \"{link}\" }}"));
                force.ports.insert(link.clone())
            }
            Change::Release(link) => {
                let listed = force.ports.remove(link);
                if listed {
                    line(format_args!("delete element bridge {table} ports {{ \"{link}\" }}"));
                }
                let Some(chain) = force.chains.remove(link) else { return listed };
                line(format_args!("delete element bridge {table} guests {{ \"{link}\" : jump {chain} }}"));
                line(format_args!("delete chain bridge {table} {chain}"));
                true
            }
        }
    }

    async fn force(&self, namespace: &Namespace) -> Result<Force> {
        let mut force = Force::default();
        let Some(guests) = self.list(namespace, "map", "guests").await? else { return Ok(force) };
        force.table = true;
        force.chains = chains(&guests);
        let ports = self.list(namespace, "set", "ports").await?.unwrap_or_default();
        force.ports = ports.iter().filter_map(|port| port.as_str().map(str::to_owned)).collect();
        Ok(force)
    }

    /// The elements of a map or set; `None` where there is no such.
    async fn list(&self, namespace: &Namespace, kind: &'static str, name: &str) -> Result<Option<Vec<Json>>> {
        let found = self.read(namespace, &["-j", "list", kind, "bridge", &self.table, name]).await?;
        Ok(found.map(|found| elements(&found, kind, None)))
    }

    /// What `nft` answers; `None` where there is no such thing.
    async fn read(&self, namespace: &Namespace, args: &[&str]) -> Result<Option<Vec<Json>>> {
        let output = nft::run(namespace, args, String::new()).await?;
        if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("No such file") {
            return Ok(None);
        }
        let output = nft::succeeded(output)?;
        let json: Json = serde_json::from_slice(&output.stdout)
            .map_err(|error| transient(format!("cannot read the firewall: nft answers no JSON: {error}")))?;
        Ok(Some(json["nftables"].as_array().cloned().unwrap_or_default()))
    }
}

/// The elements of the maps or sets, or of the one of this name.
fn elements(found: &[Json], kind: &str, name: Option<&str>) -> Vec<Json> {
    let items = found.iter().filter_map(|item| item.get(kind));
    let named = items.filter(|item| name.is_none_or(|name| item["name"] == name));
    named.flat_map(|it| it["elem"].as_array()).flatten().cloned().collect()
}

/// The chains of taps.
fn chains(guests: &[Json]) -> BTreeMap<String, String> {
    let pair = |element: &Json| {
        let (link, chain) = (element[0].as_str()?, element[1]["jump"]["target"].as_str()?);
        Some((link.to_owned(), chain.to_owned()))
    };
    guests.iter().filter_map(pair).collect()
}

/// How many rules each chain has.
fn count_rules(found: &[Json]) -> BTreeMap<&str, usize> {
    let mut rules = BTreeMap::new();
    for chain in found.iter().filter_map(|item| item["rule"]["chain"].as_str()) {
        *rules.entry(chain).or_default() += 1;
    }
    rules
}

/// What the name of a tap's chain says.
#[derive(Debug, Clone, Copy)]
struct Promise {
    vnic: Uuid,
    stamp: u64,
    rules: usize,
}

fn promise(link: &str, chain: &str) -> Option<Promise> {
    let mut parts = chain.strip_prefix(link)?.strip_prefix('_')?.splitn(3, '_');
    let vnic = Uuid::parse_str(parts.next()?).ok()?;
    let stamp = u64::from_str_radix(parts.next()?, 16).ok()?;
    Some(Promise { vnic, stamp, rules: parts.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(link: &str, chain: &str) -> Change {
        Change::Guard { link: link.into(), chain: chain.into(), rules: vec!["accept".into()] }
    }

    #[test]
    fn what_is_in_force_is_left_and_the_last_release_removes_the_table() {
        let firewall = Firewall::new(Uuid::from_u128(1));
        let force = || Force {
            table: true,
            chains: [("pt1".to_owned(), "pt1_a".to_owned())].into(),
            ports: ["pt1".to_owned()].into(),
        };
        assert_eq!(firewall.script(force(), &[guard("pt1", "pt1_a")]), None);
        let other = firewall.script(force(), &[guard("pt1", "pt1_b")]).unwrap();
        let removed = other.find("delete chain bridge pony_00000000000000000000000000000001 pt1_a").unwrap();
        assert!(other.find("jump pt1_a").unwrap() < removed, "{other}");
        let last = firewall.script(force(), &[Change::Release("pt1".into())]).unwrap();
        assert_eq!(last, "delete table bridge pony_00000000000000000000000000000001\n");
        assert_eq!(firewall.script(Force::default(), &[Change::Release("pt1".into())]), None);
    }
}
