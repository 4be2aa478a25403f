//! Reads a volume of another host, by the stream that it lets this one have. The other host is not believed in anything: what
//! comes is taken for the bytes of a disk, as many as it said at first, whatever they are.

use super::attempt::Attempt;
use super::disk::Disk;
use super::error::StorageError;
use super::fill::Fill;
use super::qemu_img;
use super::stage::Stage;
use crate::peers::{Head, Kind, PATIENCE, Stream, Way, splice};
use pony_core::host::RemoteVolume;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

/// Longest reason of another host in a message, bytes.
const WHY_MAX: u64 = 500;

/// A volume of another host, open for reading.
pub(super) struct Remote {
    /// Virtual size, bytes.
    pub(super) bytes: u64,
    from: RemoteVolume,
    stream: Stream,
}

impl Fill<'_> {
    /// Opens a volume of another host.
    pub(super) async fn remote(&self, from: &RemoteVolume) -> Result<Remote, StorageError> {
        let failed = |why: String| StorageError::Remote { from: from.clone(), why };
        let peers = self.shared.options.peers.as_ref();
        let peers = peers.ok_or_else(|| failed("this host exchanges nothing with others".to_owned()))?;
        let way = Way::parse(&from.way).map_err(|error| failed(error.message))?;
        let head = Head { kind: Kind::Volume, of: from.volume };
        let mut stream = peers.connect(&way, head).await.map_err(failed)?;
        let late = |_| failed("it does not say in time how large the volume is".to_owned());
        let said = tokio::time::timeout(PATIENCE, size(&mut stream)).await.map_err(late)?;
        Ok(Remote { bytes: said.map_err(failed)?, from: from.clone(), stream })
    }
}

/// How large the volume is, or why the other host does not let it be read.
async fn size(stream: &mut Stream) -> Result<u64, String> {
    let cut = |_| "it lets nothing be read by this host just now".to_owned();
    match stream.read_u64().await.map_err(cut)? {
        0 => {
            let mut why = Vec::new();
            stream.take(WHY_MAX).read_to_end(&mut why).await.map_err(cut)?;
            let why: String = String::from_utf8_lossy(&why).chars().filter(|it| !it.is_control()).collect();
            Err(format!("it says: {why}"))
        }
        bytes => Ok(bytes),
    }
}

impl Remote {
    /// Writes it onto a disk.
    pub(super) async fn write(
        mut self,
        attempt: &Attempt,
        to: &Disk,
        stall: Duration,
        stage: &Stage,
    ) -> Result<(), StorageError> {
        let failed = |why: String| StorageError::Remote { from: self.from.clone(), why };
        let (mut ours, theirs) = UnixStream::pair().map_err(|error| failed(error.to_string()))?;
        let theirs = blocking_end(theirs).map_err(|error| failed(error.to_string()))?;
        let from = Disk::Stream(Arc::new(theirs), self.bytes);
        let is_cut = AtomicBool::new(false);
        let carry = async {
            splice(&mut self.stream, &mut ours, &CancellationToken::new()).await;
            is_cut.store(true, Ordering::Relaxed);
            // Nothing comes any more: whoever reads is to know.
            drop(ours);
            std::future::pending::<std::convert::Infallible>().await
        };
        let written = tokio::select! {
            biased;
            written = qemu_img::convert(attempt, (&from, to), stall, stage) => written,
            never = carry => match never {},
        };
        written.map_err(|error| match error {
            StorageError::QemuImg { .. } | StorageError::NetworkCopy { .. }
                if is_cut.load(Ordering::Relaxed) =>
            {
                StorageError::Remote {
                    from: self.from,
                    why: "the connection was cut: it begins anew".to_owned(),
                }
            }
            StorageError::QemuImg { why, .. } => StorageError::Remote { from: self.from, why },
            other => other,
        })
    }
}

/// As the process that gets it wants it.
fn blocking_end(end: UnixStream) -> std::io::Result<OwnedFd> {
    let end = end.into_std()?;
    end.set_nonblocking(false)?;
    Ok(end.into())
}
