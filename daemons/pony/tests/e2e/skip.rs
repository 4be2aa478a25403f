//! What the tests need of the machine.

use std::path::{Path, PathBuf};

/// The demo guest, where the machine can run it; otherwise the test is noted as skipped.
pub(crate) fn guest(test: &str) -> Option<PathBuf> {
    built(test, "guest.raw")
}

/// The guest with Debian's cloud-init, likewise.
pub(crate) fn cloud_init(test: &str) -> Option<PathBuf> {
    built(test, "cloud-init.raw")
}

fn built(test: &str, name: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let guest = target.join("guest").join(name);
    if !is_real(test) {
        return None;
    }
    let is_there = guest.exists();
    if !is_there {
        println!("skipped: {test}: there is no {name}; .ci/guest builds it");
    }
    is_there.then_some(guest)
}

/// Whether guests can run here at all; otherwise the test is noted as skipped.
pub(crate) fn is_real(test: &str) -> bool {
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    let needed = ["/usr/sbin/libvirtd", "/usr/bin/qemu-system-x86_64", "/usr/bin/virsh"];
    let missing = if !is_root {
        "root is needed"
    } else if needed.iter().any(|it| !Path::new(it).exists()) {
        "libvirt and QEMU are needed; .ci/setup installs them"
    } else {
        return true;
    };
    println!("skipped: {test}: {missing}");
    false
}
