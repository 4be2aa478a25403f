//! The driver itself.

use super::accel::Accel;
use super::console;
use super::cpus;
use super::depart::Road;
use super::domain::Maker;
use super::error::{from_virt, order, transient, unsupported};
use super::facts;
use super::ffi;
use super::flights::Flights;
use super::gate::Gate;
use super::hub::Hub;
use super::hung::Warden;
use super::link::{Kind, Link};
use super::passage::{self, Passage};
use super::rooms::Rooms;
use super::seeds::Seeds;
use super::turns::Turns;
use super::usage;
use super::xml::Recipe;
use crate::console::Lines;
use crate::peers::{Peers, Room, Way};
use crate::secrets::Secrets;
use crate::{Console, GuestUsage, Hypervisor, Progress, Result};
use async_trait::async_trait;
use pony_core::host::{ConsoleKind, CpuSpec, Destination, DiskSpec, DriverError, InstanceFact, InstanceSpec};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use virt::connect::Connect;

/// How long pulling the plug waits for an earlier step to end before it pulls beside it: libvirt lets that kill a
/// guest whose start hangs. Then it waits again, since a start that had hardly begun may be through only later.
const DESTROY_PATIENCE: Duration = Duration::from_millis(300);

/// How often it does so: a minute, as long as any call may take.
const DESTROY_TRIES_MAX: u32 = 200;

/// How often it is looked whether a guest did what it was asked for, such as letting go of a disk.
const ADJUST_LOOK_PERIOD: Duration = Duration::from_millis(200);

/// How often so: 20 s, in which a guest that is busy has answered, and one that still boots has not; the agent tries
/// again.
const ADJUST_LOOKS_MAX: u32 = 100;

/// Time for sending a guest away, as long as bytes flow: the agent notices sooner that none do.
const MOVE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How often it is looked how far that has come.
const MOVE_LOOK_PERIOD: Duration = Duration::from_millis(500);

/// How a [`Libvirt`] makes guests.
#[derive(Debug, Clone)]
pub struct LibvirtOptions {
    /// The host's uuid: guests carry it, and only those that do are this driver's.
    pub host: Uuid,
    /// What guests run on; see [`probe_accel`](super::probe_accel).
    pub accel: Accel,
    /// Where consoles are: `<instance>.sock` to open, `<instance>.log` with all that was written. Made if
    /// missing, for root's eyes only. `None`: a pty, and no log. (A path that is too long for a socket's address,
    /// about 65 characters, also means a pty.)
    pub console_dir: Option<PathBuf>,
    /// What `/` of libvirt is for this process, where it is not the same.
    pub root: Option<PathBuf>,
    /// By what guests that run move between this host and others. `None`: not at all.
    pub peers: Option<Peers>,
    /// Where secrets are that disks on other machines need: each in a file, for root's eyes only.
    pub secrets: PathBuf,
    /// Whether a libvirtd of this machine is killed that takes calls and answers none, so that another one takes its place: by
    /// whoever sees to that, or where there is no service manager by [`ensure_libvirtd`](super::ensure_libvirtd).
    pub ends_hung_daemon: bool,
}

impl LibvirtOptions {
    /// As simple as possible: no consoles to be opened, no moves, secrets where they usually are, and libvirtd left alone.
    #[must_use]
    pub fn new(host: Uuid, accel: Accel) -> Self {
        let secrets = Secrets::USUAL_DIR.into();
        Self { host, accel, console_dir: None, root: None, peers: None, secrets, ends_hung_daemon: false }
    }
}

/// How guests that run move.
#[derive(Debug)]
struct Moves {
    gate: Arc<Gate>,
    peers: Peers,
    rooms: Rooms,
    way: String,
    /// Guests on their way, and what ends that.
    leaving: Mutex<HashMap<Uuid, CancellationToken>>,
}

