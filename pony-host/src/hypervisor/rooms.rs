//! Directories of sockets that guests go through on their way: one for each guest, of the same name on either host.
//!
//! libvirt gives the emulators of both hosts one name for the socket of the guest's memory. On the target the emulator makes
//! it, as a user of its own; on the source this driver does, for the emulator. Nobody else gets into the directory of
//! directories.

use super::error::transient;
use crate::Result;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Where libvirt keeps what belongs to its emulators' user; nobody else gets in.
const EMULATORS_DIR: &str = "/var/lib/libvirt/qemu";

/// Where the directories are.
#[derive(Debug, Clone)]
pub(super) struct Rooms {
    /// As libvirt sees it.
    base: PathBuf,
    /// As this process does.
    here: PathBuf,
}

/// Who is to get into a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guest {
    /// The emulator makes a socket in it.
    Arrives,
    /// This process makes sockets in it, and the emulator opens one.
    Departs,
}

impl Rooms {
    /// `root`: what `/` of libvirt is for this process, where it is not the same.
    pub(super) fn new(root: Option<&Path>) -> Self {
        let base = Path::new(EMULATORS_DIR).join("ponycloud");
        let inside = base.strip_prefix("/").unwrap_or(&base).to_owned();
        let here = root.map_or_else(|| base.clone(), |root| root.join(inside));
        Self { base, here }
    }

    /// The socket that a guest's memory goes through, as libvirt sees it.
    pub(super) fn memory(&self, instance: Uuid) -> PathBuf {
        self.base.join(instance.to_string()).join("memory")
    }

    /// The socket by which libvirt gets to the other libvirt, as libvirt sees it.
    pub(super) fn control(&self, instance: Uuid) -> PathBuf {
        self.base.join(instance.to_string()).join("control")
    }

    /// The socket that the bytes of its disks go through, where they are copied, as libvirt sees it.
    pub(super) fn data(&self, instance: Uuid) -> PathBuf {
        self.base.join(instance.to_string()).join("data")
    }

    /// The first of these as this process sees it.
    pub(super) fn memory_here(&self, instance: Uuid) -> PathBuf {
        self.here.join(instance.to_string()).join("memory")
    }

    /// The second.
    pub(super) fn control_here(&self, instance: Uuid) -> PathBuf {
        self.here.join(instance.to_string()).join("control")
    }

    /// The third.
    pub(super) fn data_here(&self, instance: Uuid) -> PathBuf {
        self.here.join(instance.to_string()).join("data")
    }

    /// An empty directory for a guest.
    ///
    /// # Errors
    ///
    /// `Transient` with what the system says.
    pub(super) fn prepare(&self, instance: Uuid, guest: Guest) -> Result<()> {
        self.make(instance, guest).map_err(|error| {
            let place = self.here.display();
            transient(format!("cannot make a directory for instance {instance} in {place}: {error}"))
        })
    }

    fn make(&self, instance: Uuid, guest: Guest) -> io::Result<()> {
        // The emulator's user must get through, and change nothing: what it could exchange for a link, this would follow.
        DirBuilder::new().recursive(true).mode(0o711).create(&self.here)?;
        self.remove(instance);
        let room = self.here.join(instance.to_string());
        DirBuilder::new().mode(0o711).create(&room)?;
        if guest == Guest::Arrives {
            let owner = std::fs::metadata(self.here.parent().unwrap_or(&self.here))?;
            std::os::unix::fs::chown(&room, Some(owner.uid()), Some(owner.gid()))?;
            std::fs::set_permissions(&room, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// Removes the directory of a guest, if there is one.
    pub(super) fn remove(&self, instance: Uuid) {
        let room = self.here.join(instance.to_string());
        match std::fs::remove_dir_all(&room) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(room = %room.display(), %error, "cannot remove the directory of a guest's move");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_made_emptied_and_removed() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/libvirt/qemu")).unwrap();
        let (rooms, instance) = (Rooms::new(Some(root.path())), Uuid::from_u128(1));
        for guest in [Guest::Departs, Guest::Arrives] {
            rooms.prepare(instance, guest).unwrap();
            std::fs::write(rooms.memory_here(instance), "").unwrap();
        }
        rooms.prepare(instance, Guest::Departs).unwrap();
        assert!(!rooms.memory_here(instance).exists());
        assert!(rooms.memory(instance).starts_with("/var/lib/libvirt/qemu/ponycloud"));
        rooms.remove(instance);
        assert!(!rooms.control_here(instance).parent().unwrap().exists());
    }
}
