//! What a simulated host is like.

use super::random::Random;
use super::store::SimStore;
use pony_core::host::{DiskFact, NicFact};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use uuid::Uuid;

/// The addresses of simulated hosts are counted from here.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);

/// What a simulated host is like: its size, its speed, and how often it fails.
///
/// ```
/// use pony_host::SimOptions;
///
/// let calm = SimOptions::numbered(42, 7);
/// assert_eq!(calm.failure_rate, 0.0);
/// let wild = SimOptions { failure_rate: 0.05, hang_rate: 0.01, crash_rate: 0.1, ..calm };
/// ```
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Determines every fault and every time of day that one happens at.
    pub seed: u64,
    /// `host.uuid`.
    pub uuid: Uuid,
    /// Its name.
    pub hostname: String,
    /// Logical CPUs.
    pub cpus: i64,
    /// Memory for guests, MiB. A start that needs more than is left fails.
    pub mem_mib: i64,
    /// Size of each of its pools, MiB.
    pub pool_mib: i64,
    /// Size of whatever a URI leads to, MiB.
    pub image_mib: i64,
    /// Unix time of its first boot, seconds. Each reboot adds a minute.
    pub boot_time: i64,
    /// Its address on the network on which it reaches Sparkle.
    pub address: IpAddr,
    /// Its network cards.
    pub nics: Vec<NicFact>,
    /// Its disks.
    pub disks: Vec<DiskFact>,
    /// What pools hold that it shares with other hosts.
    pub store: SimStore,
    /// What each operation takes.
    pub latency: Duration,
    /// What filling a volume from a URI or another volume takes on top of that.
    pub fill: Duration,
    /// How long a guest takes to move to another host.
    pub migrate: Duration,
    /// How long a guest takes to obey the power button.
    pub shutdown: Duration,
    /// A guest that will crash does so within this time of its start.
    pub crash_within: Duration,
    /// Probability that an operation fails (half before it took effect, half after).
    pub failure_rate: f64,
    /// Probability that an operation never answers; it has no effect and ends by being dropped.
    pub hang_rate: f64,
    /// Probability that a guest crashes after a start.
    pub crash_rate: f64,
}

impl SimOptions {
    /// The host of this number in a cloud of this seed. Without faults; each number gives another capacity.
    #[must_use]
    pub fn numbered(seed: u64, number: u32) -> Self {
        let mut random = Random::new(seed ^ u64::from(number).wrapping_mul(0xa076_1d64_78bd_642f));
        let uuid = uuid::Builder::from_random_bytes(
            ((u128::from(random.bits()) << 64) | u128::from(random.bits())).to_be_bytes(),
        )
        .into_uuid();
        Self {
            seed: random.bits(),
            uuid,
            hostname: format!("sim-{number}"),
            cpus: random.pick(&[4, 8, 16, 32, 64]),
            mem_mib: random.pick(&[16, 32, 64, 128, 256]) * 1024 + i64::from(number),
            pool_mib: random.pick(&[256, 512, 1024, 4096]) * 1024 + i64::from(number),
            image_mib: 64,
            boot_time: 1_700_000_000 + i64::from(number),
            address: Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() | number).into(),
            nics: nics(number),
            disks: disks(uuid),
            store: SimStore::default(),
            latency: Duration::from_millis(1),
            fill: Duration::from_millis(20),
            migrate: Duration::from_millis(50),
            shutdown: Duration::from_millis(10),
            crash_within: Duration::from_millis(200),
            failure_rate: 0.0,
            hang_rate: 0.0,
            crash_rate: 0.0,
        }
    }
}

impl Default for SimOptions {
    fn default() -> Self {
        Self::numbered(0, 0)
    }
}

fn nics(number: u32) -> Vec<NicFact> {
    let [_, a, b, c] = number.to_be_bytes();
    let card = |port: u8| NicFact {
        hwaddr: format!("02:5{port}:00:{a:02x}:{b:02x}:{c:02x}"),
        link_name: format!("eno{}", port + 1),
        up: true,
        carrier: true,
        speed_mbit: Some(10_000),
        ..NicFact::default()
    };
    vec![card(0), card(1)]
}

fn disks(host: Uuid) -> Vec<DiskFact> {
    vec![DiskFact {
        id: format!("naa.5{:015x}", host.as_u128() & 0xfff_ffff_ffff_ffff),
        link_name: "sda".into(),
        size_mib: 1024 * 1024,
        model: Some("PONYSIM".into()),
        serial: Some(format!("{:08X}", host.as_u128() as u32)),
        ..DiskFact::default()
    }]
}
