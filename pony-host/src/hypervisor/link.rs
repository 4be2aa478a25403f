//! The connections to libvirt: one for each call under way, one for events, opened again whenever they are lost.
//!
//! Calls never share a connection. libvirt's client lets several threads use one, and may crash when it gives that up
//! while they wait (CVE-2024-4418, which is in Debian 12); and libvirtd reads no more than five requests ahead from
//! one, so that a few slow calls would silence it.

use super::error::{from_virt, transient};
use super::ffi;
use super::held::{Room, hold};
use super::hub::Hub;
use crate::Result;
use pony_core::host::{DriverError, DriverErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use virt::connect::Connect;

/// Calls of each kind at once. libvirtd works on 20 at a time by default, and its other clients want some.
const CALLS_MAX: usize = 8;

/// Time for one call, waiting for a place included. The slowest is pulling the plug of a guest whose storage
/// hangs: libvirt tries for some 30 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Seconds of silence before libvirtd is asked whether it lives.
const KEEPALIVE_S: i32 = 5;

/// Unanswered questions after which the connection is given up.
const KEEPALIVE_MISSES_MAX: u32 = 3;

/// How often the connection for events is looked at, and opened again if it is gone.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// What a call is for. Each kind has places of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A step that may hang in libvirt for as long as the guest's storage does. Once nobody waits for it, the next one
    /// does not either, but for a while.
    Step,
    /// The same, where the guest may be up by it, here or elsewhere: nothing comes after it before it is through.
    Rise,
    /// What must get through even then: looking, and pulling plugs.
    Vital,
}

/// A connection, used by one thread at a time.
struct Session {
    conn: Connect,
    /// What tells events, where it is the connection for that.
    events: Option<ffi::Subscription>,
}

impl Session {
    fn open(uri: &str) -> Result<Self> {
        ffi::start_event_loop().map_err(|e| transient(format!("cannot run libvirt's event loop: {e}")))?;
        let conn = Connect::open(Some(uri)).map_err(|e| from_virt(&format!("reach libvirt at {uri}"), &e))?;
        // Connections inside this process (`test:///`) know no keepalive, and need none.
        let _ = conn.set_keep_alive(KEEPALIVE_S, KEEPALIVE_MISSES_MAX);
        Ok(Self { conn, events: None })
    }

    fn subscribe(&mut self, hub: Arc<Hub>) {
        match ffi::subscribe(&self.conn, hub) {
            Ok(subscription) => self.events = Some(subscription),
            Err(error) => tracing::warn!(
                error = error.message(),
                "libvirt tells no events; only periodic looks see changes"
            ),
        }
    }

    fn is_alive(&self) -> bool {
        self.conn.is_alive().unwrap_or(false)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(events) = &self.events {
            ffi::unsubscribe(&self.conn, events);
        }
        let _ = self.conn.close();
    }
}

/// The way to one libvirt.
pub(super) struct Link {
    uri: String,
    hub: Arc<Hub>,
    /// Connections that no call uses now; as many as there were calls at once.
    idle: Mutex<Vec<Session>>,
    listening: Mutex<Option<Session>>,
    steps: Arc<Semaphore>,
    vital: Arc<Semaphore>,
    forsaken: Room,
}

impl Link {
    pub(super) fn new(uri: &str, hub: Arc<Hub>) -> Arc<Self> {
        let places = || Arc::new(Semaphore::new(CALLS_MAX));
        let (idle, listening) = (Mutex::default(), Mutex::default());
        let (uri, steps, vital) = (uri.to_owned(), places(), places());
        Arc::new(Self { uri, hub, idle, listening, steps, vital, forsaken: Room::default() })
    }

