//! Who a host is to other hosts that it exchanges something with: a key of this process, which Sparkle tells them.
//!
//! TLS 1.3 with raw public keys (RFC 7250), on both sides, and each side takes exactly the keys that it was told. No
//! authority, no file, no name: whoever restarts has another key, and Sparkle tells that one.

use super::transient;
use super::way::hex;
use crate::Result;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring as crypto, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme, version,
};
use std::sync::Arc;

/// Whether a public key, hexadecimal, is one of those who may be there.
pub(super) type Known = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The key of this process.
#[derive(Debug)]
pub(super) struct Identity {
    key: Arc<CertifiedKey>,
    /// The public half, hexadecimal.
    pub(super) public: String,
    provider: Arc<CryptoProvider>,
}

impl Identity {
    /// # Errors
    ///
    /// `Transient` if the system gives no randomness.
    pub(super) fn new() -> Result<Self> {
        Self::make().ok_or_else(|| transient("cannot make a key to be known to other hosts by"))
    }

    fn make() -> Option<Self> {
        let random = ring::rand::SystemRandom::new();
        let pair = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).ok()?;
        let provider = Arc::new(crypto::default_provider());
        let secret = PrivatePkcs8KeyDer::from(pair.as_ref().to_vec());
        let signer = provider.key_provider.load_private_key(secret.into()).ok()?;
        let public = signer.public_key()?.to_vec();
        let key = Arc::new(CertifiedKey::new(vec![CertificateDer::from(public.clone())], signer));
        Some(Self { key, public: hex(&public), provider })
    }

    /// For connections to whoever has that key.
    ///
    /// # Errors
    ///
    /// `Transient` if TLS cannot be set up.
    pub(super) fn client(&self, key: &str) -> Result<Arc<ClientConfig>> {
        let key = key.to_owned();
        let verifier = self.verifier(Arc::new(move |it: &str| it == key));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_protocol_versions(&[&version::TLS13]).map_err(|it| no_tls(&it))?;
        let resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.key)));
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = builder.with_client_cert_resolver(resolver);
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// For connections of those who are known.
    ///
    /// # Errors
    ///
    /// `Transient` if TLS cannot be set up.
    pub(super) fn server(&self, known: Known) -> Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_protocol_versions(&[&version::TLS13]).map_err(|it| no_tls(&it))?;
        let resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::clone(&self.key)));
        let mut config = builder.with_client_cert_verifier(self.verifier(known)).with_cert_resolver(resolver);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    fn verifier(&self, known: Known) -> Arc<Pinned> {
        Arc::new(Pinned { known, provider: Arc::clone(&self.provider) })
    }
}

fn no_tls(error: &Error) -> pony_core::host::DriverError {
    transient(format!("cannot speak TLS: {error}"))
}

/// Takes known keys, and nothing else.
struct Pinned {
    known: Known,
    provider: Arc<CryptoProvider>,
}

impl std::fmt::Debug for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinned").finish_non_exhaustive()
    }
}

impl Pinned {
    fn check(&self, key: &[u8]) -> std::result::Result<(), Error> {
        if (self.known)(&hex(key)) { Ok(()) } else { Err(Error::General("nobody told of that key".into())) }
    }

    fn signature(
        &self,
        message: &[u8],
        key: &[u8],
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &SubjectPublicKeyInfoDer::from(key), signed, algorithms)
    }
}

/// TLS 1.2, which is switched off.
fn too_old<T>() -> std::result::Result<T, Error> {
    Err(Error::General("TLS 1.2 is not spoken here".into()))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        self.check(key).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> std::result::Result<ClientCertVerified, Error> {
        self.check(key).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        self.signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
