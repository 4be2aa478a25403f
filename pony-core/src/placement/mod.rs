//! Which host an instance is ordered to run on: a pure choice among candidates.
//!
//! It knows neither tables nor time; the controller gathers the candidates and commits the choice. A refusal
//! says how many hosts failed for which reason, since it is what a user reads in place of a running instance.

use std::collections::BTreeSet;
use std::fmt;
use uuid::Uuid;

/// Memory that a host keeps for itself and for the overhead of its emulators: this share of it, in percent…
pub const HOST_RESERVE_PERCENT: i64 = 5;
/// …but at least this much, MiB.
pub const HOST_RESERVE_MIN_MIB: i64 = 256;

/// A host as placement sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// `host.uuid`.
    pub host: Uuid,
    /// Whether it may take instances at all.
    pub fitness: Fitness,
    /// Its memory, MiB.
    pub mem_mib: i64,
    /// Memory ordered by the instances placed on it, MiB.
    pub mem_used_mib: i64,
    /// Storage pools that it reports as usable.
    pub pools: BTreeSet<Uuid>,
    /// CPU profiles that it supports.
    pub cpu_profiles: BTreeSet<Uuid>,
}

impl Candidate {
    /// Memory that a further instance may use, MiB.
    #[must_use]
    pub fn mem_free_mib(&self) -> i64 {
        let reserve = (self.mem_mib * HOST_RESERVE_PERCENT / 100).max(HOST_RESERVE_MIN_MIB);
        (self.mem_mib - reserve - self.mem_used_mib).max(0)
    }
}

/// Whether a host may take instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// It may.
    Fit,
    /// It is silent, or has never reported.
    Missing,
    /// It is ordered to host nothing.
    Evacuated,
}

/// What an instance needs of its host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// `instance.mem`, MiB.
    pub mem_mib: i64,
    /// The pools of its volumes.
    pub pools: BTreeSet<Uuid>,
    /// The CPU profile that it requires.
    pub cpu_profile: Option<Uuid>,
    /// Where members of its affinity groups are. Empty: anywhere.
    pub near: BTreeSet<Uuid>,
    /// Where members of its anti-affinity groups are.
    pub apart: BTreeSet<Uuid>,
}

/// Why a host was passed over, in the order of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    Missing,
    Evacuated,
    Pool,
    CpuProfile,
    Near,
    Apart,
    Memory,
}

/// No host fits. Its text is for the person who ordered the instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NoHost {
    refusals: Vec<(Refusal, usize)>,
    mem_mib: i64,
    mem_free_max_mib: i64,
}

impl fmt::Display for NoHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.refusals.is_empty() {
            return f.write_str("no host fits: there is none yet");
        }
        f.write_str("no host fits: ")?;
        for (i, (refusal, count)) in self.refusals.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            self.write_refusal(f, *refusal, *count)?;
        }
        Ok(())
    }
}

impl NoHost {
    fn write_refusal(&self, f: &mut fmt::Formatter<'_>, refusal: Refusal, n: usize) -> fmt::Result {
        let (is, has, reaches) = if n == 1 { ("is", "has", "reaches") } else { ("are", "have", "reach") };
        match refusal {
            Refusal::Missing => write!(f, "{n} {is} missing"),
            Refusal::Evacuated => write!(f, "{n} {is} evacuated"),
            Refusal::Pool if n == 1 => write!(f, "{n} does not reach all pools of its volumes"),
            Refusal::Pool => write!(f, "{n} {reaches} not all pools of its volumes"),
            Refusal::CpuProfile => write!(f, "{n} {has} not the CPU that it requires"),
            Refusal::Near => write!(f, "{n} {is} not where its affinity group is"),
            Refusal::Apart => write!(f, "{n} already {has} a member of its anti-affinity group"),
            Refusal::Memory => write!(
                f,
                "{n} {has} too little free memory (it needs {} MiB, the most that is free is {} MiB)",
                self.mem_mib, self.mem_free_max_mib
            ),
        }
    }
}

/// Chooses the host with the most free memory among those that fit; the lower UUID among equals, so that the
/// same question has the same answer.
///
/// # Errors
/// [`NoHost`] when none fits.
pub fn choose<'a>(
    candidates: impl IntoIterator<Item = &'a Candidate>,
    request: &Request,
) -> Result<Uuid, NoHost> {
    let mut best: Option<&Candidate> = None;
    let mut none = NoHost { refusals: Vec::new(), mem_mib: request.mem_mib, mem_free_max_mib: 0 };
    for candidate in candidates {
        match refuse(candidate, request) {
            Some(refusal) => none.note(refusal, candidate),
            None if best.is_none_or(|b| better(candidate, b)) => best = Some(candidate),
            None => {}
        }
    }
    best.map(|candidate| candidate.host).ok_or(none)
}

fn better(a: &Candidate, b: &Candidate) -> bool {
    (a.mem_free_mib(), std::cmp::Reverse(a.host)) > (b.mem_free_mib(), std::cmp::Reverse(b.host))
}

fn refuse(candidate: &Candidate, request: &Request) -> Option<Refusal> {
    let checks = [
        (candidate.fitness == Fitness::Missing, Refusal::Missing),
        (candidate.fitness == Fitness::Evacuated, Refusal::Evacuated),
        (!request.pools.is_subset(&candidate.pools), Refusal::Pool),
        (request.cpu_profile.is_some_and(|p| !candidate.cpu_profiles.contains(&p)), Refusal::CpuProfile),
        (!request.near.is_empty() && !request.near.contains(&candidate.host), Refusal::Near),
        (request.apart.contains(&candidate.host), Refusal::Apart),
        (candidate.mem_free_mib() < request.mem_mib, Refusal::Memory),
    ];
    checks.into_iter().find(|(refused, _)| *refused).map(|(_, refusal)| refusal)
}

impl NoHost {
    fn note(&mut self, refusal: Refusal, candidate: &Candidate) {
        if refusal == Refusal::Memory {
            self.mem_free_max_mib = self.mem_free_max_mib.max(candidate.mem_free_mib());
        }
        match self.refusals.binary_search_by_key(&refusal, |(r, _)| *r) {
            Ok(i) => self.refusals[i].1 += 1,
            Err(i) => self.refusals.insert(i, (refusal, 1)),
        }
    }
}

#[cfg(test)]
mod tests;
