//! Tokens: what a signed-in caller shows instead of a password for a while. A token is a statement (who, for which
//! tenant, until when) and a code over it, made with a key of the `token_key` table.
//!
//! The code also covers the user's stored hash, which is not in the token: whoever changes the password, or is
//! removed, ends all tokens. What a token allows is looked up each time it is shown (see `http/caller.rs`).

use super::unix_s;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use pony_core::tables::{TokenKey, User};
use pony_state::{Columns, Read, RowOp, Snapshot, Text};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

/// How long a token is good for, s.
pub(crate) const VALID_S: u64 = 3_600;
/// How long one sign-in lasts, s: a token gives further tokens until then, but no longer.
pub(crate) const SESSION_S: u64 = 12 * 3_600;
/// When a key is replaced by a new one, s.
const ROTATED_S: u64 = 7 * 24 * 3_600;
/// How long a key is kept once a newer one signs, s: longer than any token lives.
const KEPT_S: u64 = 24 * 3_600;
/// What every token begins with, so that programs that look for leaked secrets know it.
const PREFIX: &str = "pony_";
/// Where the keys are.
pub(crate) const TABLE: &str = "token_key";
/// Bytes of a key.
const SECRET_BYTES: usize = 32;

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("this is no token of this cloud; sign in with email and password")]
    Malformed,
    #[error("the token has expired; sign in again, or get a new one in time")]
    Expired,
    #[error("the token was ended: the user, the password or the signing key changed; sign in again")]
    Ended,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The key that signs it.
    #[serde(rename = "k")]
    key: Uuid,
    /// Who.
    #[serde(rename = "u")]
    pub(crate) email: String,
    /// The only tenant that it is good for.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<Uuid>,
    /// When the password was given, Unix time in seconds.
    #[serde(rename = "s")]
    pub(crate) since: u64,
    /// Until when it is good, Unix time in seconds.
    #[serde(rename = "v")]
    pub(crate) valid: u64,
}

/// A key to sign with.
pub(crate) struct SigningKey {
    uuid: Uuid,
    secret: Vec<u8>,
    created: u64,
}

impl SigningKey {
    fn of(row: &TokenKey) -> Option<Self> {
        let desired = row.desired.as_ref()?;
        let secret = BASE64_STANDARD.decode(desired.secret.as_str()).ok()?;
        // A row that somebody wrote by hand, without a key.
        let created = u64::try_from(desired.created).ok()?;
        (secret.len() >= SECRET_BYTES).then_some(Self { uuid: row.uuid, secret, created })
    }

    /// The newest key there is.
    pub(crate) fn newest(view: &impl Read) -> Option<Self> {
        let keys = view.table::<TokenKey>();
        keys.iter().filter_map(Self::of).max_by_key(|key| (key.created, key.uuid))
    }

    /// Whether it is time for a new one.
    pub(crate) fn is_old(&self) -> bool {
        self.created.saturating_add(ROTATED_S) <= unix_s()
    }

    /// A token, good for an hour, at most until the sign-in at `since` ends. Also says until when.
    pub(crate) fn sign(
        &self,
        snapshot: &Snapshot,
        email: &str,
        tenant: Option<Uuid>,
        since: u64,
    ) -> (String, u64) {
        let valid = (unix_s() + VALID_S).min(since.saturating_add(SESSION_S));
        let claims = Claims { key: self.uuid, email: email.to_owned(), tenant, since, valid };
        let statement = json!(claims).to_string();
        let code = code(&self.secret, &statement, &bound(snapshot, email).unwrap_or_default());
        let code = code.finalize().into_bytes();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        (format!("{PREFIX}{}.{}", encode(statement.as_bytes()), encode(&code)), valid)
    }
}

