//! The way of one guest to another host: sockets of this machine that lead, encrypted, to those of the other.

use super::disks;
use super::error::transient;
use super::rooms::{Guest, Rooms};
use crate::Result;
use crate::peers::{Head, Kind, PATIENCE, Peers, Way, splice};
use pony_core::host::DiskSpec;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::net::UnixListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Open as long as it is there, and not closed.
#[derive(Debug)]
pub(super) struct Passage {
    rooms: Rooms,
    instance: Uuid,
    /// Asks the other host for what it calls the disks.
    disks: Door,
    _closed: DropGuard,
}

impl Passage {
    /// # Errors
    ///
    /// `Transient` if the sockets cannot be made.
    pub(super) fn open(
        rooms: &Rooms,
        peers: &Peers,
        instance: Uuid,
        to: &Way,
        closed: &CancellationToken,
    ) -> Result<Self> {
        rooms.prepare(instance, Guest::Departs)?;
        let door = |kind| Door { head: Head { kind, of: instance }, to: to.clone(), peers: peers.clone() };
        let (disks, _closed) = (door(Kind::Disks), closed.clone().drop_guard());
        let passage = Self { rooms: rooms.clone(), instance, disks, _closed };
        let places = [
            (Kind::Control, rooms.control_here(instance)),
            (Kind::Memory, rooms.memory_here(instance)),
            (Kind::Data, rooms.data_here(instance)),
        ];
        for (kind, place) in places {
            let listener = bind(&place)
                .map_err(|error| transient(format!("cannot make socket {}: {error}", place.display())))?;
            tokio::spawn(door(kind).listen(listener, closed.clone()));
        }
        Ok(passage)
    }

    /// The disks of the guest as they are over there.
    ///
    /// # Errors
    ///
    /// `Transient` if that host does not say.
    pub(super) async fn disks(&self) -> Result<Vec<DiskSpec>> {
        let stream = self.disks.peers.connect(&self.disks.to, self.disks.head).await.map_err(transient)?;
        let late = |_| transient("the other host does not say in time what it calls the guest's disks");
        tokio::time::timeout(PATIENCE, disks::read(stream)).await.map_err(late)?
    }
}

/// Who gets to it is who gets into its directory.
fn bind(place: &Path) -> std::io::Result<UnixListener> {
    let listener = UnixListener::bind(place)?;
    std::fs::set_permissions(place, Permissions::from_mode(0o666))?;
    Ok(listener)
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.rooms.remove(self.instance);
    }
}

/// One of the sockets.
#[derive(Debug, Clone)]
struct Door {
    head: Head,
    to: Way,
    peers: Peers,
}

impl Door {
    async fn listen(self, listener: UnixListener, closed: CancellationToken) {
        loop {
            let connection = tokio::select! {
                connection = listener.accept() => connection,
                () = closed.cancelled() => return,
            };
            let Ok((mut inside, _)) = connection else { return };
            let (door, closed) = (self.clone(), closed.clone());
            tokio::spawn(async move {
                match door.peers.connect(&door.to, door.head).await {
                    Ok(mut outside) => splice(&mut inside, &mut outside, &closed).await,
                    Err(error) => tracing::warn!(at = %door.to.at, error, "the host that a guest moves to"),
                }
            });
        }
    }
}

/// The socket of a local libvirt, by its URI.
pub(super) fn libvirt_socket(uri: &str) -> String {
    let query = uri.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let named = query.split('&').find_map(|it| it.strip_prefix("socket="));
    named.unwrap_or("/run/libvirt/libvirt-sock").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_the_one_that_the_uri_names() {
        assert_eq!(libvirt_socket("qemu:///system"), "/run/libvirt/libvirt-sock");
        assert_eq!(libvirt_socket("qemu+unix:///system?a=b&socket=/x/y"), "/x/y");
    }
}
