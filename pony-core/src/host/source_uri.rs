//! Where the bytes of an image come from, as an address says it: what hosts can fetch, and hence what may be ordered.
//! Whether it is there, and whether this host may have it, only the host finds out.

use super::{Checksum, ChecksumError};
use std::net::Ipv6Addr;

/// What an address may look like, for messages.
const RIGHT: &str = "write http://…, https://… or file:///… (a file of the host)";

/// Who is asked for the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceScheme {
    /// A web server.
    Http,
    /// A web server, by TLS.
    Https,
    /// The host itself.
    File,
}

/// An address that hosts can fetch, as far as its form tells.
///
/// ```
/// use pony_core::host::{SourceScheme, SourceUri};
///
/// assert_eq!(SourceUri::parse("https://images.example/a.qcow2")?.scheme, SourceScheme::Https);
/// assert!(SourceUri::parse("ftp://images.example/a.qcow2").is_err());
/// # Ok::<(), pony_core::host::SourceUriError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUri {
    /// Who is asked.
    pub scheme: SourceScheme,
    /// What the bytes must hash to, where the address says so.
    pub checksum: Option<Checksum>,
}

/// Why an address is none that hosts can fetch, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceUriError {
    /// It begins with no scheme that is known.
    #[error("no host fetches `{scheme}`; {RIGHT}")]
    Scheme {
        /// What it begins with.
        scheme: String,
    },
    /// A character that addresses cannot hold.
    #[error("{character:?} cannot stand in an address; write it as {}", percent(*character))]
    Character {
        /// Which.
        character: char,
    },
    /// No server.
    #[error("it names no server; write {scheme}://server/path")]
    NoServer {
        /// What it begins with.
        scheme: &'static str,
    },
    /// A user name, perhaps a password.
    #[error(
        "it holds a user name or a password, which whoever sees the image would read: leave away what stands before @, \
         and let hosts fetch it from where nobody has to sign in"
    )]
    Credentials,
    /// Not a server's name or address.
    #[error("`{server}` is no server; write a name, an IPv4 address, or an IPv6 address in brackets")]
    Server {
        /// What stands there.
        server: String,
    },
    /// Not a port.
    #[error("`{port}` is no port; write 1 to 65535, or leave it away with its colon")]
    Port {
        /// What stands there.
        port: String,
    },
    /// A file that is not named by an absolute path of the host.
    #[error("a file of the host is written file:///absolute/path")]
    File,
    /// Not a checksum.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
}

impl SourceScheme {
    const ALL: [Self; 3] = [Self::Http, Self::Https, Self::File];

    /// As addresses begin.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::File => "file",
        }
    }
}

impl SourceUri {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(uri: &str) -> Result<Self, SourceUriError> {
        let (word, rest) = uri.split_once(':').unwrap_or((uri, ""));
        let scheme = SourceScheme::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(word));
        let Some(scheme) = scheme else {
            // All of it where it has no scheme: a short beginning says enough.
            return Err(SourceUriError::Scheme { scheme: word.chars().take(40).collect() });
        };
        // What readers of addresses take for something else, or leave out.
        let is_wrong = |it: &char| it.is_whitespace() || it.is_control() || *it == '\\';
        if let Some(character) = uri.chars().find(is_wrong) {
            return Err(SourceUriError::Character { character });
        }
        match scheme {
            SourceScheme::File => check_file(rest)?,
            SourceScheme::Http | SourceScheme::Https => check_server(scheme.as_str(), rest)?,
        }
        Ok(Self { scheme, checksum: Checksum::of_uri(uri)? })
    }
}

/// `/path`, `///path` or `//localhost/path`.
fn check_file(rest: &str) -> Result<(), SourceUriError> {
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let path = match path.strip_prefix("//") {
        Some(with_host) => with_host.strip_prefix("localhost").unwrap_or(with_host),
        None => path,
    };
    match path.starts_with('/') && !path.trim_start_matches('/').is_empty() && !rest.contains('?') {
        true => Ok(()),
        false => Err(SourceUriError::File),
    }
}

