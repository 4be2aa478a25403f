//! Opening the consoles of guests: a serial port at the emulator's socket, with what it wrote down; a screen.

use super::error::transient;
use crate::Result;
use crate::console::{Console, HISTORY_BYTES};
use pony_core::host::DriverError;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// How long an emulator may take to accept a connection.
const OPEN_MAX: Duration = Duration::from_secs(5);

/// Where the serial console of a guest is: the emulator's socket, which takes one connection at a time.
#[derive(Debug)]
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    /// Connects; with the last bytes that the guest said, as `virtlogd` wrote them down beside the socket.
    ///
    /// # Errors
    /// `Transient`, when the emulator does not take the connection, or its log cannot be read.
    pub(super) async fn open(self) -> Result<(UnixStream, Vec<u8>)> {
        let connecting = tokio::time::timeout(OPEN_MAX, UnixStream::connect(&self.0));
        let opened = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = opened.map_err(|error| self.cannot("open", &error))?;
        // Read after the connection is there: at worst a few bytes are shown twice, none is missing.
        let reading = tokio::task::spawn_blocking(move || match history(&self.0, HISTORY_BYTES) {
            Ok(said) => Ok(said),
            Err(error) => Err(self.cannot("read the log of", &error)),
        });
        let said = reading.await.unwrap_or_else(|error| Err(transient(error.to_string())))?;
        Ok((stream, said))
    }

    fn cannot(&self, verb: &str, error: &io::Error) -> DriverError {
        transient(format!("cannot {verb} the serial console {}: {error}", self.0.display()))
    }
}

/// A screen, from a connection to it.
///
/// # Errors
/// `Transient`, when the connection cannot be used.
pub(super) fn screen(connection: std::os::unix::net::UnixStream) -> Result<Console> {
    match UnixStream::from_std(connection) {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(transient(format!("cannot use the connection to a screen: {error}"))),
    }
}

/// The last bytes that were said at a socket, at most so many.
fn history(socket: &Path, bytes: usize) -> io::Result<Vec<u8>> {
    // What was full has the end `.0`; the new one may be almost empty.
    let mut said = Vec::new();
    for end in ["log.0", "log"] {
        said.extend(tail(&socket.with_extension(end), bytes)?);
    }
    said.drain(..said.len().saturating_sub(bytes));
    Ok(said)
}

/// The end of a file; nothing of one that is not there.
fn tail(path: &Path, bytes: usize) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let start = file.metadata()?.len().saturating_sub(bytes);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_the_end_of_the_log_and_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("x.sock");
        assert_eq!(history(&socket, 8).unwrap(), b"");
        std::fs::write(dir.path().join("x.log.0"), "an older part").unwrap();
        std::fs::write(dir.path().join("x.log"), " new").unwrap();
        assert_eq!(history(&socket, 8).unwrap(), b"part new");
        assert_eq!(history(&socket, 2).unwrap(), b"ew");
        assert_eq!(history(&socket, 100).unwrap(), b"an older part new");
    }
}
