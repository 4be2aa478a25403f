//! What tells this machine from all others.

use crate::block::files;
use std::path::Path;
use uuid::{Uuid, uuid};

/// The space that uuids derived from `/etc/machine-id` lie in. Fixed: a change would rename every such host.
const DERIVED: Uuid = uuid!("5ad4de0a-3c31-4f0e-8b8e-2a4b9f0f7c11");

/// Left in the firmware by makers who did not care: many machines say the same.
const BOGUS: [Uuid; 3] = [Uuid::nil(), Uuid::max(), uuid!("03000200-0400-0500-0006-000700080009")];

/// The machine's own uuid: what the firmware says, else one derived from `/etc/machine-id` (derived, because that
/// file asks not to be published). `root` is `/`, but in tests.
///
/// Machines cloned with their machine-id, and containers on one machine, look alike: give those a uuid in the
/// configuration instead.
///
/// ```
/// let here = pony_host::machine_uuid(std::path::Path::new("/"));
/// assert_eq!(here, pony_host::machine_uuid(std::path::Path::new("/")));
/// ```
#[must_use]
pub fn machine_uuid(root: &Path) -> Option<Uuid> {
    firmware(root).or_else(|| derived(root))
}

fn firmware(root: &Path) -> Option<Uuid> {
    let text = files::known(&root.join("sys/class/dmi/id/product_uuid"))?;
    Uuid::parse_str(&text).ok().filter(|uuid| !BOGUS.contains(uuid))
}

fn derived(root: &Path) -> Option<Uuid> {
    let text = files::known(&root.join("etc/machine-id"))?;
    let id = Uuid::parse_str(&text).ok().filter(|id| !id.is_nil())?;
    Some(Uuid::new_v5(&DERIVED, id.as_bytes()))
}
