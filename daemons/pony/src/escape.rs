//! Text from elsewhere, made harmless for a terminal: names, errors and notes are written by strangers.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character does something to a terminal, or to the direction of its text, instead of being seen.
pub(crate) fn is_hostile(char: char) -> bool {
    matches!(char,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with every hostile character spelled out.
///
/// ```
/// assert_eq!(pony::escape::text("web\u{1b}[2J"), "web\\u{1b}[2J");
/// ```
#[must_use]
pub fn text(raw: &str) -> Cow<'_, str> {
    if !raw.chars().any(is_hostile) {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.chars().fold(String::with_capacity(raw.len() + 8), |mut shown, char| {
        if is_hostile(char) {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        };
        shown
    }))
}

/// JSON text with the hostile characters of its strings written as `\u` escapes; it means the same.
/// Line breaks between members are kept: inside strings, JSON has none.
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    let hostile = |char: char| is_hostile(char) && char != '\n';
    if !document.chars().any(hostile) {
        return Cow::Borrowed(document);
    }
    Cow::Owned(document.chars().fold(String::with_capacity(document.len() + 16), |mut shown, char| {
        if hostile(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(char);
        }
        shown
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_harmless_stays() {
        assert!(matches!(text("grün 漢字 – ok"), Cow::Borrowed(_)));
        assert_eq!(text("a\nb\tc\u{9b}31m\u{202e}"), "a\\u{a}b\\u{9}c\\u{9b}31m\\u{202e}");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({"name": "a\u{9b}\u{202e}\u{e0001}b\n", "list": ["\u{7f}"]});
        let raw = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&raw);
        assert!(!shown.chars().any(|char| is_hostile(char) && char != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
