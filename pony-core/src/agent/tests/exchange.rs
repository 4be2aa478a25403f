//! The whole agent: rows come in as messages of a Sparkle that is no more than a session over a state, and
//! what is goes back the same way.

use super::rig::{IMAGE, INST, POOL, ROOT, SWITCH, URI, VDISK, VNIC, id};
use crate::agent::*;
use crate::sim::{SimAnswer, SimConfig, SimHost};
use crate::tables;
use crate::tables::{
    HostInstance, HostInstanceCurrent, HostInstanceDesired, HostVolume, Instance, InstanceState,
    InstanceStatus,
};
use pony_state::sync::{
    Event, Frames, FullRows, Limits, Now, Pkey, Role, RowId, Session, SnapshotRows, Source, SourceRow,
    WireChange,
};
use pony_state::{PartKind, Read, State};
use serde_json::{Value as Json, json};
use uuid::Uuid;

const HOST: u8 = 99;

fn at(ms: u64) -> Now {
    Now { ms, unix_s: 1_700_000_000 + ms / 1_000 }
}

/// Sparkle's side: everything is this host's.
struct Sparkle {
    state: State,
    session: Session,
    notifications: Vec<String>,
}

struct Ordered<'a>(&'a State);

impl Source for Ordered<'_> {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let table = self.0.any(&*row.table)?;
        table.get(&row.key(table.def()).ok()?).map(SourceRow::Row)
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(SnapshotRows::all(self.0.snapshot(), PartKind::Desired))
    }
}

impl Sparkle {
    fn new(epoch: u64, now: Now) -> Self {
        let role = Role::Sparkle { peer: id(HOST), epoch };
        let session = Session::new(role, Uuid::from_u128(u128::from(epoch) << 64), Limits::default(), now);
        Self { state: tables::new_state().unwrap(), session, notifications: Vec::new() }
    }

    fn write(&mut self, table: &str, part: &Json) {
        let def = self.state.any(table).unwrap().def().clone();
        let key = def.key_of_part(PartKind::Desired, part).unwrap();
        let mut tx = self.state.transaction();
        tx.set_json(table, &key, PartKind::Desired, part).unwrap();
        tx.commit();
        self.session.changed(&RowId::of(&def, &key));
    }

    fn order_instance(&mut self, state: &str) {
        let part =
            json!({ "uuid": id(INST), "name": "web", "state": state, "vcpu": 1, "rcpu": 0.5, "mem": 512 });
        self.write("instance", &part);
    }

    fn place(&mut self, released: bool) {
        self.write("host_instance", &json!({ "host": id(HOST), "instance": id(INST), "released": released }));
    }

    fn order_all(&mut self) {
        let path = json!({ "path": "/sim" });
        self.write("host", &json!({ "uuid": id(HOST) }));
        let pool = json!({ "uuid": id(POOL), "type": "dir", "name": "p", "host": id(HOST), "config": path });
        self.write("storage_pool", &pool);
        self.write("image", &json!({ "uuid": id(IMAGE), "name": "i", "source_uri": URI }));
        let volume =
            json!({ "uuid": id(ROOT), "size": 200, "storage_pool": id(POOL), "base_image": id(IMAGE) });
        self.write("volume", &volume);
        self.write("switch", &json!({ "uuid": id(SWITCH), "name": "s", "type": "bridge" }));
        self.order_instance("running");
        self.write(
            "vdisk",
            &json!({ "uuid": id(VDISK), "instance": id(INST), "volume": id(ROOT), "index": 0 }),
        );
        self.write(
            "vnic",
            &json!({ "uuid": id(VNIC), "instance": id(INST), "switch": id(SWITCH), "index": 0 }),
        );
        self.place(false);
    }