impl Moves {
    fn leaving(&self) -> MutexGuard<'_, HashMap<Uuid, CancellationToken>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_moves() -> DriverError {
    unsupported("guests that run do not move between this host and others: it has no address for that")
}

/// Guests as libvirt domains; see the trait for what each step promises.
///
/// Beyond the trait: `start` and `resume` of a guest that was told to shut down and still runs take that order
/// back (it is reported as running again), since a later order wins. Guests of other owners, even with the same
/// uuid, are treated as if they did not exist; only `define` says that they are in the way.
///
/// ```no_run
/// # async fn doc() -> pony_host::Result<()> {
/// use pony_host::{Hypervisor as _, Libvirt, LibvirtOptions, ensure_libvirtd, probe_accel};
/// let uri = "qemu:///system";
/// ensure_libvirtd(uri).await?;
/// let accel = probe_accel(uri).await?;
/// let host = uuid::Uuid::from_u128(1);
/// let options = LibvirtOptions::new(host, accel);
/// let libvirt = Libvirt::connect(uri, options).await?;
/// for guest in libvirt.list().await? {
///     println!("{} {:?}", guest.instance, guest.state);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Libvirt {
    link: Arc<Link>,
    hub: Arc<Hub>,
    maker: Arc<Maker>,
    turns: Turns,
    flights: Flights,
    lines: Lines,
    moves: Option<Moves>,
    warden: Option<Warden>,
}

impl Libvirt {
    /// Connects, and stays connected: when libvirt goes away, steps fail with `Transient` until it is back, and
    /// then events of all guests tell that they should be looked at.
    ///
    /// # Errors
    ///
    /// `Transient` if libvirt does not answer at `uri`; `Order` if the console directory cannot be made.
    pub async fn connect(uri: &str, options: LibvirtOptions) -> Result<Self> {
        if let Some(dir) = &options.console_dir {
            make_private_dir(dir)?;
        }
        let hub = Arc::new(Hub::default());
        let link = Link::new(uri, Arc::clone(&hub));
        let consoles = options.console_dir.clone();
        let recipe = Recipe { host: options.host, accel: options.accel, quota: true };
        let root = options.root.as_deref();
        let seeds = Seeds::new(root, options.host);
        let maker = Arc::new(Maker::new(recipe, options.console_dir, seeds, &options.secrets));
        link.listen().await?;
        let moves = options.peers.map(|peers| Moves::new(peers, root, uri, consoles));
        tokio::spawn(Link::watch(Arc::downgrade(&link)));
        let sweeper = Arc::clone(&maker);
        link.call(Kind::Step, "look for what guests left", (), move |conn| sweeper.sweep(conn)).await?;
        let (turns, flights, lines) = (Turns::default(), Flights::default(), Lines::default());
        let warden = options.ends_hung_daemon.then(|| Warden::new(uri));
        Ok(Self { link, hub, maker, turns, flights, lines, moves, warden })
    }

    /// How other hosts send guests here, once they can.
    #[must_use]
    pub fn migration(&self) -> Option<String> {
        self.moves.as_ref().map(|moves| moves.way.clone())
    }

    /// Tells how far a move has come whenever something went. Never ends.
    async fn tell_progress(&self, instance: Uuid, progress: Progress) -> std::convert::Infallible {
        let mut bytes = 0;
        loop {
            tokio::time::sleep(MOVE_LOOK_PERIOD).await;
            let maker = Arc::clone(&self.maker);
            let look = move |conn: &Connect| maker.sent(conn, instance);
            let sent = self.link.call(Kind::Vital, "look how far a move has come", (), look).await;
            if let Ok(Some(sent)) = sent
                && sent.bytes != bytes
            {
                bytes = sent.bytes;
                progress(sent.fraction);
            }
        }
    }

