//! Tables with every type, rule and kind of reference that a schema can have.

use pony_state::{ColumnSchema, ColumnType, OnDelete, QuotaRule, Rule, Stored, TableSchema};
use serde_json::{Value as Json, json};

/// The tables of the suite.
#[must_use]
pub fn tables() -> Vec<TableSchema> {
    vec![
        tenant(),
        instance(),
        member(),
        network(),
        address(),
        disk(),
        extent(),
        part(),
        event(),
        quota(),
        unstored(),
    ]
}

fn column(name: &str, ty: ColumnType) -> ColumnSchema {
    ColumnSchema {
        name: name.to_owned(),
        doc: String::new(),
        ty,
        nullable: false,
        default: None,
        references: None,
        soft: false,
        on_delete: OnDelete::Restrict,
        scope: None,
        indexed: false,
        immutable: false,
        secret: false,
        range: None,
    }
}

fn optional(column: ColumnSchema) -> ColumnSchema {
    ColumnSchema { nullable: true, ..column }
}

fn default(column: ColumnSchema, default: Json) -> ColumnSchema {
    ColumnSchema { default: Some(default), ..column }
}

fn reference(name: &str, ty: ColumnType, to: &str, on_delete: OnDelete) -> ColumnSchema {
    ColumnSchema { references: Some(to.to_owned()), on_delete, ..column(name, ty) }
}

fn table(name: &str, key: Vec<ColumnSchema>, desired: Vec<ColumnSchema>, rules: Vec<Rule>) -> TableSchema {
    TableSchema { name: name.to_owned(), key, desired, has_desired: true, rules, ..TableSchema::default() }
}

fn uuid() -> Vec<ColumnSchema> {
    vec![column("uuid", ColumnType::Uuid)]
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn tenant() -> TableSchema {
    let desired = vec![
        column("name", ColumnType::Text),
        default(column("approved", ColumnType::Bool), json!(false)),
        default(column("data", ColumnType::Json), json!({"it's": [1, null]})),
    ];
    table("tenant", uuid(), desired, vec![Rule::Unique(names(&["name"]))])
}

fn instance() -> TableSchema {
    let states = names(&["running", "paused", "stopped"]);
    let desired = vec![
        optional(reference("tenant", ColumnType::Uuid, "tenant", OnDelete::Restrict)),
        column("name", ColumnType::Text),
        default(column("state", ColumnType::Enum(states)), json!("stopped")),
        default(column("vcpu", ColumnType::Int).range(0..=i64::MAX), json!(1)),
        default(column("rcpu", ColumnType::Float), json!(0.5)),
        optional(column("ns", ColumnType::List(Box::new(ColumnType::Inet)))),
        optional(ColumnSchema { immutable: true, ..column("origin", ColumnType::Text) }),
    ];
    let rules = vec![
        Rule::UniqueNullsEqual(names(&["tenant", "name"])),
        Rule::Check {
            sql: "\"rcpu\" <= \"vcpu\"".to_owned(),
            message: "rcpu must not exceed vcpu".to_owned(),
        },
        Rule::Quota(counts("instances", "tenant")),
        Rule::Quota(QuotaRule { amount: Some("vcpu".into()), ..counts("vcpu", "tenant") }),
        Rule::Quota(QuotaRule {
            when: Some(("state".into(), "running".into())),
            ..counts("running", "tenant")
        }),
    ];
    table("instance", uuid(), desired, rules)
}

fn member() -> TableSchema {
    let key = vec![
        reference("tenant", ColumnType::Uuid, "tenant", OnDelete::Cascade),
        reference("instance", ColumnType::Uuid, "instance", OnDelete::Cascade),
    ];
    table("member", key, vec![default(column("index", ColumnType::Int), json!(0))], Vec::new())
}

fn network() -> TableSchema {
    let desired = vec![column("range", ColumnType::Cidr), optional(column("order", ColumnType::Int))];
    table("network", uuid(), desired, Vec::new())
}

fn address() -> TableSchema {
    let desired = vec![
        reference("network", ColumnType::Uuid, "network", OnDelete::Cascade),
        optional(column("ip", ColumnType::Inet)),
    ];
    let inside = Rule::Inside { column: "ip".into(), via: "network".into(), range: "range".into() };
    table("address", uuid(), desired, vec![Rule::Unique(names(&["network", "ip"])), inside])
}

fn disk() -> TableSchema {
    let key = vec![column("id", ColumnType::Text)];
    let desired = vec![optional(reference("parent", ColumnType::Text, "disk", OnDelete::Cascade))];
    table("disk", key, desired, Vec::new())
}

fn extent() -> TableSchema {
    let holder = reference("holder", ColumnType::Uuid, "instance", OnDelete::SetNull);
    let desired = vec![
        reference("disk", ColumnType::Text, "disk", OnDelete::Cascade),
        column("range", ColumnType::Range),
        optional(ColumnSchema { immutable: true, nullable: true, ..holder }),
    ];
    let overlap = Rule::NoOverlap { within: "disk".into(), range: "range".into() };
    let quota = QuotaRule { by: Some("disk".into()), ..counts("extents", "holder.tenant") };
    table("extent", uuid(), desired, vec![overlap, Rule::Quota(quota)])
}

fn counts(kind: &str, owner: &str) -> QuotaRule {
    QuotaRule {
        limits: "quota".to_owned(),
        kind: kind.to_owned(),
        owner: owner.split('.').map(str::to_owned).collect(),
        amount: None,
        when: None,
        by: None,
    }
}

/// Limits of tenants, on rows that count by themselves, by a column, by a word, and by way of another row.
fn quota() -> TableSchema {
    let kinds = names(&["instances", "vcpu", "running", "extents"]);
    let desired = vec![
        reference("tenant", ColumnType::Uuid, "tenant", OnDelete::Cascade),
        column("type", ColumnType::Enum(kinds)),
        column("limit", ColumnType::Float),
        optional(reference("disk", ColumnType::Text, "disk", OnDelete::Cascade)),
    ];
    table("quota", uuid(), desired, Vec::new())
}

/// The types that no other table has.
fn part() -> TableSchema {
    let list = |name, item| optional(column(name, ColumnType::List(Box::new(item))));
    let desired = vec![
        list("words", ColumnType::Enum(names(&["up", "it's down"]))),
        list("tags", ColumnType::Text),
        list("numbers", ColumnType::Int),
        list("uuids", ColumnType::Uuid),
        optional(column("size", ColumnType::Float)),
        optional(column("any", ColumnType::Json)),
    ];
    table("part", vec![column("mac", ColumnType::Mac)], desired, Vec::new())
}

/// A soft reference: the row outlives what it names.
fn event() -> TableSchema {
    let instance = reference("instance", ColumnType::Uuid, "instance", OnDelete::Restrict);
    let desired = vec![ColumnSchema { soft: true, ..instance }];
    table("event", vec![column("hash", ColumnType::Text)], desired, Vec::new())
}

/// A table that no database has.
fn unstored() -> TableSchema {
    TableSchema { stored: Stored::Nowhere, ..table("unstored", uuid(), Vec::new(), Vec::new()) }
}
