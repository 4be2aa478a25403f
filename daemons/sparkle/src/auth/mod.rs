//! Who a caller is: Basic credentials, argon2id hashes, tokens, and the operator that the first start creates.
//!
//! A hash costs tens of milliseconds of a core on purpose. Verified pairs are therefore remembered for a short
//! while, as a keyed digest that is worthless outside this process, and the number of hashes computed at once is
//! bounded. What a caller may do is not decided here (see `pony_core`'s access rules).

mod limit;
pub(crate) mod token;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use limit::{Exhausted, Limiter};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;

/// How long a verified pair is remembered. A changed password takes effect at once all the same, since the stored
/// hash is part of what is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Remembered pairs; beyond it all are forgotten, which costs time only.
const REMEMBERED_MAX: usize = 1024;
/// Hashes computed at once: each takes 19 MiB and a core.
const HASHES_AT_ONCE: usize = 2;
/// The most memory that a stored hash may ask for, KiB: some three times ours.
const HASH_KIB_MAX: u32 = 64 << 10;
/// The most passes that a stored hash may ask for.
const HASH_PASSES_MAX: u32 = 4;
/// The most lanes that a stored hash may ask for.
const HASH_LANES_MAX: u32 = 4;
/// Sign-ins that wait to be looked at; more are told to come back.
const SIGN_INS_WAITING_MAX: usize = 64;
/// The longest password taken, bytes.
pub const PASSWORD_LEN_MAX: usize = 1024;

/// Why credentials are refused.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The header holds no credentials of a kind that is known.
    #[error(
        "the Authorization header is not understood; send `Basic` with base64 of email:password, or `Bearer TOKEN`"
    )]
    Malformed,
}

/// Why somebody is not signed in with a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    /// No such user, or another password. Which of them is not told.
    #[error("the email or the password is wrong")]
    Wrong,
    /// Too many failures of late, of this account or from this address.
    #[error("too many attempts to sign in failed; try again in {wait_s} s")]
    TooMany {
        /// When the next attempt is due, s.
        wait_s: u32,
    },
    /// Too many at once.
    #[error("too many sign in at this moment; try again in a second")]
    Busy,
}

impl From<Exhausted> for SignInError {
    fn from(Exhausted { wait_s }: Exhausted) -> Self {
        Self::TooMany { wait_s }
    }
}

/// An email and a password, as sent.
#[derive(Clone)]
pub struct Basic {
    /// `user.email`.
    pub email: String,
    password: String,
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Basic").field("email", &self.email).finish_non_exhaustive()
    }
}

impl Basic {
    /// Reads an `Authorization` header.
    ///
    /// # Errors
    /// [`AuthError::Malformed`] for anything but well-formed `Basic` credentials.
    pub fn parse(header: &str) -> Result<Self, AuthError> {
        let (scheme, data) = header.trim().split_once(' ').ok_or(AuthError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(AuthError::Malformed);
        }
        let bytes = BASE64_STANDARD.decode(data.trim()).map_err(|_| AuthError::Malformed)?;
        let text = String::from_utf8(bytes).map_err(|_| AuthError::Malformed)?;
        let (email, password) = text.split_once(':').ok_or(AuthError::Malformed)?;
        if password.len() > PASSWORD_LEN_MAX {
            return Err(AuthError::Malformed);
        }
        Ok(Self { email: email.to_owned(), password: password.to_owned() })
    }
}

/// Unix time, s.
pub(crate) fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

/// Hashes a password with argon2id and a fresh salt, as a PHC string.
///
/// # Errors
/// When the system gives no randomness.
pub fn hash_password(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| anyhow::anyhow!("hashing a password: {error}"))?;
    Ok(hash.to_string())
}

/// Whether a stored hash is one of argon2id that costs no more than a few of our own: users may write theirs.
#[must_use]
pub fn is_cheap_hash(hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    let Ok(params) = argon2::Params::try_from(&hash) else { return false };
    hash.algorithm.as_str() == "argon2id"
        && params.m_cost() <= HASH_KIB_MAX
        && params.t_cost() <= HASH_PASSES_MAX
        && params.p_cost() <= HASH_LANES_MAX
}

