//! DHCP: each guest gets the address that was ordered for its card, and never another.

use super::{ADDRESS, Guest, Guests, PAUSE, answers};
use dhcproto::v4::{DhcpOption, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Decodable as _, Decoder, Encodable as _, Encoder};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::PoisonError;
use tokio::net::UdpSocket;

pub(super) const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// How long an address is lent, s: a week, so that guests go on while nobody answers, however long it takes to mend. It is
/// ordered for that guest alone, and the firewall sees to it that nobody else uses it: there is no hurry to get it back.
const LEASE_S: u32 = 7 * 86_400;

/// When a guest is to ask again, s: it learns of other addresses, routes and name servers by then.
const RENEWAL_S: u32 = 1_800;

/// When a guest that got no answer is to ask whoever there is, s.
const REBINDING_S: u32 = LEASE_S / 8 * 7;

/// The largest message that is read; clients send no larger ones unless told that they may.
const MESSAGE_MAX: usize = 1_500;

/// Answers until the socket is closed.
pub(super) async fn serve(socket: UdpSocket, guests: Guests) {
    let mut buffer = [0; MESSAGE_MAX];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Some((answer, to)) = buffer.get(..length).and_then(|bytes| answer(bytes, &guests)) else {
            continue;
        };
        if let Err(error) = socket.send_to(&answer, to).await {
            tracing::debug!(%error, "a guest could not be sent its address");
        }
    }
}

/// The answer to a message, and where it goes.
fn answer(bytes: &[u8], guests: &Guests) -> Option<(Vec<u8>, SocketAddrV4)> {
    let asked = Message::decode(&mut Decoder::new(bytes)).ok()?;
    let guest = {
        let guests = guests.read().unwrap_or_else(PoisonError::into_inner);
        let mac = asked.chaddr().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
        guests.values().find(|guest| guest.mac == mac)?.clone()
    };
    let reply = reply(&asked, &guest)?;
    let mut bytes = Vec::new();
    reply.encode(&mut Encoder::new(&mut bytes)).ok()?;
    let renews = !asked.ciaddr().is_unspecified();
    let to = if renews { asked.ciaddr() } else { Ipv4Addr::BROADCAST };
    Some((bytes, SocketAddrV4::new(to, CLIENT_PORT)))
}

fn reply(asked: &Message, guest: &Guest) -> Option<Message> {
    if asked.opcode() != Opcode::BootRequest {
        return None;
    }
    let lease = answers::lease(&guest.mac, &guest.config)?;
    let kind = match asked.opts().msg_type()? {
        MessageType::Discover => MessageType::Offer,
        MessageType::Inform => MessageType::Ack,
        MessageType::Request if is_for_another(asked) => return None,
        MessageType::Request if wanted(asked) == lease.ip => MessageType::Ack,
        MessageType::Request => MessageType::Nak,
        _ => return None,
    };
    let mut reply = Message::new_with_id(
        asked.xid(),
        asked.ciaddr(),
        if matches!(kind, MessageType::Offer | MessageType::Ack) { lease.ip } else { Ipv4Addr::UNSPECIFIED },
        ADDRESS,
        asked.giaddr(),
        asked.chaddr(),
    );
    reply.set_opcode(Opcode::BootReply).set_flags(asked.flags());
    let options = reply.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(ADDRESS));
    if kind == MessageType::Nak {
        return Some(reply);
    }
    if asked.opts().msg_type() != Some(MessageType::Inform) {
        options.insert(DhcpOption::AddressLeaseTime(LEASE_S));
        options.insert(DhcpOption::Renewal(RENEWAL_S));
        options.insert(DhcpOption::Rebinding(REBINDING_S));
    }
    options.insert(DhcpOption::SubnetMask(lease.mask));
    options.insert(DhcpOption::Hostname(guest.config.hostname.clone()));
    if let Ok(mtu) = u16::try_from(guest.mtu) {
        options.insert(DhcpOption::InterfaceMtu(mtu));
    }
    if !lease.name_servers.is_empty() {
        options.insert(DhcpOption::DomainNameServer(lease.name_servers));
    }
    if let Some(router) = lease.router {
        options.insert(DhcpOption::Router(vec![router]));
    }
    // Who reads this does not read the router. RFC 3442.
    let ours = (ADDRESS, 32, Ipv4Addr::UNSPECIFIED);
    let routes = lease.routes.iter().copied().chain([ours]);
    let routes = routes.filter_map(|(to, prefix, via)| Some((format!("{to}/{prefix}").parse().ok()?, via)));
    let routes = routes.collect();
    options.insert(DhcpOption::ClasslessStaticRoute(routes));
    Some(reply)
}

