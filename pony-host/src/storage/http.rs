//! The HTTP client: who is trusted, how long is waited, where redirects may lead.

use super::error::StorageError;
use super::options::StorageOptions;
use super::pool::blocking;
use super::reach::{self, Elsewhere};
use reqwest::header::{ACCEPT_ENCODING, IF_RANGE, RANGE};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder, Response, Url};
use std::error::Error;
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Redirects that one request follows: download sites use two or three.
const REDIRECTS_MAX: usize = 8;

/// Longest URI in a message, characters.
const SHOWN_MAX: usize = 200;

static PROVIDER: Once = Once::new();

/// The client, made when it is first needed.
#[derive(Default)]
pub(super) struct Http(OnceCell<Client>);

/// Bytes of a download that are here already, and what proves that they still count.
pub(super) struct Resume<'a> {
    pub(super) from: u64,
    pub(super) validator: &'a str,
}

impl Http {
    /// Asks for a resource, or for the rest of it; waits for the head of the answer.
    pub(super) async fn get(
        &self,
        uri: &Url,
        resume: Option<Resume<'_>>,
        options: &StorageOptions,
    ) -> Result<Response, StorageError> {
        if let Some(why) = reach::refused(uri).filter(|_| !options.near_sources) {
            return Err(StorageError::Uri { uri: shown(uri), why });
        }
        let client = self.client(uri, options).await?;
        let mut request = client.get(uri.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(Resume { from, validator }) = resume {
            request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, validator);
        }
        match tokio::time::timeout(options.http_stall, request.send()).await {
            Ok(answer) => answer.map_err(|error| failed(uri, error)),
            Err(_) => Err(stalled(uri, options.http_stall)),
        }
    }

    async fn client(&self, uri: &Url, options: &StorageOptions) -> Result<Client, StorageError> {
        let (connect_timeout, near) = (options.connect_timeout, options.near_sources);
        let build = || blocking(move || Ok(builder(connect_timeout, near).build()));
        if let Some(client) = self.0.get() {
            return Ok(client.clone());
        }
        match build().await? {
            Ok(client) => Ok(self.0.get_or_init(|| async { client }).await.clone()),
            Err(error) if uri.scheme() == "https" => Err(failed(uri, error)),
            // Most likely no certificate authorities are installed: nothing is trusted then, and plain HTTP works.
            Err(error) => {
                tracing::warn!(why = %causes(&error), "https sources do not work on this host");
                let client =
                    blocking(move || Ok(builder(connect_timeout, near).tls_certs_only([]).build())).await?;
                client.map_err(|error| failed(uri, error))
            }
        }
    }
}

/// `near`: whether servers on this very host are asked, too.
fn builder(connect_timeout: Duration, near: bool) -> ClientBuilder {
    PROVIDER.call_once(|| {
        // Another part of the process may have installed one already: as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let client = Client::builder()
        .user_agent(concat!("ponycloud/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .redirect(Policy::custom(move |attempt| redirect(attempt, near)))
        .referer(false);
    if near { client } else { client.dns_resolver(Arc::new(Elsewhere)) }
}

/// Redirects are followed for a while, and never from a protected connection to an open one.
fn redirect(attempt: Attempt<'_>, near: bool) -> reqwest::redirect::Action {
    let protected = attempt.previous().last().is_some_and(|from| from.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error(format!("more than {REDIRECTS_MAX} redirects"))
    } else if protected && attempt.url().scheme() != "https" {
        attempt.error("from https to something less")
    } else if !matches!(attempt.url().scheme(), "http" | "https") {
        let scheme = attempt.url().scheme().to_owned();
        attempt.error(format!("to {scheme}:, which is not HTTP"))
    } else {
        match reach::refused(attempt.url()).filter(|_| !near) {
            Some(why) => attempt.error(why),
            None => attempt.follow(),
        }
    }
}

/// What to say of a request that failed.
pub(super) fn failed(uri: &Url, error: reqwest::Error) -> StorageError {
    let (is_redirect, is_builder) = (error.is_redirect(), error.is_builder() && error.url().is_some());
    let (uri, why) = (shown(uri), causes(&error.without_url()));
    match (is_redirect, is_builder) {
        (true, _) => StorageError::Redirect { uri, why },
        (_, true) => StorageError::Uri { uri, why },
        _ => StorageError::Http { uri, why },
    }
}

pub(super) fn stalled(uri: &Url, after: Duration) -> StorageError {
    StorageError::Stalled { what: format!("the download of {}", shown(uri)), seconds: after.as_secs() }
}

/// The chain of causes in one line, without repetitions.
fn causes(error: &dyn Error) -> String {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !words.iter().any(|word| word.contains(&text)) {
            words.push(text);
        }
        next = cause.source();
    }
    words.join(": ")
}

/// A URI as messages show it: without passwords and what may be a token.
pub(super) fn shown(uri: &Url) -> String {
    let mut uri = uri.clone();
    // These fail for URIs that cannot hold any.
    let _ = uri.set_password(None);
    let _ = uri.set_username("");
    if uri.query().is_some() {
        uri.set_query(Some("…"));
    }
    uri.as_str().replace("%E2%80%A6", "…").chars().take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn messages_do_not_tell_secrets() {
        let uri = Url::parse("https://rarity:opal@images.example/a.qcow2?token=secret").unwrap();
        assert_eq!(shown(&uri), "https://images.example/a.qcow2?…");
    }

    /// A server that leads whoever asks for `/to/N` on to the Nth of `targets`; and what it was asked for.
    async fn leading(
        targets: impl Fn(u16) -> Vec<String>,
    ) -> (SocketAddr, Vec<String>, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (targets, asked) = (targets(address.port()), Arc::<Mutex<Vec<String>>>::default());
        let (known, noted) = (targets.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let path = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
                let target =
                    path.strip_prefix("/to/").map(|nth| known[nth.parse::<usize>().unwrap()].clone());
                noted.lock().unwrap().push(path);
                let first = target.map_or("200 OK".to_owned(), |it| format!("302 Found\r\nLocation: {it}"));
                let answer = format!("HTTP/1.1 {first}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (address, targets, asked)
    }

    /// A server that may be asked could have sent a host to one that may not, and the disk would have been the answer.
    #[tokio::test]
    async fn redirects_lead_neither_to_this_very_host_nor_to_its_link() {
        let (address, targets, asked) = leading(|port| {
            let near = [
                "127.0.0.1",
                "localhost",
                "2130706433",
                "[::ffff:127.0.0.1]",
                "169.254.169.254",
                "[fe80::1]",
            ];
            near.iter().map(|host| format!("http://{host}:{port}/secrets")).collect()
        })
        .await;
        // The server stands for one that is elsewhere.
        let client =
            |near| builder(TIMEOUT, near).no_proxy().resolve("images.example", address).build().unwrap();
        let uri =
            |nth: usize| Url::parse(&format!("http://images.example:{}/to/{nth}", address.port())).unwrap();
        for (nth, target) in targets.iter().enumerate() {
            let error = client(false).get(uri(nth)).send().await.unwrap_err();
            let message = failed(&uri(nth), error).to_string();
            assert!(message.contains("this very host, or its link"), "{target}: {message}");
        }
        let followed: Vec<String> = (0..targets.len()).map(|nth| format!("/to/{nth}")).collect();
        assert_eq!(*asked.lock().unwrap(), followed, "nothing but the redirects was asked for");
        assert!(client(true).get(uri(0)).send().await.unwrap().status().is_success());
        assert_eq!(asked.lock().unwrap().last().unwrap(), "/secrets", "where it is allowed");
    }
}
