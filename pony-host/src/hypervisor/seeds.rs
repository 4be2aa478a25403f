//! The CD-ROMs that tell guests about themselves: cloud-init's NoCloud as files that the emulator reads.
//!
//! A file is named by its guest and by what is on it, and never changed: another order is another file, so that a guest that
//! runs goes on reading what it has until it gets the other disc. They are where libvirt keeps what belongs to its
//! emulators' user, in a directory of each host. What no guest has any more goes with the next step for that guest, or
//! when this driver starts anew.

use super::error::transient;
use super::iso9660::{self, File};
use crate::Result;
use pony_core::host::{GuestConfig, NOCLOUD_DOCUMENTS, Seed};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// By this name cloud-init knows its discs.
const LABEL: &str = "cidata";

/// Below what libvirt keeps for its emulators' user; nobody else gets in.
const SEEDS_DIR: &str = "/var/lib/libvirt/qemu/ponycloud-seeds";

const END: &str = "iso";

/// End of a file that is not whole.
const PARTIAL: &str = "part";

/// Where they are.
#[derive(Debug, Clone)]
pub(super) struct Seeds {
    /// As libvirt sees it.
    base: PathBuf,
    /// As this process does.
    here: PathBuf,
}

impl Seeds {
    /// `root`: what `/` of libvirt is for this process, where it is not the same. The host's own directory, since the
    /// path of a guest's disc names its host: where it moves, it says the other one.
    pub(super) fn new(root: Option<&Path>, host: Uuid) -> Self {
        let base = Path::new(SEEDS_DIR).join(host.to_string());
        let here =
            root.map_or_else(|| base.clone(), |root| root.join(base.strip_prefix("/").unwrap_or(&base)));
        Self { base, here }
    }

    /// Where a guest's disc is, as libvirt sees it.
    pub(super) fn place(&self, instance: Uuid, seed: &Seed) -> PathBuf {
        self.base.join(name(instance, seed.stamp()))
    }

    /// Whether it is there.
    pub(super) fn has(&self, instance: Uuid, seed: &Seed) -> bool {
        self.here.join(name(instance, seed.stamp())).exists()
    }

    /// Makes a guest's disc, if it is not there.
    ///
    /// # Errors
    ///
    /// `Transient` with what the system says, or if nobody said what is to be on it.
    pub(super) fn make(&self, instance: Uuid, seed: &Seed) -> Result<()> {
        if self.has(instance, seed) {
            return Ok(());
        }
        let Some(config) = seed.config() else {
            return Err(transient(format!("the CD-ROM with what instance {instance} is told is gone")));
        };
        self.write(instance, seed.stamp(), &disc(config)).map_err(|error| {
            let place = self.here.display();
            transient(format!(
                "cannot write what instance {instance} is told to a CD-ROM in {place}: {error}"
            ))
        })
    }

    fn write(&self, instance: Uuid, stamp: u64, disc: &[u8]) -> io::Result<()> {
        // The emulator's user must get through, and change nothing.
        DirBuilder::new().recursive(true).mode(0o711).create(&self.here)?;
        let whole = self.here.join(name(instance, stamp));
        let partial = whole.with_extension(PARTIAL);
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(disc)?;
        file.sync_all()?;
        fs::rename(&partial, &whole)
    }

    /// Removes a guest's discs but for these.
    pub(super) fn keep(&self, instance: Uuid, kept: &[&Seed]) {
        let kept: Vec<String> = kept.iter().map(|seed| name(instance, seed.stamp())).collect();
        self.remove(|owner, file| owner == instance && !kept.iter().any(|it| it == file));
    }

    /// Removes the discs of guests that there are not.
    pub(super) fn sweep(&self, is_there: impl Fn(Uuid) -> bool) {
        self.remove(|owner, _| !is_there(owner));
    }

    fn remove(&self, is_wanted: impl Fn(Uuid, &str) -> bool) {
        for entry in fs::read_dir(&self.here).into_iter().flatten().flatten() {
            let file = entry.file_name();
            let Some(file) = file.to_str() else { continue };
            let owner = file.split('.').next().and_then(|it| it.parse().ok());
            if owner.is_some_and(|owner| is_wanted(owner, file))
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(file = %entry.path().display(), %error, "cannot remove a guest's CD-ROM");
            }
        }
        // Only once it is empty.
        let _ = fs::remove_dir(&self.here);
    }
}

fn name(instance: Uuid, stamp: u64) -> String {
    format!("{instance}.{stamp:016x}.{END}")
}

/// Which of a guest's discs a file is.
pub(super) fn seed_at(path: &str, instance: Uuid) -> Option<Seed> {
    let file = Path::new(path).file_name()?.to_str()?;
    let stamp = file.strip_prefix(&format!("{instance}."))?.strip_suffix(&format!(".{END}"))?;
    u64::from_str_radix(stamp, 16).ok().map(Seed::from)
}

fn disc(config: &GuestConfig) -> Vec<u8> {
    let documents = NOCLOUD_DOCUMENTS.map(|name| (name, config.document(name).unwrap_or_default()));
    let files: Vec<_> = documents.iter().map(|(name, text)| File { name, bytes: text.as_bytes() }).collect();
    iso9660::image(LABEL, &files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn seed(hostname: &str) -> Seed {
        let hostname = hostname.to_owned();
        let (user_data, name_servers, cards) = (None, vec![], vec![]);
        let config = GuestConfig { instance: Uuid::from_u128(1), hostname, user_data, name_servers, cards };
        Seed::new(Arc::new(config))
    }

    #[test]
    fn discs_are_made_once_and_go_with_their_guests() {
        let root = tempfile::tempdir().unwrap();
        let seeds = Seeds::new(Some(root.path()), Uuid::from_u128(9));
        let (guest, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (old, new) = (seed("old"), seed("new"));
        for it in [&old, &old, &new] {
            seeds.make(guest, it).unwrap();
        }
        seeds.make(other, &old).unwrap();
        fs::write(seeds.here.join(format!("{guest}.0.{PARTIAL}")), "").unwrap();
        seeds.keep(guest, &[&new]);
        let has = |guest, it| seeds.has(guest, it);
        assert_eq!([has(guest, &old), has(guest, &new), has(other, &old)], [false, true, true]);
        assert_eq!(fs::read_dir(&seeds.here).unwrap().count(), 2, "no part of one stays");
        let place = seeds.place(guest, &new);
        assert_eq!(seed_at(place.to_str().unwrap(), guest), Some(new));
        assert_eq!(seed_at(place.to_str().unwrap(), other), None);
        seeds.sweep(|it| it == other);
        seeds.keep(other, &[]);
        assert!(!seeds.here.exists());
        // One that is only known by its stamp cannot be made.
        assert!(seeds.make(guest, &Seed::from(7)).is_err());
    }
}
