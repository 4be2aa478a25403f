//! Addresses of networks as column values: [`Inet`], [`Cidr`], [`Mac`].
//!
//! They print and parse as text and serialize as that text. They know nothing of interfaces, routes or sockets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Why a text is no address.
///
/// ```
/// use pony_state::{Cidr, NetError};
///
/// let error: NetError = "10.0.0.1/8".parse::<Cidr>().unwrap_err();
/// assert!(error.to_string().ends_with("the range that it lies in is `10.0.0.0/8`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// Neither an address nor an address with a prefix length.
    #[error("`{0}` is not an IP address; one looks like `192.168.0.1`, `192.168.0.1/24` or `2001:db8::1/64`")]
    Inet(String),
    /// Not an address with a prefix length.
    #[error("`{0}` is not an address range; one looks like `192.168.0.0/24` or `2001:db8::/64`")]
    Cidr(String),
    /// The prefix is longer than the address.
    #[error("prefix length {prefix} is too long for {addr}; it is at most {max}")]
    Prefix {
        /// The address.
        addr: IpAddr,
        /// The prefix length given.
        prefix: u8,
        /// The longest that the address's family has.
        max: u8,
    },
    /// A range whose address is not its first.
    #[error("`{addr}/{prefix}` has bits set beyond its prefix; the range that it lies in is `{network}`")]
    HostBits {
        /// The address given.
        addr: IpAddr,
        /// The prefix length given.
        prefix: u8,
        /// The range that was probably meant.
        network: Cidr,
    },
    /// Not six pairs of hexadecimal digits.
    #[error("`{0}` is not a MAC address; one looks like `52:54:00:12:34:56`")]
    Mac(String),
}

/// Bits of an address of this family.
const fn width(addr: IpAddr) -> u8 {
    match addr {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address as a number, left-aligned in 128 bits.
fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// `prefix` ones from the left.
fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// The first address with the same `prefix` bits.
fn truncate(addr: IpAddr, prefix: u8) -> IpAddr {
    let kept = bits(addr) & mask(prefix);
    match addr {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((kept >> 96) as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(kept)),
    }
}

/// Splits `addr/prefix`.
fn split(text: &str) -> Option<(IpAddr, Option<u8>)> {
    let Some((addr, prefix)) = text.split_once('/') else { return Some((text.parse().ok()?, None)) };
    let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
    Some((addr.parse().ok()?, Some(prefix.parse().ok().filter(|_| digits)?)))
}

/// An address with an optional prefix length, `192.168.0.1/24`.
///
/// A prefix as long as the address says nothing and is left out: `10.0.0.1/32` *is* `10.0.0.1`.
///
/// ```
/// use pony_state::Inet;
///
/// let inet: Inet = "192.168.0.1/24".parse()?;
/// assert_eq!((inet.to_string(), inet.network().to_string()), ("192.168.0.1/24".into(), "192.168.0.0/24".into()));
/// assert_eq!("10.0.0.1/32".parse::<Inet>()?, "10.0.0.1".parse()?);
/// # Ok::<_, pony_state::NetError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inet {
    addr: IpAddr,
    prefix: u8,
}

impl Inet {
    /// An address with a prefix length.
    ///
    /// # Errors
    /// [`NetError::Prefix`] where the prefix is longer than the address.
    ///
    /// ```
    /// use pony_state::Inet;
    /// use std::net::{IpAddr, Ipv4Addr};
    ///
    /// let addr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    /// assert_eq!(Inet::new(addr, 8)?, "127.0.0.1/8".parse()?);
    /// assert!(Inet::new(addr, 33).is_err());
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    pub fn new(addr: IpAddr, prefix: u8) -> Result<Self, NetError> {
        let max = width(addr);
        if prefix > max { Err(NetError::Prefix { addr, prefix, max }) } else { Ok(Self { addr, prefix }) }
    }

    /// The address.
    ///
    /// ```
    /// let inet: pony_state::Inet = "127.0.0.1/8".parse()?;
    /// assert!(inet.addr().is_loopback());
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    #[must_use]
    pub const fn addr(self) -> IpAddr {
        self.addr
    }

    /// The prefix length; the address's full length where none was given.
    ///
    /// ```
    /// use pony_state::Inet;
    ///
    /// assert_eq!(("127.0.0.1/8".parse::<Inet>()?.prefix(), "::1".parse::<Inet>()?.prefix()), (8, 128));
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether a prefix length was given (and says something).
    ///
    /// ```
    /// use pony_state::Inet;
    ///
    /// assert!("127.0.0.1/8".parse::<Inet>()?.has_prefix() && !"127.0.0.1".parse::<Inet>()?.has_prefix());
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    #[must_use]
    pub const fn has_prefix(self) -> bool {
        self.prefix < width(self.addr)
    }

    /// The range that the address lies in.
    ///
    /// ```
    /// let inet: pony_state::Inet = "127.0.0.1/8".parse()?;
    /// assert_eq!(inet.network(), "127.0.0.0/8".parse()?);
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    #[must_use]
    pub fn network(self) -> Cidr {
        Cidr { addr: truncate(self.addr, self.prefix), prefix: self.prefix }
    }
}

impl From<IpAddr> for Inet {
    fn from(addr: IpAddr) -> Self {
        Self { addr, prefix: width(addr) }
    }
}

impl fmt::Display for Inet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_prefix() {
            write!(f, "{}/{}", self.addr, self.prefix)
        } else {
            write!(f, "{}", self.addr)
        }
    }
}

