//! What the schema's check refuses, and what it says then.

use pony_state::{
    ColumnSchema, ColumnType, Key, Mount, OnDelete, PartKind, Read, Rule, Scope, State, TableSchema,
};
use pony_state::{StateBuilder, Value, ValueError};
use serde_json::json;

fn column(name: &str) -> ColumnSchema {
    ColumnSchema::new(name, ColumnType::Int)
}

fn table(name: &str) -> TableSchema {
    TableSchema::new(name).key(column("id")).desired([])
}

fn error(tables: impl IntoIterator<Item = TableSchema>) -> String {
    let builder = tables.into_iter().fold(State::builder(), StateBuilder::table_dyn);
    builder.build().map(drop).unwrap_err().to_string()
}

#[test]
fn names_are_unique_and_plain() {
    assert_eq!(
        error([table("a"), table("a")]),
        "table `a` is declared twice; names of tables must be unique"
    );
    for name in ["A", "", "1a", "a-b", "_a", "a b", "ä"] {
        assert!(error([table(name)]).contains("is not a name"), "{name}");
    }
    let twice = table("a").desired([column("x"), column("y"), column("x")]);
    assert!(error([twice]).contains("two columns `x` in the key and the desired part"));
    assert!(
        error([table("a").current([column("id")])])
            .contains("two columns `id` in the key and the current part")
    );
}

#[test]
fn a_table_needs_a_key_and_a_part() {
    assert_eq!(
        error([TableSchema::new("a").desired([])]),
        "table `a` has no key column; give it at least one"
    );
    let none = TableSchema::new("a").key(column("id"));
    assert!(error([none]).contains("neither a desired nor a current part"));
    let nullable = TableSchema::new("a").key(column("id").nullable()).desired([]);
    assert!(error([nullable]).contains("key column `id` must not be nullable"));
    let hidden = TableSchema { has_current: false, ..table("a").current([column("x")]) };
    assert!(error([hidden]).contains("rows have no such part"));
}

#[test]
fn columns_of_one_name_have_one_type() {
    let differ = table("a").desired([column("x")]).current([ColumnSchema::new("x", ColumnType::Text)]);
    assert!(error([differ]).contains("column `x` has different types in the two parts"));
    let nullable = table("a").desired([column("x").nullable()]).current([column("x")]);
    State::builder().table_dyn(nullable).build().unwrap();
}

#[test]
fn defaults_fit_their_columns() {
    let wrong = table("a").desired([column("x").default("five")]);
    assert_eq!(
        error([wrong]),
        "table `a`: the default of column `x` does not fit: `\"five\"` is not a whole number of 64 bits"
    );
}

#[test]
fn references_lead_to_keys() {
    let to = |column: ColumnSchema| table("a").desired([column]);
    assert!(error([to(column("x").references("b"))]).contains("references table `b`, which does not exist"));
    let text = ColumnSchema::new("x", ColumnType::Text).references("b");
    assert!(error([to(text), table("b")]).contains("must have the type of the key of `b`"));
    let composite = table("b").key(column("second"));
    assert!(error([to(column("x").references("b")), composite]).contains("which must be one column"));
    let null = column("x").references("b").on_delete(OnDelete::SetNull);
    assert!(error([to(null), table("b")]).contains("is not nullable"));
    for lost in
        [column("x").scope(Scope::Brings), column("x").on_delete(OnDelete::Cascade), column("x").soft()]
    {
        assert!(error([to(lost)]).contains("references nothing"));
    }
}

