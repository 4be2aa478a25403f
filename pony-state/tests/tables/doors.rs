//! The typed and the erased door lead into the same tables.

use crate::cloud::{
    Host, Instance, InstanceDesired, Nic, NicStatus, Vdisk, VdiskCurrent, VdiskDesired, Volume, VolumeCurrent,
};
use crate::cloud::{mac, nic_current, nic_desired, state, uuid};
use pony_state::{
    AnyRow, ColumnSchema, ColumnType, Key, KeyColumns, Mac, OnDelete, PartKind, Range, Read, Row, Rule, Scope,
};
use pony_state::{RowOp, State, TableSchema, Value};
use serde_json::{Value as Json, json};

#[test]
fn declarations_become_schemas() {
    let state = state();
    let nic = state.any("nic").unwrap().def().schema().clone();
    assert_eq!(nic.doc, "An Ethernet card of a host.\n\nIt is known by its address.");
    assert_eq!((nic.user_key, nic.read_only, nic.has_desired, nic.has_current), (true, false, true, true));
    assert_eq!(nic.rules.len(), 3);
    assert_eq!(nic.mounts.len(), 2);
    assert_eq!(nic.mounts[0].via.as_deref(), Some("host"));
    let host = &nic.desired[0];
    assert_eq!((host.name.as_str(), host.doc.as_str()), ("host", "The host that it sits in."));
    assert_eq!((host.references.as_deref(), host.on_delete), (Some("host"), OnDelete::Cascade));
    assert_eq!((host.scope, host.nullable, nic.desired[1].nullable), (Some(Scope::Follows), false, true));
    assert_eq!((nic.current[4].name.as_str(), &nic.current[4].default), ("type", &Some(json!("ether"))));
    assert_eq!(nic.current[3].default, Some(json!(-1)));
    let words = ["missing", "ready", "802.3ad", "half-duplex"].map(String::from).to_vec();
    assert_eq!(nic.current[2].ty, ColumnType::Enum(words));
    let vdisk = state.any("vdisk").unwrap().def().schema().clone();
    assert_eq!(vdisk.join, Some(("instance".into(), "volume".into())));
    assert_eq!(vdisk.key[1].name, "index");
    assert!(matches!(&vdisk.rules[0], Rule::NoOverlap { within, .. } if within == "instance"));
    let host = state.any("host").unwrap().def().id();
    let referencing: Vec<_> =
        state.schema().referencing(host).iter().map(|(_, column)| column.as_str()).collect();
    assert_eq!(referencing, ["host", "bond"]);
}

#[test]
fn a_look_up_finds_rows_by_either_part() {
    let mut state = state();
    let mut tx = state.transaction();
    assert!(tx.set_desired::<Nic>(&mac(1), nic_desired(1, None)));
    assert!(tx.set_current::<Nic>(&mac(1), nic_current(2, NicStatus::Ready)));
    assert!(tx.set_current::<Nic>(&mac(2), nic_current(2, NicStatus::Missing)));
    assert!(!tx.set_current::<Nic>(&mac(2), nic_current(2, NicStatus::Missing)));
    let commit = tx.commit();
    assert_eq!((commit.len(), commit.version()), (2, 1));

    let keys = |column: &str, value: Value| {
        state.table::<Nic>().find(column, value).map(|nic| nic.hwaddr).collect::<Vec<_>>()
    };
    assert_eq!(keys("host", uuid(1).into()), [mac(1)]);
    assert_eq!(keys("host", uuid(2).into()), [mac(1), mac(2)]);
    assert_eq!(keys("status", "ready".into()), [mac(1)]);
    assert_eq!(keys("bond", Value::Null), [mac(1)]);
    assert_eq!(keys("speed", 10.into()), [mac(1), mac(2)]);
    assert_eq!(keys("hwaddr", mac(2).into()), [mac(2)]);
    let both = [("host", uuid(2).into()), ("status", "missing".into())];
    assert_eq!(state.table::<Nic>().filter(&both).count(), 1);
    assert_eq!(state.any("nic").unwrap().filter(&both).unwrap().count(), 1);
    assert!(state.any("nic").unwrap().find("nonsense", &Value::Null).is_err());
    state.check_invariants().unwrap();
}

