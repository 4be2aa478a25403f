//! A small schema that uses everything that declarations can say.
#![allow(dead_code, clippy::unwrap_used, reason = "tests; each test binary uses its part of this")]

use pony_state::{Cidr, Entity, Enum, Inet, Json, Mac, Part, Range, State, Text};
use proptest::test_runner::{Config, RngSeed};
use uuid::Uuid;

/// A machine.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "host", user_key)]
#[entity(mount(path = "/host", access = "protected"))]
pub(crate) struct Host {
    #[entity(key)]
    pub(crate) uuid: Uuid,
    pub(crate) desired: Option<HostDesired>,
    pub(crate) current: Option<HostCurrent>,
}

#[derive(Debug, Clone, PartialEq, Default, Part)]
pub(crate) struct HostDesired {
    pub(crate) name: Option<String>,
    /// How to switch it off.
    #[part(secret, default_json = r#"{"method": "none"}"#)]
    pub(crate) fencing: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Part)]
pub(crate) struct HostCurrent {
    pub(crate) mem: i64,
    pub(crate) load: f64,
}

/// An Ethernet card of a host.
///
/// It is known by its address.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "nic", user_key, unique("host", "link_name"), unique_nulls_equal("host", "bond"))]
#[entity(mount(path = "/host/nic", access = "protected", via = "host"))]
#[entity(mount(path = "/nic", access = "shared", only_null = "bond"))]
#[entity(check("speed >= 0", "a speed is not negative"))]
pub(crate) struct Nic {
    /// The address that it was made with.
    #[entity(key)]
    pub(crate) hwaddr: Mac,
    pub(crate) desired: Option<NicDesired>,
    pub(crate) current: Option<NicCurrent>,
}

#[derive(Debug, Clone, PartialEq, Part)]
pub(crate) struct NicDesired {
    /// The host that it sits in.
    #[part(references = "host", on_delete = "cascade", scope = "follows")]
    pub(crate) host: Uuid,
    #[part(references = "host", on_delete = "set-null")]
    pub(crate) bond: Option<Uuid>,
}

#[derive(Debug, Clone, PartialEq, Part)]
pub(crate) struct NicCurrent {
    #[part(references = "host")]
    pub(crate) host: Uuid,
    pub link_name: Option<Text>,
    #[part(index)]
    pub(crate) status: NicStatus,
    #[part(default = -1)]
    pub(crate) speed: i64,
    #[part(name = "type", default = "ether")]
    pub(crate) kind: Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum NicStatus {
    Missing,
    Ready,
    #[value = "802.3ad"]
    Lacp,
    HalfDuplex,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "instance")]
#[entity(mount(path = "/instance", access = "tenant/user"))]
pub(crate) struct Instance {
    #[entity(key)]
    pub(crate) uuid: Uuid,
    pub(crate) desired: Option<InstanceDesired>,
}

#[derive(Debug, Clone, PartialEq, Part)]
pub(crate) struct InstanceDesired {
    #[part(index)]
    pub(crate) name: Text,
    pub(crate) ns: Vec<Inet>,
    pub(crate) net: Option<Cidr>,
    #[part(immutable, default = 1)]
    pub(crate) vcpu: u32,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "volume", stored = "nowhere", read_only)]
#[entity(mount(path = "/instance/volume", access = "tenant/user", join = "vdisk"))]
pub(crate) struct Volume {
    #[entity(key)]
    pub(crate) uuid: Uuid,
    pub(crate) current: Option<VolumeCurrent>,
}

#[derive(Debug, Clone, PartialEq, Part)]
pub(crate) struct VolumeCurrent {
    pub(crate) extent: Range,
}

#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "vdisk", join("instance", "volume"), no_overlap(within = "instance", range = "blocks"))]
#[entity(inside(column = "ip", via = "instance", range = "net"))]
pub(crate) struct Vdisk {
    #[entity(key, references = "instance", on_delete = "cascade", scope = "follows")]
    pub(crate) instance: Uuid,
    #[entity(key)]
    pub(crate) r#index: i64,
    pub(crate) desired: Option<VdiskDesired>,
    pub(crate) current: Option<VdiskCurrent>,
}

#[derive(Debug, Clone, PartialEq, Part)]
pub(crate) struct VdiskDesired {
    #[part(references = "volume", scope = "brings")]
    pub(crate) volume: Option<Uuid>,
    pub(crate) blocks: Option<Range>,
    pub(crate) ip: Option<Inet>,
}

#[derive(Debug, Clone, PartialEq, Part)]
pub(crate) struct VdiskCurrent {
    #[part(references = "volume")]
    pub(crate) volume: Uuid,
}

/// So many cases, the same each time, unless `PROPTEST_CASES` and `PROPTEST_RNG_SEED` say otherwise.
pub(crate) fn cases(cases: u32) -> Config {
    let given = |name| std::env::var_os(name).is_some();
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if !given("PROPTEST_CASES") {
        config.cases = cases;
    }
    if !given("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

/// An empty state of all of these.
pub(crate) fn state() -> State {
    let builder = State::builder().table::<Host>().table::<Nic>().table::<Instance>();
    builder.table::<Volume>().table::<Vdisk>().build().unwrap()
}

pub(crate) fn mac(number: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, number])
}

pub(crate) fn uuid(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

pub(crate) fn nic_desired(host: u8, bond: Option<u8>) -> NicDesired {
    NicDesired { host: uuid(host), bond: bond.map(uuid) }
}

pub(crate) fn nic_current(host: u8, status: NicStatus) -> NicCurrent {
    NicCurrent { host: uuid(host), link_name: None, status, speed: 10, kind: "ether".into() }
}
