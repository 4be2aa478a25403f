//! The state against a naive model: ordered maps of rows, copied whole for every snapshot and transaction.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cloud;

use cloud::{
    Instance, InstanceDesired, Nic, NicStatus, Vdisk, VdiskCurrent, VdiskDesired, Volume, VolumeCurrent,
};
use cloud::{mac, nic_current, nic_desired, state, uuid};
use pony_state::{
    AnyRow, Change, Commit, Entity, FeedError, Key, Mac, PartKind, Range, Read, Row, Snapshot, State,
};
use pony_state::{Subscription, Transaction, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Changes that may wait for the subscriber: few, so that it lags now and then.
const CAPACITY_CHANGES: usize = 12;

type Rows<R> = BTreeMap<<R as Row>::Key, R>;

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    nics: Rows<Nic>,
    instances: Rows<Instance>,
    volumes: Rows<Volume>,
    vdisks: Rows<Vdisk>,
}

/// One write.
#[derive(Debug, Clone)]
enum Write {
    NicDesired(Mac, Option<(u8, Option<u8>)>),
    NicCurrent(Mac, Option<(u8, NicStatus)>),
    Nic(Mac),
    /// Many rows at once, so that pages, posting lists and hash tables grow and shrink.
    Nics {
        first: u8,
        count: u16,
        current: Option<(u8, NicStatus)>,
    },
    Instance(Uuid, Option<u32>),
    Volume(Uuid, Option<i64>),
    VdiskDesired((Uuid, i64), Option<Option<Uuid>>),
    VdiskCurrent((Uuid, i64), Option<Uuid>),
    Vdisk((Uuid, i64)),
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Transaction { writes: Vec<Write>, commit: bool },
    TakeSnapshot,
    DropSnapshot(usize),
    Receive(usize),
}

fn status() -> impl Strategy<Value = NicStatus> {
    prop_oneof![Just(NicStatus::Missing), Just(NicStatus::Ready), Just(NicStatus::Lacp)]
}

fn write() -> impl Strategy<Value = Write> {
    let nic = || (0..6_u8).prop_map(mac);
    let instance = || (0..3_u8).prop_map(uuid);
    let volume = || (10..13_u8).prop_map(uuid);
    let vdisk = || (instance(), 0..2_i64);
    let option = proptest::option::of::<BoxedStrategy<u8>>;
    let part = (0..3_u8, option((0..3_u8).boxed()));
    prop_oneof![
        4 => (nic(), proptest::option::weighted(0.7, part)).prop_map(|(key, part)| Write::NicDesired(key, part)),
        4 => (nic(), proptest::option::weighted(0.7, (0..3_u8, status()))).prop_map(|(key, part)| Write::NicCurrent(key, part)),
        1 => nic().prop_map(Write::Nic),
        1 => (0..2_u8, 0..700_u16, proptest::option::of((0..2_u8, status())))
            .prop_map(|(first, count, current)| Write::Nics { first, count, current }),
        1 => (instance(), proptest::option::of(0..2_u32)).prop_map(|(key, part)| Write::Instance(key, part)),
        1 => (volume(), proptest::option::of(1..3_i64)).prop_map(|(key, part)| Write::Volume(key, part)),
        3 => (vdisk(), proptest::option::of(proptest::option::of(volume())))
            .prop_map(|(key, part)| Write::VdiskDesired(key, part)),
        2 => (vdisk(), proptest::option::of(volume())).prop_map(|(key, part)| Write::VdiskCurrent(key, part)),
        1 => vdisk().prop_map(Write::Vdisk),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (proptest::collection::vec(write(), 0..12), proptest::bool::weighted(0.7))
            .prop_map(|(writes, commit)| Step::Transaction { writes, commit }),
        2 => Just(Step::TakeSnapshot),
        1 => (0..4_usize).prop_map(Step::DropSnapshot),
        3 => (0..6_usize).prop_map(Step::Receive),
    ]
}

