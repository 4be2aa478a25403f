//! What the machine is made of: told, and news where it gets worse.

use super::rig::{POOL, id, orders};
use crate::agent::*;
use crate::host::*;
use std::collections::BTreeMap;

/// A keeper whose looks are answered by what `answer` says, all others with nothing.
struct Host {
    keeper: Keeper,
    now_ms: u64,
}

impl Host {
    fn new() -> Self {
        let mut keeper = Keeper::new(Config::default(), 1, 0);
        let cpu = CpuSpec { model: "Pony".into(), features: vec!["gallop".into()] };
        keeper.set_orders(0, &Orders { cpus: BTreeMap::from([(id(9), cpu)]), ..orders(Target::Stopped) });
        Self { keeper, now_ms: 0 }
    }

    /// Says that something changed, and answers all that is asked then. Gives what is asked.
    fn changed(&mut self, answer: impl Fn(&Look) -> Option<Result<Found, DriverError>>) -> Vec<Look> {
        self.now_ms += 1_000;
        self.keeper.handle_hint(self.now_ms, Hint::Machine);
        self.keeper.poll(self.now_ms);
        let mut asked = Vec::new();
        while let Some(command) = self.keeper.poll_command() {
            let Command::Look { look, what } = command else { continue };
            let found = answer(&what).unwrap_or_else(|| Ok(nothing(&what)));
            self.keeper.handle_look(self.now_ms, look, found);
            self.keeper.poll(self.now_ms);
            asked.push(what);
        }
        asked
    }

    fn news(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.keeper.poll_notification()).map(|news| news.kind).collect()
    }
}

fn nothing(what: &Look) -> Found {
    match what {
        Look::Host => Found::Host(Box::default()),
        Look::Nics => Found::Nics(Vec::new()),
        Look::Disks => Found::Disks(Vec::new()),
        Look::Cpus(_) => Found::Cpus(BTreeMap::new()),
        Look::Guests => Found::Guests(Vec::new()),
        Look::Uplinks => Found::Uplinks(Vec::new()),
        Look::Switches => Found::Switches(Vec::new()),
        Look::Taps => Found::Taps(Vec::new()),
        Look::Pool(spec) => Found::Pool(pool(spec, 0)),
        Look::Volumes(_) => Found::Volumes(Vec::new()),
    }
}

fn pool(spec: &PoolSpec, allocated_mib: i64) -> PoolFact {
    PoolFact { pool: spec.pool, capacity_mib: 100, allocated_mib, granule_mib: 1 }
}

#[test]
fn a_disk_that_is_pulled_is_news_and_so_is_its_pool() {
    let mut host = Host::new();
    let disk = DiskFact { id: "naa.1".into(), ..DiskFact::default() };
    host.changed(|what| matches!(what, Look::Disks).then(|| Ok(Found::Disks(vec![disk.clone()]))));
    assert_eq!(host.news(), [""; 0]);
    let lost = |what: &Look| {
        let message = "its disk sda is gone".to_owned();
        let error = DriverError { kind: DriverErrorKind::Transient, message };
        matches!(what, Look::Pool(_)).then_some(Err(error))
    };
    let asked = host.changed(lost);
    assert!(asked.iter().any(|what| matches!(what, Look::Pool(_))), "pools lie on disks: {asked:?}");
    assert_eq!(host.news(), ["disk-gone", "pool-broken"]);
    let report = host.keeper.report(host.now_ms);
    let told = &report.pools[&id(POOL)];
    assert_eq!((told.status, told.error.as_deref()), (PoolHealth::Broken, Some("its disk sda is gone")));
    host.changed(lost);
    assert_eq!(host.news(), [""; 0], "it is told once");
}

#[test]
fn a_pool_that_fills_is_news_once() {
    let mut host = Host::new();
    for (allocated, expected) in [(80, &[][..]), (92, &["pool-filling"]), (93, &[])] {
        host.changed(|what| match what {
            Look::Pool(spec) => Some(Ok(Found::Pool(pool(spec, allocated)))),
            _ => None,
        });
        assert_eq!(host.news(), expected, "{allocated}");
    }
}

#[test]
fn what_cpus_are_offered_is_told_of_those_that_are_ordered() {
    let mut host = Host::new();
    let cpus = |what: &Look| match what {
        Look::Cpus(cpus) => Some(Ok(Found::Cpus(cpus.keys().map(|profile| (*profile, false)).collect()))),
        _ => None,
    };
    host.changed(cpus);
    assert_eq!(host.keeper.report(0).cpus, BTreeMap::from([(id(9), false)]));
    host.keeper.set_orders(host.now_ms, &orders(Target::Stopped));
    assert!(host.keeper.report(0).cpus.is_empty());
    let asked = host.changed(cpus);
    assert!(asked.contains(&Look::Cpus(BTreeMap::new())), "another order is another question: {asked:?}");
}
