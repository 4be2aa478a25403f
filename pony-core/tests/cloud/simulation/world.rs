//! The cloud and its time.

use super::net::{Address, Net, STORM, Weather};
use super::node::Node;
use super::store::Store;
use super::users::Users;
use crate::database::insert;
use pony_core::controller::Controller;
use pony_core::reconcile::SplitMix64;
use pony_core::sim::{SimConfig, SimHost, SimLun, SimShelf};
use pony_state::RowOp;
use pony_state::sync::Now;
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// Hosts of a cloud, and of those of the first [`SMALL`] seeds, which `make test` runs: it has no time for more.
pub(super) const HOSTS: usize = 100;
pub(super) const HOSTS_FEW: usize = 20;
pub(super) const SMALL: u64 = 12;
/// Rounds without time passing.
const AT_ONCE_MAX: u64 = 10_000;
const UNIX_START_S: u64 = 1_700_000_000;

/// What happened, to see that the test tests something.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Deeds {
    pub(super) events: u64,
    pub(super) orders: u64,
    pub(super) faults: u64,
    pub(super) steps: u64,
    pub(super) messages: u64,
    pub(super) placements: u64,
    pub(super) moves: u64,
    /// Placements that were handed over to the target of a move.
    pub(super) handovers: u64,
    /// Among these, those of instances with a volume.
    pub(super) handovers_with_disks: u64,
    /// Volumes that lie in another pool since.
    pub(super) copied: u64,
    /// Fills from other hosts that came to their end.
    pub(super) read: u64,
    pub(super) fenced: u64,
    pub(super) volumes_deleted: u64,
    /// Grants of volumes in the pool of all hosts.
    pub(super) granted: u64,
    pub(super) converged_ms: u64,
}

impl Deeds {
    pub(super) fn add(&mut self, it: Self) {
        self.events += it.events;
        self.orders += it.orders;
        self.faults += it.faults;
        self.steps += it.steps;
        self.messages += it.messages;
        self.placements += it.placements;
        self.moves += it.moves;
        self.handovers += it.handovers;
        self.handovers_with_disks += it.handovers_with_disks;
        self.copied += it.copied;
        self.read += it.read;
        self.fenced += it.fenced;
        self.volumes_deleted += it.volumes_deleted;
        self.granted += it.granted;
        self.converged_ms = self.converged_ms.max(it.converged_ms);
    }

    /// Over many lives everything happens that can.
    pub(super) fn assert_something_happened(&self, lives: u64) {
        let often = self.orders > 80 * lives && self.faults > 30 * lives && self.steps > 80 * lives;
        let all = self.placements > 10 * lives && self.moves > 5 * lives && self.fenced > lives / 4;
        let all = all && self.handovers > lives && self.handovers_with_disks > lives / 4;
        assert!(
            lives < 10 || (often && all && self.volumes_deleted > 5 * lives && self.granted > 20 * lives),
            "{self:?}"
        );
    }
}

/// What the pool of all hosts is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shared {
    /// A server's directory.
    Server,
    /// A disk that all of them see.
    Disk,
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) now_ms: u64,
    pub(super) random: SplitMix64,
    pub(super) controller: Option<Controller>,
    /// When Sparkle starts again.
    pub(super) sparkle_start_ms: u64,
    epoch: u64,
    pub(super) store: Store,
    pub(super) net: Net,
    pub(super) nodes: Vec<Node>,
    pub(super) users: Users,
    /// The pool that all hosts reach.
    pub(super) shelf: SimShelf,
    pub(super) shared: Shared,
    pub(super) deeds: Deeds,
}

impl World {
    /// A cloud in which much goes wrong once there is [`Self::trouble`].
    pub(super) fn new(seed: u64) -> Self {
        let hosts = if seed < SMALL { HOSTS_FEW } else { HOSTS };
        Self::with(seed, hosts, SimConfig { mem_mib: 16_384, ..SimConfig::troubled() })
    }

    /// A cloud of such hosts.
    pub(super) fn with(seed: u64, hosts: usize, sim: SimConfig) -> Self {
        Self::of(seed, hosts, sim, Shared::Server)
    }

    /// A cloud of such hosts, and such a pool of all.
    pub(super) fn of(seed: u64, hosts: usize, sim: SimConfig, shared: Shared) -> Self {
        let mut random = SplitMix64::new(seed ^ 0x5eed_c10d);
        let mut uuid = || Uuid::from_u64_pair(random.next_u64(), random.next_u64());
        let shelf = SimShelf::new(uuid());
        let lun = SimLun::new(shelf.pool());
        let host = |n| {
            let host = SimHost::new(seed * 1_000 + n, sim);
            match shared {
                Shared::Server => host.sharing(shelf.clone(), n),
                Shared::Disk => host.seeing(lun.clone(), n),
            }
        };
        let nodes = (0..hosts as u64).map(|n| Node::new(uuid(), uuid(), host(n))).collect();
        let users = Users::new(&mut uuid);
        let mut world = Self {
            seed,
            now_ms: 0,
            random,
            controller: None,
            sparkle_start_ms: 0,
            epoch: 0,
            store: Store::new(),
            net: Net::default(),
            nodes,
            users,
            shelf,
            shared,
            deeds: Deeds::default(),
        };
        let ops = world.first_orders();
        world.store.commit(0, 0, &ops).unwrap();
        world
    }