/// What a token says, if it is one of ours and still good.
///
/// # Errors
/// [`TokenError`]; which tells those who made up a token nothing.
pub(crate) fn verify(snapshot: &Snapshot, token: &str) -> Result<Claims, TokenError> {
    let malformed = |_| TokenError::Malformed;
    let (statement, sent) =
        token.strip_prefix(PREFIX).and_then(|it| it.split_once('.')).ok_or(TokenError::Malformed)?;
    let statement = BASE64_URL_SAFE_NO_PAD.decode(statement).map_err(malformed)?;
    let sent = BASE64_URL_SAFE_NO_PAD.decode(sent).map_err(malformed)?;
    let statement = String::from_utf8(statement).map_err(|_| TokenError::Malformed)?;
    let claims: Claims = serde_json::from_str(&statement).map_err(|_| TokenError::Malformed)?;
    let key = snapshot.get::<TokenKey>(&claims.key).and_then(SigningKey::of).ok_or(TokenError::Ended)?;
    let bound = bound(snapshot, &claims.email).ok_or(TokenError::Ended)?;
    code(&key.secret, &statement, &bound).verify_slice(&sent).map_err(|_| TokenError::Ended)?;
    if claims.valid <= unix_s() {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

#[allow(clippy::expect_used, reason = "the length of a key is checked where it is read, and HMAC takes any")]
fn code(secret: &[u8], statement: &str, bound: &str) -> Hmac<Sha256> {
    let mut code = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    for part in [statement, bound] {
        code.update(&part.len().to_le_bytes());
        code.update(part.as_bytes());
    }
    code
}

/// What tokens of a user depend on besides their own words; `None` where there is no such user.
fn bound(snapshot: &Snapshot, email: &str) -> Option<String> {
    let user = snapshot.get::<User>(&Text::from(email))?.desired.as_ref()?;
    Some(user.data.get("hash").and_then(Value::as_str).unwrap_or_default().to_owned())
}

/// What makes a new key, where the newest is old or missing, and removes those that no token needs any more.
///
/// # Errors
/// When the system gives no randomness.
pub(crate) fn rotate(view: &impl Read) -> anyhow::Result<Vec<RowOp>> {
    let newest = SigningKey::newest(view);
    if newest.as_ref().is_some_and(|key| !key.is_old()) {
        return Ok(Vec::new());
    }
    let mut row = Columns::from_iter([("uuid".to_owned(), json!(Uuid::new_v4()))]);
    complete(view, &mut row)?;
    // The newest so far does not sign any more, but the last token that it signed is good for a while.
    let stale = |key: &&TokenKey| {
        let created = key.desired.as_ref().and_then(|it| u64::try_from(it.created).ok()).unwrap_or_default();
        Some(key.uuid) != newest.as_ref().map(|key| key.uuid) && created + ROTATED_S + KEPT_S <= unix_s()
    };
    let keys = view.table::<TokenKey>();
    let gone = keys.iter().filter(stale).map(|key| RowOp::Delete {
        table: TABLE.to_owned(),
        key: Columns::from_iter([("uuid".to_owned(), json!(key.uuid))]),
    });
    Ok([RowOp::Insert { table: TABLE.to_owned(), row }].into_iter().chain(gone).collect())
}

/// Draws what a new key consists of: it is newer than all others, also within a second.
///
/// # Errors
/// When the system gives no randomness.
pub(crate) fn complete(view: &impl Read, row: &mut Columns) -> anyhow::Result<()> {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    row.insert("secret".to_owned(), json!(BASE64_STANDARD.encode(secret)));
    let before = SigningKey::newest(view).map_or(0, |key| key.created);
    row.insert("created".to_owned(), json!(unix_s().max(before + 1)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::tables::new_state;
    use pony_state::{Key, PartKind, SharedState};

    /// A cloud with a user and a key of that age.
    fn cloud(age_s: u64) -> (SharedState, Uuid) {
        let shared = SharedState::new(new_state().unwrap());
        let mut row = Columns::new();
        complete(&shared.snapshot(), &mut row).unwrap();
        row.insert("created".to_owned(), json!(unix_s() - age_s));
        let key = Uuid::new_v4();
        write(&shared, "token_key", &Key::one(key), &json!(row));
        write(&shared, "user", &Key::one("a@x"), &json!({"data": {"hash": "h"}, "alicorn": false}));
        (shared, key)
    }

    fn write(shared: &SharedState, table: &str, key: &Key, desired: &Value) {
        let written = shared.write(|tx| tx.set_json(table, key, PartKind::Desired, desired).map(|_| ()));
        written.unwrap();
    }

    fn remove(shared: &SharedState, table: &str, key: &Key) {
        shared.write(|tx| tx.remove_part(table, key, PartKind::Desired).map(|_| ())).unwrap();
    }

    fn sign(shared: &SharedState, since: u64) -> (String, u64) {
        let snapshot = shared.snapshot();
        SigningKey::newest(&snapshot).unwrap().sign(&snapshot, "a@x", None, since)
    }

    #[test]
    fn a_token_says_who_and_ends_with_the_user_the_password_or_the_key() {
        let (shared, key) = cloud(0);
        let (token, valid) = sign(&shared, unix_s());
        let claims = verify(&shared.snapshot(), &token).unwrap();
        assert_eq!((claims.email.as_str(), claims.tenant, claims.valid), ("a@x", None, valid));
        let ended =
            |shared: &SharedState| matches!(verify(&shared.snapshot(), &token), Err(TokenError::Ended));
        write(&shared, "user", &Key::one("a@x"), &json!({"data": {"hash": "i"}, "alicorn": false}));
        assert!(ended(&shared), "another password");
        write(&shared, "user", &Key::one("a@x"), &json!({"data": {"hash": "h"}, "alicorn": true}));
        assert!(!ended(&shared));
        remove(&shared, "user", &Key::one("a@x"));
        assert!(ended(&shared), "no user");
        write(&shared, "user", &Key::one("a@x"), &json!({"data": {"hash": "h"}, "alicorn": false}));
        remove(&shared, "token_key", &Key::one(key));
        assert!(ended(&shared), "no key");
    }

    #[test]
    fn whatever_is_changed_of_a_token_it_is_refused() {
        let (shared, _) = cloud(0);
        let (token, _) = sign(&shared, unix_s());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&shared.snapshot(), &changed).is_err(), "{at}: {changed}");
        }
        for bad in ["", "pony_", "pony_.", "x", "pony_e30.e30", &token[5..], &token[..token.len() - 1]] {
            assert!(verify(&shared.snapshot(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_lasts_an_hour_and_a_sign_in_half_a_day() {
        let (shared, _) = cloud(0);
        let now = unix_s();
        assert!((VALID_S..VALID_S + 5).contains(&(sign(&shared, now).1 - now)));
        assert!(sign(&shared, now - SESSION_S + 60).1 <= now + 60);
        let (token, _) = sign(&shared, now - SESSION_S);
        assert!(matches!(verify(&shared.snapshot(), &token), Err(TokenError::Expired)));
    }

    #[test]
    fn an_old_key_is_followed_by_a_new_one_and_goes_later() {
        let rotated = |age_s| rotate(&cloud(age_s).0.snapshot()).unwrap();
        assert_eq!(rotated(ROTATED_S - 60), []);
        assert!(
            matches!(rotated(ROTATED_S).as_slice(), [RowOp::Insert { .. }]),
            "tokens of the old one are about"
        );
        let (shared, old) = cloud(2 * ROTATED_S + KEPT_S);
        let mut row = Columns::new();
        complete(&shared.snapshot(), &mut row).unwrap();
        row.insert("created".to_owned(), json!(unix_s() - ROTATED_S));
        write(&shared, "token_key", &Key::one(Uuid::new_v4()), &json!(row));
        let ops = rotate(&shared.snapshot()).unwrap();
        assert!(
            matches!(&ops[..], [RowOp::Insert { .. }, RowOp::Delete { key, .. }] if key["uuid"] == json!(old))
        );
        let (empty, key) = cloud(0);
        remove(&empty, "token_key", &Key::one(key));
        assert!(matches!(rotate(&empty.snapshot()).unwrap().as_slice(), [RowOp::Insert { .. }]));
    }

    #[test]
    fn a_key_is_newer_than_one_of_the_same_second() {
        let (shared, _) = cloud(0);
        for _ in 0..20 {
            let (mut row, key) = (Columns::new(), Uuid::new_v4());
            complete(&shared.snapshot(), &mut row).unwrap();
            write(&shared, "token_key", &Key::one(key), &json!(row));
            assert_eq!(SigningKey::newest(&shared.snapshot()).unwrap().uuid, key);
        }
    }

    #[test]
    fn a_row_without_a_key_signs_nothing() {
        let (shared, key) = cloud(0);
        write(&shared, "token_key", &Key::one(key), &json!({"secret": "", "created": 5}));
        assert!(SigningKey::newest(&shared.snapshot()).is_none());
    }
}
