//! Consoles of guests as WebSockets: `/v1/tenant/T/instance/I/console` (its serial port) and `…/vnc` (its screen). Binary
//! messages both ways, whose bounds mean nothing; for whoever may change the instance.

use super::caller::Identity;
use super::problem::Fault;
use super::serve::PeerAddress;
use super::stream::check_origin;
use super::{App, caller};
use crate::console::{OpenConsole, OpenError, Wish};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pony_core::channel::{DATA_BYTES_MAX, Heard, KEEPALIVE_MS};
use pony_core::document::{Grant, Reader, UrlPath};
use pony_core::host::ConsoleKind;
use pony_core::tables::Instance;
use pony_state::Read;
use std::time::Duration;

/// The subprotocol that clients of RFB name; nothing follows from it.
const BINARY: &str = "binary";
/// The subprotocol by which pages show a token, as they can set no headers: `bearer.TOKEN`. It is never answered.
const BEARER: &str = "bearer.";
/// How long a client may take to receive a message: less than after which the host thinks that nobody is there.
const SEND_MAX: Duration = Duration::from_secs(20);
/// Signs of life that a client may owe, one each [`KEEPALIVE_MS`].
const CLIENT_SILENT_TICKS_MAX: u32 = 12;
/// Bytes of a reason in a close frame (RFC 6455, section 5.5.1).
const REASON_BYTES_MAX: usize = 123;

pub(super) async fn serial(
    state: State<App>,
    uri: OriginalUri,
    path: Path<(String, String)>,
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    answer(&state.0, ConsoleKind::Serial, &uri, &path.0, peer, headers, upgrade).await
}

pub(super) async fn vnc(
    state: State<App>,
    uri: OriginalUri,
    path: Path<(String, String)>,
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    answer(&state.0, ConsoleKind::Vnc, &uri, &path.0, peer, headers, upgrade).await
}

async fn answer(
    app: &App,
    console: ConsoleKind,
    uri: &OriginalUri,
    (tenant, instance): &(String, String),
    peer: Option<Extension<PeerAddress>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let opened = async {
        check_origin(app, &headers)?;
        let identity = caller::identify(app, &with_token(headers), peer.map(|it| it.0)).await?;
        let right =
            Right { identity, url: UrlPath::parse(&format!("/tenant/{tenant}/instance/{instance}"))? };
        let wish = right.wish(app, console)?;
        // Last: who may not have it learns nothing else.
        let upgrade = upgrade.map_err(|error| Fault::invalid(format!("this is for WebSockets: {error}")))?;
        let open = OpenConsole::open(&app.0.consoles, wish.clone()).await.map_err(|error| fault(&error))?;
        Ok::<_, Fault>((upgrade, Talk { app: app.clone(), right, wish, open }))
    };
    match opened.await {
        Err(fault) => fault.at(uri.path()).into_response(),
        Ok((upgrade, talk)) => upgrade
            .protocols([BINARY])
            .max_message_size(DATA_BYTES_MAX)
            .max_frame_size(DATA_BYTES_MAX)
            .on_upgrade(|socket| talk.run(socket)),
    }
}

fn fault(error: &OpenError) -> Fault {
    match error {
        OpenError::Refused(_) => Fault::conflict(format!("there is no console now: {error}")),
        OpenError::Silent | OpenError::Stopping => Fault::host_unavailable(error.to_string()),
    }
}

/// The headers, with a token among the subprotocols where any other stands.
fn with_token(mut headers: HeaderMap) -> HeaderMap {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let token = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|word| word.trim().strip_prefix(BEARER))
        .and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    if let Some(token) = token.filter(|_| !headers.contains_key(header::AUTHORIZATION)) {
        headers.insert(header::AUTHORIZATION, token);
    }
    headers
}

/// Whose console it is, which is looked at again while it is open.
struct Right {
    identity: Identity,
    url: UrlPath,
}

impl Right {
    /// What is to be opened, as things stand.
    ///
    /// # Errors
    /// Where the instance is not there, is not the caller's to change, or is on no host.
    fn wish(&self, app: &App, console: ConsoleKind) -> Result<Wish, Fault> {
        let snapshot = app.0.state.snapshot();
        let caller = self.identity.caller(&snapshot)?;
        let (grant, key) = Reader::new(&app.0.tree, &snapshot, &caller).grant(&self.url)?;
        if grant < Grant::Write {
            let message = "a console is for those who may change the instance; you may only look at it";
            return Err(Fault::denied(message.to_owned()));
        }
        let instance = key.values().first().and_then(pony_state::Value::as_uuid).unwrap_or_default();
        let row = snapshot.get::<Instance>(&instance);
        let host = row.and_then(|row| row.current.as_ref()?.host);
        let host = host.ok_or_else(|| Fault::conflict("the instance is on no host".to_owned()))?;
        let caller = self.identity.email().unwrap_or_default().to_owned();
        Ok(Wish { caller, host, instance, console })
    }
}

