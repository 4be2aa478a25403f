//! JSON pointers (RFC 6901), and the two ways to write a path of the document: as pointer, and as URL.

use super::error::{DocumentError, Problem};
use serde_json::Value as Json;
use std::fmt;

/// Steps in a path. Deeper than any path of the tables with a JSON column below it needs to go.
pub const PATH_TOKENS_MAX: usize = 96;

/// A JSON pointer into the document.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(pub Vec<String>);

impl Pointer {
    /// The pointer one step further.
    #[must_use]
    pub fn join(&self, token: &str) -> Self {
        let mut tokens = self.0.clone();
        tokens.push(token.to_owned());
        Self(tokens)
    }

    /// The pointer that goes on with `rest`.
    #[must_use]
    pub fn extend(&self, rest: &[String]) -> Self {
        Self(self.0.iter().chain(rest).cloned().collect())
    }

    /// Reads the text form: empty, or every token after a slash.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(rest) = text.strip_prefix('/') else { return Err("a pointer is empty or starts with `/`") };
        rest.split('/').map(unescape).collect::<Result<_, _>>().map(Self).and_then(Self::bounded)
    }

    /// Reads what stands as `path` or `from` in a patch: a string, or a list of strings.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_json(json: &Json) -> Result<Self, &'static str> {
        const SHAPE: &str = "a string or a list of strings is needed";
        match json {
            Json::String(text) => Self::parse(text),
            Json::Array(tokens) => tokens
                .iter()
                .map(|token| token.as_str().map(str::to_owned).ok_or(SHAPE))
                .collect::<Result<_, _>>()
                .map(Self)
                .and_then(Self::bounded),
            _ => Err(SHAPE),
        }
    }

    fn bounded(self) -> Result<Self, &'static str> {
        if self.0.len() > PATH_TOKENS_MAX { Err("it is too long") } else { Ok(self) }
    }
}

fn unescape(token: &str) -> Result<String, &'static str> {
    let mut parts = token.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.as_bytes().first() {
            Some(b'0') => text.push('~'),
            Some(b'1') => text.push('/'),
            _ => return Err("`~` must be followed by `0` or `1`"),
        }
        text.push_str(&part[1..]);
    }
    Ok(text)
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

/// What a URL's path names, before anybody looked whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPath {
    /// Mount names and keys, alternately.
    pub segments: Vec<String>,
    /// Whether it ended in `_join/`.
    pub join: bool,
}

impl UrlPath {
    /// Reads the part of a URL's path after `/v1`, percent-encoded as it came: `/tenant/T/instance/`.
    ///
    /// # Errors
    /// [`DocumentError`] where it is not well encoded, too long, or has empty segments.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let problem = |reason| DocumentError::anywhere(Problem::BadUrl { reason });
        let inner = text.strip_prefix('/').unwrap_or(text);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        if inner.is_empty() {
            return Ok(Self { segments: Vec::new(), join: false });
        }
        let mut segments = inner.split('/').map(decode).collect::<Result<Vec<_>, _>>().map_err(problem)?;
        let join = segments.len() % 2 == 0 && segments.last().is_some_and(|last| last == "_join");
        if join {
            segments.pop();
        }
        if segments.iter().any(String::is_empty) {
            return Err(problem("it has an empty segment"));
        }
        if segments.len() > PATH_TOKENS_MAX {
            return Err(problem("it is too long"));
        }
        Ok(Self { segments, join })
    }

    /// The same place as a pointer.
    #[must_use]
    pub fn pointer(&self) -> Pointer {
        let mut tokens = Vec::with_capacity(self.segments.len() * 3 / 2);
        for (place, segment) in self.segments.iter().enumerate() {
            if place > 0 && place % 2 == 0 {
                tokens.push("children".to_owned());
            }
            tokens.push(segment.clone());
        }
        Pointer(tokens)
    }
}

fn decode(segment: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err("`%` must be followed by two hexadecimal digits"),
        }
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_survive_their_text() {
        for text in ["", "/", "/a~1b/~0/", "/tenant/$t/children/instance"] {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["a", "/~", "/~2", "/a~"] {
            assert!(Pointer::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Pointer::parse(&"/a".repeat(PATH_TOKENS_MAX + 1)).is_err());
    }

    #[test]
    fn urls_and_pointers_name_the_same_places() {
        let pointer = |url: &str| UrlPath::parse(url).map(|path| path.pointer().to_string());
        assert_eq!(pointer("/").unwrap(), "");
        assert_eq!(pointer("/tenant/").unwrap(), "/tenant");
        assert_eq!(pointer("/tenant/T/instance/I").unwrap(), "/tenant/T/children/instance/I");
        assert_eq!(pointer("/disk/a%2Fb").unwrap(), "/disk/a~1b");
        let join = UrlPath::parse("/tenant/T/affinity-group/G/instance/_join/").unwrap();
        assert!(join.join && join.segments.len() == 5);
        assert!(!UrlPath::parse("/config/_join/").unwrap().segments.is_empty());
        for wrong in ["/a//b", "/%", "/%4", "/%zz", "/%ff"] {
            assert!(UrlPath::parse(wrong).is_err(), "{wrong}");
        }
    }
}
