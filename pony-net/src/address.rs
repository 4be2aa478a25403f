//! Where a server is, as an operator writes it. Resolution of names is left to libzmq.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// A server's address: `HOST:PORT`, with or without `tcp://` before it. IPv6 addresses stand in brackets.
///
/// ```
/// use pony_net::Endpoint;
///
/// let endpoint: Endpoint = "sparkle.example:9850".parse()?;
/// assert_eq!(endpoint.to_string(), "tcp://sparkle.example:9850");
/// assert!("tcp://[::1]:9850".parse::<Endpoint>()?.is_loopback());
/// # Ok::<(), pony_net::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Host {
    Address(IpAddr),
    Name(String),
}

/// A text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no address of a server; expected HOST:PORT or tcp://HOST:PORT, such as sparkle.example:9850 or [fd00::1]:9850"
)]
pub struct EndpointError {
    text: String,
}

impl Endpoint {
    /// Whether it can only be this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        matches!(self.host, Host::Address(address) if address.is_loopback())
    }

    /// Whether libzmq has to use IPv6 sockets.
    pub(crate) fn may_be_ipv6(&self) -> bool {
        !matches!(self.host, Host::Address(IpAddr::V4(_)))
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Address(address.ip()), port: address.port() }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || EndpointError { text: text.to_owned() };
        let rest = text.strip_prefix("tcp://").unwrap_or(text);
        if let Ok(address) = rest.parse::<SocketAddr>() {
            return Ok(address.into());
        }
        let (name, port) = rest.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(error)?;
        let plain = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '.';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(error());
        }
        // Taken literally, so that no resolver can send plain traffic off this machine.
        let host = match name {
            "localhost" => Host::Address(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            name => Host::Name(name.to_owned()),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => write!(f, "tcp://{}", SocketAddr::new(*address, self.port)),
            Host::Name(name) => write!(f, "tcp://{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, shown, loopback) in [
            ("127.0.0.1:9850", "tcp://127.0.0.1:9850", true),
            ("tcp://127.9.9.9:1", "tcp://127.9.9.9:1", true),
            ("localhost:9850", "tcp://127.0.0.1:9850", true),
            ("[::1]:9850", "tcp://[::1]:9850", true),
            ("10.0.0.1:9850", "tcp://10.0.0.1:9850", false),
            ("localhost.evil.example:9850", "tcp://localhost.evil.example:9850", false),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.to_string().as_str(), endpoint.is_loopback()), (shown, loopback));
        }
        for bad in [
            "",
            ":9850",
            "host",
            "host:",
            "host:99999",
            "host:0",
            "ipc:///tmp/x",
            "a b:1",
            "tcp://h/x:1",
            "::1:9850",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }
}
