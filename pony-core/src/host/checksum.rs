//! What the bytes behind an address must hash to, as its fragment says: `https://…/image.qcow2#sha256=…`. A fragment is
//! never sent to a server.

/// How bytes are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// What bytes must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// How.
    pub algorithm: ChecksumAlgorithm,
    /// Lower-case hexadecimal digits.
    pub hex: String,
}

/// A fragment of an address that is no checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("behind # belongs the image's checksum: sha256= with 64 hexadecimal digits, or sha512= with 128")]
pub struct ChecksumError;

impl ChecksumAlgorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Its name in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Hexadecimal digits of a hash.
    const fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl Checksum {
    /// The checksum that an address gives, if it has a fragment.
    ///
    /// # Errors
    /// When the fragment is anything else.
    pub fn of_uri(uri: &str) -> Result<Option<Self>, ChecksumError> {
        let Some((_, fragment)) = uri.split_once('#') else { return Ok(None) };
        let named = fragment.split_once('=').and_then(|(name, hex)| {
            let algorithm = ChecksumAlgorithm::ALL.into_iter().find(|it| it.as_str() == name)?;
            Some((algorithm, hex))
        });
        let (algorithm, hex) = named.ok_or(ChecksumError)?;
        let is_hex = hex.len() == algorithm.digits() && hex.bytes().all(|it| it.is_ascii_hexdigit());
        is_hex.then(|| Some(Self { algorithm, hex: hex.to_ascii_lowercase() })).ok_or(ChecksumError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_is_a_checksum_or_wrong() {
        assert_eq!(Checksum::of_uri("http://a/b?c=d"), Ok(None));
        let hex = "AB".repeat(32);
        let found = Checksum::of_uri(&format!("http://a/b#sha256={hex}")).unwrap().unwrap();
        assert_eq!((found.algorithm, found.hex), (ChecksumAlgorithm::Sha256, hex.to_lowercase()));
        let long = "0".repeat(128);
        assert!(Checksum::of_uri(&format!("file:///b#sha512={long}")).unwrap().is_some());
        for wrong in ["", "part", "md5=00", "sha256=", "sha256=0g", "sha512=00"] {
            let said = Checksum::of_uri(&format!("http://a/b#{wrong}")).unwrap_err().to_string();
            assert!(said.contains("sha256="), "{said}");
        }
        let short = format!("http://a/b#sha256={}", "0".repeat(63));
        assert!(Checksum::of_uri(&short).is_err());
    }
}