fn matches(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Verifies passwords.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    key: [u8; 32],
    /// What an unknown user's password is compared with, so that both refusals take the same time.
    nobody: String,
    /// Passwords compared with hashes so far.
    compared: AtomicU64,
    permits: Semaphore,
    waiting: Semaphore,
    limiter: Limiter,
    remembered: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Verifier {
    /// # Errors
    /// When the system gives no randomness.
    pub fn new() -> anyhow::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let nobody = hash_password(&BASE64_STANDARD.encode(key))?;
        Ok(Self(Arc::new(Inner {
            key,
            nobody,
            compared: AtomicU64::new(0),
            permits: Semaphore::new(HASHES_AT_ONCE),
            waiting: Semaphore::new(SIGN_INS_WAITING_MAX),
            limiter: Limiter::new(Instant::now()),
            remembered: Mutex::default(),
        })))
    }

    /// Whether `sent` from an address fits `hash`, the stored PHC string; `None` where there is no such user. An unknown
    /// user, or one whose hash cannot be used, takes as long as a wrong password.
    ///
    /// # Errors
    /// [`SignInError`] when it does not, or is not looked at.
    pub async fn verify(
        &self,
        sent: &Basic,
        address: Option<IpAddr>,
        hash: Option<String>,
    ) -> Result<(), SignInError> {
        let hash = hash.filter(|hash| PasswordHash::new(hash).is_ok());
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.0.nobody.clone());
        let digest = self.digest(sent, &hash);
        if known && self.is_remembered(&digest) {
            return Ok(());
        }
        let _place = self.0.waiting.try_acquire().map_err(|_| SignInError::Busy)?;
        self.0.limiter.check(&sent.email, address, Instant::now())?;
        let _permit = self.0.permits.acquire().await.map_err(|_| SignInError::Busy)?;
        // A client that opens many connections at once signs in once.
        if known && self.is_remembered(&digest) {
            return Ok(());
        }
        self.0.limiter.begin(&sent.email, address, Instant::now())?;
        let password = sent.password.clone();
        self.0.compared.fetch_add(1, Ordering::Relaxed);
        let fits = tokio::task::spawn_blocking(move || matches(&password, &hash)).await.unwrap_or(false);
        if !(fits && known) {
            return Err(SignInError::Wrong);
        }
        self.0.limiter.succeeded(&sent.email, address);
        self.remember(digest);
        Ok(())
    }

    fn digest(&self, sent: &Basic, hash: &str) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(self.0.key);
        for part in [&sent.email, &sent.password, hash] {
            sha.update(part.len().to_le_bytes());
            sha.update(part);
        }
        sha.finalize().into()
    }

    fn is_remembered(&self, digest: &[u8; 32]) -> bool {
        let remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(digest).is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    fn remember(&self, digest: [u8; 32]) {
        let mut remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(digest, Instant::now());
    }
}

/// The file in the state directory that holds the first operator's `email:password`.
pub const CREDENTIALS_FILE: &str = "admin-credentials";
/// The first operator.
pub const OPERATOR_EMAIL: &str = "operator@localhost";

/// The first operator's credentials: those of the file, or new ones, which the file (mode 0600) then holds.
/// Returns the path, the email and the password.
///
/// # Errors
/// When the file can be neither read nor written, or does not hold `email:password`.
pub fn operator_credentials(dir: &Path) -> anyhow::Result<(PathBuf, String, String)> {
    let path = dir.join(CREDENTIALS_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create_credentials(&path)?,
        Err(error) => anyhow::bail!("{}: {error}", path.display()),
    };
    let (email, password) = text
        .trim()
        .split_once(':')
        .filter(|(email, password)| !email.is_empty() && !password.is_empty())
        .ok_or_else(|| anyhow::anyhow!("{}: it should hold email:password", path.display()))?;
    Ok((path.clone(), email.to_owned(), password.to_owned()))
}