/// The rows that a transaction touched, and what it was before.
struct Touched {
    rows: Vec<(&'static str, Key)>,
}

impl Touched {
    /// Changes a row of the model. Says whether that changed anything.
    fn change<R: Entity>(&mut self, rows: &mut Rows<R>, key: &R::Key, change: impl FnOnce(&mut R)) -> bool {
        let old = rows.get(key).cloned();
        let mut row = old.clone().unwrap_or_else(|| R::new(key.clone()));
        change(&mut row);
        let new = (row.desired().is_some() || row.current().is_some()).then_some(row);
        if new == old {
            return false;
        }
        match new {
            Some(row) => rows.insert(key.clone(), row),
            None => rows.remove(key),
        };
        let touched = (R::TABLE, R::untyped_key(key));
        if !self.rows.contains(&touched) {
            self.rows.push(touched);
        }
        true
    }
}

fn many(first: u8, count: u16) -> impl Iterator<Item = Mac> {
    (0..count).map(move |number| Mac([first, 0, 0, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]]))
}

fn instance_part(vcpu: u32) -> InstanceDesired {
    InstanceDesired { name: format!("name{vcpu}").into(), ns: vec![], net: None, vcpu }
}

fn vdisk_part(volume: Option<Uuid>) -> VdiskDesired {
    VdiskDesired { volume, blocks: None, ip: None }
}

/// Writes through a transaction and to the model, and compares what they say.
fn apply(write: &Write, tx: &mut Transaction<'_>, model: &mut Model, touched: &mut Touched) {
    match write {
        Write::NicDesired(key, part) => {
            let part = part.map(|(host, bond)| nic_desired(host, bond));
            let changed = match part.clone() {
                Some(part) => tx.set_desired::<Nic>(key, part),
                None => tx.remove_desired::<Nic>(key),
            };
            assert_eq!(changed, touched.change(&mut model.nics, key, |nic| nic.desired = part));
        }
        Write::NicCurrent(key, part) => {
            let part = part.map(|(host, status)| nic_current(host, status));
            let changed = match part.clone() {
                Some(part) => tx.set_current::<Nic>(key, part),
                None => tx.remove_part("nic", &Key::one(*key), PartKind::Current).unwrap(),
            };
            assert_eq!(changed, touched.change(&mut model.nics, key, |nic| nic.current = part));
        }
        Write::Nic(key) => {
            let changed = touched.change(&mut model.nics, key, |nic| *nic = Nic::new(*key));
            assert_eq!(tx.remove::<Nic>(key), changed);
        }
        Write::Nics { first, count, current } => {
            for key in many(*first, *count) {
                let part = current.map(|(host, status)| nic_current(host, status));
                let row = Nic { current: part, ..Nic::new(key) };
                let changed = touched.change(&mut model.nics, &key, |nic| *nic = row.clone());
                assert_eq!(tx.put(row), changed);
            }
        }
        Write::Instance(key, part) => {
            let part = part.map(instance_part);
            let row = Instance { desired: part, ..Instance::new(*key) };
            assert_eq!(tx.put(row.clone()), touched.change(&mut model.instances, key, |it| *it = row));
        }
        Write::Volume(key, part) => {
            let part = part.map(|end| VolumeCurrent { extent: Range::new(0, end).unwrap() });
            let row = Volume { current: part, ..Volume::new(*key) };
            assert_eq!(tx.put(row.clone()), touched.change(&mut model.volumes, key, |it| *it = row));
        }
        Write::VdiskDesired(key, part) => {
            let values = part.map(|volume| [volume.into(), Value::Null, Value::Null]);
            let untyped = Vdisk::untyped_key(key);
            let changed = match values {
                Some(values) => tx.set("vdisk", &untyped, PartKind::Desired, &values).unwrap(),
                None => tx.remove_part("vdisk", &untyped, PartKind::Desired).unwrap(),
            };
            let part = part.map(vdisk_part);
            assert_eq!(changed, touched.change(&mut model.vdisks, key, |it| it.desired = part));
        }
        Write::VdiskCurrent(key, part) => {
            let part = part.map(|volume| VdiskCurrent { volume });
            let changed = match part.clone() {
                Some(part) => tx.set_current::<Vdisk>(key, part),
                None => tx.remove_current::<Vdisk>(key),
            };
            assert_eq!(changed, touched.change(&mut model.vdisks, key, |it| it.current = part));
        }
        Write::Vdisk(key) => {
            let changed = touched.change(&mut model.vdisks, key, |it| *it = Vdisk::new(*key));
            assert_eq!(tx.remove_row("vdisk", &Vdisk::untyped_key(key)).unwrap(), changed);
        }
    }
}

