//! One socket with its thread and queues: what servers and clients have in common.

use crate::limits::Limits;
use crate::queue::{self, Events, Sender, Shared};
use crate::wake::{self, Waker};
use crate::worker::{Role, Worker};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a shutdown may take. The thread itself needs milliseconds: it never waits for a peer.
const SHUTDOWN_S_MAX: u64 = 5;

/// The link's thread did not end in time; its sockets may still be open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the link's thread did not end within {SHUTDOWN_S_MAX} s")]
pub struct ShutdownError;

pub(crate) struct Link {
    sender: Sender,
    events: Events,
    thread: Thread,
}

/// The sockets of a link, made and ready.
pub(crate) struct Sockets {
    pub(crate) context: zmq::Context,
    pub(crate) router: zmq::Socket,
    pub(crate) monitor: zmq::Socket,
    pub(crate) role: Role,
}

struct Thread {
    shared: Arc<Shared>,
    waker: Waker,
    /// Falls when the thread has closed its sockets and left its context.
    ended: oneshot::Receiver<()>,
}

impl Link {
    pub(crate) fn start(sockets: Sockets, limits: Limits) -> io::Result<Self> {
        let (waker, sleeper) = wake::pair()?;
        let shared = Shared::new(limits);
        let (sender, events, ends) = queue::queues(&shared, &waker);
        let (ending, ended) = oneshot::channel();
        let Sockets { context, router, monitor, role } = sockets;
        let worker = Worker { role, router, monitor, sleeper, ends, shared: shared.clone() };
        thread::Builder::new().name("pony-net".to_owned()).spawn(move || {
            worker.run();
            // The last reference: returns when libzmq's own threads have closed everything.
            drop(context);
            drop(ending);
        })?;
        Ok(Self { sender, events, thread: Thread { shared, waker, ended } })
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    pub(crate) async fn shutdown(self) -> Result<(), ShutdownError> {
        let Self { sender: _, events, mut thread } = self;
        thread.stop();
        let ended = tokio::time::timeout(Duration::from_secs(SHUTDOWN_S_MAX), &mut thread.ended).await;
        drop(events);
        ended.map(|_| ()).map_err(|_| ShutdownError)
    }
}

impl Thread {
    fn stop(&self) {
        self.shared.stop.store(true, SeqCst);
        self.waker.wake();
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop();
    }
}
