//! YAML: reading what users write, writing what they may want to edit.

use crate::escape;
use serde_json::Value as Json;
use std::fmt::Write;

/// A text that is no YAML (nor JSON, which is YAML too).
#[derive(Debug, thiserror::Error)]
#[error("not YAML or JSON: {0}")]
pub struct YamlError(String);

/// Reads all documents of a text; empty ones are left out.
///
/// # Errors
/// What is wrong and where.
pub fn read(text: &str) -> Result<Vec<Json>, YamlError> {
    // The reader draws a picture below its first line.
    let first_line =
        |text: &str| text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let documents = serde_saphyr::from_multiple::<Json>(text)
        .map_err(|error| YamlError(first_line(&error.to_string())))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Writes a value as a YAML document in block style. Whatever could be misread, or does something to a terminal,
/// is written as a JSON string, which YAML reads as such.
#[must_use]
pub fn write(value: &Json) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn block(text: &mut String, value: &Json, indent: usize) {
    match value {
        Json::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let _ = write!(text, "{:indent$}{}:", "", scalar(&Json::from(name.as_str())));
                member_of(text, member, indent + 2);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(text, "{:indent$}-", "");
                member_of(text, item, indent + 2);
            }
        }
        other => {
            let _ = writeln!(text, "{:indent$}{}", "", scalar(other));
        }
    }
}

/// What follows a `name:` or a `-`: on the same line when it is short, else on lines of its own.
fn member_of(text: &mut String, value: &Json, indent: usize) {
    let nested = match value {
        Json::Object(members) => !members.is_empty(),
        Json::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        text.push('\n');
        block(text, value, indent);
    } else {
        let _ = writeln!(text, " {}", scalar(value));
    }
}

fn scalar(value: &Json) -> String {
    match value {
        Json::String(string) if is_plain(string) => string.clone(),
        other => escape::json(&other.to_string()).into_owned(),
    }
}

/// Whether a string can stand without quotes and is still read as that string.
fn is_plain(string: &str) -> bool {
    let starts_well =
        string.starts_with(|char: char| char.is_ascii_alphabetic() || char == '/' || char == '_');
    let consists_well = string.chars().all(|char| char.is_ascii_alphanumeric() || "_/.@+-".contains(char));
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    starts_well && consists_well && !reserved.contains(&string.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_reads_the_same() {
        let value = json!({
            "name": "web", "size": 10, "ratio": 0.5, "null": null, "yes": "no", "empty": {}, "none": [],
            "list": [1, "two", {"three": [3, []]}, ["x"], ""],
            "odd: # key": "multi\nline \u{9b}", "uuid": "5f0c1d0e-0000-4000-8000-000000000000", "date": "2026-01-01",
            "number": "12e3", "tilde": "~", "hash": "a #b", "colon": "a: b", "unicode": "grün", "octal": "0o17",
        });
        let text = write(&value);
        assert!(!text.contains('\u{9b}'));
        assert_eq!(read(&text).unwrap(), [value]);
    }

    #[test]
    fn several_documents_and_json() {
        let documents = read("a: 1\n---\n{\"b\": [2]}\n---\n# nothing\n---\nc: x\n").unwrap();
        assert_eq!(documents, [json!({"a": 1}), json!({"b": [2]}), json!({"c": "x"})]);
        let wrong = read("a: [1").unwrap_err().to_string();
        assert!(wrong.starts_with("not YAML or JSON: line 1 column") && !wrong.contains('\n'), "{wrong}");
        assert_eq!(read("").unwrap(), Vec::<Json>::new());
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = level - 1;
            let _ = writeln!(bomb, "a{level}: &a{level} [{}]", vec![format!("*a{before}"); 9].join(", "));
        }
        assert!(read(&bomb).is_err());
    }
}