    /// Runs a blocking step on a thread of its own. `held` is let go of when the step is through, which may be after
    /// this future was dropped: what runs in libvirt cannot be taken back. See `held` for how long that may take.
    ///
    /// # Errors
    ///
    /// The step's, or `Transient` when libvirt does not answer in time or goes away.
    pub(super) async fn call<T, H, F>(
        self: &Arc<Self>,
        kind: Kind,
        doing: &str,
        held: H,
        step: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        H: Send + 'static,
        F: FnOnce(&Connect) -> Result<T> + Send + 'static,
    {
        self.call_within(CALL_TIMEOUT, kind, doing, held, step).await
    }

    /// As [`call`](Self::call), with another time for it.
    ///
    /// # Errors
    ///
    /// As there.
    pub(super) async fn call_within<T, H, F>(
        self: &Arc<Self>,
        limit: Duration,
        kind: Kind,
        doing: &str,
        held: H,
        step: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        H: Send + 'static,
        F: FnOnce(&Connect) -> Result<T> + Send + 'static,
    {
        let places = match kind {
            Kind::Step | Kind::Rise => &self.steps,
            Kind::Vital => &self.vital,
        };
        let room = (!matches!(kind, Kind::Rise)).then_some(&self.forsaken);
        self.in_time(limit, doing, async {
            let Ok(place) = Arc::clone(places).acquire_owned().await else {
                return Err(transient("the hypervisor driver is closed"));
            };
            let (held, _waiting) = hold((place, held), room);
            self.on_a_thread(move |link| {
                let result = link.run(step);
                drop(held);
                result
            })
            .await
        })
        .await
    }

    async fn in_time<T>(
        &self,
        limit: Duration,
        doing: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let (uri, limit) = (&self.uri, limit.as_secs());
            Err(transient(format!("cannot {doing}: libvirt at {uri} did not answer within {limit} s")))
        })
    }

    async fn on_a_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let link = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&link))
            .await
            .unwrap_or_else(|e| Err(transient(format!("a step of the hypervisor driver broke down: {e}"))))
    }

    fn run<T>(&self, step: impl FnOnce(&Connect) -> Result<T>) -> Result<T> {
        let session = self.session()?;
        let result = step(&session.conn);
        if session.is_alive() {
            let mut idle = lock(&self.idle);
            // Afterwards nobody would close it.
            if !self.steps.is_closed() {
                idle.push(session);
            }
            return result;
        }
        result.map_err(|error| {
            // Whatever the step made of it, the reason is that the daemon went away.
            let message = format!("{} (the connection to libvirt at {} was lost)", error.message, self.uri);
            DriverError { kind: DriverErrorKind::Transient, message }
        })
    }

    /// A connection that nobody uses, or a new one.
    fn session(&self) -> Result<Session> {
        loop {
            let found = lock(&self.idle).pop();
            match found {
                Some(session) if session.is_alive() => return Ok(session),
                Some(_) => {}
                None => return Session::open(&self.uri),
            }
        }
    }

    /// Makes sure that events are told.
    ///
    /// # Errors
    ///
    /// `Transient` when libvirt does not answer.
    pub(super) async fn listen(self: &Arc<Self>) -> Result<()> {
        self.in_time(CALL_TIMEOUT, "listen for events", self.on_a_thread(Self::ensure_listening)).await
    }

    fn ensure_listening(&self) -> Result<()> {
        let mut slot = match self.listening.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            // To be opened by one, however long that takes.
            Err(TryLockError::WouldBlock) => {
                return Err(transient(format!("libvirt at {} does not answer", self.uri)));
            }
        };
        if slot.as_ref().is_some_and(Session::is_alive) {
            return Ok(());
        }
        let was_lost = slot.take().is_some();
        let mut session = Session::open(&self.uri)?;
        session.subscribe(Arc::clone(&self.hub));
        if self.steps.is_closed() {
            return Ok(());
        }
        *slot = Some(session);
        drop(slot);
        if was_lost {
            tracing::info!(uri = self.uri, "connected to libvirt again");
        }
        self.hub.all_changed();
        Ok(())
    }

    /// Sees to it that events go on after libvirt was away. Ends when the link is dropped.
    pub(super) async fn watch(link: Weak<Self>) {
        let mut complained = false;
        loop {
            tokio::time::sleep(WATCH_PERIOD).await;
            let Some(link) = link.upgrade() else { return };
            match link.listen().await {
                Ok(()) => complained = false,
                Err(error) if !complained => {
                    tracing::warn!(%error, "libvirt is away; trying again and again");
                    complained = true;
                }
                Err(_) => {}
            }
        }
    }

    /// Closes the connections when the last step that uses each is through. Never blocks.
    pub(super) fn close(&self) {
        self.steps.close();
        self.vital.close();
        let idle = std::mem::take(&mut *lock(&self.idle));
        let listening = self.listening.try_lock().ok().and_then(|mut slot| slot.take());
        // Saying good-bye waits for an answer, which has no place on a thread of the runtime.
        let close = move || drop((idle, listening));
        let _ = std::thread::Builder::new().name("libvirt-close".into()).spawn(close);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("uri", &self.uri).finish_non_exhaustive()
    }
}