impl FromStr for Inet {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let (addr, prefix) = split(text).ok_or_else(|| NetError::Inet(text.to_owned()))?;
        Self::new(addr, prefix.unwrap_or(width(addr)))
    }
}

/// An address range in CIDR notation, `192.168.0.0/24`. Its address is the range's first.
///
/// ```
/// use pony_state::Cidr;
///
/// let range: Cidr = "2001:db8::/64".parse()?;
/// assert!(range.contains("2001:db8::1".parse()?));
/// assert!("2001:db8::1/64".parse::<Cidr>().is_err(), "that is an address in the range");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    addr: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// The range of all addresses that share `prefix` bits with `addr`.
    ///
    /// # Errors
    /// [`NetError::Prefix`] where the prefix is longer than the address, [`NetError::HostBits`] where `addr`
    /// is not the first address of the range.
    ///
    /// ```
    /// use pony_state::{Cidr, NetError};
    /// use std::net::{IpAddr, Ipv4Addr};
    ///
    /// assert_eq!(Cidr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8)?, "10.0.0.0/8".parse()?);
    /// let inside = Cidr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 8);
    /// assert!(matches!(inside, Err(NetError::HostBits { .. })));
    /// # Ok::<_, NetError>(())
    /// ```
    pub fn new(addr: IpAddr, prefix: u8) -> Result<Self, NetError> {
        let network = Inet::new(addr, prefix)?.network();
        if network.addr == addr { Ok(network) } else { Err(NetError::HostBits { addr, prefix, network }) }
    }

    /// The first address.
    ///
    /// ```
    /// let range: pony_state::Cidr = "10.0.0.0/8".parse()?;
    /// assert_eq!(range.addr().to_string(), "10.0.0.0");
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    #[must_use]
    pub const fn addr(self) -> IpAddr {
        self.addr
    }

    /// The prefix length.
    ///
    /// ```
    /// let range: pony_state::Cidr = "10.0.0.0/8".parse()?;
    /// assert_eq!(range.prefix(), 8);
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The last address.
    ///
    /// ```
    /// let range: pony_state::Cidr = "192.168.4.0/22".parse()?;
    /// assert_eq!(range.last().to_string(), "192.168.7.255");
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    #[must_use]
    pub fn last(self) -> IpAddr {
        let all = bits(self.addr) | !mask(self.prefix);
        match self.addr {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((all >> 96) as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(all)),
        }
    }

    /// Whether the address lies in the range.
    ///
    /// ```
    /// let range: pony_state::Cidr = "192.168.4.0/22".parse()?;
    /// assert!(range.contains("192.168.7.1".parse()?) && !range.contains("192.168.8.0".parse()?));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn contains(self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.addr.is_ipv4() && truncate(addr, self.prefix) == self.addr
    }

    /// Whether some address lies in both ranges.
    ///
    /// ```
    /// let range: pony_state::Cidr = "192.168.4.0/22".parse()?;
    /// assert!(range.overlaps("192.168.0.0/16".parse()?) && !range.overlaps("192.168.8.0/24".parse()?));
    /// # Ok::<_, pony_state::NetError>(())
    /// ```
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.addr) || other.contains(self.addr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let (addr, prefix) = split(text).ok_or_else(|| NetError::Cidr(text.to_owned()))?;
        Self::new(addr, prefix.ok_or_else(|| NetError::Cidr(text.to_owned()))?)
    }
}

