//! Which keys a server lets in.

use crate::key::PublicKey;
use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// Decides which public keys may speak to a server.
///
/// It is asked at each handshake *and* for each message in either direction, on the link's thread, so that a
/// key that is taken back is cut off although its connection lasts. It must not block.
pub trait Admission: Send + Sync {
    /// Whether the holder of this key may speak.
    fn admits(&self, key: &PublicKey) -> bool;
}

/// A set of admitted keys that can be changed at any time, and can be opened to everyone.
///
/// ```
/// use pony_net::{Admission, AllowList, PublicKey};
///
/// let (list, key) = (AllowList::default(), PublicKey::from_bytes([7; 32]));
/// assert!(!list.admits(&key));
/// list.insert(key);
/// assert!(list.admits(&key));
/// list.remove(&key);
/// list.set_open(true);
/// assert!(list.admits(&key));
/// ```
#[derive(Debug, Default)]
pub struct AllowList {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    keys: HashSet<PublicKey>,
}

impl AllowList {
    /// Admits a key; says whether it was not yet admitted.
    pub fn insert(&self, key: PublicKey) -> bool {
        self.change(|state| state.keys.insert(key))
    }

    /// Takes a key's admission back; says whether it had any.
    pub fn remove(&self, key: &PublicKey) -> bool {
        self.change(|state| state.keys.remove(key))
    }

    /// Admits exactly these keys from now on.
    pub fn replace(&self, keys: impl IntoIterator<Item = PublicKey>) {
        let keys = keys.into_iter().collect();
        self.change(|state| state.keys = keys);
    }

    /// Admits every key while open (enrolment: trust on first use), only the listed ones otherwise.
    pub fn set_open(&self, open: bool) {
        self.change(|state| state.open = open);
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        // No step above can panic half-way, so a poisoned lock still guards a sound state.
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Admission for AllowList {
    fn admits(&self, key: &PublicKey) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.open || state.keys.contains(key)
    }
}
