//! Drivers of a host: hypervisor, network, storage, discovery; and a simulated host.