fn create_credentials(path: &Path) -> anyhow::Result<String> {
    let mut secret = [0; 18];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let text = format!("{OPERATOR_EMAIL}:{}\n", base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(secret));
    // Written under another name first: a crash must not leave an empty file that is then taken for the truth.
    let partial = path.with_extension("partial");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&partial, path)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn header(text: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(text))
    }

    #[test]
    fn basic_credentials_are_read_and_anything_else_is_refused() {
        let basic = Basic::parse(&header("a@b:p:w")).unwrap();
        assert_eq!((basic.email.as_str(), basic.password.as_str()), ("a@b", "p:w"));
        assert!(!format!("{basic:?}").contains("p:w"));
        for bad in [
            "",
            "Basic",
            "Basic !",
            "Bearer x",
            &header("no colon"),
            &header(&format!("a:{}", "x".repeat(2000))),
        ] {
            assert!(matches!(Basic::parse(bad), Err(AuthError::Malformed)), "{bad}");
        }
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_taken_and_a_changed_one_at_once() {
        let verifier = Verifier::new().unwrap();
        let sent = Basic::parse(&header("a@b:right")).unwrap();
        let hash = hash_password("right").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        for _ in 0..2 {
            assert!(verifier.verify(&sent, None, Some(hash.clone())).await.is_ok());
        }
        assert!(verifier.verify(&sent, None, Some(hash_password("changed").unwrap())).await.is_err());
        assert!(verifier.verify(&sent, None, None).await.is_err());
        assert!(
            verifier.verify(&Basic::parse(&header("a@b:wrong")).unwrap(), None, Some(hash)).await.is_err()
        );
    }

    /// Counted, as times would say nothing on a busy machine: each refusal compares once, with a hash of the same cost.
    #[tokio::test]
    async fn every_refusal_takes_the_same_work() {
        let verifier = Verifier::new().unwrap();
        let ours = hash_password("right").unwrap();
        let cost = |hash: &str| argon2::Params::try_from(&PasswordHash::new(hash).unwrap()).unwrap();
        assert_eq!(cost(&verifier.0.nobody), cost(&ours));
        let stored = [None, Some(ours), Some(String::new()), Some("$argon2id$v=19$nonsense".to_owned())];
        for (n, hash) in stored.into_iter().enumerate() {
            let sent = Basic::parse(&header(&format!("u{n}@b:wrong"))).unwrap();
            assert_eq!(verifier.verify(&sent, None, hash.clone()).await, Err(SignInError::Wrong));
            assert_eq!(verifier.0.compared.load(Ordering::Relaxed), n as u64 + 1, "{hash:?}");
        }
    }

    #[tokio::test]
    async fn so_many_sign_ins_wait_and_no_more() {
        let verifier = Verifier::new().unwrap();
        let hash = Some(hash_password("right").unwrap());
        // Nothing is compared meanwhile.
        let held = verifier.0.permits.acquire_many(HASHES_AT_ONCE as u32).await.unwrap();
        let mut waiting = Vec::new();
        for n in 0..SIGN_INS_WAITING_MAX {
            let (verifier, hash) = (verifier.clone(), hash.clone());
            let sent = Basic::parse(&header(&format!("u{n}@b:right"))).unwrap();
            waiting.push(tokio::spawn(async move { verifier.verify(&sent, None, hash).await }));
        }
        while verifier.0.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let sent = Basic::parse(&header("one@more:right")).unwrap();
        assert_eq!(verifier.verify(&sent, None, hash.clone()).await, Err(SignInError::Busy));
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        for one in waiting {
            assert!(one.await.is_err_and(|error| error.is_cancelled()));
        }
        drop(held);
        assert_eq!(verifier.verify(&sent, None, hash).await, Ok(()), "those who left made room");
    }

    #[test]
    fn a_hash_that_would_cost_too_much_is_told() {
        let ours = hash_password("x").unwrap();
        assert!(is_cheap_hash(&ours));
        for (from, to) in [("m=19456", "m=4194304"), ("t=2", "t=5"), ("p=1", "p=8"), ("argon2id", "argon2i")]
        {
            assert!(ours.contains(from) && !is_cheap_hash(&ours.replace(from, to)), "{ours} with {to}");
        }
        assert!(!is_cheap_hash("") && !is_cheap_hash("$2b$12$abc"));
    }

    #[test]
    fn the_operator_is_created_once_in_a_file_that_only_its_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let (path, email, password) = operator_credentials(dir.path()).unwrap();
        assert_eq!(operator_credentials(dir.path()).unwrap(), (path.clone(), email, password));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(operator_credentials(dir.path()).unwrap_err().to_string().contains("email:password"));
    }
}
