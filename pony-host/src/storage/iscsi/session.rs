//! One session with a target: brief, blocking, bounded in time as a whole. Data go both ways as one message asks for
//! them; nothing is kept for another session.

use super::pdu::{DATA_MAX, FINAL, IMMEDIATE, NONE, Pdu, opcode};
use super::target::Target;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Flags of a command: which way its data go.
const READS: u8 = 0x40;
const WRITES: u8 = 0x20;
/// Commands are carried out in any order: there is one at a time.
const SIMPLE: u8 = 0x01;

/// Answers before the one that ends a command.
const ANSWERS_MAX: usize = 4096;

/// The group of portals of a target that names none.
const USUAL_GROUP: u16 = 1;

/// The shortest time that a socket can be told to wait.
const INSTANT: Duration = Duration::from_millis(1);

/// Why something did not work.
#[derive(Debug)]
pub(in super::super) enum Failure {
    /// It cannot be reached, or was cut off.
    Io(io::Error),
    /// It does not want.
    Refused(String),
    /// It does not keep to the protocol.
    Protocol(String),
    /// A disk of it refuses a command: its sense key, and the code that qualifies it.
    Sense { key: u8, code: u16 },
    /// A disk of it answers a command with a status that says no more.
    Status(u8),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The data of a command.
#[derive(Clone, Copy)]
pub(super) enum Data<'a> {
    /// So many bytes at most come in.
    In(usize),
    /// These go out.
    Out(&'a [u8]),
}

/// Where a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Portal {
    pub(in super::super) address: SocketAddr,
    pub(in super::super) group: u16,
}

/// A session.
pub(in super::super) struct Session {
    wire: Timed,
    /// The number of the next task, and of the next command.
    task: u32,
    command: u32,
    /// The number of the target's next answer.
    expected: u32,
    /// That of the target's portals which belong together, and this one among them.
    pub(super) group: u16,
}

