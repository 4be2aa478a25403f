//! The end of a console in a simulated guest: it says again whatever it is told, for as long as it is on.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

/// What a screen's server says first (RFC 6143, section 7.1.1).
pub(super) const RFB_GREETING: &[u8] = b"RFB 003.008\n";
/// Bytes moved at once.
const CHUNK_BYTES: usize = 4 << 10;

/// The other end of such a console.
pub(super) fn echo(mut power: watch::Receiver<()>, greeting: &'static [u8]) -> DuplexStream {
    let (near, mut far) = tokio::io::duplex(CHUNK_BYTES);
    tokio::spawn(async move {
        let talk = async {
            far.write_all(greeting).await?;
            let mut chunk = [0; CHUNK_BYTES];
            loop {
                match far.read(&mut chunk).await? {
                    0 => return std::io::Result::Ok(()),
                    bytes => far.write_all(&chunk[..bytes]).await?,
                }
            }
        };
        tokio::select! {
            _ = talk => {}
            // Nothing is ever sent: it ends with the guest.
            _ = power.changed() => {}
        }
    });
    near
}
