//! What is held to be true of one kind of thing, and how far it can be relied on.
//!
//! Complete looks and steps overlap in time: a look that was asked for before a step ended tells nothing about
//! what that step brought about. Each entry therefore remembers when it was last touched by a step, in a count
//! that looks share, and an older look leaves it alone.

use std::collections::BTreeMap;

/// How far a fact can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Certainty {
    /// There has not been any complete look yet.
    Unknown,
    /// A step ended in a way that tells nothing (it failed or was abandoned), and no look came after it.
    Doubtful,
    /// A step that succeeded promises it; no look came after it.
    Promised,
    /// A look that was asked for after the last step ended found it so.
    Seen,
}

#[derive(Debug, Clone)]
struct Entry<F> {
    fact: Option<F>,
    certainty: Certainty,
    touched: u64,
}

/// Facts of one kind, by key.
#[derive(Debug, Clone)]
pub(super) struct Beliefs<K, F> {
    entries: BTreeMap<K, Entry<F>>,
    looked: bool,
    count: u64,
}

impl<K, F> Default for Beliefs<K, F> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), looked: false, count: 0 }
    }
}

impl<K: Ord + Copy, F> Beliefs<K, F> {
    /// Whether there has been a complete look.
    pub(super) fn looked(&self) -> bool {
        self.looked
    }

    /// What is there under this key, as far as is known.
    pub(super) fn get(&self, key: K) -> Option<&F> {
        self.entries.get(&key)?.fact.as_ref()
    }

    /// What is there, as far as is known.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &F)> {
        self.entries.iter().filter_map(|(key, e)| Some((*key, e.fact.as_ref()?)))
    }

    /// All keys that are there or were touched lately.
    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.keys().copied()
    }

    /// Whether it is there or was touched lately.
    pub(super) fn has(&self, key: K) -> bool {
        self.entries.contains_key(&key)
    }

    /// How far the fact (or its absence) can be relied on.
    pub(super) fn certainty(&self, key: K) -> Certainty {
        match self.entries.get(&key) {
            Some(entry) if self.looked || entry.certainty != Certainty::Seen => entry.certainty,
            _ if self.looked => Certainty::Seen,
            _ => Certainty::Unknown,
        }
    }

    /// Whether nothing is known for sure: there must be a look first.
    pub(super) fn is_vague(&self, key: K) -> bool {
        matches!(self.certainty(key), Certainty::Unknown | Certainty::Doubtful)
    }

    /// A step that succeeded promises this.
    pub(super) fn promise(&mut self, key: K, fact: Option<F>) {
        self.touch(key, fact, Certainty::Promised);
    }

    /// A step ended in a way that tells nothing.
    pub(super) fn doubt(&mut self, key: K) {
        let fact = self.entries.remove(&key).and_then(|e| e.fact);
        self.touch(key, fact, Certainty::Doubtful);
    }

    fn touch(&mut self, key: K, fact: Option<F>, certainty: Certainty) {
        self.count += 1;
        self.entries.insert(key, Entry { fact, certainty, touched: self.count });
    }

    /// A complete look is asked for: what it will find is compared with this.
    pub(super) fn look(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// What the look that was asked for at `count` found. Returns the previous facts that it replaced, and
    /// whether some entries were touched since, so that another look is needed.
    pub(super) fn accept(&mut self, count: u64, found: impl IntoIterator<Item = (K, F)>) -> Accepted<K, F> {
        self.looked = true;
        let newer = |entry: &Entry<F>| entry.touched > count;
        let mut previous = std::mem::take(&mut self.entries);
        let again = previous.values().filter(|it| newer(it)).map(|it| match it.certainty {
            Certainty::Promised => Again::InTime,
            Certainty::Unknown | Certainty::Doubtful | Certainty::Seen => Again::AtOnce,
        });
        let mut accepted = Accepted { replaced: Vec::new(), again: again.max() };
        for (key, fact) in found {
            match previous.get(&key) {
                Some(entry) if newer(entry) => continue,
                _ => {}
            }
            let before = previous.remove(&key).and_then(|e| e.fact);
            accepted.replaced.push((key, before));
            self.entries.insert(key, Entry { fact: Some(fact), certainty: Certainty::Seen, touched: 0 });
        }
        for (key, entry) in previous {
            if newer(&entry) {
                self.entries.insert(key, entry);
            } else {
                accepted.replaced.push((key, entry.fact));
            }
        }
        accepted
    }
}

/// What a look changed.
#[derive(Debug)]
pub(super) struct Accepted<K, F> {
    /// The entries that the look decided, with the facts that were there before.
    pub(super) replaced: Vec<(K, Option<F>)>,
    /// Whether another look is needed, since something was touched after this one was asked for.
    pub(super) again: Option<Again>,
}

/// How soon another look is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Again {
    /// Steps promise what was not seen: soon, but not after each of many.
    InTime,
    /// Something is not known.
    AtOnce,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_asked_for_before_a_step_ended_does_not_overrule_it() {
        let mut beliefs = Beliefs::default();
        assert_eq!(beliefs.certainty(1), Certainty::Unknown);
        let early = beliefs.look();
        beliefs.promise(1, Some("new"));
        let accepted = beliefs.accept(early, [(1, "old"), (2, "other")]);
        assert_eq!(accepted.again, Some(Again::InTime));
        assert_eq!((beliefs.get(1), beliefs.certainty(1)), (Some(&"new"), Certainty::Promised));
        assert_eq!((beliefs.get(2), beliefs.certainty(2)), (Some(&"other"), Certainty::Seen));
        let late = beliefs.look();
        assert_eq!(beliefs.accept(late, [(1, "newer")]).again, None);
        assert_eq!((beliefs.get(1), beliefs.certainty(1)), (Some(&"newer"), Certainty::Seen));
        assert_eq!((beliefs.get(2), beliefs.certainty(2)), (None, Certainty::Seen));
    }

    #[test]
    fn doubt_lasts_until_a_later_look() {
        let mut beliefs: Beliefs<u8, &str> = Beliefs::default();
        let look = beliefs.look();
        beliefs.accept(look, [(1, "a")]);
        let look = beliefs.look();
        beliefs.doubt(1);
        assert_eq!(beliefs.accept(look, []).again, Some(Again::AtOnce));
        assert_eq!((beliefs.get(1), beliefs.is_vague(1)), (Some(&"a"), true));
        let look = beliefs.look();
        let accepted = beliefs.accept(look, []);
        assert_eq!(accepted.replaced, [(1, Some("a"))]);
        assert_eq!((beliefs.get(1), beliefs.is_vague(1)), (None, false));
    }
}
