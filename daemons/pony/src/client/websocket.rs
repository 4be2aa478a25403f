//! WebSockets of the API: asked for as any other request is, with the same credentials and trust.

use super::{Client, ClientError, refusal};
use reqwest::{Method, StatusCode, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// An open WebSocket.
pub type WebSocket = WebSocketStream<reqwest::Upgraded>;

/// Bytes of one message: what the API sends is shorter by far.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

impl Client {
    /// Opens a WebSocket below `/v1`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn websocket(&self, path: &[impl AsRef<str>]) -> Result<WebSocket, ClientError> {
        let url = self.address(path, false);
        let shown = url.to_string();
        let key = generate_key();
        let request = self
            .authenticated(self.http.request(Method::GET, url))
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_PROTOCOL, "binary")
            .header(header::SEC_WEBSOCKET_KEY, &key);
        let unreachable = |source| ClientError::Unreachable { url: self.base.to_string(), source };
        let response = request.send().await.map_err(unreachable)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status().as_u16();
            return Err(refusal(status, &self.body(response, &shown).await?));
        }
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if accepted.is_none_or(|accepted| accepted.as_bytes() != derive_accept_key(key.as_bytes()).as_bytes())
        {
            return Err(ClientError::Answer { url: shown, what: "no WebSocket's key".to_owned() });
        }
        let stream = response.upgrade().await.map_err(unreachable)?;
        let bounds = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        Ok(WebSocketStream::from_raw_socket(stream, Role::Client, Some(bounds)).await)
    }
}
