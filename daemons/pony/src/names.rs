//! What rows are called, for messages of hosts, who know UUIDs only.

use crate::browse::{BrowseError, Browser};
use crate::text::short;
use std::collections::BTreeMap;

/// Characters of a UUID.
const UUID_CHARS: usize = 36;
/// The tables whose rows messages name.
const TABLES: [&str; 6] = ["host", "image", "volume", "switch", "storage_pool", "instance"];

/// The names of rows, asked for when the first message has a UUID in it.
#[derive(Debug, Default)]
pub(crate) struct Names(Option<BTreeMap<String, String>>);

impl Names {
    /// A message with names where UUIDs stand.
    pub(crate) async fn say(&mut self, browser: &mut Browser<'_>, text: &str) -> Result<String, BrowseError> {
        if !has_uuid(text) {
            return Ok(text.to_owned());
        }
        let known = match &self.0 {
            Some(known) => known,
            None => self.0.insert(read(browser).await?),
        };
        Ok(named(text, known))
    }
}

async fn read(browser: &mut Browser<'_>) -> Result<BTreeMap<String, String>, BrowseError> {
    let mut names = BTreeMap::new();
    for table in TABLES {
        for row in browser.rows_if_visible(table).await? {
            let called = row.row.name().or_else(|| row.row.alias()).map(str::to_owned);
            names.insert(row.key.clone(), called.unwrap_or_else(|| short(&row.key).to_owned()));
        }
    }
    Ok(names)
}

fn has_uuid(text: &str) -> bool {
    let is_part = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.as_bytes().windows(UUID_CHARS).any(|window| window.iter().enumerate().all(is_part))
}

fn named(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let known = rest.get(..UUID_CHARS).and_then(|uuid| names.get(&uuid.to_lowercase()));
        let (said, length) = known
            .map_or((rest.get(..next.len_utf8()).unwrap_or_default(), next.len_utf8()), |name| {
                (name.as_str(), UUID_CHARS)
            });
        out.push_str(said);
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_where_uuids_stood() {
        let uuid = "5f0c1d0e-0000-4000-8000-000000000000";
        let names = BTreeMap::from([(uuid.to_owned(), "boot".to_owned())]);
        let text = format!("volume {uuid} is not ready: é {}", uuid.to_uppercase());
        assert!(has_uuid(&text) && !has_uuid(&uuid[..35]) && !has_uuid(""));
        assert_eq!(named(&text, &names), "volume boot is not ready: é boot");
        assert_eq!(named("é", &names), "é");
        assert_eq!(named(&uuid[..35], &names), uuid[..35]);
    }
}
