//! What is ordered of a host's links, the transitions between that, and the operations by which they are ordered.

use super::ground::{CARDS, HOME};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a bond is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    row: u16,
    kind: &'static str,
    pub(super) tag: u16,
    pub(super) address: &'static str,
}

/// Cards used as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bond {
    row: u16,
    /// The mode, and where it is `802.3ad` the rate of LACP.
    pub(super) mode: (&'static str, Option<&'static str>),
    /// Which of [`CARDS`].
    pub(super) cards: &'static [usize],
    pub(super) roles: &'static [Role],
}

/// All that is ordered.
pub(super) type State = &'static [Bond];

const BACKUP: (&str, Option<&str>) = ("active-backup", None);

/// The way to Sparkle.
const WAY: Role = Role { row: 1, kind: "management", tag: 0, address: "192.0.2.2/24" };
const OTHER_WAY: Role = Role { address: "192.0.2.3/24", ..WAY };
const DATA: Role = Role { row: 2, kind: "storage", tag: 7, address: "10.7.0.2/24" };
const FIRST: Bond = Bond { row: 10, mode: BACKUP, cards: &[0], roles: &[WAY] };
const SECOND: Bond = Bond { row: 11, mode: BACKUP, cards: &[1], roles: &[Role { row: 3, tag: 0, ..DATA }] };

pub(super) const NOTHING: State = &[];
pub(super) const ALONE: State = &[FIRST];
const MOVED: State = &[Bond { roles: &[OTHER_WAY], ..FIRST }];
const BOTH: State = &[Bond { cards: &[0, 1], ..FIRST }];
const TWO: State = &[FIRST, SECOND];
const TWO_FAST: State = &[FIRST, Bond { mode: ("802.3ad", Some("fast")), ..SECOND }];
const TWO_SLOW: State = &[FIRST, Bond { mode: ("802.3ad", Some("slow")), ..SECOND }];
const TAGGED: State = &[Bond { roles: &[WAY, DATA], ..FIRST }];
const OTHER_TAG: State = &[Bond { roles: &[WAY, Role { tag: 8, ..DATA }], ..FIRST }];
const OTHER_ADDRESS: State = &[Bond { roles: &[WAY, Role { address: "10.7.0.3/24", ..DATA }], ..FIRST }];

pub(super) const MAKE: &str = "make the uplink";
pub(super) const REMOVE: &str = "remove the uplink";

/// A change of what is ordered.
pub(super) struct Transition {
    pub(super) name: &'static str,
    pub(super) before: State,
    pub(super) order: State,
    /// The step that something happens to.
    pub(super) verb: &'static str,
    /// What replaces the order.
    pub(super) other: State,
}

impl Transition {
    /// Whether it does nothing but take roles away: then nothing has to be removed to go back. (A bond that is ordered again is
    /// another one to the cloud, and what was made instead has to go.)
    pub(super) fn only_takes_roles(&self) -> bool {
        let is_kept = |was: &Bond| {
            let now = self.order.iter().find(|it| it.row == was.row);
            now.is_some_and(|now| now.roles.iter().all(|role| was.roles.contains(role)))
        };
        self.before.iter().all(is_kept)
    }
}

const fn to(
    name: &'static str,
    (before, order): (State, State),
    verb: &'static str,
    other: State,
) -> Transition {
    Transition { name, before, order, verb, other }
}

pub(super) const TRANSITIONS: [Transition; 11] = [
    to("bond: make", (NOTHING, ALONE), MAKE, MOVED),
    to("bond: take another card", (ALONE, BOTH), MAKE, TWO),
    to("bond: let go of a card", (BOTH, ALONE), MAKE, TWO),
    to("bond: another mode", (TWO, TWO_FAST), MAKE, TWO_SLOW),
    to("bond: remove", (TWO, ALONE), REMOVE, TWO_FAST),
    to("bond: remove with all on it", (TAGGED, NOTHING), REMOVE, MOVED),
    to("role: make", (ALONE, TAGGED), MAKE, OTHER_TAG),
    to("role: another address", (TAGGED, OTHER_ADDRESS), MAKE, OTHER_TAG),
    to("role: another VLAN", (TAGGED, OTHER_TAG), MAKE, OTHER_ADDRESS),
    to("role: another VLAN", (TAGGED, OTHER_TAG), REMOVE, OTHER_ADDRESS),
    to("role: remove", (TAGGED, ALONE), REMOVE, OTHER_TAG),
];