/// An open console and the client's end of it.
struct Talk {
    app: App,
    right: Right,
    wish: Wish,
    open: OpenConsole,
}

/// What ends one: the code and the reason that the client is told.
type Ended = (u16, String);

impl Talk {
    async fn run(mut self, mut socket: WebSocket) {
        let (caller, instance, host) = (&self.wish.caller, self.wish.instance, self.wish.host);
        let console = self.wish.console;
        tracing::info!(caller, %instance, %host, ?console, "a console is open");
        let (code, reason) = self.carry(&mut socket).await;
        tracing::info!(caller = self.wish.caller, %instance, reason, "a console has ended");
        let reason = shortened(&reason).into();
        // The client may be gone.
        let close = socket.send(Message::Close(Some(CloseFrame { code, reason })));
        let _ = tokio::time::timeout(SEND_MAX, close).await;
    }

    async fn carry(&mut self, socket: &mut WebSocket) -> Ended {
        let mut alive = tokio::time::interval(Duration::from_millis(KEEPALIVE_MS));
        let mut silent_ticks = 0;
        loop {
            let carried = tokio::select! {
                heard = self.open.next() => self.show(socket, heard).await,
                typed = socket.recv(), if self.open.may_send() => {
                    silent_ticks = 0;
                    self.take(typed).await
                }
                _ = alive.tick() => {
                    silent_ticks += 1;
                    self.tick(socket, silent_ticks).await
                }
            };
            if let Err(ended) = carried {
                return ended;
            }
        }
    }

    /// What the guest says.
    async fn show(
        &mut self,
        socket: &mut WebSocket,
        heard: Option<Result<Heard, pony_core::channel::FlowError>>,
    ) -> Result<(), Ended> {
        match heard {
            None => Err((close_code::AWAY, "Sparkle is shutting down".to_owned())),
            Some(Err(error)) => Err((close_code::AGAIN, error.to_string())),
            Some(Ok(Heard::Closed(reason))) => Err((close_code::NORMAL, reason)),
            Some(Ok(Heard::Nothing)) => Ok(()),
            Some(Ok(Heard::Bytes(bytes))) => {
                send(socket, Message::Binary(bytes.into())).await?;
                self.open.took().await;
                Ok(())
            }
        }
    }

    /// What the client says.
    async fn take(&mut self, typed: Option<Result<Message, axum::Error>>) -> Result<(), Ended> {
        let bytes = match typed {
            Some(Ok(Message::Binary(bytes))) => bytes.into(),
            Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => {
                return Err((close_code::NORMAL, "the client left".to_owned()));
            }
        };
        self.open.send(bytes).await;
        Ok(())
    }

    /// Looks whether everything is as it was: the other ends, the caller's right, the guest's place.
    async fn tick(&mut self, socket: &mut WebSocket, silent_ticks: u32) -> Result<(), Ended> {
        // While the guest takes nothing, nothing is read from the client, who then owes no sign of life.
        if silent_ticks > CLIENT_SILENT_TICKS_MAX && self.open.may_send() {
            return Err((close_code::AWAY, "the client is gone".to_owned()));
        }
        let now = self.right.wish(&self.app, self.wish.console);
        match now {
            Ok(now) if now.host != self.wish.host => {
                return Err((close_code::AGAIN, "the guest has moved; connect again".to_owned()));
            }
            Err(fault) => return Err((close_code::POLICY, fault.message().to_owned())),
            Ok(_) => {}
        }
        self.open.tick().await.map_err(|error| (close_code::AGAIN, error.to_string()))?;
        send(socket, Message::Ping(axum::body::Bytes::new())).await
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
    match tokio::time::timeout(SEND_MAX, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err((close_code::NORMAL, "the client left".to_owned())),
        Err(_) => Err((close_code::AWAY, "the client does not read".to_owned())),
    }
}

fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_among_the_subprotocols() {
        let with = |protocols: &str, authorization: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
            if let Some(it) = authorization {
                headers.insert(header::AUTHORIZATION, it.parse().unwrap());
            }
            let headers = with_token(headers);
            headers.get(header::AUTHORIZATION).map(|it| it.to_str().unwrap().to_owned())
        };
        assert_eq!(with("binary, bearer.pony_a.b", None).as_deref(), Some("Bearer pony_a.b"));
        assert_eq!(with("binary", None), None);
        assert_eq!(with("bearer.x", Some("Basic y")).as_deref(), Some("Basic y"), "the header counts first");
    }

    #[test]
    fn a_reason_fits_into_a_frame() {
        assert_eq!(shortened("off"), "off");
        assert_eq!(shortened(&"ü".repeat(100)), "ü".repeat(61));
    }
}
