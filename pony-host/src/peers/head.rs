//! What a stream between two hosts is for.

use uuid::Uuid;

/// Where a stream leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To libvirt, for a guest.
    Control,
    /// To the emulator that takes the guest's memory.
    Memory,
    /// To the same emulator, which takes what is copied of the guest's disks.
    Data,
    /// To nobody: the host says what it calls the guest's disks.
    Disks,
    /// To what lets a volume be read.
    Volume,
}

/// What a stream says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// The instance, or the volume.
    pub(crate) of: Uuid,
}

/// Its length.
pub(super) const HEAD_BYTES: usize = 17;

impl Kind {
    const ALL: [Self; 5] = [Self::Control, Self::Memory, Self::Data, Self::Disks, Self::Volume];

    const fn byte(self) -> u8 {
        match self {
            Self::Control => b'c',
            Self::Memory => b'm',
            Self::Data => b'b',
            Self::Disks => b'd',
            Self::Volume => b'v',
        }
    }
}

impl Head {
    pub(super) fn parse(bytes: [u8; HEAD_BYTES]) -> Option<Self> {
        let [kind, of @ ..] = bytes;
        let kind = Kind::ALL.into_iter().find(|it| it.byte() == kind)?;
        Some(Self { kind, of: Uuid::from_bytes(of) })
    }

    pub(super) fn bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = self.kind.byte();
        bytes[1..].copy_from_slice(self.of.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back_and_others_are_refused() {
        for kind in Kind::ALL {
            let head = Head { kind, of: Uuid::from_u128(7) };
            assert_eq!(Head::parse(head.bytes()), Some(head));
        }
        assert_eq!(Head::parse([0; HEAD_BYTES]), None);
    }
}