    fn hear(&mut self) {
        while let Some(event) = self.session.poll_event() {
            let changes = match event {
                Event::Full(full) => full.changes().to_vec(),
                Event::Changes(changes) => changes,
                Event::Notifications(news) => {
                    self.notifications.extend(news.into_iter().map(|n| n.kind));
                    continue;
                }
                _ => continue,
            };
            let mut tx = self.state.transaction();
            for WireChange { row, kind, part } in changes {
                assert_eq!(kind, PartKind::Current);
                let key = row.key(tx.any(&*row.table).unwrap().def()).unwrap();
                match part {
                    Some(part) => tx.set_text(&*row.table, &key, kind, part.text()).unwrap(),
                    None => tx.remove_part(&*row.table, &key, kind).unwrap(),
                };
            }
            tx.commit();
        }
    }

    fn instance(&self) -> Option<HostInstanceCurrent> {
        self.state.get::<HostInstance>(&(id(HOST), id(INST)))?.current.clone()
    }

    fn status(&self) -> Option<InstanceStatus> {
        self.instance().map(|current| current.status)
    }
}

struct Pair {
    sparkle: Sparkle,
    agent: Agent,
    sim: SimHost,
    now_ms: u64,
    events: Vec<AgentEvent>,
    /// Whether epochs are written down.
    saves: bool,
    steps: usize,
    sent: Vec<(u64, Frames)>,
}

fn agent(now: Now, epoch_highest: u64) -> Agent {
    let options = AgentOptions {
        uuid: id(HOST),
        incarnation: Uuid::from_u128(u128::from(now.ms) + 7),
        epoch_highest,
        seed: 1,
        uplinks: UplinkRecord::default(),
        config: Config::default(),
        limits: Limits::default(),
    };
    Agent::new(options, now).unwrap()
}

impl Pair {
    fn new() -> Self {
        Self {
            sparkle: Sparkle::new(1, at(0)),
            agent: agent(at(0), 0),
            sim: SimHost::new(1, SimConfig::default()),
            now_ms: 0,
            events: Vec::new(),
            saves: true,
            steps: 0,
            sent: Vec::new(),
        }
    }

    fn exchange(&mut self) {
        let now = at(self.now_ms);
        for answer in self.sim.poll(self.now_ms) {
            match answer {
                SimAnswer::Outcome(run, outcome) => self.agent.handle_outcome(run, outcome, now),
                SimAnswer::Progress(run, fraction) => self.agent.handle_progress(run, fraction, now),
                SimAnswer::Look(look, found) => self.agent.handle_look(look, found, now),
                SimAnswer::Hint(hint) => self.agent.handle_hint(hint, now),
            }
        }
        while let Some(frames) = self.sparkle.session.poll_transmit(now, &Ordered(&self.sparkle.state)) {
            self.agent.handle_frames(frames.body.as_bytes(), frames.sent_unix_s.to_string().as_bytes(), now);
        }
        self.agent.handle_timeout(now);
        while let Some(event) = self.agent.poll_event() {
            if let AgentEvent::EpochRaised(epoch) = event
                && self.saves
            {
                self.agent.epoch_saved(epoch);
            }
            self.events.push(event);
        }
        while let Some(command) = self.agent.poll_command() {
            self.steps += usize::from(matches!(command, Command::Run { .. }));
            self.sim.handle(command, self.now_ms);
        }
        while let Some(frames) = self.agent.poll_transmit(now) {
            self.sparkle.session.handle_message(frames.body.as_bytes(), frames.sent_unix_s, now);
            self.sent.push((self.now_ms, frames));
        }
        self.sparkle.session.handle_timeout(now);
        self.sparkle.hear();
        assert_eq!(self.sim.violations(), Vec::<String>::new());
        assert_eq!(self.agent.overlooked(), []);
    }

    /// Lets time pass until something holds, at most so long.
    fn until(&mut self, ms: u64, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now_ms + ms;
        loop {
            self.exchange();
            if holds(self) {
                return true;
            }
            self.now_ms += 5;
            if self.now_ms > end {
                return false;
            }
        }
    }

