//! TLS from a certificate and a key in files, which are read again when they change: a renewed certificate is served
//! without a restart, and one that is broken leaves the old one in use.

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(2);

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{path}: it cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: a certificate in PEM is needed, with those that vouch for it below")]
    Certificate { path: PathBuf, source: Option<pem::Error> },
    #[error("{path}: a private key in PEM is needed")]
    Key { path: PathBuf, source: pem::Error },
    #[error("the certificate in {path} and the key do not make a TLS server")]
    Unusable { path: PathBuf, source: rustls::Error },
}

/// The bytes of both files, and what they are recognized by.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
        };
        Ok(Self { certificate: read(certificate)?, key: read(key)? })
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(&self.certificate)
            .chain_update([0])
            .chain_update(&self.key)
            .finalize()
            .into()
    }
}

/// TLS for connections that come in.
#[derive(Clone)]
pub(crate) struct Tls(Arc<Inner>);

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files; also says what they are recognized by.
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<(Self, [u8; 32]), TlsError> {
        let files = Files::read(certificate, key)?;
        let config = RwLock::new(Arc::new(server_config(certificate, key, &files)?));
        let inner = Inner { certificate: certificate.to_owned(), key: key.to_owned(), config };
        Ok((Self(Arc::new(inner)), files.digest()))
    }

    /// The handshake.
    ///
    /// # Errors
    /// When the other end does not speak TLS as it should.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.0.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Takes over what changes in the files, which were `seen` so, until told to stop.
    pub(crate) async fn follow(self, mut seen: [u8; 32], stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(RELOAD_EVERY)).await.is_some() {
            // While they are being replaced, one of them may be away for a moment.
            let Ok(files) = Files::read(&self.0.certificate, &self.0.key) else { continue };
            let digest = files.digest();
            if std::mem::replace(&mut seen, digest) == digest {
                continue;
            }
            match server_config(&self.0.certificate, &self.0.key, &files) {
                Ok(config) => {
                    *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    tracing::info!("the certificate in {} is in use now", self.0.certificate.display());
                }
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!("the changed certificate is not taken, the old one stays: {error:#}");
                }
            }
        }
    }
}

fn server_config(certificate: &Path, key: &Path, files: &Files) -> Result<ServerConfig, TlsError> {
    let no_certificate = |source| TlsError::Certificate { path: certificate.to_owned(), source };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files.certificate).collect();
    let chain = chain.map_err(|source| no_certificate(Some(source)))?;
    if chain.is_empty() {
        return Err(no_certificate(None));
    }
    let private = PrivateKeyDer::from_pem_slice(&files.key)
        .map_err(|source| TlsError::Key { path: key.to_owned(), source })?;
    let unusable = |source| TlsError::Unusable { path: certificate.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
