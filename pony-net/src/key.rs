//! CURVE keys. Their files are `key_file`'s business.

use crate::z85;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroize;

/// Whether the libzmq that this program runs with has CURVE.
///
/// It has where the system's libzmq is linked (see the crate's documentation), and has not where the `zmq` crate built its own.
#[must_use]
pub fn curve_available() -> bool {
    zmq::has("curve") == Some(true)
}

/// A public key: what a peer is known and admitted by. Its text is Z85, 40 characters.
///
/// ```
/// use pony_net::PublicKey;
///
/// let key: PublicKey = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7".parse()?;
/// assert_eq!(key.to_string(), "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
/// # Ok::<(), pony_net::PublicKeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; z85::KEY_BYTES]);

/// A text that is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 40 characters of Z85, and this is not one")]
pub struct PublicKeyError;

impl PublicKey {
    /// The key whose 32 bytes these are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&z85::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        z85::decode(text).map(Self).ok_or(PublicKeyError)
    }
}

/// A key pair. The secret half is wiped when the pair is dropped, and is never shown.
#[derive(Clone)]
pub struct KeyPair {
    public: PublicKey,
    secret: [u8; z85::KEY_BYTES],
}

/// Why no key pair could be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// libzmq lacks CURVE.
    #[error(
        "the linked libzmq has no CURVE; link the system's library (package libzmq3-dev) through the links override \
         in .cargo/config.toml"
    )]
    NoCurve,
    /// libzmq refused.
    #[error("libzmq could not make a key pair")]
    Generate(#[source] zmq::Error),
}

impl KeyPair {
    /// Makes a fresh pair.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoCurve`] when libzmq was built without CURVE.
    pub fn generate() -> Result<Self, KeyError> {
        if !curve_available() {
            return Err(KeyError::NoCurve);
        }
        let mut pair = zmq::CurveKeyPair::new().map_err(KeyError::Generate)?;
        let ours = Self { public: PublicKey(pair.public_key), secret: pair.secret_key };
        pair.secret_key.zeroize();
        Ok(ours)
    }

    /// The half that may be shown to everybody.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn from_parts(public: PublicKey, secret: [u8; z85::KEY_BYTES]) -> Self {
        Self { public, secret }
    }

    pub(crate) fn secret(&self) -> &[u8; z85::KEY_BYTES] {
        &self.secret
    }
}

impl Drop for KeyPair {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_differ_and_hide_their_secret() {
        let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        assert_ne!(one.public(), other.public());
        assert_ne!(one.secret(), one.public().as_bytes());
        let shown = format!("{one:?}");
        assert!(shown.contains(&one.public().to_string()));
        assert!(!shown.contains(&z85::encode(one.secret())));
        assert!(!shown.contains(&format!("{:?}", one.secret())));
    }

    #[test]
    fn a_public_key_survives_its_text() {
        let key = KeyPair::generate().unwrap().public();
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("too short".parse::<PublicKey>(), Err(PublicKeyError));
    }
}
