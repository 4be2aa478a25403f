//! The connection to libvirt: opened again whenever it is lost, shared by a bounded number of blocking calls.

use super::error::{from_virt, transient};
use super::ffi;
use super::hub::Hub;
use crate::Result;
use pony_core::host::{DriverError, DriverErrorKind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use virt::connect::Connect;

/// Calls at once. libvirtd works on 20 at a time by default, and its other clients want some.
const CALLS_MAX: usize = 8;

/// Time for one call, waiting for a place included. The slowest is pulling the plug of a guest whose storage
/// hangs: libvirt tries for some 30 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Seconds of silence before libvirtd is asked whether it lives.
const KEEPALIVE_S: i32 = 5;

/// Unanswered questions after which the connection is given up.
const KEEPALIVE_MISSES_MAX: u32 = 3;

/// How often the connection is looked at, and opened again if it is gone.
const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// A connection in use.
struct Session {
    conn: Connect,
    events: Option<ffi::Subscription>,
}

impl Session {
    fn open(uri: &str, hub: Arc<Hub>) -> Result<Self> {
        ffi::start_event_loop().map_err(|e| transient(format!("cannot run libvirt's event loop: {e}")))?;
        let conn = Connect::open(Some(uri)).map_err(|e| from_virt(&format!("reach libvirt at {uri}"), &e))?;
        // Connections inside this process (`test:///`) know no keepalive, and need none.
        let _ = conn.set_keep_alive(KEEPALIVE_S, KEEPALIVE_MISSES_MAX);
        let events = match ffi::subscribe(&conn, hub) {
            Ok(subscription) => Some(subscription),
            Err(error) => {
                tracing::warn!(
                    error = error.message(),
                    "libvirt tells no events; only periodic looks see changes"
                );
                None
            }
        };
        Ok(Self { conn, events })
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
    session: Mutex<Option<Arc<Session>>>,
    calls: Arc<Semaphore>,
}

impl Link {
    pub(super) fn new(uri: &str, hub: Arc<Hub>) -> Arc<Self> {
        let calls = Arc::new(Semaphore::new(CALLS_MAX));
        Arc::new(Self { uri: uri.to_owned(), hub, session: Mutex::new(None), calls })
    }

    /// Runs a blocking step on a thread of its own. `held` is let go of when the step is through, which may be
    /// long after this future was dropped: what runs in libvirt cannot be taken back.
    ///
    /// # Errors
    ///
    /// The step's, or `Transient` when libvirt does not answer in time or goes away.
    pub(super) async fn call<T, H, F>(self: &Arc<Self>, doing: &str, held: H, step: F) -> Result<T>
    where
        T: Send + 'static,
        H: Send + 'static,
        F: FnOnce(&Connect) -> Result<T> + Send + 'static,
    {
        let work = async {
            let Ok(place) = Arc::clone(&self.calls).acquire_owned().await else {
                return Err(transient("the hypervisor driver is closed"));
            };
            let link = Arc::clone(self);
            let task = tokio::task::spawn_blocking(move || {
                let result = link.run(step);
                drop((place, held));
                result
            });
            task.await.unwrap_or_else(|e| {
                Err(transient(format!("a step of the hypervisor driver broke down: {e}")))
            })
        };
        match tokio::time::timeout(CALL_TIMEOUT, work).await {
            Ok(result) => result,
            Err(_) => Err(transient(format!(
                "cannot {doing}: libvirt at {} did not answer within {} s",
                self.uri,
                CALL_TIMEOUT.as_secs()
            ))),
        }
    }

    fn run<T>(&self, step: impl FnOnce(&Connect) -> Result<T>) -> Result<T> {
        let session = self.session()?;
        step(&session.conn).map_err(|error| {
            if session.is_alive() {
                return error;
            }
            // Whatever the step made of it, the reason is that the daemon went away.
            let message = format!("{} (the connection to libvirt at {} was lost)", error.message, self.uri);
            DriverError { kind: DriverErrorKind::Transient, message }
        })
    }

    /// The open connection, or a new one. Those who come meanwhile wait for the same one.
    fn session(&self) -> Result<Arc<Session>> {
        let mut slot = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = slot.as_ref().filter(|session| session.is_alive()) {
            return Ok(Arc::clone(session));
        }
        let was_lost = slot.take().is_some();
        let session = Arc::new(Session::open(&self.uri, Arc::clone(&self.hub))?);
        *slot = Some(Arc::clone(&session));
        if was_lost {
            tracing::info!(uri = self.uri, "connected to libvirt again");
        }
        drop(slot);
        self.hub.all_changed();
        Ok(session)
    }

    /// Keeps the connection open, so that events go on after libvirt was away. Ends when the link is dropped.
    pub(super) async fn watch(link: Weak<Self>) {
        let mut complained = false;
        loop {
            tokio::time::sleep(WATCH_PERIOD).await;
            let Some(link) = link.upgrade() else { return };
            match link.call("keep the connection", (), |_| Ok(())).await {
                Ok(()) => complained = false,
                Err(error) if !complained => {
                    tracing::warn!(%error, "libvirt is away; trying again and again");
                    complained = true;
                }
                Err(_) => {}
            }
        }
    }

    /// Closes the connection when the last step that uses it is through. Never blocks.
    pub(super) fn close(&self) {
        self.calls.close();
        let session = self.session.lock().map_or_else(|e| e.into_inner().take(), |mut slot| slot.take());
        // Saying good-bye waits for an answer, which has no place on a thread of the runtime.
        let _ = std::thread::Builder::new().name("libvirt-close".into()).spawn(move || drop(session));
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("uri", &self.uri).finish_non_exhaustive()
    }
}
