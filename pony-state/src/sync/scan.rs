//! Finds the pieces of JSON text without reading them: where values begin and end, and that all of it is JSON. A message is
//! mostly parts, which are read only where they go; this one pass over them must cost little.

/// How deep values may lie in each other: what `serde_json` reads as a tree.
const DEPTH_MAX: usize = 127;

/// A place in JSON text. Every function gives `None` where the text is not JSON, or too deep.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next character that is no white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        self.byte()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// A whole value, as it stands in the text.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.skip(DEPTH_MAX)?;
        self.text.get(start..self.at)
    }

    /// An object; `member` is given the name of each member, and takes its value.
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.list((b'{', b'}'), |scanner| {
            scanner.peek()?;
            let start = scanner.at;
            scanner.string()?;
            let name = scanner.text.get(start..scanner.at)?;
            scanner.take(b':')?;
            member(scanner, name)
        })
    }

    /// An array; `item` takes each of its items.
    pub(super) fn array(&mut self, item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.list((b'[', b']'), item)
    }

    fn list(&mut self, (open, close): (u8, u8), mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(open)?;
        if self.peek()? == close {
            return self.take(close);
        }
        loop {
            item(self)?;
            if self.peek()? == close {
                return self.take(close);
            }
            self.take(b',')?;
        }
    }

    fn skip(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => {
                let depth = depth.checked_sub(1)?;
                self.object(|scanner, _| scanner.skip(depth))
            }
            b'[' => {
                let depth = depth.checked_sub(1)?;
                self.array(|scanner| scanner.skip(depth))
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    /// One digit at least.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        if self.byte()? != b'"' {
            return None;
        }
        let mut at = self.at + 1;
        loop {
            at += plain(bytes.get(at..)?);
            match *bytes.get(at)? {
                b'"' => {
                    self.at = at + 1;
                    return Some(());
                }
                b'\\' => at += escape(bytes.get(at + 1..)?)?,
                byte if byte < b' ' => return None,
                _ => at += 1,
            }
        }
    }
}

/// How long an escape is, whose text begins after the backslash.
fn escape(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Some(2),
        [b'u', a, b, c, d, ..] => [a, b, c, d].iter().all(|it| it.is_ascii_hexdigit()).then_some(6),
        _ => None,
    }
}

/// How many bytes at the beginning certainly mean themselves within a string: eight at a time.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The lowest byte that is marked is exact, those above it need not be: a subtraction borrows upwards only.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGH;
    let mut plain = 0;
    for chunk in bytes.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*chunk);
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let special = below(word, b' ') | is(b'"') | is(b'\\');
        if special != 0 {
            return plain + special.trailing_zeros() as usize / 8;
        }
        plain += 8;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::IgnoredAny;

    fn is_json(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.value().is_some() && scanner.is_at_end()
    }

    #[test]
    fn what_is_json_is_what_others_say() {
        let whole = r#" {"a\u00e9":[1,-0.5e+10,0,true,false,null,"x\"\\\/\b\f\n\r\työ€𝄞 long enough for words"],"":{}, "b" : [ ] } "#;
        let other = [
            "0", "-", "01", "1.", ".5", "1e", "1E5", "--1", "\"", "tru", "nulll", "[1,]", "{\"a\"}", "{a:1}",
            "\u{1}",
        ];
        let cut = (0..whole.len()).filter_map(|end| whole.get(..end));
        for text in cut.chain(other).chain([
            whole,
            "\"\u{1f}\"",
            "\"\u{7f}\"",
            "\"\\u12g4\"",
            "\"12345678\\",
            "[[]]]",
        ]) {
            assert_eq!(is_json(text), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text:?}");
        }
        for (place, _) in whole.char_indices() {
            for insert in ["\"", "\\", ",", "[", "}", "\u{2}", "0", "-", " ", "é"] {
                let text = format!("{}{insert}{}", &whole[..place], &whole[place..]);
                assert_eq!(is_json(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{text:?}");
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_json(&deep(DEPTH_MAX)) && !is_json(&deep(DEPTH_MAX + 1)) && !is_json(&deep(1_000_000)));
        let tree = |depth| serde_json::from_str::<serde_json::Value>(&deep(depth)).is_ok();
        assert!(tree(DEPTH_MAX) && !tree(DEPTH_MAX + 1));
    }
}