/// Compares all rows and all look-ups.
fn compare(read: &impl Read, model: &Model) {
    read.check_invariants().unwrap();
    compare_rows(read, &model.nics);
    compare_rows(read, &model.instances);
    compare_rows(read, &model.volumes);
    compare_rows(read, &model.vdisks);
    compare_finds(read, model);
    compare_joins(read, model);
}

fn compare_rows<R: Entity>(read: &impl Read, rows: &Rows<R>) {
    let (table, any) = (read.table::<R>(), read.any(R::TABLE).unwrap());
    assert!(table.ordered().eq(rows.values()));
    assert!(any.ordered().filter_map(AnyRow::row::<R>).eq(rows.values()));
    assert_eq!((table.len(), any.len(), table.iter().count()), (rows.len(), rows.len(), rows.len()));
    for (place, (key, row)) in rows.iter().enumerate().step_by(1 + rows.len() / 8) {
        assert_eq!(table.get(key), Some(row));
        assert!(table.after(key).next() == rows.values().nth(place + 1));
        let after = any.after(&R::untyped_key(key)).count();
        assert_eq!(after, rows.len() - place - 1);
    }
}

fn compare_finds(read: &impl Read, model: &Model) {
    let nics = read.table::<Nic>();
    let sorted = |rows: Vec<&Nic>| {
        let mut rows: Vec<Mac> = rows.iter().map(|nic| nic.hwaddr).collect();
        rows.sort_unstable();
        rows
    };
    let expected = |is: &dyn Fn(&Nic) -> bool| {
        model.nics.values().filter(|nic| is(nic)).map(|nic| nic.hwaddr).collect::<Vec<_>>()
    };
    for host in 0..4 {
        let on = |nic: &Nic| {
            nic.desired.as_ref().is_some_and(|it| it.host == uuid(host))
                || nic.current.as_ref().is_some_and(|it| it.host == uuid(host))
        };
        assert_eq!(sorted(nics.find("host", uuid(host)).collect()), expected(&on));
        let ready = |nic: &Nic| nic.current.as_ref().is_some_and(|it| it.status == NicStatus::Ready);
        let both = [("host", uuid(host).into()), ("status", Value::from("ready"))];
        assert_eq!(sorted(nics.filter(&both).collect()), expected(&|nic| on(nic) && ready(nic)));
    }
    let no_bond = |nic: &Nic| nic.desired.as_ref().is_some_and(|it| it.bond.is_none());
    assert_eq!(sorted(nics.find("bond", Value::Null).collect()), expected(&no_bond));
    let fast = |nic: &Nic| nic.current.as_ref().is_some_and(|it| it.speed == 10);
    assert_eq!(sorted(nics.find("speed", 10).collect()), expected(&fast));
}