#[test]
fn a_row_without_parts_vanishes() {
    let mut state = state();
    let mut tx = state.transaction();
    tx.set_desired::<Nic>(&mac(1), nic_desired(1, None));
    tx.set_current::<Nic>(&mac(1), nic_current(1, NicStatus::Ready));
    tx.commit();
    let mut tx = state.transaction();
    assert!(tx.remove_desired::<Nic>(&mac(1)));
    assert!(tx.get::<Nic>(&mac(1)).is_some());
    assert!(tx.remove_current::<Nic>(&mac(1)) && !tx.remove_current::<Nic>(&mac(1)));
    assert!(tx.get::<Nic>(&mac(1)).is_none());
    let commit = tx.commit();
    let change = commit[0].row::<Nic>().unwrap();
    assert!(change.before.is_some_and(|nic| nic.desired.is_some() && nic.current.is_some()));
    assert!(change.after.is_none() && commit[0].row::<Host>().is_none());
    assert_eq!(state.table::<Nic>().find("host", uuid(1)).count(), 0);
    state.check_invariants().unwrap();
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    let mut state = state();
    let mut tx = state.transaction();
    tx.set_desired::<Nic>(&mac(1), nic_desired(1, None));
    tx.commit();
    let before = format!("{:?}", state.table::<Nic>().ordered().collect::<Vec<_>>());
    let mut tx = state.transaction();
    tx.remove::<Nic>(&mac(1));
    tx.set_desired::<Nic>(&mac(2), nic_desired(1, None));
    tx.set_desired::<Nic>(&mac(1), nic_desired(3, None));
    drop(tx);
    assert_eq!(format!("{:?}", state.table::<Nic>().ordered().collect::<Vec<_>>()), before);
    assert_eq!(state.version(), 1);
    state.check_invariants().unwrap();
}

#[test]
fn a_row_that_ends_as_it_began_is_no_change() {
    let mut state = state();
    let mut feed = state.subscribe(10);
    let mut tx = state.transaction();
    tx.set_desired::<Nic>(&mac(1), nic_desired(1, None));
    tx.remove::<Nic>(&mac(1));
    assert!(!tx.is_empty());
    assert_eq!((tx.commit().len(), state.version()), (0, 0));
    assert!(feed.try_next().unwrap().is_none());
}

#[test]
fn json_goes_in_and_out_of_the_erased_door() {
    let mut state = state();
    let key = Key::one(mac(1));
    let part = json!({"hwaddr": mac(1).to_string(), "host": uuid(1).to_string(), "status": "802.3ad"});
    let mut tx = state.transaction();
    assert_eq!(tx.set_json("nic", &key, PartKind::Current, &part), Ok(true));
    assert_eq!(tx.get::<Nic>(&mac(1)).unwrap().current.as_ref().unwrap().status, NicStatus::Lacp);
    let patch = json!({"link_name": "eth0", "speed": 100});
    assert_eq!(tx.patch_json("nic", &key, PartKind::Current, &patch), Ok(true));
    assert_eq!(tx.patch_json("nic", &key, PartKind::Current, &json!({"link_name": null})), Ok(true));
    let commit = tx.commit();
    let (def, row) = (commit[0].table(), commit[0].after().unwrap());
    let full = json!({
        "hwaddr": mac(1).to_string(), "host": uuid(1).to_string(), "status": "802.3ad", "speed": 100, "type": "ether",
    });
    assert_eq!(Json::Object(def.part_to_json_with_key(row, PartKind::Current).unwrap()), full);
    assert!(!def.part_to_json(row, PartKind::Current).unwrap().contains_key("hwaddr"));
    assert_eq!(def.key_of_part(PartKind::Current, &full).unwrap(), key);
    assert!(def.part_to_json(row, PartKind::Desired).is_none());
    assert_eq!(row.row::<Nic>().unwrap().hwaddr, mac(1));
    assert!(commit[0].part_changed(PartKind::Current) && !commit[0].part_changed(PartKind::Desired));
}

#[test]
fn what_does_not_fit_is_refused_with_table_and_column() {
    let mut state = state();
    let key = Key::one(mac(1));
    let mut tx = state.transaction();
    let mut message = |table: &str, part: Json| {
        tx.set_json(table, &key, PartKind::Desired, &part).map_err(|error| error.to_string())
    };
    let host = uuid(1).to_string();
    assert_eq!(
        message("nic", json!({"hwaddr": mac(2).to_string(), "host": host})).unwrap_err(),
        "table `nic`: key column `hwaddr` is `52:54:00:00:00:02`, but the row's key says `52:54:00:00:00:01`"
    );
    assert_eq!(
        message("nic", json!({"host": host, "hots": 1})).unwrap_err(),
        "table `nic` has no column `hots`; its columns are bond, host, hwaddr"
    );
    assert_eq!(
        message("nic", json!({})).unwrap_err(),
        "table `nic`: column `host` of the desired part is missing; a UUID is needed"
    );
    assert_eq!(
        message("nic", json!({"host": "x"})).unwrap_err(),
        "table `nic`, column `host`: `\"x\"` is not a UUID"
    );
    assert_eq!(
        message("nic", json!([])).unwrap_err(),
        "table `nic`: `[]` is not a part; a part is an object of columns"
    );
    assert_eq!(message("volume", json!({})).unwrap_err(), "table `volume`: its rows have no desired part");
    assert!(message("host", json!({})).unwrap_err().starts_with("table `host`: key column `uuid`"));
    assert_eq!(
        message("tenant", json!({})).unwrap_err(),
        "there is no table `tenant`; the tables are host, nic, instance, volume, vdisk"
    );
    let patch = tx.patch_json("nic", &key, PartKind::Desired, &json!({"bond": null})).unwrap_err();
    assert_eq!(patch.to_string(), "table `nic`: there is no desired part of `52:54:00:00:00:01` to change");
    assert!(tx.is_empty());
}

