//! `pony instance console`: the guest's serial port, through Sparkle, from whichever host has the guest.

use crate::cli::ConsoleArgs;
use crate::client::{Client, WebSocket};
use crate::session::{Session, note};
use crate::terminal::{self, Left};
use anyhow::Context;
use futures::{SinkExt, StreamExt};
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Bytes moved at once.
const CHUNK_BYTES: usize = 4 << 10;
/// How often a console that ended for a while only (the guest moved, a host's link broke) is opened again, and how
/// long after the other: as long as a guest may take to be somewhere else.
const AGAIN_MAX: u32 = 30;
const AGAIN_EVERY: Duration = Duration::from_secs(2);

/// Why a console ended.
#[derive(Debug)]
enum Ended {
    /// The user left.
    ByUser,
    /// It does not come back by itself.
    For(String),
    /// It may.
    ForAWhile(String),
}

pub(super) async fn run(session: &Session, args: &ConsoleArgs) -> anyhow::Result<()> {
    let instance = session.browser().one_of("instance", &args.instance).await?;
    let name = instance.label().to_owned();
    let path: Vec<String> = instance.path.iter().cloned().chain(["console".to_owned()]).collect();
    let socket = session.client.websocket(&path).await;
    let socket = socket.with_context(|| format!("cannot open the console of instance {name}"))?;
    let (local, remote) = StdUnixStream::pair()?;
    local.set_nonblocking(true)?;
    remote.set_nonblocking(true)?;
    note(&format!("console of {name}; Ctrl-] leaves"));
    let carrying =
        tokio::spawn(carry_on(session.client.clone(), path, socket, UnixStream::from_std(remote)?));
    // The terminal is waited for with `poll`.
    let left = tokio::task::spawn_blocking(move || terminal::attach(local.into())).await??;
    match left {
        Left::ByUser => note(&format!("left the console of {name}")),
        Left::ByGuest => {
            let reason = match carrying.await? {
                Ended::ByUser => String::new(),
                Ended::For(reason) | Ended::ForAWhile(reason) => reason,
            };
            note(&format!("the console of {name} has closed: {reason}"));
        }
    }
    Ok(())
}

/// Carries bytes between a terminal and the guest, as long as there is one to come back to.
async fn carry_on(client: Client, path: Vec<String>, socket: WebSocket, mut terminal: UnixStream) -> Ended {
    let mut ended = carry(socket, &mut terminal).await;
    let mut tries = 0;
    while let Ended::ForAWhile(reason) = &ended
        && tries < AGAIN_MAX
    {
        tries += 1;
        if tries == 1 {
            let told = format!("\r\n[{}; connecting again]\r\n", crate::escape::text(reason));
            // A terminal that is gone ends what follows.
            let _ = terminal.write_all(told.as_bytes()).await;
        }
        tokio::time::sleep(AGAIN_EVERY).await;
        if let Ok(socket) = client.websocket(&path).await {
            ended = carry(socket, &mut terminal).await;
            tries = 0;
        }
    }
    ended
}

async fn carry(mut socket: WebSocket, terminal: &mut UnixStream) -> Ended {
    let mut typed = [0; CHUNK_BYTES];
    loop {
        tokio::select! {
            heard = socket.next() => match heard {
                Some(Ok(Message::Binary(bytes))) => {
                    if terminal.write_all(&bytes).await.is_err() {
                        return Ended::ByUser;
                    }
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    let reason = frame.reason.to_string();
                    return if frame.code == CloseCode::Again { Ended::ForAWhile(reason) } else { Ended::For(reason) };
                }
                // Pings are answered as the socket is read on.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Ended::ForAWhile(broken(&error)),
                None => return Ended::ForAWhile("the connection was lost".to_owned()),
            },
            read = terminal.read(&mut typed) => {
                let Ok(bytes @ 1..) = read else {
                    // What was typed last has been sent; whether anybody hears of the end does not matter.
                    let _ = socket.close(None).await;
                    return Ended::ByUser;
                };
                if let Err(error) = socket.send(Message::binary(typed[..bytes].to_vec())).await {
                    return Ended::ForAWhile(broken(&error));
                }
            }
        }
    }
}

fn broken(error: &Error) -> String {
    match error {
        Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the connection was lost".to_owned()
        }
        other => format!("the connection broke: {other}"),
    }
}
