//! Waking a thread that sleeps in `zmq_poll`: a socket pair of which at most one byte is ever under way.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// The end that wakes.
#[derive(Debug, Clone)]
pub(crate) struct Waker {
    inner: Arc<Inner>,
}

/// The end that sleeps.
#[derive(Debug)]
pub(crate) struct Sleeper {
    stream: UnixStream,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    stream: UnixStream,
    signalled: AtomicBool,
}

pub(crate) fn pair() -> io::Result<(Waker, Sleeper)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let inner = Arc::new(Inner { stream: ours, signalled: AtomicBool::new(false) });
    Ok((Waker { inner: inner.clone() }, Sleeper { stream: theirs, inner }))
}

impl Waker {
    /// Makes the sleeper's descriptor readable until it [clears](Sleeper::clear) it.
    pub(crate) fn wake(&self) {
        self.inner.signal();
    }
}

impl Inner {
    fn signal(&self) {
        if !self.signalled.swap(true, SeqCst) {
            // Can only fail when the sleeper is gone, and then there is nobody to wake.
            let _ = (&self.stream).write(&[1]);
        }
    }
}

impl Sleeper {
    pub(crate) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Signals to itself: the next sleep will not be one.
    pub(crate) fn wake(&self) {
        self.inner.signal();
    }

    /// Forgets the signals so far. Whatever they announced must be looked at *after* this.
    pub(crate) fn clear(&self) {
        // The byte before the flag: the other way round, a byte of a later signal could be eaten.
        let _ = (&self.stream).read(&mut [0; 8]);
        // A swap rather than a store, so that what a waker did before is seen here.
        self.inner.signalled.swap(false, SeqCst);
    }
}