    /// Sends a guest to another host, unless that is closed before.
    async fn send<H: Send + 'static>(
        &self,
        moves: &Moves,
        (instance, turn): (Uuid, H),
        (host, way): (Uuid, Way),
        copied: &BTreeSet<Uuid>,
        closed: &CancellationToken,
        progress: Progress,
    ) -> Result<()> {
        let passage = Passage::open(&moves.rooms, &moves.peers, instance, &way, closed)?;
        let disks = tokio::select! {
            disks = passage.disks() => disks?,
            () = closed.cancelled() => return Err(transient(format!("the move of {instance} was called off"))),
        };
        let (control, memory) = (moves.rooms.control(instance), moves.rooms.memory(instance));
        let (copied, data) = (copied.clone(), moves.rooms.data(instance));
        let road = Road { disks, copied, host, way, control, memory, data };
        let (maker, doing) = (Arc::clone(&self.maker), format!("send instance {instance} away"));
        let depart = move |conn: &Connect| maker.depart(conn, instance, &road);
        let sending = self.link.call_within(MOVE_TIMEOUT, Kind::Rise, &doing, (turn, passage), depart);
        tokio::select! {
            sent = sending => sent,
            never = self.tell_progress(instance, progress) => match never {},
        }
    }

    /// A step for one guest, after all earlier ones for it.
    async fn step<F>(&self, verb: &str, instance: Uuid, step: F) -> Result<()>
    where
        F: FnOnce(&Maker, &Connect) -> Result<()> + Send + 'static,
    {
        self.step_of(Kind::Step, verb, instance, step).await
    }

    async fn step_of<F>(&self, kind: Kind, verb: &str, instance: Uuid, step: F) -> Result<()>
    where
        F: FnOnce(&Maker, &Connect) -> Result<()> + Send + 'static,
    {
        let turn = self.turns.take(instance).await;
        self.run(kind, verb, instance, turn, step).await
    }

    async fn run<H, F>(&self, kind: Kind, verb: &str, instance: Uuid, held: H, step: F) -> Result<()>
    where
        H: Send + 'static,
        F: FnOnce(&Maker, &Connect) -> Result<()> + Send + 'static,
    {
        let maker = Arc::clone(&self.maker);
        let doing = format!("{verb} instance {instance}");
        self.link.call(kind, &doing, held, move |conn| step(&maker, conn)).await
    }

    async fn serial(&self, instance: Uuid) -> Result<Console> {
        let (maker, doing) = (Arc::clone(&self.maker), format!("find the serial console of {instance}"));
        let find = move |conn: &Connect| maker.serial_place(conn, instance);
        let place = self.link.call(Kind::Vital, &doing, (), find).await?;
        self.lines.join(instance, place.open()).await
    }

    async fn pull_plug<H: Send + 'static>(&self, instance: Uuid, arriving: bool, held: H) -> Result<()> {
        let destroy = move |maker: &Maker, conn: &Connect| maker.destroy(conn, instance, arriving);
        self.run(Kind::Vital, "stop", instance, held, destroy).await
    }
}

impl Moves {
    fn new(peers: Peers, root: Option<&Path>, uri: &str, consoles: Option<PathBuf>) -> Self {
        let rooms = Rooms::new(root);
        let gate = Gate::new(rooms.clone(), passage::libvirt_socket(uri).into());
        let room: Arc<dyn Room> = gate.clone();
        peers.admit_to(Arc::downgrade(&room));
        let way = peers.way_with(consoles).text();
        Self { gate, peers, rooms, way, leaving: Mutex::default() }
    }
}

fn make_private_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if !dir.is_absolute() {
        return Err(order(format!("the console directory {} must be an absolute path", dir.display())));
    }
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| order(format!("cannot make the console directory {}: {e}", dir.display())))
}

#[async_trait]
impl Hypervisor for Libvirt {
    async fn define(&self, spec: &InstanceSpec) -> Result<()> {
        let spec = spec.clone();
        let hub = Arc::clone(&self.hub);
        self.step("define", spec.instance, move |maker, conn| {
            // Known before it is made, so that its own event is told.
            maker.define(conn, &spec, || hub.know(spec.instance))
        })
        .await
    }

