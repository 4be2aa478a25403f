//! The simulated host itself: it must be able to show what it is there to show.

use super::*;
use crate::agent::{Command, Output, Step, StepOutcome};
use crate::host::{Boot, Firmware, InstanceSpec, PoolBackend, PoolSpec, Source, VolumeFormat, VolumeSpec};
use crate::reconcile::RunId;
use uuid::Uuid;

fn volume(n: u128) -> VolumeSpec {
    let backend = PoolBackend::Dir { path: "/sim".into() };
    let pool = PoolSpec { pool: Uuid::from_u128(1), backend };
    VolumeSpec {
        volume: Uuid::from_u128(n),
        pool,
        format: VolumeFormat::Raw,
        size_mib: Some(200),
        extents: Vec::new(),
    }
}

fn run(host: &mut SimHost, n: u64, step: Step, now_ms: u64) -> Vec<StepOutcome> {
    host.handle(Command::Run { run: RunId(n), step }, now_ms);
    let answers = host.poll(now_ms + 60_000);
    let outcome = |a| if let SimAnswer::Outcome(_, outcome) = a { Some(outcome) } else { None };
    answers.into_iter().filter_map(outcome).collect()
}

#[test]
fn a_fill_takes_its_time_and_happens_once() {
    let mut host = SimHost::new(1, SimConfig::default());
    let step = Step::CreateVolume { spec: volume(5), source: Source::Uri("http://x".to_owned()) };
    host.handle(Command::Run { run: RunId(1), step: step.clone() }, 0);
    assert!(host.poll(1_000).iter().all(|a| matches!(a, SimAnswer::Progress(_, f) if *f < 1.0)));
    assert!(host.world().volumes.is_empty() && !host.world().unfinished.is_empty());
    let outcomes = run(&mut host, 2, Step::DeleteVolume(volume(6)), 2_100);
    assert!(outcomes.iter().any(|o| matches!(o, StepOutcome::Done(Output::Volume(_)))));
    run(&mut host, 3, step, 100_000);
    assert_eq!(host.world().effects[&("fill", Uuid::from_u128(5))], 1);
    assert_eq!(host.world().redundant, 2);
}

#[test]
fn what_must_not_happen_is_noted() {
    let mut host = SimHost::new(1, SimConfig::default());
    let disk = crate::host::DiskSpec {
        vdisk: Uuid::from_u128(7),
        index: 0,
        place: crate::host::Place::File("/nowhere".into()),
        format: VolumeFormat::Raw,
        read_only: false,
        shared: false,
    };
    let spec = InstanceSpec {
        instance: Uuid::from_u128(9),
        name: "a".to_owned(),
        vcpu: 1,
        cpu_percent: 100,
        mem_mib: 64,
        boot: Boot::Disk,
        firmware: Firmware::default(),
        cpu: None,
        disks: vec![disk],
        nics: vec![],
        seed: None,
    };
    run(&mut host, 1, Step::Define(spec), 0);
    run(&mut host, 2, Step::Start(Uuid::from_u128(9)), 100_000);
    assert_eq!(host.violations().len(), 1, "{:?}", host.violations());
}

#[test]
fn a_hung_step_ends_when_it_is_cancelled_and_not_before() {
    let mut host = SimHost::new(1, SimConfig::default());
    host.set_fate("make", Some(Fate::Hang));
    let step = Step::CreateVolume { spec: volume(5), source: Source::Empty };
    assert_eq!(run(&mut host, 1, step, 0), []);
    host.handle(Command::Cancel { run: RunId(1) }, 100_000);
    let outcome = SimAnswer::Outcome(RunId(1), StepOutcome::Cancelled);
    assert!(host.poll(101_000).contains(&outcome));
    assert!(host.world().volumes.is_empty());
}
