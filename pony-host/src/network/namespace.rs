//! A thread that stays in the network namespace in which the driver was made.
//!
//! Sockets, taps and `/proc/sys/net` belong to the namespace of the thread that opens them, and a runtime moves
//! tasks between threads. Also, these calls may wait for the kernel's lock over all links, which no thread of the
//! runtime should.

use super::error::transient;
use crate::Result;
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Jobs waiting; each takes well under a millisecond, so this is far behind.
const JOBS_MAX: usize = 64;

/// Time for a job, waiting included: the kernel's lock is held long by one who removes thousands of links.
const JOB_TIMEOUT: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Namespace(SyncSender<Job>);

impl Namespace {
    /// That of the calling thread.
    pub(super) fn current() -> io::Result<Self> {
        let (sender, jobs): (_, Receiver<Job>) = sync_channel(JOBS_MAX);
        let work = move || jobs.into_iter().for_each(|job| job());
        std::thread::Builder::new().name("pony-network".into()).spawn(work)?;
        Ok(Self(sender))
    }

    /// One of its own, without a name: it ends with the thread and with the sockets in it.
    pub(super) fn isolated() -> io::Result<(Self, File)> {
        let namespace = Self::current()?;
        let (answer, answered) = sync_channel(1);
        let leave = move || {
            let left = unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
            let _ = answer.send(left.and_then(|()| File::open("/proc/thread-self/ns/net")));
        };
        namespace
            .0
            .try_send(Box::new(leave))
            .map_err(|_| io::Error::other("the thread of a namespace ended"))?;
        let file = answered.recv().map_err(io::Error::other)??;
        Ok((namespace, file))
    }

    /// Runs a short job there. What the job made is dropped if nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            if !answer.is_closed() {
                let _ = answer.send(job());
            }
        });
        self.0.try_send(job).map_err(|_| transient("the network driver is overloaded"))?;
        match tokio::time::timeout(JOB_TIMEOUT, answered).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(transient("a step of the network driver broke down")),
            Err(_) => Err(transient(format!(
                "the kernel's network did not answer within {} s",
                JOB_TIMEOUT.as_secs()
            ))),
        }
    }
}