#[test]
fn operations_do_what_they_say() {
    let mut state = state();
    let mut tx = state.transaction();
    let columns = |json: Json| json.as_object().cloned().unwrap();
    let (key, table) = (columns(json!({"hwaddr": mac(1).to_string()})), String::from("nic"));
    let row = columns(json!({"hwaddr": mac(1).to_string(), "host": uuid(1).to_string()}));
    let update = columns(json!({"bond": uuid(2).to_string()}));
    let insert = RowOp::Insert { table: table.clone(), row };
    let update = RowOp::Update { table: table.clone(), key: key.clone(), columns: update };
    let delete = RowOp::Delete { table, key };
    assert!(tx.apply_op(&update).unwrap_err().to_string().contains("no desired part"));
    assert_eq!((tx.apply_op(&insert), tx.apply_op(&insert)), (Ok(true), Ok(false)));
    assert_eq!((tx.apply_op(&update), tx.apply_op(&update)), (Ok(true), Ok(false)));
    assert_eq!(tx.get::<Nic>(&mac(1)).unwrap().desired, Some(nic_desired(1, Some(2))));
    assert_eq!((tx.apply_op(&delete), tx.apply_op(&delete)), (Ok(true), Ok(false)));
}

#[test]
fn key_columns_may_be_ignored() {
    let state = state();
    let def = state.any("nic").unwrap().def().clone();
    let part = json!({"hwaddr": "nonsense", "host": uuid(1).to_string()});
    let values = def.part_from_json(PartKind::Desired, &part, KeyColumns::Ignore).unwrap();
    assert_eq!(values, [uuid(1).into(), Value::Null]);
}

#[test]
fn joins_lead_both_ways() {
    let mut state = state();
    let mut tx = state.transaction();
    let volume = VolumeCurrent { extent: Range::new(0, 8).unwrap() };
    let instance = InstanceDesired { name: "a".into(), ns: vec![], net: None, vcpu: 1 };
    for number in 1..=2 {
        tx.set_desired::<Instance>(&uuid(number), instance.clone());
        tx.set_current::<Volume>(&uuid(10 + number), volume.clone());
    }
    let desired = |volume| VdiskDesired { volume: Some(uuid(volume)), blocks: None, ip: None };
    tx.set_desired::<Vdisk>(&(uuid(1), 0), desired(11));
    tx.set_desired::<Vdisk>(&(uuid(1), 1), desired(12));
    tx.set_current::<Vdisk>(&(uuid(1), 1), VdiskCurrent { volume: uuid(11) });
    tx.set_desired::<Vdisk>(&(uuid(2), 0), desired(12));
    tx.set_desired::<Vdisk>(&(uuid(2), 1), desired(99));
    tx.commit();
    let volumes = |number| {
        let pairs = state.joined::<Vdisk, Volume>("instance", uuid(number));
        pairs.map(|(vdisk, volume)| (vdisk.index, volume.uuid)).collect::<Vec<_>>()
    };
    assert_eq!(volumes(1), [(0, uuid(11)), (1, uuid(12)), (1, uuid(11))]);
    assert_eq!(volumes(2), [(0, uuid(12))]);
    let instances = |number| {
        let pairs = state.joined::<Vdisk, Instance>("volume", uuid(number));
        pairs.map(|(vdisk, instance)| (vdisk.index, instance.uuid)).collect::<Vec<_>>()
    };
    assert_eq!(instances(11), [(0, uuid(1)), (1, uuid(1))]);
    assert_eq!(instances(12), [(1, uuid(1)), (0, uuid(2))]);
    let erased = state.view().joined_any("vdisk", "volume", &uuid(12).into()).unwrap();
    assert_eq!(erased.len(), 2);
    assert!(state.view().joined_any("vdisk", "index", &1.into()).is_none());
}