    async fn start(&self, instance: Uuid) -> Result<()> {
        self.step_of(Kind::Rise, "start", instance, move |maker, conn| maker.start(conn, instance)).await
    }

    async fn pause(&self, instance: Uuid) -> Result<()> {
        self.step("pause", instance, move |maker, conn| maker.pause(conn, instance)).await
    }

    async fn resume(&self, instance: Uuid) -> Result<()> {
        self.step_of(Kind::Rise, "resume", instance, move |maker, conn| maker.resume(conn, instance)).await
    }

    async fn shutdown(&self, instance: Uuid) -> Result<()> {
        self.step("shut down", instance, move |maker, conn| maker.shutdown(conn, instance)).await
    }

    async fn destroy(&self, instance: Uuid) -> Result<()> {
        let arriving = self.moves.as_ref().is_some_and(|moves| moves.gate.forget(instance));
        let mut turn = std::pin::pin!(self.turns.take(instance));
        for _ in 0..DESTROY_TRIES_MAX {
            match tokio::time::timeout(DESTROY_PATIENCE, &mut turn).await {
                // Nothing earlier is left that could start it again.
                Ok(turn) => return self.pull_plug(instance, arriving, turn).await,
                Err(_) => self.pull_plug(instance, arriving, ()).await?,
            }
        }
        Err(transient(format!("cannot stop instance {instance}: an earlier step for it does not end")))
    }

    async fn undefine(&self, instance: Uuid) -> Result<()> {
        self.step("forget", instance, move |maker, conn| maker.undefine(conn, instance)).await
    }

    async fn adjust(&self, spec: &InstanceSpec) -> Result<()> {
        // Nothing else is done to the guest before the last call ended, also of one that nobody waits for any more.
        let turn = Arc::new(self.turns.take(spec.instance).await);
        let mut asked = BTreeSet::new();
        for _ in 0..ADJUST_LOOKS_MAX {
            let (maker, held) = (Arc::clone(&self.maker), Arc::clone(&turn));
            let (spec, known) = (spec.clone(), asked);
            let doing = format!("change instance {}", spec.instance);
            let (flight, _waiting) = self.flights.begin(spec.instance);
            let change = move |conn: &Connect| {
                let _flight = flight;
                maker.adjust(conn, &spec, &known)
            };
            let waiting = self.link.call(Kind::Step, &doing, held, change).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            asked = waiting;
            tokio::time::sleep(ADJUST_LOOK_PERIOD).await;
        }
        let seconds = (ADJUST_LOOK_PERIOD * ADJUST_LOOKS_MAX).as_secs();
        let what = asked.into_iter().collect::<Vec<_>>().join(", ");
        Err(transient(format!("the guest was asked to {what} and did not within {seconds} s")))
    }

    async fn grow_disk(&self, instance: Uuid, disk: &DiskSpec, size_mib: i64) -> Result<()> {
        let disk = disk.clone();
        let (flight, _waiting) = self.flights.begin(instance);
        self.step("grow a disk of", instance, move |maker, conn| {
            let _flight = flight;
            maker.grow_disk(conn, instance, &disk, size_mib)
        })
        .await
    }

    async fn expect(&self, spec: &InstanceSpec, origin: &str) -> Result<()> {
        let Some(moves) = &self.moves else { return Err(no_moves()) };
        let instance = spec.instance;
        // What is left of an earlier stay would be in the way.
        let arriving = spec.clone();
        let clear = move |maker: &Maker, conn: &Connect| {
            maker.tell_secrets(conn, &arriving.disks)?;
            maker.make_room(conn, instance)?;
            maker.make_seed(&arriving)
        };
        self.step("make room for", instance, clear).await?;
        self.hub.know(instance);
        moves.gate.expect(spec, origin)
    }

