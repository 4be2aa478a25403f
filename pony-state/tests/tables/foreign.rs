//! Columns and parts of types that other crates define.

use pony_state::{
    AnyRow, ColumnType, Entity, Enum, Key, Part, PartKind, PartValues, Read, Row, State, Value, as_json,
    as_text,
};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::time::Duration;

/// What stands for another crate: nothing in it knows of columns.
mod elsewhere {
    #[derive(Debug, Clone, PartialEq)]
    pub(crate) struct Site {
        pub(crate) city: String,
        pub(crate) floor: Option<i64>,
        pub(crate) mode: Mode,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    pub(crate) enum Mode {
        Idle,
        FullSpeed,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Enum)]
#[value(remote = "elsewhere::Mode")]
enum Mode {
    Idle,
    #[value = "full"]
    FullSpeed,
}

#[derive(Debug, Clone, PartialEq, Part)]
#[part(remote = "elsewhere::Site")]
struct Site {
    #[part(index)]
    city: String,
    #[part(name = "storey")]
    floor: Option<i64>,
    #[part(with = "Mode", default = "idle")]
    mode: elsewhere::Mode,
}

#[derive(Debug, Clone, PartialEq, Part)]
struct Policy {
    #[part(with = "as_json", default_json = r#"{"secs": 5, "nanos": 0}"#)]
    timeout: Duration,
    #[part(with = "as_json")]
    grace: Option<Duration>,
    #[part(with = "as_text", index)]
    weight: Option<NonZeroU8>,
}

/// Keyed by two columns, one of them of a foreign type, whose order is not that of its text.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "server", unique("storey"))]
struct Server {
    #[entity(key, with = "as_text")]
    addr: SocketAddr,
    #[entity(key)]
    slot: i64,
    desired: Option<Policy>,
    current: Option<Site>,
}

/// Keyed by one.
#[derive(Debug, Clone, PartialEq, Entity)]
#[entity(table = "port")]
struct Port {
    #[entity(key, with = "as_text")]
    number: u16,
    desired: Option<Site>,
}

fn state() -> State {
    State::builder().table::<Server>().table::<Port>().build().unwrap()
}

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

fn site(floor: Option<i64>) -> elsewhere::Site {
    elsewhere::Site { city: "Bonn".into(), floor, mode: elsewhere::Mode::FullSpeed }
}

#[test]
fn a_mirrored_struct_goes_in_and_comes_out() {
    let mut state = state();
    let mut tx = state.transaction();
    tx.set_current::<Server>(&(addr(1), 0), site(Some(3)).into());
    tx.commit();
    let table = state.table::<Server>();
    for (column, value) in [("city", Value::from("Bonn")), ("storey", 3.into()), ("mode", "full".into())] {
        let found: Vec<_> = table.find(column, value).filter_map(|server| server.current.clone()).collect();
        assert_eq!(found.into_iter().map(elsewhere::Site::from).collect::<Vec<_>>(), [site(Some(3))]);
    }
    assert_eq!(table.find("storey", Value::Null).count(), 0);
}

#[test]
fn a_mirrored_enum_converts_both_ways() {
    let pairs = [(Mode::Idle, elsewhere::Mode::Idle), (Mode::FullSpeed, elsewhere::Mode::FullSpeed)];
    for (own, theirs) in pairs {
        assert_eq!((Mode::from(theirs), elsewhere::Mode::from(own)), (own, theirs));
        assert_eq!(Mode::from_value(&Mode::to_value(&theirs)), Ok(theirs));
    }
    assert!(Mode::from_value(&"idel".into()).is_err() && Mode::from_value(&Value::Null).is_err());
    assert_eq!(Mode::column_type(), ColumnType::Enum(vec!["idle".into(), "full".into()]));
}

#[test]
fn schemas_say_what_such_columns_are() {
    let state = state();
    let server = state.any("server").unwrap().def().schema();
    let described = |columns: &[pony_state::ColumnSchema]| {
        columns.iter().map(|it| (it.name.clone(), it.ty.clone(), it.nullable)).collect::<Vec<_>>()
    };
    let column = |name: &str, ty: ColumnType, nullable: bool| (name.to_owned(), ty, nullable);
    assert_eq!(
        described(&server.key),
        [column("addr", ColumnType::Text, false), column("slot", ColumnType::Int, false)]
    );
    assert_eq!(
        described(&server.desired),
        [
            column("timeout", ColumnType::Json, false),
            column("grace", ColumnType::Json, true),
            column("weight", ColumnType::Text, true)
        ]
    );
    assert_eq!(Site::NAMES, ["city", "storey", "mode"]);
    assert_eq!(Site::columns()[2].ty, Mode::column_type());
}

#[test]
fn both_doors_read_and_write_them() {
    let mut state = state();
    let key = Server::untyped_key(&(addr(80), 1));
    let part = json!({"addr": "10.0.0.1:80", "slot": 1, "weight": "7", "grace": {"secs": 1, "nanos": 5}});
    let mut tx = state.transaction();
    tx.set_json("server", &key, PartKind::Desired, &part).unwrap();
    tx.commit();
    let policy = state.get::<Server>(&(addr(80), 1)).unwrap().desired.clone().unwrap();
    assert_eq!((policy.timeout, policy.grace), (Duration::from_secs(5), Some(Duration::new(1, 5))));
    assert_eq!(policy.weight, NonZeroU8::new(7));
    let (table, def) = (state.any("server").unwrap(), state.any("server").unwrap().def());
    assert_eq!(def.parse_key("10.0.0.1:80,1").unwrap(), key);
    let mut out = part;
    out["timeout"] = json!({"secs": 5, "nanos": 0});
    let row = table.get(&key).unwrap();
    assert_eq!(Json::Object(def.part_to_json_with_key(row, PartKind::Desired).unwrap()), out);
    assert_eq!(table.find("weight", &"7".into()).unwrap().count(), 1);
    assert_eq!(table.find("addr", &"10.0.0.1:80".into()).unwrap().count(), 1);
    state.check_invariants().unwrap();
}

#[test]
fn what_does_not_fit_is_refused_with_the_column() {
    let mut state = state();
    let key = Server::untyped_key(&(addr(80), 1));
    let mut tx = state.transaction();
    let mut refused =
        |key: &Key, part: Json| tx.set_json("server", key, PartKind::Desired, &part).unwrap_err().to_string();
    assert_eq!(
        refused(&key, json!({"weight": "0"})),
        "table `server`, column `weight`: `\"0\"` is not allowed: number would be zero for non-zero type"
    );
    assert!(refused(&key, json!({"timeout": {"secs": -1}})).contains("column `timeout`: `{\"secs\":-1}`"));
    assert_eq!(
        refused(&key, json!({"timeout": null, "weight": 7})),
        "table `server`, column `weight`: `7` is not text"
    );
    let wrong = refused(&Key::of(["nowhere".into(), 1.into()]), json!({}));
    assert!(wrong.contains("`\"nowhere\"` is not allowed: invalid socket address"), "{wrong}");
    assert!(tx.is_empty());
}

/// Listings of both doors go by one order, that of the values, also where the type has another.
#[test]
fn keys_are_ordered_as_their_values_are() {
    let mut state = state();
    let numbers = [80, 443, 8080, 9, 22, 1000];
    let mut tx = state.transaction();
    for number in numbers {
        tx.set_desired::<Port>(&number, site(None).into());
        tx.set_desired::<Server>(&(addr(number), 0), Policy::from_values(&policy()).unwrap());
    }
    tx.commit();
    state.check_invariants().unwrap();
    let by_text = [1000, 22, 443, 80, 8080, 9];
    assert!(state.table::<Port>().ordered().map(|port| port.number).eq(by_text));
    assert!(state.table::<Port>().after(&443).map(|port| port.number).eq([80, 8080, 9]));
    assert!(state.table::<Server>().ordered().map(|server| server.addr.port()).eq(by_text));
    let ports = state.any("port").unwrap();
    for filters in [vec![], vec![("city", "Bonn".into())]] {
        let page = ports.select(&filters, Some(&Key::one("443"))).unwrap().take(2);
        assert!(page.map(AnyRow::key).eq([Key::one("80"), Key::one("8080")]));
    }
}

fn policy() -> [Value; 3] {
    [as_json::to_value(&Duration::from_secs(1)), Value::Null, Value::Null]
}

#[test]
#[should_panic = "must not become null"]
fn what_becomes_null_is_no_json_column() {
    as_json::to_value(&());
}
