//! A small iSCSI initiator, for looks at the LUNs of a target and their labels. It is no more than that: what is in
//! volumes goes by QEMU's own initiator, or the kernel's. A target's answers are hostile: bounded in size, in number and, all in all, in time.

mod login;
mod pdu;
mod scsi;
mod session;
mod target;

pub(super) use scsi::{RESERVED, Size, Swap};
pub(super) use session::{Failure, Portal, Session};
pub(super) use target::Target;