    async fn migrate(
        &self,
        instance: Uuid,
        to: &Destination,
        copied: &BTreeSet<Uuid>,
        progress: Progress,
    ) -> Result<()> {
        let Some(moves) = &self.moves else { return Err(no_moves()) };
        let way = Way::parse(&to.way)?;
        let turn = self.turns.take(instance).await;
        let closed = CancellationToken::new();
        moves.leaving().insert(instance, closed.clone());
        let sent = self.send(moves, (instance, turn), (to.host, way), copied, &closed, progress).await;
        moves.leaving().remove(&instance);
        sent
    }

    async fn call_off(&self, instance: Uuid) -> Result<()> {
        let keep = move |maker: &Maker, conn: &Connect| maker.call_off(conn, instance);
        let kept = self.run(Kind::Vital, "keep", instance, (), keep).await;
        // What libvirt waits for from the other one, it does not break off.
        if let Some(closed) = self.moves.as_ref().and_then(|it| it.leaving().remove(&instance)) {
            closed.cancel();
        }
        kept
    }

    async fn list(&self) -> Result<Vec<InstanceFact>> {
        let asked_at = self.hub.before_list();
        let host = self.maker.host();
        let list = move |conn: &Connect| facts::list(conn, host);
        let listed = self.link.call(Kind::Vital, "list the guests", (), list).await;
        if let (Err(_), Some(warden)) = (&listed, &self.warden) {
            warden.look();
        }
        let mut facts = listed?;
        for fact in facts.iter_mut().filter(|fact| fact.live.is_none()) {
            fact.ending = self.hub.ending(fact.instance);
            // A definition without its disc is to be made again.
            let seed = fact.spec.as_mut().map(|spec| &mut spec.seed);
            if let Some(seed) =
                seed.filter(|it| it.as_ref().is_some_and(|it| !self.maker.seeds.has(fact.instance, it)))
            {
                *seed = None;
            }
        }
        for fact in facts.iter_mut().filter(|it| self.flights.is_unattended(it.instance)) {
            fact.live = None;
        }
        if let Some(moves) = &self.moves {
            moves.gate.complete(&mut facts);
        }
        self.hub.know_exactly(facts.iter().map(|fact| fact.instance), asked_at);
        Ok(facts)
    }

    async fn version(&self) -> Result<String> {
        self.link.call(Kind::Vital, "ask for the hypervisor's version", (), cpus::version).await
    }

    async fn offers(&self, cpus: &BTreeMap<Uuid, CpuSpec>) -> Result<BTreeMap<Uuid, bool>> {
        let (cpus, accel) = (cpus.clone(), self.maker.accel());
        let compare = move |conn: &Connect| cpus::offers(conn, accel, &cpus);
        self.link.call(Kind::Vital, "compare CPUs", (), compare).await
    }

    async fn usage(&self) -> Result<Vec<GuestUsage>> {
        let ask = |conn: &Connect| ffi::stats(conn).map_err(|error| from_virt("ask what guests use", &error));
        let all = self.link.call(Kind::Vital, "ask what guests use", (), ask).await?;
        let own = all.iter().filter(|(guest, _)| self.hub.is_known(*guest));
        Ok(own.map(|(guest, stats)| usage::usage(*guest, stats)).collect())
    }

    async fn console(&self, instance: Uuid, kind: ConsoleKind) -> Result<Console> {
        match kind {
            ConsoleKind::Serial => self.serial(instance).await,
            // Several at once: the emulator sees to that itself.
            ConsoleKind::Vnc => {
                let (maker, doing) = (Arc::clone(&self.maker), format!("show the screen of {instance}"));
                let open = move |conn: &Connect| maker.screen(conn, instance);
                console::screen(self.link.call(Kind::Vital, &doing, (), open).await?)
            }
        }
    }

    fn events(&self) -> mpsc::Receiver<Uuid> {
        self.hub.subscribe()
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.hub.close();
        self.link.close();
        if let Some(moves) = &self.moves {
            moves.gate.close();
        }
    }
}
