//! The kernel's iSCSI initiator, as far as this host uses it: one session for each pool, by open-iscsi (`iscsiadm`, and its
//! daemon, which signs in again where a connection was lost).
//!
//! **Whose a session is** stands in it: those of this host are bound to an interface record that is called as the pool. All
//! others are never looked into, used or ended, also where they are with the same target.
//!
//! **Which disks there are**: those that were asked for. A session is told not to look for LUNs by itself (what a kernel
//! finds it reads, and what it has found stays when it is gone from the target), and so each is looked for by its number.
//!
//! **What may hang** is done by processes of its own, which can be left behind: a disk whose target is away answers nothing
//! for as long as [`REPLACEMENT_S`](record::REPLACEMENT_S) says.

mod kernel;
mod record;
mod sessions;

pub(super) use kernel::KernelSession;
pub(super) use sessions::{Sessions, Wanted};