    fn first_orders(&self) -> Vec<RowOp> {
        let mut ops = self.users.first_orders();
        ops.extend(self.shared_pool());
        for (n, node) in self.nodes.iter().enumerate() {
            ops.push(insert("host", json!({ "uuid": node.uuid, "name": format!("h{n}") })));
            let (name, path) = (format!("p{n}"), json!({ "path": "/sim" }));
            let pool =
                json!({ "uuid": node.pool, "type": "dir", "name": name, "host": node.uuid, "config": path });
            ops.push(insert("storage_pool", pool));
        }
        let pools = self.nodes.iter().map(|it| it.pool).chain([self.shelf.pool()]);
        ops.extend(self.users.first_copies(&pools.collect::<Vec<_>>()));
        ops
    }

    fn shared_pool(&self) -> Vec<RowOp> {
        let uuid = self.shelf.pool();
        let pool = |kind: &str, config: Json| {
            insert("storage_pool", json!({ "uuid": uuid, "type": kind, "name": "shared", "config": config }))
        };
        let disk = json!({ "id": SimLun::DISK, "type": "fc", "storage_pool": uuid });
        match self.shared {
            Shared::Server => vec![pool("nfs", json!({ "server": "store", "export": "/all" }))],
            Shared::Disk => vec![pool("plvm", json!({})), insert("disk", disk)],
        }
    }

