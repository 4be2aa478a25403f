//! Where the database is and how to reach it: the address, TLS, the sessions. No password is in an address, and none
//! in what is printed of one.

use super::outage::{self, unavailable};
use super::tls::{self, Tls};
use crate::error::Unavailable;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config};

/// Milliseconds that setting up a session may take, name look-up, TLS and sign-in included.
const CONNECT_MS_MAX: u64 = 3_000;

/// Seconds without a sign of life after which the system asks the other side for one, and takes a silence for an end:
/// long before anybody else would notice that a network swallows everything.
const KEEPALIVE_S: u64 = 5;

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Not an address.
    #[error(
        "`{shown}` is not the address of a database, which looks like postgresql://user@host/database: {problem}"
    )]
    Address {
        /// What was given, without what may be secret.
        shown: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A password in it would be seen in process lists and logs.
    #[error(
        "the address of the database must not hold a password, which everybody could see: give it in a file or in the environment"
    )]
    Password,
    /// `sslmode` that is none.
    #[error(
        "sslmode is `disable`, `require` or `verify-full`, not `{0}` (both of the latter check the server's name)"
    )]
    SslMode(String),
    /// The certificates to trust cannot be read.
    #[error("the certificates in {} cannot be used: {problem}", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// A PostgreSQL server, or several that stand for each other, and the database there.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: Tls,
    shown: Arc<str>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.shown)
    }
}

/// The address, without credentials.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A session. Once it has ended, every use of it fails.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Client,
    /// Closed when the session has ended.
    alive: watch::Receiver<()>,
}

impl Server {
    /// The server at `postgresql://[user@]host[:port][,…]/database[?…]` (a directory, percent-encoded, as host is that
    /// of a Unix socket), with the parameters that `libpq` knows as well, as far as they are needed:
    ///
    /// - `sslmode`: `disable`, or `require` or `verify-full`, which are the same: a certificate whose name is not
    ///   checked proves nothing. Where it is left out, TLS is required unless all hosts are local.
    /// - `sslrootcert`: a file of certificates to trust (PEM); Debian's list where it is left out.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(address: &str, password: Option<&str>) -> Result<Self, AddressError> {
        let (plain, mode, roots) = parameters(address);
        let mut config: Config = plain.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            AddressError::Address { shown: shown(address), problem: format!("{error} {cause}") }
        })?;
        if config.get_password().is_some() {
            return Err(AddressError::Password);
        }
        let is_local = config.get_hosts().iter().all(is_local);
        let required = match mode.as_deref() {
            None => !is_local,
            Some("disable") => false,
            Some("require" | "verify-full") => true,
            Some(other) => return Err(AddressError::SslMode(other.to_owned())),
        };
        config
            .ssl_mode(if required { SslMode::Require } else { SslMode::Disable })
            .application_name("sparkle")
            .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
            .keepalives_idle(Duration::from_secs(KEEPALIVE_S))
            .tcp_user_timeout(Duration::from_secs(KEEPALIVE_S));
        if let Some(password) = password {
            config.password(password);
        }
        let tls = if required { tls::trusting(roots)? } else { Tls::default() };
        Ok(Self { config, tls, shown: shown(address).into() })
    }

    /// Begins a session, whose settings are `settings` (SQL).
    pub(super) async fn session(&self, settings: &str) -> Result<Session, Unavailable> {
        self.listening(settings, || {}).await
    }

    /// The same, of one that calls `notified` for each notification, at once: where the session itself is read.
    pub(super) async fn listening(
        &self,
        settings: &str,
        notified: impl Fn() + Send + 'static,
    ) -> Result<Session, Unavailable> {
        let limit = Duration::from_millis(CONNECT_MS_MAX);
        let connect = async {
            let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
            let (life, alive) = watch::channel(());
            tokio::spawn(async move {
                // Ends when the session does, or nobody has the client any more; then `life` goes as well.
                let _life = life;
                while let Some(message) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                    match message {
                        Ok(AsyncMessage::Notification(_)) => notified(),
                        Ok(_) => {}
                        Err(error) => {
                            tracing::debug!(%error, "a session with the database has ended");
                            break;
                        }
                    }
                }
            });
            client.batch_execute(SETTINGS).await?;
            client.batch_execute(settings).await?;
            Ok::<_, tokio_postgres::Error>(Session { client, alive })
        };
        match tokio::time::timeout(limit, connect).await {
            Ok(result) => result.map_err(|error| unavailable(&error)),
            Err(_) => Err(outage::silent(limit)),
        }
    }
}

/// Settings of every session. Without waiting for the disk no commit is worth its answer.
const SETTINGS: &str = "SET search_path = public; SET client_min_messages = warning;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

impl Session {
    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.client.is_closed()
    }

    /// Waits until it has.
    pub(super) async fn ended(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
        }
    }
}

/// Takes the parameters that are ours out of an address.
fn parameters(address: &str) -> (String, Option<String>, Option<PathBuf>) {
    let Some((base, query)) = address.split_once('?') else { return (address.to_owned(), None, None) };
    let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => roots = Some(PathBuf::from(value)),
            _ => rest.push(parameter),
        }
    }
    (if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) }, mode, roots)
}

/// An address without what may be secret: the part before `@` and the parameters.
fn shown(address: &str) -> String {
    let base = address.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = base.split_once("://") else { return "…".to_owned() };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}://{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let server = Server::new("postgresql://pony@localhost:7/cloud", Some("s3cret")).unwrap();
        assert_eq!(
            format!("{server} {server:?}"),
            "postgresql://localhost:7/cloud Server(postgresql://localhost:7/cloud)"
        );
        let error = Server::new("postgresql://pony:s3cret@localhost/cloud", None).unwrap_err();
        assert!(matches!(error, AddressError::Password), "{error}");
        for wrong in [
            "postgresql://pony:s3cret@localhost/cloud?wrong=s3cret",
            "s3cret",
            "postgresql://pony:s3cret@a:b/",
        ] {
            let error = Server::new(wrong, None).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn tls_is_required_unless_all_is_local() {
        let mode = |address| Server::new(address, None).map(|server| server.config.get_ssl_mode());
        assert_eq!(mode("postgresql://%2Frun%2Fpostgresql/cloud").unwrap(), SslMode::Disable);
        assert_eq!(mode("postgresql://127.0.0.1/cloud").unwrap(), SslMode::Disable);
        assert_eq!(mode("postgresql://db.example/cloud?sslmode=disable").unwrap(), SslMode::Disable);
        assert!(matches!(mode("postgresql://localhost/cloud?sslmode=prefer"), Err(AddressError::SslMode(_))));
        let missing = "postgresql://db.example/cloud?sslrootcert=/nothing/here.pem";
        assert!(matches!(mode(missing), Err(AddressError::Certificates { .. })));
    }
}