/// A connection with a time at which it is given up.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        match self.until.saturating_duration_since(Instant::now()) {
            left if left >= INSTANT => Ok(left),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(into)
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    /// Connects, and signs in.
    pub(in super::super) fn open(target: &Target) -> Result<Self, Failure> {
        let until = Instant::now() + target.patience;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in target.portal.to_socket_addrs()? {
            let left = until.saturating_duration_since(Instant::now()).max(INSTANT);
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let wire = Timed { stream, until };
                    let mut session = Self { wire, task: 0, command: 1, expected: 0, group: USUAL_GROUP };
                    session.login(target)?;
                    return Ok(session);
                }
                Err(error) => last = error,
            }
        }
        Err(Failure::Io(last))
    }

    /// Where the target is: its address, and the group of portals that belongs to.
    pub(in super::super) fn portal(&self) -> Result<Portal, Failure> {
        Ok(Portal { address: self.wire.stream.peer_addr()?, group: self.group })
    }

    /// Gives a disk a command, and the data that came of it.
    pub(super) fn command(&mut self, lun: u8, cdb: [u8; 16], data: Data<'_>) -> Result<Vec<u8>, Failure> {
        let (way, len) = match data {
            Data::In(0) => (0, 0),
            Data::In(len) => (READS, len),
            Data::Out(bytes) => (WRITES, bytes.len()),
        };
        let mut pdu = Pdu::new(opcode::COMMAND, FINAL | way | SIMPLE);
        pdu.set_lun(lun);
        pdu.set_word(20, u32::try_from(len).unwrap_or(u32::MAX));
        pdu.header[32..48].copy_from_slice(&cdb);
        let task = self.send_numbered(&mut pdu)?;
        self.command = self.command.wrapping_add(1);
        let mut came = Vec::new();
        for _ in 0..ANSWERS_MAX {
            let answer = self.hear()?;
            if answer.word(16) != task {
                return Err(Failure::Protocol("answers what it was not asked".into()));
            }
            match (answer.opcode(), data) {
                (opcode::DATA_IN, Data::In(len)) => {
                    let ends = take(&mut came, &answer, len)?;
                    if ends {
                        return judge(answer.header[3], &[]).map(|()| came);
                    }
                }
                (opcode::READY, Data::Out(bytes)) => self.send_data(lun, &answer, bytes)?,
                (opcode::RESPONSE, _) if answer.header[2] == 0 => {
                    return judge(answer.header[3], &answer.data).map(|()| came);
                }
                _ => return Err(Failure::Protocol("does not carry out a command".into())),
            }
        }
        Err(Failure::Protocol("never comes to an end with a command".into()))
    }

    /// Whether more time than that is left.
    pub(super) fn has_time(&self, time: Duration) -> bool {
        self.wire.left().is_ok_and(|left| left > time)
    }

    /// Sends what the target asks for.
    fn send_data(&mut self, lun: u8, asked: &Pdu, bytes: &[u8]) -> Result<(), Failure> {
        let (offset, len) = (asked.word(40) as usize, asked.word(44) as usize);
        let part = offset.checked_add(len).and_then(|end| bytes.get(offset..end));
        let part = part.filter(|it| !it.is_empty() && it.len() <= DATA_MAX);
        let Some(part) = part else {
            return Err(Failure::Protocol("asks for data that there are not".into()));
        };
        let mut pdu = Pdu::new(opcode::DATA_OUT, FINAL);
        pdu.set_lun(lun);
        pdu.set_word(16, asked.word(16));
        pdu.set_word(20, asked.word(20));
        pdu.set_word(28, self.expected);
        pdu.set_word(40, asked.word(40));
        pdu.data = part.to_vec();
        Ok(pdu.write(&mut self.wire)?)
    }

    /// Sends a message that has a number of its own, and gives that.
    fn send_numbered(&mut self, pdu: &mut Pdu) -> Result<u32, Failure> {
        self.task = self.task.wrapping_add(1) & 0x7fff_ffff;
        self.send(pdu, self.task)?;
        Ok(self.task)
    }

    /// Sends a message of a task.
    pub(super) fn send(&mut self, pdu: &mut Pdu, task: u32) -> Result<(), Failure> {
        pdu.set_word(16, task);
        pdu.set_word(24, self.command);
        pdu.set_word(28, self.expected);
        Ok(pdu.write(&mut self.wire)?)
    }

    /// The next answer. A target that asks whether one is there is told so meanwhile.
    pub(super) fn hear(&mut self) -> Result<Pdu, Failure> {
        for _ in 0..ANSWERS_MAX {
            let pdu = Pdu::read(&mut self.wire)?;
            let has_status = match pdu.opcode() {
                opcode::DATA_IN => pdu.flags() & 1 != 0,
                opcode::READY => false,
                opcode::NOP_IN => pdu.word(16) != NONE,
                _ => true,
            };
            if has_status {
                self.expected = pdu.word(24).wrapping_add(1);
            }
            if pdu.opcode() != opcode::NOP_IN {
                return Ok(pdu);
            }
            if pdu.word(20) != NONE {
                self.answer_ping(&pdu)?;
            }
        }
        Err(Failure::Protocol("asks again and again whether anybody is there".into()))
    }

    fn answer_ping(&mut self, ping: &Pdu) -> Result<(), Failure> {
        let mut pong = Pdu::new(opcode::NOP_OUT | IMMEDIATE, FINAL);
        pong.header[8..16].copy_from_slice(&ping.header[8..16]);
        pong.set_word(16, NONE);
        pong.set_word(20, ping.word(20));
        pong.set_word(24, self.command);
        pong.set_word(28, self.expected);
        Ok(pong.write(&mut self.wire)?)
    }
}

impl Drop for Session {
    /// Says good-bye, so that the target need not wait for anybody; it may be gone.
    fn drop(&mut self) {
        let _ = self.send_numbered(&mut Pdu::new(opcode::LOGOUT | IMMEDIATE, FINAL));
    }
}

/// Takes the data of an answer, in order; says whether they are the last.
fn take(came: &mut Vec<u8>, answer: &Pdu, max: usize) -> Result<bool, Failure> {
    if answer.word(40) as usize != came.len() || came.len() + answer.data.len() > max {
        return Err(Failure::Protocol("sends other data than it was asked for".into()));
    }
    came.extend_from_slice(&answer.data);
    Ok(answer.flags() & 1 != 0)
}

/// What a status means, with what the disk says of it.
fn judge(status: u8, said: &[u8]) -> Result<(), Failure> {
    match (status, said) {
        (0, _) => Ok(()),
        // Two bytes of length, then either of two forms.
        (2, [_, _, form, rest @ ..]) => {
            let byte = |at: usize| rest.get(at).copied().unwrap_or_default();
            let (key, high, low) = match form & 0x7f {
                0x72 | 0x73 => (byte(0), byte(1), byte(2)),
                _ => (byte(1), byte(11), byte(12)),
            };
            Err(Failure::Sense { key: key & 0x0f, code: u16::from_be_bytes([high, low]) })
        }
        _ => Err(Failure::Status(status)),
    }
}