#[test]
fn listings_are_in_key_order() {
    let mut state = state();
    let mut tx = state.transaction();
    for number in [5, 3, 9, 1, 7] {
        tx.set_desired::<Nic>(&mac(number), nic_desired(number % 2, None));
    }
    let numbers = |rows: Vec<&Nic>| rows.iter().map(|nic| nic.hwaddr.0[5]).collect::<Vec<_>>();
    assert_eq!(numbers(tx.table::<Nic>().ordered().collect()), [1, 3, 5, 7, 9]);
    assert_eq!(numbers(tx.table::<Nic>().after(&mac(3)).take(2).collect()), [5, 7]);
    assert_eq!(numbers(tx.table::<Nic>().after(&mac(4)).collect()), [5, 7, 9]);
    let table = tx.any("nic").unwrap();
    for filters in [vec![], vec![("host", uuid(1).into())]] {
        let page = table.select(&filters, Some(&Key::one(mac(3)))).unwrap().take(2);
        assert!(page.map(AnyRow::key).eq([Key::one(mac(5)), Key::one(mac(7))]));
        assert_eq!(table.select(&filters, None).unwrap().count(), 5);
    }
}

/// Few rows of many are found and then sorted, many are found in their order: neither shows.
#[test]
fn listings_are_in_key_order_whichever_part_of_the_table_they_are() {
    let mut state = state();
    let mut tx = state.transaction();
    for number in (0_u8..=255).rev() {
        tx.set_desired::<Nic>(&mac(number), nic_desired(u8::from(number.is_multiple_of(32)), None));
    }
    let table = tx.any("nic").unwrap();
    for host in [0, 1] {
        let is_on = |number: &u8| u8::from(number.is_multiple_of(32)) == host;
        let filters = [("host", uuid(host).into())];
        for after in [None, Some(63), Some(64), Some(255)] {
            let expected =
                (0_u8..=255).filter(is_on).filter(|number| after.is_none_or(|after| *number > after));
            let expected: Vec<Mac> = expected.map(mac).collect();
            let key = after.map(|after| Key::one(mac(after)));
            let found = table.select(&filters, key.as_ref()).unwrap().map(AnyRow::key);
            assert!(found.eq(expected.iter().map(|mac| Key::one(*mac))), "{host} after {after:?}");
            let found = tx.table::<Nic>().select(&filters, after.map(mac).as_ref());
            assert!(found.map(|nic| nic.hwaddr).eq(expected), "{host} after {after:?}");
        }
    }
}

#[test]
fn tables_may_be_declared_at_run_time() {
    let note = TableSchema::new("note")
        .key(ColumnSchema::new("id", ColumnType::Text))
        .key(ColumnSchema::new("nr", ColumnType::Int))
        .desired([
            ColumnSchema::new("text", ColumnType::Text),
            ColumnSchema::new("tag", ColumnType::Text).indexed(),
        ]);
    let mut state = State::builder().table::<Host>().table_dyn(note).build().unwrap();
    let def = state.any("note").unwrap().def().clone();
    let key = def.parse_key("a\\,b,-3").unwrap();
    let mut tx = state.transaction();
    tx.set("note", &key, PartKind::Desired, &["x".into(), "t".into()]).unwrap();
    assert!(tx.set("note", &key, PartKind::Desired, &["x".into(), Value::Int(1)]).is_err());
    assert!(tx.set("note", &key, PartKind::Desired, &["x".into()]).is_err());
    assert!(tx.set("note", &Key::one("a"), PartKind::Desired, &["x".into(), "t".into()]).is_err());
    tx.commit();
    let table = state.any("note").unwrap();
    assert_eq!(table.get(&key).unwrap().value(PartKind::Desired, "nr"), Some(Value::Int(-3)));
    assert_eq!(table.find("tag", &"t".into()).unwrap().count(), 1);
    assert_eq!(table.find("nr", &Value::Int(-3)).unwrap().count(), 1);
    state.check_invariants().unwrap();
}

#[test]
fn commits_of_a_fork_can_be_applied_to_its_origin() {
    let mut state = state();
    let mut fork = state.snapshot().fork();
    let mut tx = fork.transaction();
    tx.put(Nic { desired: Some(nic_desired(1, None)), ..Nic::new(mac(1)) });
    let commit = tx.commit();
    assert!(state.table::<Nic>().is_empty());
    let mut tx = state.transaction();
    assert_eq!(tx.apply(&commit[0]), Ok(true));
    assert_eq!(tx.apply(&commit[0]), Ok(false));
    tx.commit();
    assert_eq!(state.get::<Nic>(&mac(1)), fork.get::<Nic>(&mac(1)));
}

