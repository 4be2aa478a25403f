//! The messages of iSCSI (RFC 7143): a header of 48 bytes, and data. What comes in is bounded.

use std::io::{self, Read, Write};

/// Bytes of a header.
const HEADER: usize = 48;

/// Most data in one message, bytes: what a target is told that it may send at once.
pub(super) const DATA_MAX: usize = 64 << 10;

/// Messages end at multiples of this, bytes.
const UNIT: usize = 4;

/// What messages are, with the bits of the first byte that say so.
pub(super) mod opcode {
    pub(in super::super) const NOP_OUT: u8 = 0x00;
    pub(in super::super) const COMMAND: u8 = 0x01;
    pub(in super::super) const LOGIN: u8 = 0x03;
    pub(in super::super) const DATA_OUT: u8 = 0x05;
    pub(in super::super) const LOGOUT: u8 = 0x06;
    pub(in super::super) const NOP_IN: u8 = 0x20;
    pub(in super::super) const RESPONSE: u8 = 0x21;
    pub(in super::super) const LOGIN_RESPONSE: u8 = 0x23;
    pub(in super::super) const DATA_IN: u8 = 0x25;
    pub(in super::super) const READY: u8 = 0x31;
}

/// It does not wait for its turn.
pub(super) const IMMEDIATE: u8 = 0x40;

/// The last message of a sequence.
pub(super) const FINAL: u8 = 0x80;

/// No task.
pub(super) const NONE: u32 = u32::MAX;

/// One message.
pub(super) struct Pdu {
    pub(super) header: [u8; HEADER],
    pub(super) data: Vec<u8>,
}

impl Pdu {
    pub(super) fn new(opcode: u8, flags: u8) -> Self {
        let mut header = [0; HEADER];
        (header[0], header[1]) = (opcode, flags);
        Self { header, data: Vec::new() }
    }

    pub(super) fn opcode(&self) -> u8 {
        self.header[0] & 0x3f
    }

    pub(super) fn flags(&self) -> u8 {
        self.header[1]
    }

    /// Four bytes of the header, as a number.
    pub(super) fn word(&self, at: usize) -> u32 {
        self.header[at..at + 4].iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
    }

    pub(super) fn set_word(&mut self, at: usize, word: u32) {
        self.header[at..at + 4].copy_from_slice(&word.to_be_bytes());
    }

    /// The disk that is meant, of the first 256: one byte is the same in all ways of numbering them.
    pub(super) fn set_lun(&mut self, lun: u8) {
        self.header[9] = lun;
    }

    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut message = Vec::with_capacity(HEADER + self.data.len().next_multiple_of(UNIT));
        message.extend_from_slice(&self.header);
        let [_, len @ ..] = u32::try_from(self.data.len()).unwrap_or(u32::MAX).to_be_bytes();
        message[5..8].copy_from_slice(&len);
        message.extend_from_slice(&self.data);
        message.resize(HEADER + self.data.len().next_multiple_of(UNIT), 0);
        to.write_all(&message)
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut header = [0; HEADER];
        from.read_exact(&mut header)?;
        let len = usize::from(header[5]) << 16 | usize::from(header[6]) << 8 | usize::from(header[7]);
        if len > DATA_MAX {
            let why = format!("it sends {len} bytes at once, where {DATA_MAX} were agreed upon");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        // More headers, of a length that a byte tells: nothing that is understood here.
        let more = usize::from(header[4]) * UNIT;
        let mut data = vec![0; more + len.next_multiple_of(UNIT)];
        from.read_exact(&mut data)?;
        data.drain(..more);
        data.truncate(len);
        Ok(Self { header, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut pdu = Pdu::new(opcode::COMMAND | IMMEDIATE, FINAL);
        pdu.set_word(16, 0xdead_beef);
        pdu.set_lun(200);
        pdu.data = b"abcde".to_vec();
        let mut bytes = Vec::new();
        pdu.write(&mut bytes).unwrap();
        assert_eq!(bytes.len(), HEADER + 8);
        let read = Pdu::read(&mut &*bytes).unwrap();
        assert_eq!((read.opcode(), read.flags(), read.word(16)), (opcode::COMMAND, FINAL, 0xdead_beef));
        assert_eq!((read.header[8..10].to_vec(), &*read.data), (vec![0, 200], &b"abcde"[..]));
    }

    #[test]
    fn what_is_too_long_or_cut_off_is_refused() {
        let mut header = [0; HEADER];
        header[5] = 0xff;
        assert_eq!(Pdu::read(&mut &header[..]).err().unwrap().kind(), io::ErrorKind::InvalidData);
        header[5] = 0;
        header[7] = 1;
        assert_eq!(Pdu::read(&mut &header[..]).err().unwrap().kind(), io::ErrorKind::UnexpectedEof);
    }
}
