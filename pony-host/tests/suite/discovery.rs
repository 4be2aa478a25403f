//! What a discovery keeps.

use pony_host::Discovery;
use std::collections::HashSet;

/// Facts make sense, agree with each other, and are the same when asked twice.
pub async fn discovery(machine: &dyn Discovery) {
    let host = machine.host().await.unwrap();
    assert!(!host.hostname.is_empty() && !host.version.is_empty() && !host.accel.is_empty(), "{host:?}");
    assert!(host.cpus > 0 && host.mem_mib > 0 && host.boot_time > 0, "{host:?}");
    assert_eq!(machine.host().await.unwrap(), host);

    let nics = machine.nics().await.unwrap();
    let addresses: HashSet<_> = nics.iter().map(|nic| nic.hwaddr.to_lowercase()).collect();
    assert_eq!(addresses.len(), nics.len(), "an address names one card: {nics:?}");
    for nic in &nics {
        assert_eq!(nic.hwaddr.split(':').count(), 6, "{nic:?}");
        assert!(!nic.link_name.is_empty() && nic.speed_mbit.is_none_or(|speed| speed > 0), "{nic:?}");
    }

    let disks = machine.disks().await.unwrap();
    let ids: HashSet<_> = disks.iter().map(|disk| &disk.id).collect();
    assert_eq!(ids.len(), disks.len(), "an id names one disk: {disks:?}");
    for disk in &disks {
        assert!(!disk.id.is_empty() && !disk.link_name.is_empty() && disk.size_mib >= 0, "{disk:?}");
    }

    let mut events = machine.events();
    assert!(!events.is_closed());
    events.close();
}