    fn run(&mut self, ms: u64) {
        self.until(ms, |_| false);
    }
}

fn running() -> Pair {
    let mut pair = Pair::new();
    pair.sparkle.order_all();
    assert!(pair.until(20_000, |p| p.sparkle.status() == Some(InstanceStatus::Running)), "{:?}", pair.events);
    pair
}

#[test]
fn an_order_becomes_a_guest_and_the_truth_comes_back() {
    let mut pair = running();
    pair.run(2_000);
    assert!(pair.sim.world().up().eq([id(INST)]));
    let told = pair.sparkle.instance().unwrap();
    assert_eq!((told.error, told.attempts, told.released), (None, 0, false));
    let volume =
        pair.sparkle.state.get::<HostVolume>(&(id(HOST), id(ROOT))).unwrap().current.clone().unwrap();
    assert_eq!((volume.status, volume.size), (tables::DataStatus::Ready, Some(200)));
    let host = pair.sparkle.state.get::<tables::Host>(&id(HOST)).unwrap().current.clone().unwrap();
    assert_eq!((host.hostname.as_deref(), host.mem), (Some("sim"), Some(65_536)));
    let switch = pair.sparkle.state.get::<tables::HostSwitch>(&(id(HOST), id(SWITCH))).unwrap();
    assert_eq!(switch.current.as_ref().unwrap().status, tables::LinkStatus::Active);
    let pool = pair.sparkle.state.get::<tables::HostStoragePool>(&(id(HOST), id(POOL))).unwrap();
    assert_eq!(pool.current.as_ref().unwrap().status, tables::PoolStatus::Ready);
    assert!(pair.sparkle.notifications.contains(&"volume-filled".to_owned()));
    assert_eq!(pair.agent.state().check_invariants(), Ok(()));
}

#[test]
fn an_idle_agent_says_nothing_but_keep_alives() {
    let mut pair = running();
    pair.run(5_000);
    pair.sent.clear();
    pair.run(60_000);
    assert!(pair.sent.len() <= 5, "{:#?}", pair.sent);
}

#[test]
fn progress_is_told_at_most_once_a_second() {
    let mut pair = Pair::new();
    pair.sparkle.order_all();
    pair.run(300);
    pair.sent.clear();
    pair.run(1_600);
    let progress = |frames: &&(u64, Frames)| frames.1.body.contains("\"progress\":0.");
    let told = pair.sent.iter().filter(progress).count();
    assert!((1..=3).contains(&told), "{told}: {:#?}", pair.sent);
}

#[test]
fn a_removed_instance_is_let_go_of_and_said_to_be() {
    let mut pair = running();
    let mut tx = pair.sparkle.state.transaction();
    tx.remove_desired::<Instance>(&id(INST));
    tx.commit();
    pair.sparkle.session.changed(&RowId::new("instance", Pkey::one(&id(INST).to_string())));
    pair.sparkle.place(true);
    assert!(pair.until(3_000, |p| p.sparkle.instance().is_some_and(|told| told.released)));
    assert!(pair.sim.world().guests.is_empty() && pair.sim.world().taps.is_empty());
    let mut tx = pair.sparkle.state.transaction();
    tx.remove_desired::<HostInstance>(&(id(HOST), id(INST)));
    tx.commit();
    let key = json!([id(HOST), id(INST)]);
    pair.sparkle.session.changed(&RowId::new("host_instance", Pkey::from_json(&key).unwrap()));
    assert!(pair.until(3_000, |p| p.sparkle.instance().is_none()));
}

#[test]
fn a_restarted_agent_tells_what_runs_before_it_knows_any_order_and_repeats_nothing() {
    let mut pair = running();
    let effects = pair.sim.world().effects.clone();
    pair.sim.kill_agent(pair.now_ms);
    pair.agent = agent(at(pair.now_ms), 1);
    pair.steps = 0;
    pair.until(5_000, |p| p.agent.session().is_some());
    assert!(pair.until(5_000, |p| p.agent.session().is_some_and(Session::is_synchronized)));
    for _ in 0..200 {
        assert_eq!(pair.sparkle.status(), Some(InstanceStatus::Running));
        pair.run(100);
    }
    assert_eq!((pair.steps, &pair.sim.world().effects), (0, &effects));
}

