//! What guests run on.

use std::fmt;

/// What guests run on: the machine's own virtualisation, or emulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accel {
    /// KVM: guests run on the CPU.
    Kvm,
    /// TCG: QEMU translates every instruction. Slow, and works everywhere.
    Tcg,
}

impl Accel {
    /// The name used in `host` rows: `kvm` or `tcg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// libvirt's domain type.
    pub(super) const fn domain_type(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "qemu",
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