fn compare_joins(read: &impl Read, model: &Model) {
    let ends = |vdisk: &Vdisk| {
        let desired = vdisk.desired.as_ref().and_then(|it| it.volume);
        let current = vdisk.current.as_ref().map(|it| it.volume).filter(|it| desired != Some(*it));
        desired.into_iter().chain(current).collect::<Vec<_>>()
    };
    let mut expected = Vec::new();
    for vdisk in model.vdisks.values() {
        for volume in ends(vdisk) {
            expected.push((vdisk.instance, vdisk.index, volume));
        }
    }
    expected.sort_unstable();
    let mut down = Vec::new();
    let mut up = Vec::new();
    for number in 0..4 {
        let pairs = read.joined::<Vdisk, Volume>("instance", uuid(number));
        down.extend(pairs.map(|(vdisk, volume)| (vdisk.instance, vdisk.index, volume.uuid)));
        let pairs = read.joined::<Vdisk, Instance>("volume", uuid(10 + number));
        up.extend(pairs.map(|(vdisk, instance)| (instance.uuid, vdisk.index, uuid(10 + number))));
    }
    down.sort_unstable();
    up.sort_unstable();
    let mut with_volume = expected.clone();
    with_volume.retain(|(_, _, volume)| model.volumes.contains_key(volume));
    assert_eq!(down, with_volume);
    expected.retain(|(instance, ..)| model.instances.contains_key(instance));
    assert_eq!(up, expected);
}

/// The changes of a commit against those that the model went through.
fn compare_commit(commit: &Commit, touched: &Touched, before: &Model, after: &Model) {
    fn check<R: Entity>(change: &Change, before: &Rows<R>, after: &Rows<R>) {
        let key = R::typed_key(&change.key()).unwrap();
        let row = change.row::<R>().unwrap();
        assert_eq!((row.before, row.after), (before.get(&key), after.get(&key)));
        assert_ne!(row.before, row.after);
        let desired = row.before.and_then(Row::desired) != row.after.and_then(Row::desired);
        assert_eq!(change.part_changed(PartKind::Desired), desired);
    }
    let differs = |(table, key): &&(&'static str, Key)| match *table {
        "nic" => {
            let key = Nic::typed_key(key).unwrap();
            before.nics.get(&key) != after.nics.get(&key)
        }
        "instance" => {
            let key = Instance::typed_key(key).unwrap();
            before.instances.get(&key) != after.instances.get(&key)
        }
        "volume" => {
            let key = Volume::typed_key(key).unwrap();
            before.volumes.get(&key) != after.volumes.get(&key)
        }
        _ => {
            let key = Vdisk::typed_key(key).unwrap();
            before.vdisks.get(&key) != after.vdisks.get(&key)
        }
    };
    let expected: Vec<_> = touched.rows.iter().filter(differs).cloned().collect();
    let found: Vec<_> =
        commit.iter().map(|change| (change.table().name().to_owned(), change.key())).collect();
    assert!(
        found
            .iter()
            .map(|(table, key)| (table.as_str(), key))
            .eq(expected.iter().map(|(table, key)| (*table, key)))
    );
    for change in commit.iter() {
        match change.table().name() {
            "nic" => check(change, &before.nics, &after.nics),
            "instance" => check(change, &before.instances, &after.instances),
            "volume" => check(change, &before.volumes, &after.volumes),
            _ => check(change, &before.vdisks, &after.vdisks),
        }
    }
}

/// A subscriber that keeps a copy of the state by its changes alone, starting over when it is told to.
struct Mirror {
    feed: Subscription,
    copy: State,
}

impl Mirror {
    fn receive(&mut self, state: &State, limit: usize) {
        for _ in 0..limit {
            match self.feed.try_next() {
                Ok(Some(commit)) => {
                    let mut tx = self.copy.transaction();
                    for change in commit.iter() {
                        assert!(tx.apply(change).unwrap());
                    }
                    assert_eq!(tx.commit().len(), commit.len());
                }
                Ok(None) => return,
                Err(FeedError::Lagged) => {
                    let snapshot = state.snapshot();
                    self.feed.skip_to(snapshot.version());
                    self.copy = snapshot.fork();
                }
                Err(FeedError::Closed) => unreachable!("the state lives"),
            }
        }
    }
}

