//! How the REST API is served: options of the command line, and the bounds of connections.

use super::cors::Origin;
use super::tls::{Tls, TlsError};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How the REST API is served.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct HttpArgs {
    /// Serve HTTPS with this certificate (PEM, with those that vouch for it); read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve plain HTTP beyond loopback all the same: something before it encrypts
    #[arg(long)]
    pub plain_http: bool,
    /// Believe this proxy's X-Forwarded-For when failed sign-ins are counted; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub proxy: Vec<IpAddr>,
    /// Let web pages of this origin use the API; may be repeated
    #[arg(long, value_name = "https://HOST[:PORT]")]
    pub cors_origin: Vec<Origin>,
    /// Bounds of connections and requests.
    #[arg(skip)]
    pub limits: HttpLimits,
}

impl HttpArgs {
    /// Whether passwords that are sent to `listen` could be overheard.
    pub(crate) fn check_exposure(&self, listen: SocketAddr) -> anyhow::Result<()> {
        anyhow::ensure!(
            listen.ip().is_loopback() || self.tls_cert.is_some() || self.plain_http,
            "the REST API at {listen} would be plain HTTP, and passwords be overheard: give --tls-cert and --tls-key, \
             or --plain-http where something before it encrypts"
        );
        Ok(())
    }

    /// TLS, if it is wanted, and what its files are recognized by.
    pub(crate) fn tls(&self) -> Result<Option<(Tls, [u8; 32])>, TlsError> {
        self.tls_cert
            .as_deref()
            .zip(self.tls_key.as_deref())
            .map(|(cert, key)| Tls::load(cert, key))
            .transpose()
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls_cert.is_some() { "https" } else { "http" }
    }
}

/// The bounds of connections and requests.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Open connections; one address can have three quarters of them. Each takes some 50 kB and a descriptor.
    pub connections_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_max: Duration,
    /// How long the head of a request may take to arrive, and how long a connection may be idle before it.
    pub head_max: Duration,
    /// How long the body of a request may take to arrive.
    pub body_max: Duration,
    /// How long a client may take nothing of what it is sent before its connection is closed: neither answers nor streams
    /// of events wait in memory for one that does not read.
    pub unread_max: Duration,
    /// How long a request may take in all; writes are answered or refused well before.
    pub request_max: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            handshake_max: Duration::from_secs(10),
            head_max: Duration::from_secs(15),
            body_max: Duration::from_secs(25),
            unread_max: Duration::from_secs(45),
            request_max: Duration::from_secs(30),
        }
    }
}