/// A MAC address, `52:54:00:12:34:56`.
///
/// ```
/// use pony_state::Mac;
///
/// let mac: Mac = "52-54-00-AB-cd-0f".parse()?;
/// assert_eq!((mac, mac.to_string()), (Mac([0x52, 0x54, 0, 0xab, 0xcd, 0x0f]), "52:54:00:ab:cd:0f".into()));
/// # Ok::<_, pony_state::NetError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let wrong = || NetError::Mac(text.to_owned());
        let mut octets = [0; 6];
        let mut pairs = text.split([':', '-']);
        for octet in &mut octets {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or_else(wrong)?;
            let hex = pair.bytes().all(|byte| byte.is_ascii_hexdigit());
            *octet = u8::from_str_radix(pair, 16).ok().filter(|_| hex).ok_or_else(wrong)?;
        }
        if pairs.next().is_some() { Err(wrong()) } else { Ok(Self(octets)) }
    }
}

/// Serialization as the text that the type prints.
macro_rules! serialize_as_text {
    ($($type:ty),*) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serialize_as_text!(Inet, Cidr, Mac);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_parse() {
        for text in ["10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::1/64", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Inet>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/64", "10.0.0.1/32"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        assert_eq!("52-54-00-AB-cd-0f".parse::<Mac>().unwrap().to_string(), "52:54:00:ab:cd:0f");
    }

    #[test]
    fn a_full_prefix_says_nothing() {
        assert_eq!("10.0.0.1/32".parse::<Inet>().unwrap(), "10.0.0.1".parse().unwrap());
    }

    #[test]
    fn broken_addresses_are_refused() {
        for text in ["", "10.0.0", "10.0.0.1/33", "::/129", "10.0.0.1/", "10.0.0.1/+8", "10.0.0.1/8/8", "a"] {
            assert!(text.parse::<Inet>().is_err(), "{text}");
        }
        for text in ["10.0.0.0", "10.0.0.1/8"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in ["", "52:54:00:12:34", "52:54:00:12:34:56:78", "52:54:00:12:34:5g", "52:54:00:12:34:+5"] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
        let error = "10.0.0.1/8".parse::<Cidr>().unwrap_err();
        assert!(error.to_string().ends_with("the range that it lies in is `10.0.0.0/8`"), "{error}");
    }

    #[test]
    fn ranges_contain_their_first_and_last() {
        let range: Cidr = "192.168.4.0/22".parse().unwrap();
        assert_eq!(range.last().to_string(), "192.168.7.255");
        assert!(range.contains(range.addr()) && range.contains(range.last()));
        assert!(!range.contains("192.168.8.0".parse().unwrap()) && !range.contains("::1".parse().unwrap()));
        assert!(range.overlaps("192.168.0.0/16".parse().unwrap()));
        assert!(!range.overlaps("192.168.8.0/24".parse().unwrap()));
        assert_eq!(
            "::/0".parse::<Cidr>().unwrap().last().to_string(),
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
    }
}