#[test]
fn rules_joins_and_mounts_name_columns() {
    let with = |change: fn(&mut TableSchema)| {
        let mut it = table("a").desired([column("x"), ColumnSchema::new("range", ColumnType::Range)]);
        change(&mut it);
        error([it])
    };
    assert!(
        with(|it| it.rules.push(Rule::Unique(vec!["x".into(), "y".into()]))).contains("`y` to be a column")
    );
    let overlap = |it: &mut TableSchema| {
        it.rules.push(Rule::NoOverlap { within: "range".into(), range: "x".into() });
    };
    assert!(with(overlap).contains("a rule needs `x` to be a range column"));
    let inside = |it: &mut TableSchema| {
        it.rules.push(Rule::Inside { column: "x".into(), via: "x".into(), range: "x".into() });
    };
    assert!(with(inside).contains("`x` to be an inet column"));
    assert!(
        with(|it| it.join = Some(("x".into(), "y".into())))
            .contains("the join needs `x` to be a column that")
    );
    let mount = || Mount { path: "/a".into(), access: "x".into(), only_null: None, via: None, join: None };
    let mounted =
        |mount: Mount| error([TableSchema { mounts: vec![mount], ..table("a").desired([column("x")]) }]);
    for path in ["a", "/", "/a/", "/a_b", "/a//b", "/A"] {
        assert!(mounted(Mount { path: path.into(), ..mount() }).contains("is not a mount path"), "{path}");
    }
    assert!(
        mounted(Mount { only_null: Some("x".into()), ..mount() }).contains("`x` to be a nullable column")
    );
    assert!(
        mounted(Mount { via: Some("x".into()), ..mount() }).contains("`x` to be a column that references")
    );
    assert!(mounted(Mount { join: Some("a".into()), ..mount() }).contains("`a`, which is not a join table"));
}

#[test]
fn a_join_pairs_columns_of_the_same_part() {
    let ends = || [column("left").references("end").nullable(), column("right").references("end").nullable()];
    let link = table("link").desired(ends()).current(ends()).join("left", "right");
    let mut state = State::builder().table_dyn(table("end")).table_dyn(link).build().unwrap();
    let mut tx = state.transaction();
    for end in 1..=4 {
        tx.set("end", &Key::one(end), PartKind::Desired, &[]).unwrap();
    }
    tx.set("link", &Key::one(1), PartKind::Desired, &[1.into(), 2.into()]).unwrap();
    tx.set("link", &Key::one(1), PartKind::Current, &[3.into(), 4.into()]).unwrap();
    tx.set("link", &Key::one(2), PartKind::Desired, &[1.into(), Value::Null]).unwrap();
    tx.set("link", &Key::one(3), PartKind::Desired, &[1.into(), 2.into()]).unwrap();
    tx.set("link", &Key::one(3), PartKind::Current, &[1.into(), 2.into()]).unwrap();
    tx.commit();
    let follow = |from: &str, key: i64| {
        let rows = state.view().joined_any("link", from, &key.into()).unwrap();
        rows.iter().map(|(row, end)| (row.key(), end.key())).collect::<Vec<_>>()
    };
    let pair = |row: i64, end: i64| (Key::one(row), Key::one(end));
    assert_eq!(follow("left", 1), [pair(1, 2), pair(3, 2)]);
    assert_eq!(follow("left", 3), [pair(1, 4)]);
    assert_eq!(follow("right", 4), [pair(1, 3)]);
    assert_eq!(follow("right", 1), []);
    // To a row that is gone there is no way.
    let mut tx = state.transaction();
    tx.remove_row("end", &Key::one(2)).unwrap();
    assert_eq!(tx.view().joined_any("link", "left", &1.into()).unwrap().len(), 0);
}

#[test]
fn filters_are_read_from_text() {
    let ty = ColumnType::Enum(vec!["on".into(), "off".into()]);
    let table = table("a").desired([column("x").nullable(), ColumnSchema::new("state", ty)]);
    let state = State::builder().table_dyn(table).build().unwrap();
    let def = state.any("a").unwrap().def();
    assert_eq!(def.parse_filter("x", "7"), Ok(Value::Int(7)));
    assert_eq!(def.parse_filter("x", "null"), Ok(Value::Null));
    assert_eq!(def.parse_filter("state", "on"), Ok("on".into()));
    let error = def.parse_filter("state", "null").unwrap_err();
    assert_eq!((error.column(), error.to_string().contains("one of `on`, `off`")), (Some("state"), true));
    assert!(
        def.parse_filter("y", "7")
            .unwrap_err()
            .to_string()
            .contains("no column `y`; its columns are id, state, x")
    );
}

#[test]
fn an_embedders_type_refuses_in_its_own_words() {
    let error = ValueError::Refused { found: "7".into(), reason: "it must be even".into() };
    assert_eq!(error.to_string(), "7 is not allowed: it must be even");
    assert_eq!(json!(null), Value::Null.to_json());
}