fn run(steps: &[Step]) {
    let mut state = state();
    let mut model = Model::default();
    let mut snapshots: Vec<(Snapshot, Model)> = Vec::new();
    let mut mirror = Mirror { feed: state.subscribe(CAPACITY_CHANGES), copy: state.snapshot().fork() };
    for step in steps {
        match step {
            Step::Transaction { writes, commit } => {
                let (version, before) = (state.version(), model.clone());
                let mut touched = Touched { rows: Vec::new() };
                let mut tx = state.transaction();
                for write in writes {
                    apply(write, &mut tx, &mut model, &mut touched);
                }
                assert_eq!(tx.is_empty(), touched.rows.is_empty());
                if *commit {
                    let commit = tx.commit();
                    compare_commit(&commit, &touched, &before, &model);
                    assert_eq!(commit.version(), version + u64::from(!commit.is_empty()));
                } else {
                    // Reads see the transaction's own writes, which go with it.
                    compare_finds(&tx, &model);
                    compare_joins(&tx, &model);
                    drop(tx);
                    model = before;
                    assert_eq!(state.version(), version);
                }
                compare(&state, &model);
                for (snapshot, model) in &snapshots {
                    compare(snapshot, model);
                }
            }
            Step::TakeSnapshot if snapshots.len() < 4 => snapshots.push((state.snapshot(), model.clone())),
            Step::TakeSnapshot => {}
            Step::DropSnapshot(place) => drop((*place < snapshots.len()).then(|| snapshots.remove(*place))),
            Step::Receive(limit) => mirror.receive(&state, *limit),
        }
    }
    mirror.receive(&state, usize::MAX);
    compare(&mirror.copy, &model);
}

proptest! {
    #![proptest_config(cloud::cases(96))]

    #[test]
    fn the_state_is_what_a_naive_model_is(steps in proptest::collection::vec(step(), 0..24)) {
        run(&steps);
    }
}

/// A posting list of very many rows, with a snapshot of every size.
#[test]
fn large_tables_stay_consistent() {
    let mut steps = Vec::new();
    for (first, status) in [(0, NicStatus::Ready), (1, NicStatus::Missing), (0, NicStatus::Lacp)] {
        let writes = vec![Write::Nics { first, count: 6000, current: Some((1, status)) }];
        steps.push(Step::Transaction { writes, commit: true });
        steps.push(Step::TakeSnapshot);
    }
    let writes = vec![Write::Nics { first: 0, count: 5000, current: None }];
    steps.push(Step::Transaction { writes: writes.clone(), commit: false });
    steps.push(Step::Transaction { writes, commit: true });
    run_large(&steps);
}

/// The same without the list of touched rows, which is searched one by one.
fn run_large(steps: &[Step]) {
    let mut state = state();
    let mut snapshots: Vec<(Snapshot, Rows<Nic>)> = Vec::new();
    let mut model: Rows<Nic> = Rows::<Nic>::default();
    for step in steps {
        if let Step::Transaction { writes, commit } = step {
            let before = model.clone();
            let mut tx = state.transaction();
            for write in writes {
                let Write::Nics { first, count, current } = write else { continue };
                for key in many(*first, *count) {
                    let row = Nic {
                        current: current.map(|(host, status)| nic_current(host, status)),
                        ..Nic::new(key)
                    };
                    if row.current.is_some() {
                        model.insert(key, row.clone())
                    } else {
                        model.remove(&key)
                    };
                    tx.put(row);
                }
            }
            if *commit {
                tx.commit();
            } else {
                drop(tx);
                model = before;
            }
        } else {
            snapshots.push((state.snapshot(), model.clone()));
        }
        let all = Model { nics: model.clone(), ..Model::default() };
        compare(&state, &all);
        for (snapshot, nics) in &snapshots {
            compare(snapshot, &Model { nics: nics.clone(), ..Model::default() });
        }
    }
}
