//! Key pairs in files: one file, mode 0600, made once and never replaced.
//!
//! The file holds two lines, `public-key Z85` and `secret-key Z85` (the public half cannot be computed through
//! the binding). A file that others may read is refused rather than used: its secret is none any more.

use crate::key::{KeyError, KeyPair, PublicKey};
use crate::z85;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of a key file that are read: it has about 110; what is longer is no key file.
const FILE_BYTES_MAX: u64 = 1024;

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file or its directory could not be read or written.
    #[error("the key file {path} cannot be {verb}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        verb: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Group or others may open the file.
    #[error(
        "the key file {path} has mode {mode:03o}: others may have read it; make a new one (or chmod 600 it)"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file's text is not what this crate writes.
    #[error(
        "the key file {path} is damaged: it should hold the lines `public-key` and `secret-key`, 40 characters of Z85 each"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl KeyPair {
    /// Reads the pair in `path`, or makes one there (mode 0600; missing directories with mode 0700).
    ///
    /// Of several processes that do this at once, all come out with the same pair.
    ///
    /// # Errors
    ///
    /// See [`KeyFileError`]. A damaged or exposed file is never overwritten.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyFileError> {
        match Self::load(path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::create(path)
            }
            result => result,
        }
    }

    /// Reads the pair in `path`.
    ///
    /// # Errors
    ///
    /// See [`KeyFileError`].
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let file = File::open(path).map_err(|source| io_error(path, "opened", source))?;
        let mode = file.metadata().map_err(|source| io_error(path, "examined", source))?.permissions().mode()
            & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|source| io_error(path, "read", source))?;
        parse(&text).ok_or_else(|| KeyFileError::Damaged { path: path.to_owned() })
    }

    /// Writes a new pair beside `path`, then links it there: the name appears complete or not at all.
    fn create(path: &Path) -> Result<Self, KeyFileError> {
        let pair = Self::generate()?;
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|source| io_error(path, "created (its directory)", source))?;
        }
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".{}", Uuid::new_v4().simple()));
        let temporary = PathBuf::from(temporary);
        let linked = write_new(&temporary, &pair).and_then(|()| fs::hard_link(&temporary, path));
        // Best effort: what is left behind after a failure is a key that nobody uses.
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => Ok(pair),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(io_error(path, "written", source)),
        }
    }
}

fn write_new(path: &Path, pair: &KeyPair) -> io::Result<()> {
    let secret = Zeroizing::new(z85::encode(pair.secret()));
    let text = Zeroizing::new(format!("public-key {}\nsecret-key {}\n", pair.public(), *secret));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn parse(text: &str) -> Option<KeyPair> {
    let mut lines = text.lines();
    let public: PublicKey = lines.next()?.strip_prefix("public-key ")?.parse().ok()?;
    let secret = Zeroizing::new(z85::decode(lines.next()?.strip_prefix("secret-key ")?)?);
    lines.next().is_none().then(|| KeyPair::from_parts(public, *secret))
}

fn io_error(path: &Path, verb: &'static str, source: io::Error) -> KeyFileError {
    KeyFileError::Io { path: path.to_owned(), verb, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/curve.key");
        let made = KeyPair::load_or_create(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays");
        let read = KeyPair::load_or_create(&path).unwrap();
        assert_eq!((made.public(), made.secret()), (read.public(), read.secret()));
    }

    #[test]
    fn concurrent_creators_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curve.key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| KeyPair::load_or_create(&path).unwrap().public())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn exposed_damaged_or_missing_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curve.key");
        KeyPair::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = KeyPair::load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Exposed { mode: 0o640, .. }), "{error}");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for damage in ["", "public-key x\nsecret-key y\n", "secret-key\n"] {
            fs::write(&path, damage).unwrap();
            let error = KeyPair::load_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::Damaged { .. }), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damage);
        }
        assert!(matches!(KeyPair::load(&dir.path().join("none")), Err(KeyFileError::Io { .. })));
        assert!(matches!(KeyPair::load_or_create(&path.join("below-a-file")), Err(KeyFileError::Io { .. })));
    }
}