    pub(super) fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.random.next_u64(), self.random.next_u64())
    }

    pub(super) fn now(&self) -> Now {
        Now { ms: self.now_ms, unix_s: UNIX_START_S + self.now_ms / 1_000 }
    }

    /// Orders and faults for so long.
    pub(super) fn trouble(&mut self, ms: u64) {
        self.trouble_by(ms, Self::something);
    }

    /// The same, with orders of this kind.
    pub(super) fn trouble_by(&mut self, ms: u64, something: impl Fn(&mut Self) -> Vec<RowOp>) {
        self.net.weather = STORM;
        self.store.trouble = true;
        let end = self.now_ms + ms;
        while self.now_ms < end {
            if self.random.below(4) > 0 {
                let ops = something(self);
                self.order(&ops);
            } else {
                self.break_something();
            }
            let pause = self.random.below(1 << self.random.clone().below(13));
            self.run(pause);
        }
    }

    /// All that is broken is whole from now on, and users order no more. What hangs goes on hanging.
    pub(super) fn heal(&mut self) {
        self.net.weather = Weather::default();
        self.store.trouble = false;
        self.store.away_until_ms = 0;
        self.sparkle_start_ms = self.sparkle_start_ms.min(self.now_ms);
        for node in &mut self.nodes {
            node.cut_until_ms = 0;
            node.sim.set_faults(false);
        }
        // What came up is still to be made up for: nobody is left off for good.
        self.power_on_all();
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, ms: u64) {
        let (end, mut at_once) = (self.now_ms + ms, 0);
        while let Some(next) = self.next_ms().filter(|next| *next <= end) {
            at_once = if next > self.now_ms { 0 } else { at_once + 1 };
            if at_once > AT_ONCE_MAX {
                self.fail(&format!("time stands still: {}", self.who_is_next()));
            }
            self.now_ms = self.now_ms.max(next);
            self.happen();
        }
        self.now_ms = end;
    }

    fn who_is_next(&self) -> String {
        let nodes = self.nodes.iter().enumerate().filter(|(_, it)| it.next_ms() <= Some(self.now_ms));
        let nodes: Vec<_> = nodes.filter_map(|(n, it)| it.next_ms().map(|at| (n, at))).collect();
        let sparkle = self.controller.as_ref().map(Controller::poll_timeout);
        format!(
            "hosts {nodes:?}, Sparkle {sparkle:?}, database {:?}, network {:?}",
            self.store.next_ms(),
            self.net.next_ms()
        )
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        let nodes = self.nodes.iter().filter_map(Node::next_ms);
        let sparkle = match &self.controller {
            Some(controller) => [controller.poll_timeout(), self.store.next_ms()],
            None => [Some(self.sparkle_start_ms), None],
        };
        nodes.chain(sparkle.into_iter().flatten()).chain(self.net.next_ms()).min()
    }

    /// All that is due now, one event after the other.
    pub(super) fn happen(&mut self) {
        let now = self.now();
        if self.controller.is_none() && self.sparkle_start_ms <= self.now_ms {
            self.start_sparkle();
        }
        while let Some((to, frames)) = self.net.arrive(self.now_ms) {
            match to {
                Address::Host(n) if self.now_ms >= self.nodes[n].cut_until_ms => {
                    self.nodes[n].hear(&frames, now);
                    self.serve(n);
                }
                Address::Sparkle(n) if self.now_ms >= self.nodes[n].cut_until_ms => {
                    let (host, time) = (self.nodes[n].uuid, frames.sent_unix_s.to_string());
                    if let Some(controller) = &mut self.controller {
                        controller.handle_frames(host, frames.body.as_bytes(), time.as_bytes(), now);
                        self.serve_sparkle();
                    }
                }
                Address::Host(_) | Address::Sparkle(_) => {}
            }
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].start_ms.is_some_and(|at| at <= self.now_ms) {
                if self.may_start(n) {
                    let incarnation = self.uuid();
                    self.nodes[n].start(incarnation, now);
                } else {
                    self.nodes[n].start_ms = Some(self.now_ms + 500);
                }
            }
            if self.nodes[n].next_ms().is_some_and(|at| at <= self.now_ms) {
                self.serve(n);
            }
        }
        (0..self.nodes.len()).for_each(|n| self.transfer(n));
        self.serve_store();
        if let Some(controller) = &mut self.controller
            && controller.poll_timeout().is_some_and(|at| at <= now.ms)
        {
            controller.handle_timeout(now);
            self.serve_sparkle();
        }
        self.operate();
    }

    fn start_sparkle(&mut self) {
        self.epoch += 1;
        let incarnation = self.uuid();
        let mut controller = Controller::new(incarnation, self.epoch).unwrap();
        controller.load(&self.store.database.all(), self.now()).unwrap();
        self.controller = Some(controller);
        self.serve_sparkle();
    }

    pub(super) fn kill_sparkle(&mut self, start_ms: u64) {
        if self.controller.take().is_some() {
            let done = self.random.below(2) == 0;
            self.store.forget_sparkle(self.now_ms, done);
            self.sparkle_start_ms = start_ms;
        }
    }

    fn serve(&mut self, n: usize) {
        let now = self.now();
        let sent = self.nodes[n].serve(now);
        self.nodes.iter_mut().for_each(|it| it.sim.refresh());
        self.transfer(n);
        if now.ms >= self.nodes[n].cut_until_ms {
            for frames in sent {
                self.net.send(now.ms, &mut self.random, Address::Sparkle(n), frames);
            }
        }
        self.check_promises();
    }

    /// Lets guests go to other hosts that are about to, and volumes of other hosts be read.
    fn transfer(&mut self, n: usize) {
        while let Some(reading) = self.nodes[n].sim.poll_reading() {
            let from = self.nodes.iter().position(|it| it.uuid == reading.from.host && it.powered);
            let both = from.and_then(|from| self.nodes.get_disjoint_mut([n, from]).ok());
            match both {
                Some([node, other]) => {
                    self.deeds.read += 1;
                    node.sim.read(&reading, Some(&other.sim));
                }
                None => self.nodes[n].sim.read(&reading, None),
            }
        }
        while let Some(departure) = self.nodes[n].sim.poll_departure() {
            let to = self.nodes.iter().position(|it| it.uuid == departure.to.host && it.powered);
            let both = to.and_then(|to| self.nodes.get_disjoint_mut([n, to]).ok());
            match both {
                Some([node, other]) => node.sim.depart(&departure, Some(&mut other.sim)),
                None => self.nodes[n].sim.depart(&departure, None),
            }
        }
    }

    pub(super) fn serve_sparkle(&mut self) {
        let now = self.now();
        let Some(controller) = &mut self.controller else { return };
        while let Some((host, frames)) = controller.poll_transmit(now) {
            let n = self.nodes.iter().position(|it| it.uuid == host).unwrap();
            if now.ms >= self.nodes[n].cut_until_ms {
                self.net.send(now.ms, &mut self.random, Address::Host(n), frames);
            }
        }
        if let Some((write, ops)) = controller.poll_write() {
            let lag = if self.store.trouble { self.random.below(200) } else { 1 };
            self.store.begin(now.ms + lag, write, ops);
        }
        while controller.poll_report().is_some() {}
        self.check_promises();
    }

    fn serve_store(&mut self) {
        let now = self.now();
        loop {
            let Some(controller) = &mut self.controller else { return };
            if let Some(changes) = self.store.feed(now.ms) {
                controller.apply(&changes, now).unwrap();
            } else if let Some(ops) = self.store.due(now.ms) {
                self.check_write(&ops);
                let (lag, dice) = (self.lag_ms(), self.random.below(1_000));
                self.store.settle(now.ms, lag, dice);
            } else if let Some((write, result)) = self.store.ended(now.ms) {
                controller.handle_written(write, result, now);
            } else {
                return;
            }
            self.serve_sparkle();
        }
    }

    /// How far the feed lags behind.
    pub(super) fn lag_ms(&mut self) -> u64 {
        let long = self.store.trouble && self.random.below(20) == 0;
        let most = if long { 5_000 } else { 20 };
        self.random.below(most)
    }
}
