//! Whom to be and where to ask: `PONY_URL` and `PONY_AUTH`, else what `pony login` stored.
//!
//! Stored credentials are only ever sent to the URL that they were stored for.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where Sparkle is when nobody says otherwise: where `pony dev` puts it.
pub const DEFAULT_URL: &str = "http://127.0.0.1:9860";
/// Bytes of a login file that are read: it has some 200.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// An e-mail address and a password. The password is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    email: String,
    password: String,
}

/// A text that is not `email:password`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected email:password")]
pub struct CredentialsError;

impl Credentials {
    /// The credentials of a user.
    #[must_use]
    pub fn new(email: &str, password: &str) -> Self {
        Self { email: email.to_owned(), password: password.to_owned() }
    }

    /// The name to sign in with.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

impl FromStr for Credentials {
    type Err = CredentialsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A trailing line break comes from `$(cat file)`-less scripts; no password ends in one.
        let (email, password) =
            text.trim_end_matches(['\r', '\n']).split_once(':').ok_or(CredentialsError)?;
        if email.is_empty() { Err(CredentialsError) } else { Ok(Self::new(email, password)) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("email", &self.email).finish_non_exhaustive()
    }
}

/// What `pony login` stores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Where Sparkle is.
    pub url: String,
    /// Whom to be there.
    pub credentials: Credentials,
}

/// Why a login could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There is no place for it.
    #[error("neither XDG_CONFIG_HOME nor HOME is set, so there is no place for the login file")]
    NoHome,
    /// Others may read it.
    #[error(
        "{path} has mode {mode:03o}: others may have read the password; change it, then run `pony login` again"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be read or written.
    #[error("cannot use the login file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what this program writes.
    #[error("the login file {path} is damaged; run `pony login` again")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The login file: `$XDG_CONFIG_HOME/pony/login.json`.
///
/// # Errors
/// [`LoginError::NoHome`].
pub fn login_path() -> Result<PathBuf, LoginError> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join("pony/login.json")).ok_or(LoginError::NoHome)
}

impl Login {
    /// Reads a login file; none when there is no file.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn load(path: &Path) -> Result<Option<Self>, LoginError> {
        let failed = |source| LoginError::Io { path: path.to_owned(), source };
        let file = match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(failed)?,
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(LoginError::Exposed { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        serde_json::from_str(&text).map(Some).map_err(|_| LoginError::Damaged { path: path.to_owned() })
    }

    /// Writes a login file, mode 0600, in the place of an older one.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub fn store(&self, path: &Path) -> Result<(), LoginError> {
        let failed = |source| LoginError::Io { path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        }
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        // Left by a process of the same number that was killed; `create_new` insists on a file of our own making.
        let _ = fs::remove_file(&temporary);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&temporary, path).map_err(failed)
    }
}

/// Where to ask and whom to be, from what was said and what was stored.
#[must_use]
pub fn choose(
    url: Option<&str>,
    credentials: Option<Credentials>,
    login: Option<Login>,
) -> (String, Option<Credentials>) {
    match (url, login) {
        (None, None) => (DEFAULT_URL.to_owned(), credentials),
        (None, Some(login)) => (login.url, credentials.or(Some(login.credentials))),
        (Some(url), Some(login)) if same_place(url, &login.url) => {
            (url.to_owned(), credentials.or(Some(login.credentials)))
        }
        (Some(url), _) => (url.to_owned(), credentials),
    }
}

fn same_place(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        Login { url: "https://cloud.example/".to_owned(), credentials: Credentials::new("me@x", "stored") }
    }

    #[test]
    fn stored_privately_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pony/login.json");
        assert_eq!(Login::load(&path).unwrap(), None);
        login().store(&path).unwrap();
        let newer = Login { credentials: Credentials::new("me@x", "a:b"), ..login() };
        newer.store(&path).unwrap();
        assert_eq!(Login::load(&path).unwrap(), Some(newer));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Login::load(&path), Err(LoginError::Exposed { mode: 0o644, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "{}").unwrap();
        assert!(matches!(Login::load(&path), Err(LoginError::Damaged { .. })));
    }

    #[test]
    fn stored_credentials_stay_with_their_url() {
        let stored = || Some(login());
        let given = || "you@x:given".parse().ok();
        assert_eq!(choose(None, None, None), (DEFAULT_URL.to_owned(), None));
        assert_eq!(choose(None, None, stored()).1.unwrap().password(), "stored");
        assert_eq!(choose(Some("https://cloud.example"), None, stored()).1.unwrap().password(), "stored");
        assert_eq!(choose(Some("https://evil.example"), None, stored()).1, None);
        assert_eq!(choose(None, given(), stored()).1.unwrap().password(), "given");
    }

    #[test]
    fn the_password_is_not_shown_and_may_hold_colons() {
        let credentials: Credentials = "me@example.org:pass:word\n".parse().unwrap();
        assert_eq!((credentials.email(), credentials.password()), ("me@example.org", "pass:word"));
        assert!(!format!("{credentials:?}").contains("pass:word"));
        assert!("nothing".parse::<Credentials>().is_err());
        assert!(":x".parse::<Credentials>().is_err());
    }
}
