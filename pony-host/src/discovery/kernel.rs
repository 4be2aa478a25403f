//! What the kernel says when devices come and go (uevents) and when links change (rtnetlink). Only *that* something
//! happened is believed: what there is now is read.

use rtnetlink::sys::protocols::{NETLINK_KOBJECT_UEVENT, NETLINK_ROUTE};
use rtnetlink::sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use std::io;
use std::time::Duration;

/// The kernel's own uevents, and those that udev passes on once it has noted what it found.
const UEVENTS: u32 = 1 | 2;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR` of `linux/rtnetlink.h`.
const ROUTE_EVENTS: u32 = 1 | 0x10 | 0x100;

/// Longest message that is looked at, bytes; the rest of a longer one is of no interest.
const MESSAGE_MAX: usize = 8_192;

/// Messages that are taken at once, before others have their turn.
const MESSAGES_MAX: usize = 1_024;

/// The pause after a failure to read, other than for want of room.
const PAUSE: Duration = Duration::from_secs(1);

/// `ENOBUFS`: more was said than there was room for.
const LOST: i32 = 105;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    /// Something; what there is now says whether it matters.
    Something,
    /// A block device: also one that is no disk may have been under something.
    Block,
}

/// Both sockets.
pub(super) struct Kernel {
    devices: TokioSocket,
    links: TokioSocket,
}

impl Kernel {
    /// Listens from now on. Needs a Tokio runtime.
    pub(super) fn listen() -> io::Result<Self> {
        let devices = listen(NETLINK_KOBJECT_UEVENT, UEVENTS)?;
        Ok(Self { devices, links: listen(NETLINK_ROUTE, ROUTE_EVENTS)? })
    }

    /// Waits until something happened. May be dropped: nothing is lost by it.
    pub(super) async fn news(&self) -> News {
        tokio::select! {
            news = heard(&self.devices) => news,
            news = heard(&self.links) => news,
        }
    }

    /// Takes in what has come meanwhile.
    pub(super) fn take(&self) -> Option<News> {
        take(&self.devices).max(take(&self.links))
    }
}

fn listen(protocol: isize, groups: u32) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
    Ok(socket)
}

async fn heard(socket: &TokioSocket) -> News {
    let mut message = Vec::with_capacity(MESSAGE_MAX);
    match socket.recv(&mut message).await {
        Ok(()) => about(&message),
        Err(error) if error.raw_os_error() == Some(LOST) => News::Block,
        Err(_) => {
            tokio::time::sleep(PAUSE).await;
            News::Something
        }
    }
}

fn take(socket: &TokioSocket) -> Option<News> {
    let mut news = None;
    for _ in 0..MESSAGES_MAX {
        let mut message = Vec::with_capacity(MESSAGE_MAX);
        match socket.socket_ref().recv(&mut message, 0) {
            Ok(_) => news = news.max(Some(about(&message))),
            // Of those that were lost nobody knows what they said.
            Err(error) if error.raw_os_error() == Some(LOST) => news = Some(News::Block),
            Err(_) => break,
        }
    }
    news
}

fn about(message: &[u8]) -> News {
    let is_block = message.split(|byte| *byte == 0).any(|word| word == b"SUBSYSTEM=block");
    if is_block { News::Block } else { News::Something }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_block_devices_from_others() {
        assert_eq!(about(b"add@/devices/x\0ACTION=add\0SUBSYSTEM=block\0SEQNUM=7\0"), News::Block);
        assert_eq!(about(b"libudev\0\xfe\xed\xca\xfeSUBSYSTEM=blocks\0"), News::Something);
        assert_eq!(about(b""), News::Something);
    }
}
