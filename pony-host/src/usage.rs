//! What machines and guests have used, as counters that grow from their start on. Whoever wants rates compares two.

use uuid::Uuid;

/// What a machine has used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostUsage {
    /// Time of all its CPUs.
    pub cpu: CpuTime,
    /// Its memory.
    pub memory: MemoryUsage,
    /// Its disks.
    pub disks: Vec<DiskUsage>,
    /// Its network cards.
    pub nics: Vec<NicUsage>,
}

/// Where the time of CPUs went, seconds of one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    /// Programs, guests among them.
    pub user_s: f64,
    /// The kernel.
    pub system_s: f64,
    /// Nothing, while the machine waited for disks.
    pub wait_s: f64,
    /// Nothing.
    pub idle_s: f64,
    /// Other guests of the machine that this one runs on.
    pub steal_s: f64,
}

/// Memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// All that there is.
    pub total: u64,
    /// What programs could still have.
    pub available: u64,
}

/// What was read from and written to a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// What it is called where it is used.
    pub name: String,
    /// Bytes.
    pub read_bytes: u64,
    /// Bytes.
    pub written_bytes: u64,
    /// Requests.
    pub reads: u64,
    /// Requests.
    pub writes: u64,
}

/// What a network card has received and sent, as seen by whoever has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NicUsage {
    /// What it is called where it is used.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// What went through a network card in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were broken.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

/// What a guest that is up has used since its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GuestUsage {
    /// `instance.uuid`.
    pub instance: Uuid,
    /// Its time on CPUs of the host, seconds.
    pub cpu_s: f64,
    /// Virtual CPUs that it has at present.
    pub vcpus: u64,
    /// Memory that it has at present, bytes.
    pub memory_bytes: u64,
    /// Memory of the host that its emulator takes, bytes.
    pub resident_bytes: u64,
    /// Its disks.
    pub disks: Vec<DiskUsage>,
    /// Its network cards.
    pub nics: Vec<NicUsage>,
}
