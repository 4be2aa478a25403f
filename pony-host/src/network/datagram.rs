//! Changes of links that belong together, in one datagram: the kernel works off all of it before the thread that sends it
//! goes on, hence also before a process that is killed meanwhile ends. So nothing is left half-way between them.
//!
//! Above all, an alias is given only to a link that there is. Links are made and say whose they are in one datagram: there
//! is no moment at which one of ours could be left that nobody knows.

use nix::net::if_::if_nametoindex;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use std::io;

/// Messages are padded to this, bytes.
const ALIGNMENT: usize = 4;

/// Makes a link in the network namespace of the calling thread, with its alias. One of its name that is there already is
/// left as it is.
///
/// # Errors
///
/// What the kernel says, or `InvalidInput` for a link without a name.
pub(super) fn make(message: LinkMessage, alias: String) -> io::Result<()> {
    let name = message.attributes.iter().find_map(|it| match it {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    let name = name.ok_or(io::ErrorKind::InvalidInput)?;
    // What is there would be given the alias, whosesoever it is. (Nobody else makes one of that name in the moment between: it
    // is made of the uuid.)
    if if_nametoindex(name.as_str()).is_ok() {
        return Ok(());
    }
    let mut call = LinkMessage::default();
    call.attributes = vec![LinkAttribute::IfName(name), LinkAttribute::IfAlias(alias)];
    let made = RouteNetlinkMessage::NewLink(message);
    let answers = send([(made, NLM_F_CREATE | NLM_F_EXCL), (RouteNetlinkMessage::SetLink(call), 0)].into())?;
    match first_failure(&answers) {
        Some(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Changes links, one after the other; a change that fails does not keep back those behind it.
///
/// # Errors
///
/// What the kernel says of the first change that failed.
pub(super) fn change(messages: Vec<LinkMessage>) -> io::Result<()> {
    let requests = messages.into_iter().map(|it| (RouteNetlinkMessage::SetLink(it), 0)).collect();
    first_failure(&send(requests)?).map_or(Ok(()), Err)
}

/// `answers`: the kernel's error numbers, 0 for success.
fn first_failure(answers: &[i32]) -> Option<io::Error> {
    answers.iter().find(|it| **it != 0).map(|errno| io::Error::from_raw_os_error(*errno))
}

/// Sends all requests, with these flags besides, at once. Returns an answer to each.
fn send(requests: Vec<(RouteNetlinkMessage, u16)>) -> io::Result<Vec<i32>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    // The answers are there once all is sent: whoever waits for one waits in vain.
    socket.set_non_blocking(true)?;
    let mut datagram = Vec::new();
    let count = requests.len();
    for (number, (request, flags)) in requests.into_iter().enumerate() {
        let mut message = NetlinkMessage::from(request);
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        message.header.sequence_number = u32::try_from(number).unwrap_or(u32::MAX);
        message.finalize();
        let (begin, length) = (datagram.len(), message.buffer_len());
        datagram.resize(begin + length.next_multiple_of(ALIGNMENT), 0);
        message.serialize(&mut datagram[begin..begin + length]);
    }
    let kernel = SocketAddr::new(0, 0);
    socket.send_to(&datagram, &kernel, 0)?;
    (0..count).map(|_| answer(&socket)).collect()
}

fn answer(socket: &Socket) -> io::Result<i32> {
    let (bytes, _) = socket.recv_from_full()?;
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).map_err(io::Error::other)?;
    match message.payload {
        NetlinkPayload::Error(error) => Ok(-error.raw_code()),
        other => Err(io::Error::other(format!("the kernel answers {other:?} to a change of a link"))),
    }
}