/// What the cloud calls the rows of a state; those that are new have placeholders.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(BTreeMap<u16, String>);

impl Names {
    fn of(&self, row: u16) -> String {
        self.0.get(&row).cloned().unwrap_or_else(|| placeholder(row))
    }

    /// Takes over what the cloud calls the rows of what was ordered now, and forgets all others.
    pub(super) fn learn(&mut self, state: State, uuids: &Json) {
        let rows = state.iter().flat_map(|bond| bond.roles.iter().map(|it| it.row).chain([bond.row]));
        let name = |row: u16| {
            let new = uuids[placeholder(row)].as_str().map(str::to_owned);
            new.unwrap_or_else(|| self.of(row))
        };
        self.0 = rows.map(|row| (row, name(row))).collect();
    }

    /// Where the rows of roles are, below the host.
    pub(super) fn roles(&self, state: State) -> Vec<String> {
        let of = |bond: &'static Bond| bond.roles.iter().map(move |role| (bond, role));
        let path =
            |(bond, role): (&Bond, &Role)| format!("/bond/{}/role/{}", self.of(bond.row), self.of(role.row));
        state.iter().flat_map(of).map(path).collect()
    }

    /// What orders `to` where `from` was ordered, as a patch of the host.
    pub(super) fn patch(&self, from: State, to: State) -> Vec<Json> {
        let [old, new] = [from, to].map(|state| self.rows(state));
        let gone = old.keys().rev().filter(|path| !new.contains_key(*path));
        let merge = |path: &str, desired: &Json| json!({"op": "x-merge", "path": path, "value": {"desired": desired}});
        let user = |state: State, n: usize| {
            state.iter().find(|bond| bond.cards.contains(&n)).map(|bond| self.of(bond.row))
        };
        let cards = CARDS.iter().enumerate().map(|(n, mac)| match (user(from, n), user(to, n)) {
            (Some(old), Some(new)) if old != new => {
                let [from, path] = [old, new].map(|it| format!("/children/bond/{it}/children/nic/{mac}"));
                json!({"op": "move", "from": from, "path": path})
            }
            (_, user) => merge(&format!("/children/nic/{mac}"), &json!({ "bond": user })),
        });
        // Bonds before the cards that they are given, and without cards before they go.
        let made = new.iter().map(|(path, desired)| merge(path, desired));
        made.chain(cards).chain(gone.map(|path| json!({"op": "remove", "path": path}))).collect()
    }

    /// Paths below the host, with what is desired there; what is below another row comes after it.
    fn rows(&self, state: State) -> BTreeMap<String, Json> {
        let mut rows = BTreeMap::new();
        for bond in state {
            let path = format!("/children/bond/{}", self.of(bond.row));
            for role in bond.roles {
                let tag = Some(role.tag).filter(|tag| *tag != 0);
                let desired = json!({"role": role.kind, "address": role.address, "vlan_id": tag});
                rows.insert(format!("{path}/children/role/{}", self.of(role.row)), desired);
            }
            let (mode, rate) = bond.mode;
            rows.insert(path, json!({"mode": mode, "lacp_rate": rate}));
        }
        rows
    }

    /// The links that there are then, in words.
    pub(super) fn links(&self, state: State) -> BTreeSet<String> {
        let mut links = BTreeSet::new();
        if !state.iter().any(|bond| bond.cards.contains(&0)) {
            links.insert(format!("up0 with {:?}", BTreeSet::from([HOME])));
        }
        for bond in state {
            let name = self.of(bond.row);
            let cards: BTreeSet<String> = bond.cards.iter().map(|n| format!("up{n}")).collect();
            links.insert(format!("bond {name} {:?} of {cards:?}", bond.mode));
            for role in bond.roles {
                let home = Some(HOME).filter(|_| role.tag == 0 && bond.cards.contains(&0));
                let addresses: BTreeSet<&str> = home.into_iter().chain([role.address]).collect();
                links.insert(format!("bridge {name}/{} with {addresses:?}", role.tag));
                if role.tag != 0 {
                    links.insert(format!("vlan {name}/{}", role.tag));
                }
            }
        }
        links
    }
}

fn placeholder(row: u16) -> String {
    format!("$row{row}")
}
