//! Secrets that the operator put on this host: files of a directory of its own. They are read when they are needed, kept
//! nowhere, and told to nobody but the server that they are for and the emulator.

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longest secret, bytes: passwords and keys are far shorter.
const SECRET_MAX: usize = 1024;

/// Bits of a file's mode that let others than its owner in.
const OTHERS: u32 = 0o077;

/// The directory of secrets.
#[derive(Debug, Clone)]
pub(crate) struct Secrets(PathBuf);

impl Secrets {
    /// Where they are unless told otherwise.
    pub(crate) const USUAL_DIR: &'static str = "/etc/pony/secrets";

    pub(crate) fn at(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Where one is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What is in it. Fails with what would be right, and never with anything of what it holds.
    pub(crate) fn read(&self, name: &str) -> Result<String, String> {
        let path = self.path(name);
        let wrong = |why: &str| format!("secret {} {why}", path.display());
        if name.contains('/') || name.starts_with('.') {
            return Err(wrong("is not the name of a file in that directory"));
        }
        let file = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(&path);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                wrong("is not on this host: write it with printf %s, for root's eyes only")
            }
            _ => wrong(&format!("cannot be read: {error}")),
        })?;
        check_owner(&file).map_err(|why| wrong(&why))?;
        let mut text = Vec::new();
        let read = file.take(SECRET_MAX as u64 + 1).read_to_end(&mut text);
        read.map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        usable(text).map_err(wrong)
    }
}

fn check_owner(file: &File) -> Result<(), String> {
    let meta = file.metadata().map_err(|error| format!("cannot be looked at: {error}"))?;
    if !meta.is_file() {
        return Err("is not a regular file".into());
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() || meta.mode() & OTHERS != 0 {
        return Err("can be read by others: it must belong to root, with mode 600".into());
    }
    Ok(())
}

/// The emulator reads the file as it is, so that nothing may be trimmed here.
fn usable(text: Vec<u8>) -> Result<String, &'static str> {
    let text = String::from_utf8(text).map_err(|_| "is not text")?;
    match text.len() {
        0 => Err("is empty"),
        SECRET_MAX.. => Err("is longer than any secret: 1023 bytes at most"),
        _ if text.ends_with('\n') => {
            Err("ends with a line break, which would be a part of it: write it with printf %s")
        }
        _ if text.chars().any(char::is_control) => Err("has control characters"),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_what_is_for_nobody_else_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::at(dir.path());
        let said = |name: &str| secrets.read(name).unwrap_err();
        assert!(said("none").contains("is not on this host"));
        let put = |text: &[u8], mode| {
            write(secrets.path("a"), text).unwrap();
            set_permissions(secrets.path("a"), Permissions::from_mode(mode)).unwrap();
        };
        put(b"open sesame", 0o600);
        assert_eq!(secrets.read("a").unwrap(), "open sesame");
        for (text, mode, words) in [
            (&b"open sesame"[..], 0o640, "by others"),
            (b"open sesame\n", 0o600, "line break"),
            (b"", 0o600, "empty"),
            (&[b'a'; 2000], 0o600, "longer"),
            (b"\xff", 0o600, "not text"),
        ] {
            put(text, mode);
            let said = said("a");
            assert!(said.contains(words) && !said.contains("sesame"), "{said}");
        }
        put(b"open sesame", 0o600);
        symlink(secrets.path("a"), secrets.path("b")).unwrap();
        for name in ["b", "../a", ".a"] {
            assert!(secrets.read(name).is_err(), "{name}");
        }
    }
}
