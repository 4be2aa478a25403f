//! Which client has which channel to which host open: the part of consoles that the core owns. It sends nothing itself.

use super::Wish;
use pony_core::channel::{Message, Opening, Say};
use std::collections::HashMap;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Consoles that are open at once, of all hosts: some MiB each at worst.
const CONSOLES_MAX: usize = 1024;
/// Consoles of a host, which itself opens no more: together they leave its link free for state.
const HOST_CONSOLES_MAX: usize = 32;
/// Consoles of one user: others of the same host find room.
const CALLER_CONSOLES_MAX: usize = 16;

/// What clients ask the core for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A console.
    Open(Seat),
    /// To tell its host.
    Say(Message),
}

/// A client's end of a channel.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(super) channel: Uuid,
    pub(super) wish: Wish,
    pub(super) heard: mpsc::Sender<Say>,
}

impl Seat {
    fn tell(&self, say: Say) -> bool {
        self.heard.try_send(say).is_ok()
    }
}

/// All seats.
#[derive(Debug, Default)]
pub(crate) struct Board {
    seats: HashMap<Uuid, Seat>,
}

impl Board {
    /// Takes in what a client asks; what is to be sent to which host.
    pub(crate) fn ask(&mut self, ask: Ask, epoch: u64) -> Option<(Uuid, Message)> {
        match ask {
            Ask::Open(seat) => self.open(seat, epoch),
            Ask::Say(message) => {
                let host = self.seats.get(&message.channel)?.wish.host;
                if matches!(message.say, Say::Close(_)) {
                    self.seats.remove(&message.channel);
                }
                Some((host, message))
            }
        }
    }

    fn open(&mut self, seat: Seat, epoch: u64) -> Option<(Uuid, Message)> {
        let Wish { host, instance, console, .. } = seat.wish;
        if let Some(crowded) = self.crowded(&seat.wish) {
            seat.tell(Say::Close(crowded));
            return None;
        }
        let message = Message { channel: seat.channel, say: Say::Open(Opening { instance, console, epoch }) };
        self.seats.insert(seat.channel, seat);
        Some((host, message))
    }

    fn crowded(&self, wish: &Wish) -> Option<String> {
        let count = |is: &dyn Fn(&Wish) -> bool| self.seats.values().filter(|seat| is(&seat.wish)).count();
        if self.seats.len() >= CONSOLES_MAX {
            return Some(format!("{CONSOLES_MAX} consoles are open already"));
        }
        if count(&|it| it.host == wish.host) >= HOST_CONSOLES_MAX {
            return Some(format!("{HOST_CONSOLES_MAX} consoles of its host are open already"));
        }
        let own = count(&|it| it.caller == wish.caller);
        (own >= CALLER_CONSOLES_MAX).then(|| format!("you have {CALLER_CONSOLES_MAX} consoles open already"))
    }

    /// Takes in what a host says; the answer, where there is one.
    pub(crate) fn hear(&mut self, host: Uuid, body: &[u8]) -> Option<Message> {
        let Message { channel, say } =
            Message::decode(body).inspect_err(|error| tracing::warn!("from host {host}: {error}")).ok()?;
        let is_end = matches!(say, Say::Close(_));
        let seat = self.seats.get(&channel).filter(|seat| seat.wish.host == host);
        let is_told = seat.is_some_and(|seat| seat.tell(say));
        if seat.is_some() && (is_end || !is_told) {
            self.seats.remove(&channel);
        }
        let reason = || "nobody has this console open".to_owned();
        (!is_told && !is_end).then(|| Message { channel, say: Say::Close(reason()) })
    }

    /// A channel cannot go on.
    pub(crate) fn end(&mut self, channel: Uuid, reason: &str) {
        if let Some(seat) = self.seats.remove(&channel) {
            seat.tell(Say::Close(reason.to_owned()));
        }
    }

    /// The link to a host lost messages, or may have.
    pub(crate) fn lost(&mut self, host: Uuid) {
        self.seats.retain(|_, seat| {
            let is_lost = seat.wish.host == host;
            if is_lost {
                seat.tell(Say::Close("the link to the host was interrupted; connect again".to_owned()));
            }
            !is_lost
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::channel::Side;
    use pony_core::host::ConsoleKind;

    fn seat(channel: u128, host: u128, caller: &str) -> (Seat, mpsc::Receiver<Say>) {
        let (heard, receiver) = mpsc::channel(2);
        let (host, instance) = (Uuid::from_u128(host), Uuid::from_u128(9));
        let wish = Wish { caller: caller.to_owned(), host, instance, console: ConsoleKind::Serial };
        (Seat { channel: Uuid::from_u128(channel), wish, heard }, receiver)
    }

    fn said(host: u128, channel: u128, say: Say) -> Vec<u8> {
        let message = Message { channel: Uuid::from_u128(channel), say };
        message.encode(Side::Twilight { uuid: Uuid::from_u128(host) })
    }

    #[test]
    fn a_host_reaches_its_own_channels_only() {
        let mut board = Board::default();
        let (it, mut heard) = seat(1, 1, "a");
        assert!(board.ask(Ask::Open(it), 1).is_some());
        let strange = board.hear(Uuid::from_u128(2), &said(2, 1, Say::Credit(8)));
        assert!(matches!(strange, Some(Message { say: Say::Close(_), .. })) && heard.try_recv().is_err());
        assert_eq!(board.hear(Uuid::from_u128(1), &said(1, 1, Say::Credit(8))), None);
        assert_eq!(heard.try_recv(), Ok(Say::Credit(8)));
        assert_eq!(board.hear(Uuid::from_u128(2), &said(2, 1, Say::Close(String::new()))), None);
        assert_eq!(board.seats.len(), 1, "nor may another one close it");
    }

    #[test]
    fn a_host_that_says_too_much_loses_the_channel() {
        let mut board = Board::default();
        let (it, mut heard) = seat(1, 1, "a");
        board.ask(Ask::Open(it), 1);
        let credit = said(1, 1, Say::Credit(8));
        let answers: Vec<bool> = (0..3).map(|_| board.hear(Uuid::from_u128(1), &credit).is_some()).collect();
        assert_eq!(answers, [false, false, true]);
        assert!(board.seats.is_empty() && heard.try_recv().is_ok());
    }

    #[test]
    fn hosts_and_users_have_so_many() {
        let mut board = Board::default();
        let mut kept = Vec::new();
        let mut open = |channel: u128, host, caller: &str| {
            let (it, heard) = seat(channel, host, caller);
            let is_open = board.ask(Ask::Open(it), 1).is_some();
            kept.push(heard);
            is_open
        };
        assert!((0..16).all(|n| open(n, 1, "a")));
        assert!(!open(16, 2, "a") && (17..33).all(|n| open(n, 1, "b")));
        assert!(!open(33, 1, "c") && open(34, 2, "c"));
        board.lost(Uuid::from_u128(1));
        assert_eq!(board.seats.len(), 1);
        assert!(matches!(kept[0].try_recv(), Ok(Say::Close(_))), "they are told");
    }
}