#[test]
fn nothing_is_said_before_the_guests_are_known() {
    let mut pair = Pair::new();
    pair.sim = SimHost::new(1, SimConfig { look_fail_rate: 1_000, ..SimConfig::default() });
    pair.sparkle.order_all();
    pair.run(40_000);
    assert!(pair.agent.session().is_none() && pair.sent.is_empty());
    pair.sim.set_faults(false);
    assert!(pair.until(60_000, |p| p.sparkle.status() == Some(InstanceStatus::Running)));
}

#[test]
fn nothing_is_done_before_the_epoch_is_written_down() {
    let mut pair = Pair::new();
    pair.saves = false;
    pair.sparkle.order_all();
    pair.run(3_000);
    assert_eq!(pair.steps, 0);
    pair.agent.epoch_saved(1);
    assert!(pair.until(20_000, |p| p.sparkle.status() == Some(InstanceStatus::Running)));
}

#[test]
fn an_older_sparkle_is_not_obeyed() {
    let mut pair = running();
    pair.sparkle = Sparkle::new(2, at(pair.now_ms));
    pair.sparkle.order_all();
    pair.run(3_000);
    let mut old = Sparkle::new(1, at(pair.now_ms));
    old.order_all();
    old.order_instance("stopped");
    pair.sparkle = old;
    pair.run(40_000);
    assert!(pair.sim.world().up().eq([id(INST)]));
    assert!(pair.events.iter().any(|e| matches!(e, AgentEvent::Dropped(_))));
}

#[test]
fn a_silent_sparkle_changes_nothing() {
    let mut pair = running();
    pair.run(1_000);
    for _ in 0..200 {
        pair.now_ms += 1_000;
        let now = at(pair.now_ms);
        for answer in pair.sim.poll(pair.now_ms) {
            if let SimAnswer::Look(look, found) = answer {
                pair.agent.handle_look(look, found, now);
            }
        }
        pair.agent.handle_timeout(now);
        pair.events.extend(std::iter::from_fn(|| pair.agent.poll_event()));
        while let Some(command) = pair.agent.poll_command() {
            assert!(matches!(command, Command::Look { .. }), "{command:?}");
            pair.sim.handle(command, pair.now_ms);
        }
    }
    assert!(pair.events.iter().any(|e| matches!(e, AgentEvent::Missing)));
    assert!(pair.sim.world().up().eq([id(INST)]));
}

#[test]
fn rows_say_the_same_as_orders() {
    let mut sparkle = Sparkle::new(1, at(0));
    sparkle.order_all();
    let read = super::super::rows::orders(&sparkle.state, id(HOST));
    let expected = super::rig::orders(Target::Running);
    assert_eq!(read.pools, expected.pools);
    assert_eq!(read.switches, expected.switches);
    assert_eq!(read.images, expected.images);
    assert_eq!(read.volumes[&id(ROOT)], expected.volumes[&id(ROOT)]);
    let instance = &read.instances[&id(INST)];
    let hardware = instance.hardware.as_ref().unwrap();
    assert_eq!((instance.target, hardware.cpu_percent, hardware.mem_mib), (Target::Running, 50, 512));
    assert_eq!(hardware.disks, super::rig::hardware().disks);
    assert!(hardware.nics[0].mac.starts_with("52:54:00:"));
    sparkle.place(true);
    let read = super::super::rows::orders(&sparkle.state, id(HOST));
    assert_eq!(read.instances[&id(INST)].target, Target::Released);
    let placement = HostInstanceDesired {
        released: false,
        serial: 0,
        target: None,
        cancelled: false,
        way: None,
        origin: None,
    };
    let mut tx = sparkle.state.transaction();
    tx.set_desired::<HostInstance>(&(id(HOST), id(INST)), placement);
    tx.update_desired::<Instance>(&id(INST), |part| part.state = InstanceState::Paused);
    tx.commit();
    let read = super::super::rows::orders(&sparkle.state, id(HOST));
    assert_eq!(read.instances[&id(INST)].target, Target::Paused);
    let elsewhere = super::super::rows::orders(&sparkle.state, id(1));
    assert!(elsewhere.pools[&id(POOL)].fault.is_some());
}

