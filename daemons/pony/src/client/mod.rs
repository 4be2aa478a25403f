//! A client of Sparkle's REST API: requests, answers, errors. It knows of URLs and JSON, not of tables.

mod error;
mod websocket;

pub use error::{ClientError, Refusal};
pub use websocket::WebSocket;

use crate::credentials::Credentials;
use reqwest::{Method, RequestBuilder, Response, Url, redirect};
use serde_json::{Map, Value as Json};
use std::path::Path;
use std::time::Duration;

/// Seconds to establish a connection: a host that is there answers within one.
const CONNECT_S_MAX: u64 = 5;
/// Seconds for a whole request: a long list on a busy machine takes some.
const REQUEST_S_MAX: u64 = 60;
/// MiB of an answer: more than the largest list of a large cloud, less than what hurts here.
const ANSWER_MIB_MAX: usize = 256;

/// A client of one Sparkle.
///
/// ```no_run
/// # async fn example() -> Result<(), pony::client::ClientError> {
/// let client = pony::client::Client::new("http://127.0.0.1:9860", "me@example.org:secret".parse().ok())?;
/// for (uuid, tenant) in client.list(&["tenant"]).await? {
///     println!("{uuid}: {}", tenant["desired"]["name"]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Option<Credentials>,
    token: Option<Token>,
}

/// A token, which is never shown.
#[derive(Clone)]
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Client {
    /// A client for the Sparkle at `url`. Sends nothing yet.
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::Setup`].
    pub fn new(url: &str, credentials: Option<Credentials>) -> Result<Self, ClientError> {
        Self::trusting(url, credentials, None)
    }

    /// The same, trusting also servers that the certificates (PEM) in a file vouch for.
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::Setup`], [`ClientError::Certificates`].
    pub fn trusting(
        url: &str,
        credentials: Option<Credentials>,
        certificates: Option<&Path>,
    ) -> Result<Self, ClientError> {
        let base =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| ClientError::Url { url: url.to_owned() })?;
        // Fails when there is one already, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trusted = certificates.map(read_certificates).transpose()?.unwrap_or_default();
        let http = reqwest::Client::builder()
            .tls_certs_merge(trusted)
            .connect_timeout(Duration::from_secs(CONNECT_S_MAX))
            .timeout(Duration::from_secs(REQUEST_S_MAX))
            // The API redirects nowhere; whoever does, wants the credentials.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("pony/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self { http, base, credentials, token: None })
    }

    /// Shows a token instead of a password.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(Token(token.to_owned())), ..self }
    }

    /// Who asks, where that is known without asking.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.credentials.as_ref().map(Credentials::email)
    }

    /// Where it asks.
    #[must_use]
    pub fn url(&self) -> &str {
        self.base.as_str()
    }

    /// Whether credentials would cross a network unencrypted.
    #[must_use]
    pub fn exposes_credentials(&self) -> bool {
        let local = match self.base.host_str() {
            Some("localhost") => true,
            Some(host) => host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback()),
            None => false,
        };
        let known = self.credentials.is_some() || self.token.is_some();
        known && self.base.scheme() == "http" && !local
    }

    /// The rows of a collection by key: `GET /v1/…collection/`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list(&self, path: &[impl AsRef<str>]) -> Result<Map<String, Json>, ClientError> {
        self.object(Method::GET, path, true, None).await
    }

    /// One row, or another JSON object below `/v1`: `GET /v1/…entity`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, path: &[impl AsRef<str>]) -> Result<Map<String, Json>, ClientError> {
        self.object(Method::GET, path, false, None).await
    }

    /// Applies a patch of the whole document in one transaction; what each placeholder became.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn patch(&self, operations: &[Json]) -> Result<Map<String, Json>, ClientError> {
        let body = Json::from(operations).to_string();
        let mut answer = self.object(Method::PATCH, &[""; 0], true, Some(body)).await?;
        match answer.remove("uuids") {
            Some(Json::Object(uuids)) => Ok(uuids),
            _ => Ok(Map::new()),
        }
    }

    /// Removes a row and what belongs to it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, path: &[impl AsRef<str>]) -> Result<(), ClientError> {
        self.object(Method::DELETE, path, false, None).await.map(|_| ())
    }

    async fn object(
        &self,
        method: Method,
        path: &[impl AsRef<str>],
        collection: bool,
        patch: Option<String>,
    ) -> Result<Map<String, Json>, ClientError> {
        let url = self.address(path, collection);
        let shown = url.to_string();
        let mut request = self.authenticated(self.http.request(method, url));
        if let Some(patch) = patch {
            request = request.header("content-type", "application/json-patch+json").body(patch);
        }
        let unreachable = |source| ClientError::unanswered(self.base.to_string(), source);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = self.body(response, &shown).await?;
        if !status.is_success() {
            if status.as_u16() == 401 && self.credentials.is_none() && self.token.is_none() {
                return Err(ClientError::NoCredentials { url: self.base.to_string() });
            }
            return Err(refusal(status.as_u16(), &body));
        }
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Answer { url: shown, what: error.to_string() })
    }

    fn authenticated(&self, request: RequestBuilder) -> RequestBuilder {
        match (&self.token, &self.credentials) {
            (Some(Token(token)), _) => request.bearer_auth(token),
            (None, Some(credentials)) => {
                request.basic_auth(credentials.email(), Some(credentials.password()))
            }
            (None, None) => request,
        }
    }

    fn address(&self, path: &[impl AsRef<str>], collection: bool) -> Url {
        let mut url = self.base.clone();
        // Holds for every URL with a host, which `new` has seen to; else the request goes to the root and is refused.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path.iter().map(AsRef::as_ref));
            if collection {
                segments.push("");
            }
        }
        url
    }

    async fn body(&self, mut response: Response, url: &str) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        let unreachable = |source| ClientError::Unreachable { url: self.base.to_string(), source };
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_MIB_MAX << 20 {
                return Err(ClientError::TooLong { url: url.to_owned(), max_mib: ANSWER_MIB_MAX });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn read_certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Certificates {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::read(path).map_err(|error| failed(error.into()))?;
    reqwest::Certificate::from_pem_bundle(&bytes).map_err(|error| failed(error.into()))
}

fn refusal(status: u16, body: &[u8]) -> ClientError {
    let parsed = serde_json::from_slice::<Refusal>(body).ok();
    let empty = || Refusal { status, error: String::new(), message: String::new(), path: None };
    ClientError::Refused(Refusal { status, ..parsed.unwrap_or_else(empty) })
}
