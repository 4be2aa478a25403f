//! How long the values of columns may be. Whatever people order is kept in memory, sent to hosts and shown in lists, so
//! none of it is without a bound; those of numbers are said where the columns are declared.

use super::error::Problem;
use pony_state::{ColumnSchema, ColumnType};
use serde_json::Value as Json;

/// Characters of a text, where nothing else is said: names, and whatever is looked up by (indexes of databases take no
/// more than some 2,700 bytes).
pub const TEXT_CHARS_MAX: usize = 255;
/// Items of a list: the features of a CPU model are the longest, some 150.
pub const LIST_ITEMS_MAX: usize = 256;
/// Bytes of a JSON value, as it is written without spaces.
pub const JSON_BYTES_MAX: usize = 64 << 10;
/// Texts that are no names: (table, column, characters).
const LONG_TEXTS: [(&str, &str, usize); 4] = [
    // What clouds commonly take, scripts included.
    ("instance", "user_data", 64 << 10),
    ("image", "description", 4 << 10),
    ("host", "info", 4 << 10),
    ("image", "source_uri", 2 << 10),
];

/// The most characters of a text in a column.
#[must_use]
pub fn text_chars_max(table: &str, column: &str) -> usize {
    let long = LONG_TEXTS.iter().find(|(of, name, _)| (*of, *name) == (table, column));
    long.map_or(TEXT_CHARS_MAX, |(.., chars)| *chars)
}

/// Refuses a value that is too long, or a number out of its range. Of a type that bounds itself, none is.
pub(super) fn check(table: &str, column: &ColumnSchema, value: &Json) -> Result<(), Problem> {
    if let (Some((min, max)), Some(number)) = (column.range, value.as_i64())
        && !(min..=max).contains(&number)
    {
        return Err(Problem::OutOfRange { column: column.name.clone(), number, min, max });
    }
    let (found, unit, max) = match (&column.ty, value) {
        (ColumnType::Text, Json::String(text)) => {
            (text.chars().count(), "characters", text_chars_max(table, &column.name))
        }
        (ColumnType::List(_), Json::Array(items)) if items.len() > LIST_ITEMS_MAX => {
            (items.len(), "items", LIST_ITEMS_MAX)
        }
        (ColumnType::List(item), Json::Array(items)) if **item == ColumnType::Text => {
            let longest = items.iter().filter_map(Json::as_str).map(|text| text.chars().count()).max();
            (longest.unwrap_or_default(), "characters in one of its items", TEXT_CHARS_MAX)
        }
        (ColumnType::Json, value) => (value.to_string().len(), "bytes of JSON", JSON_BYTES_MAX),
        _ => return Ok(()),
    };
    if found <= max {
        return Ok(());
    }
    Err(Problem::TooLong { column: column.name.clone(), found, unit, max })
}