/// Whether a client that was offered addresses took another server's.
fn is_for_another(asked: &Message) -> bool {
    matches!(asked.opts().get(OptionCode::ServerIdentifier),
        Some(DhcpOption::ServerIdentifier(server)) if *server != ADDRESS)
}

/// The address that a client asks for, or renews.
fn wanted(asked: &Message) -> Ipv4Addr {
    match asked.opts().get(OptionCode::RequestedIpAddress) {
        Some(DhcpOption::RequestedIpAddress(ip)) => *ip,
        _ => asked.ciaddr(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::host::{GuestAddress, GuestCard, GuestConfig, GuestRoute};
    use std::collections::BTreeMap;
    use std::sync::{Arc, RwLock};
    use uuid::Uuid;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];

    fn guests() -> Guests {
        let route = GuestRoute { to: [0, 0, 0, 0].into(), prefix: 0, via: [10, 0, 0, 1].into() };
        let address = GuestAddress { tag: 0, ip: [10, 0, 0, 5].into(), prefix: 24, routes: vec![route] };
        let mac = "52:54:00:00:00:01".to_owned();
        let config = GuestConfig {
            instance: Uuid::nil(),
            hostname: "web".into(),
            user_data: None,
            name_servers: vec![[9, 9, 9, 9].into()],
            cards: vec![GuestCard { mac: mac.clone(), metadata: true, addresses: vec![address] }],
        };
        Arc::new(RwLock::new(BTreeMap::from([(
            Uuid::nil(),
            Guest { mac, mtu: 1_450, config: Arc::new(config), number: [240, 0, 0, 1].into() },
        )])))
    }

    fn ask(kind: MessageType, mac: &[u8], wish: Option<Ipv4Addr>) -> Option<Message> {
        let mut message = Message::default();
        message.set_chaddr(mac);
        message.opts_mut().insert(DhcpOption::MessageType(kind));
        if let Some(wish) = wish {
            message.opts_mut().insert(DhcpOption::RequestedIpAddress(wish));
        }
        let mut bytes = Vec::new();
        message.encode(&mut Encoder::new(&mut bytes)).unwrap();
        let (bytes, to) = answer(&bytes, &guests())?;
        assert_eq!((*to.ip(), to.port()), (Ipv4Addr::BROADCAST, CLIENT_PORT));
        Some(Message::decode(&mut Decoder::new(&bytes)).unwrap())
    }

    #[test]
    fn each_card_gets_its_own_address_and_no_other() {
        let offer = ask(MessageType::Discover, &MAC, None).unwrap();
        assert_eq!(
            (offer.opts().msg_type(), offer.yiaddr()),
            (Some(MessageType::Offer), [10, 0, 0, 5].into())
        );
        let given = ask(MessageType::Request, &MAC, Some([10, 0, 0, 5].into())).unwrap();
        assert_eq!(given.opts().msg_type(), Some(MessageType::Ack));
        assert_eq!(given.opts().get(OptionCode::InterfaceMtu), Some(&DhcpOption::InterfaceMtu(1_450)));
        let times = [OptionCode::Renewal, OptionCode::Rebinding, OptionCode::AddressLeaseTime];
        let times = times.map(|code| match given.opts().get(code) {
            Some(DhcpOption::Renewal(s) | DhcpOption::Rebinding(s) | DhcpOption::AddressLeaseTime(s)) => *s,
            other => panic!("{other:?}"),
        });
        assert_eq!(
            times,
            [1_800, 529_200, 604_800],
            "it asks soon, and goes on for a week without an answer"
        );
        let refused = ask(MessageType::Request, &MAC, Some([10, 0, 0, 6].into())).unwrap();
        assert_eq!(
            (refused.opts().msg_type(), refused.yiaddr()),
            (Some(MessageType::Nak), Ipv4Addr::UNSPECIFIED)
        );
        assert!(ask(MessageType::Discover, &[0x52, 0x54, 0, 0, 0, 2], None).is_none(), "a stranger");
        assert!(answer(&[0; 40], &guests()).is_none());
    }
}