/// A table with Rust types cannot take such a key for one of its own, one without could.
#[test]
fn a_key_of_another_type_comes_before_all_rows_through_either_door() {
    let mut typed = state();
    let mut tx = typed.transaction();
    tx.put(Nic { desired: Some(nic_desired(1, None)), ..Nic::new(mac(1)) });
    tx.commit();
    let lamp = TableSchema::new("nic").key(ColumnSchema::new("room", ColumnType::Mac)).desired([]);
    let mut untyped = State::builder().table_dyn(lamp).build().unwrap();
    let mut tx = untyped.transaction();
    tx.set("nic", &Key::one(mac(1)), PartKind::Desired, &[]).unwrap();
    tx.commit();
    for state in [&typed, &untyped] {
        let nics = state.any("nic").unwrap();
        for key in [Key::one("zzz"), Key::of([]), Key::of([mac(0).into(), mac(1).into()])] {
            assert_eq!(nics.after(&key).count(), 1, "{key}");
            assert_eq!(nics.select(&[], Some(&key)).unwrap().count(), 1, "{key}");
        }
        assert_eq!(nics.after(&Key::one(mac(1))).count(), 0);
    }
}

/// Rows without Rust types are all of one Rust type: that alone does not make them rows of each other's tables.
#[test]
fn commits_of_a_table_with_other_columns_are_refused() {
    let lamps = |column: ColumnSchema| {
        let lamp =
            TableSchema::new("lamp").key(ColumnSchema::new("room", ColumnType::Text)).desired([column]);
        State::builder().table_dyn(lamp).build().unwrap()
    };
    let mut colours = lamps(ColumnSchema::new("colour", ColumnType::Text));
    let mut percents = lamps(ColumnSchema::new("percent", ColumnType::Int));
    let mut tx = colours.transaction();
    tx.set("lamp", &Key::one("hall"), PartKind::Desired, &["red".into()]).unwrap();
    let commit = tx.commit();
    let mut tx = percents.transaction();
    assert!(tx.apply(&commit[0]).is_err());
    assert!(tx.commit().is_empty());
    percents.check_invariants().unwrap();
}

#[test]
fn whole_rows_go_in_and_out_as_json() {
    let mut state = state();
    let key = Key::one(mac(1));
    let host = uuid(1).to_string();
    let row = json!({"desired": {"host": host}, "current": {"host": host, "status": "ready", "speed": 5, "type": "ether"}});
    let mut tx = state.transaction();
    assert_eq!((tx.put_json("nic", &key, &row), tx.put_json("nic", &key, &row)), (Ok(true), Ok(false)));
    tx.commit();
    assert_eq!(state.any("nic").unwrap().get(&key).unwrap().to_json(), row);
    let mut tx = state.transaction();
    let wrong = tx.put_json("nic", &key, &json!({"desierd": {}})).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "table `nic`: `{\"desierd\":{}}` is not a row; a row is an object of `desired` and `current`, either or both"
    );
    assert!(tx.put_json("nic", &key, &json!([])).is_err());
    // The second part does not fit: the first is not taken either.
    assert!(tx.put_json("nic", &key, &json!({"current": {}})).is_err());
    assert!(tx.is_empty());
    assert_eq!(tx.put_json("nic", &key, &json!({"current": null})), Ok(true));
    assert!(tx.get::<Nic>(&mac(1)).is_none());
}

/// A column's Rust type may refuse what its column type admits, and says so late.
#[test]
fn a_row_of_which_one_part_is_refused_late_stays_as_it_was() {
    #[derive(Debug, Clone, PartialEq, pony_state::Entity)]
    #[entity(table = "port")]
    struct Port {
        #[entity(key)]
        id: i64,
        desired: Option<Number>,
        current: Option<Number>,
    }

    #[derive(Debug, Clone, PartialEq, pony_state::Part)]
    struct Number {
        number: u16,
    }

    let mut state = State::builder().table::<Port>().build().unwrap();
    let mut tx = state.transaction();
    tx.set_desired::<Port>(&1, Number { number: 1 });
    tx.commit();
    let mut tx = state.transaction();
    let row = json!({"desired": {"number": 2}, "current": {"number": 70_000}});
    let error = tx.put_json("port", &Key::one(1), &row).unwrap_err();
    assert!(error.to_string().contains("column `number`: 70000 is out of range"), "{error}");
    assert_eq!(tx.get::<Port>(&1).unwrap().desired, Some(Number { number: 1 }));
    assert_eq!(tx.commit().len(), 0);
}
