//! How columns are kept: the storage class, and the check that makes it as strict as the type. Values have one
//! form each (UUIDs and MAC addresses in lower case, ranges without blanks), so that equal values are equal
//! texts.

use super::{Tag, cell};
use crate::ddl::plan::{Column, Table};
use crate::ddl::{ident, literal};
use pony_state::ColumnType;

/// The definition of a column, on one line.
pub(super) fn column(table: &Table, column: &Column) -> String {
    let name = ident(&column.name);
    let mut line = format!("{name} {}", class(&column.ty));
    if !column.nullable {
        line.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default
        && !default.is_null()
        && let Ok(value) = cell::encode(&column.ty, default)
    {
        line.push_str(&format!(" DEFAULT {}", value.to_literal()));
    }
    if let Some(check) = check(&column.ty, &name) {
        let check = if column.nullable { format!("{name} IS NULL OR {check}") } else { check };
        let tag = Tag::Type { table: &table.name, column: &column.name };
        let words = format!("{}.{}: must be {}", table.name, column.name, column.ty);
        line.push_str(&format!(" CONSTRAINT {} CHECK ({check})", ident(&tag.message(&words))));
    }
    line
}

/// The type of a STRICT table.
fn class(ty: &ColumnType) -> &'static str {
    match ty {
        ColumnType::Bool | ColumnType::Int => "INTEGER",
        ColumnType::Float => "REAL",
        _ => "TEXT",
    }
}

/// What a value of the type fulfils beyond its storage class. Addresses are left to triggers.
fn check(ty: &ColumnType, name: &str) -> Option<String> {
    match ty {
        ColumnType::Int | ColumnType::Inet | ColumnType::Cidr => None,
        ColumnType::Bool => Some(format!("{name} IN (0, 1)")),
        ColumnType::Float => {
            Some(format!("{name} BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"))
        }
        ColumnType::Text => Some(format!("instr({name}, char(0)) = 0")),
        ColumnType::Enum(words) => Some(format!("{name} IN ({})", literals(words))),
        ColumnType::Uuid => Some(format!("{name} GLOB '{}'", uuid_glob())),
        ColumnType::Mac => Some(format!("{name} GLOB '{}'", mac_glob())),
        ColumnType::Range => Some(guarded(
            name,
            &format!(
                "{name} = json_array(json_extract({name}, '$[0]'), json_extract({name}, '$[1]')) \
                 AND json_type({name}, '$[0]') = 'integer' AND json_type({name}, '$[1]') = 'integer' \
                 AND json_extract({name}, '$[0]') < json_extract({name}, '$[1]')"
            ),
        )),
        ColumnType::Json => Some(guarded(name, &format!("json_type({name}) <> 'null'"))),
        ColumnType::List(_) => Some(guarded(name, &format!("json_type({name}) = 'array'"))),
    }
}

/// JSON functions fail on what is no JSON, so that is asked first.
fn guarded(name: &str, check: &str) -> String {
    format!("CASE WHEN json_valid({name}) THEN {check} ELSE 0 END")
}

/// What an item of a list fulfils, over the columns `value` and `type` of `json_each`.
pub(super) fn item_check(ty: &ColumnType) -> String {
    match ty {
        ColumnType::Bool => "\"type\" IN ('true', 'false')".to_owned(),
        ColumnType::Int => "\"type\" = 'integer'".to_owned(),
        ColumnType::Float => "\"type\" IN ('integer', 'real')".to_owned(),
        ColumnType::Enum(words) => format!("\"type\" = 'text' AND \"value\" IN ({})", literals(words)),
        ColumnType::Uuid => format!("\"type\" = 'text' AND \"value\" GLOB '{}'", uuid_glob()),
        ColumnType::Mac => format!("\"type\" = 'text' AND \"value\" GLOB '{}'", mac_glob()),
        _ => "\"type\" = 'text'".to_owned(),
    }
}

fn literals(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| literal(word)).collect();
    quoted.join(", ")
}

const HEX: &str = "[0-9a-f]";

fn uuid_glob() -> String {
    [8, 4, 4, 4, 12].map(|digits| HEX.repeat(digits)).join("-")
}

fn mac_glob() -> String {
    [2; 6].map(|digits| HEX.repeat(digits)).join(":")
}