/// Before the volume is heard of that it became, and after, it is never taken for something to be removed.
#[test]
fn a_copy_is_made_or_removed_as_its_row_says_and_neither_once_it_is_the_volume() {
    let mut sparkle = Sparkle::new(1, at(0));
    sparkle.order_all();
    let mut order = |lies_in: u8, hold: &str| {
        let volume = json!({ "uuid": id(ROOT), "size": 200, "storage_pool": id(lies_in) });
        sparkle.write("volume", &volume);
        let copy = json!({
            "host": id(HOST), "volume": id(ROOT), "hold": hold, "sharer": id(HOST), "storage_pool": id(POOL), "serial": 3,
        });
        sparkle.write("host_volume", &copy);
        super::super::rows::orders(&sparkle.state, id(HOST)).volumes[&id(ROOT)].clone()
    };
    let given = |hold| Grant::Given { hold, serial: 3, made: false };
    let comes = order(77, "incoming");
    assert_eq!((comes.wish, comes.pool, comes.grant), (VolumeWish::Present, id(POOL), given(Hold::Copy)));
    assert!(comes.grant.may_make() && comes.grant.may_arrive());
    assert!(!comes.grant.may_use(false) && !comes.grant.may_go_on() && !comes.grant.is_whole());
    let goes = order(77, "released");
    assert_eq!((goes.wish, goes.pool, goes.grant), (VolumeWish::Deleted, id(POOL), given(Hold::Whole)));
    for hold in ["incoming", "released"] {
        let own = order(POOL, hold);
        assert_eq!((own.wish, own.pool, own.grant), (VolumeWish::Present, id(POOL), Grant::Own), "{hold}");
    }
}

/// Only what backs the image, on the host that is named: a row that says anything else lets nothing be read.
#[test]
fn both_hosts_understand_what_one_reads_of_the_other() {
    let mut sparkle = Sparkle::new(1, at(0));
    sparkle.order_all();
    let mut backs = |image: Json, state: &str| {
        let volume = json!({ "uuid": id(ROOT), "size": 200, "storage_pool": id(POOL), "image": image, "state": state });
        sparkle.write("volume", &volume);
        let reads = json!({ "host": id(5), "image": id(IMAGE), "volume": id(ROOT), "source": id(HOST), "way": "a", "origin": "b" });
        sparkle.write("host_image", &reads);
        let of = |host: u8| super::super::rows::orders(&sparkle.state, id(host));
        (of(HOST).exports, of(5), of(6))
    };
    let (exports, reader, third) = backs(json!(id(IMAGE)), "present");
    let [export] = &exports[..] else { panic!("{exports:?}") };
    assert_eq!((export.volume, export.pool.pool, &*export.to), (id(ROOT), id(POOL), "b"));
    let remote = crate::host::RemoteVolume { host: id(HOST), volume: id(ROOT), way: "a".to_owned() };
    assert_eq!((&reader.images[&id(IMAGE)].remote, reader.exports.len()), (&Some(remote), 0));
    assert_eq!((&third.images[&id(IMAGE)].remote, third.exports.len()), (&None, 0));
    assert_eq!(backs(json!(id(IMAGE)), "deleted").0, []);
    assert_eq!(backs(Json::Null, "present").0, []);
    assert_eq!(backs(json!(id(77)), "present").0, []);
}