/// `//server[:port]` and whatever path.
fn check_server(scheme: &'static str, rest: &str) -> Result<(), SourceUriError> {
    let no_server = SourceUriError::NoServer { scheme };
    let Some(rest) = rest.strip_prefix("//") else { return Err(no_server) };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(SourceUriError::Credentials);
    }
    let (server, port) = match authority.rsplit_once(':') {
        Some((server, port)) if !port.contains(']') => (server, Some(port)),
        _ => (authority, None),
    };
    if server.is_empty() {
        return Err(no_server);
    }
    let is_server = match server.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !server.contains([':', '[', ']', '%', '<', '>', '^', '|']),
    };
    if !is_server {
        return Err(SourceUriError::Server { server: authority.to_owned() });
    }
    match port {
        Some(port) if port.parse::<u16>().map_or(true, |it| it == 0) => {
            Err(SourceUriError::Port { port: port.to_owned() })
        }
        _ => Ok(()),
    }
}

/// A character as addresses write it.
fn percent(character: char) -> String {
    let mut bytes = [0; 4];
    character.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_fetch_is_taken() {
        for (uri, scheme) in [
            ("http://images.example", SourceScheme::Http),
            ("HTTP://images.example/", SourceScheme::Http),
            (
                "https://images.example:8443/a b%20c?x=http://me@there".replace(' ', "").as_str(),
                SourceScheme::Https,
            ),
            ("https://10.0.0.1/a@b", SourceScheme::Https),
            ("http://[fd00::1]:80/a", SourceScheme::Http),
            ("http://[fd00::1]/a", SourceScheme::Http),
            ("http://bücher.example/a", SourceScheme::Http),
            ("file:/srv/a.img", SourceScheme::File),
            ("file:///srv/a%20b.img", SourceScheme::File),
            ("file://localhost/srv/a.img", SourceScheme::File),
        ] {
            assert_eq!(SourceUri::parse(uri), Ok(SourceUri { scheme, checksum: None }), "{uri}");
        }
        let hashed = SourceUri::parse(&format!("http://a/b#sha256={}", "0".repeat(64))).unwrap();
        assert!(hashed.checksum.is_some());
    }

    #[test]
    fn what_no_host_could_fetch_is_refused_and_told() {
        for (uri, words) in [
            ("", "no host fetches ``; write http://…"),
            ("debian.qcow2", "no host fetches `debian.qcow2`"),
            ("ftp://images.example/a", "no host fetches `ftp`"),
            ("s3://bucket/a", "https://…"),
            ("http:", "names no server"),
            ("http:/images.example/a", "write http://server/path"),
            ("https:///a", "write https://server/path"),
            ("https://:443/a", "names no server"),
            ("http://rarity:opal@images.example/a", "before @"),
            ("http://rarity@images.example/a", "before @"),
            ("http://images.example:0/a", "`0` is no port"),
            ("http://images.example:/a", "`` is no port"),
            ("http://images.example:65536/a", "1 to 65535"),
            ("http://fd00::1/a", "in brackets"),
            ("http://[fd00::g]/a", "in brackets"),
            ("http://images.example/a b", "' ' cannot stand in an address; write it as %20"),
            ("http:\\\\images.example/a", "write it as %5C"),
            (" http://images.example/a", "no host fetches"),
            ("file:a.img", "file:///absolute/path"),
            ("file://a.img", "file:///absolute/path"),
            ("file://elsewhere/srv/a.img", "file:///absolute/path"),
            ("file:///", "file:///absolute/path"),
            ("file:///a?b", "file:///absolute/path"),
            ("http://a/b#md5=0", "sha256="),
        ] {
            let said = SourceUri::parse(uri).unwrap_err().to_string();
            assert!(said.contains(words), "{uri}: {said}");
        }
    }
}
