//! The operations of a host, as faults and counts name them.

/// One operation of a simulated host: a method of a driver trait (or several look-ups taken together).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimOp {
    /// `Hypervisor::define`.
    Define,
    /// `Hypervisor::start`.
    Start,
    /// `Hypervisor::pause`.
    Pause,
    /// `Hypervisor::resume`.
    Resume,
    /// `Hypervisor::shutdown`.
    Shutdown,
    /// `Hypervisor::destroy`.
    Destroy,
    /// `Hypervisor::undefine`.
    Undefine,
    /// `Hypervisor::console`.
    OpenConsole,
    /// `Hypervisor::adjust`.
    Adjust,
    /// `Hypervisor::grow_disk`.
    GrowDisk,
    /// `Hypervisor::expect`.
    Expect,
    /// `Hypervisor::migrate`.
    Migrate,
    /// `Hypervisor::list`.
    ListGuests,
    /// `Network::ensure_uplink`.
    EnsureUplink,
    /// `Network::remove_uplink`.
    RemoveUplink,
    /// `Network::ensure_switch`.
    EnsureSwitch,
    /// `Network::remove_switch`.
    RemoveSwitch,
    /// `Network::ensure_tap`.
    EnsureTap,
    /// `Network::remove_tap`.
    RemoveTap,
    /// The lists of `Network`.
    ListLinks,
    /// `Storage::open_pool`.
    OpenPool,
    /// `Storage::list_volumes`.
    ListVolumes,
    /// `Storage::create_volume`, where it fills a new volume.
    CreateVolume,
    /// `Storage::create_volume`, where it grows one that is there.
    GrowVolume,
    /// `Storage::delete_volume`.
    DeleteVolume,
    /// All of `Discovery`, `Hypervisor::version`, `offers` and `usage`.
    Discover,
}

impl SimOp {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Define,
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::Shutdown,
        Self::Destroy,
        Self::Undefine,
        Self::OpenConsole,
        Self::Adjust,
        Self::GrowDisk,
        Self::Expect,
        Self::Migrate,
        Self::ListGuests,
        Self::EnsureUplink,
        Self::RemoveUplink,
        Self::EnsureSwitch,
        Self::RemoveSwitch,
        Self::EnsureTap,
        Self::RemoveTap,
        Self::ListLinks,
        Self::OpenPool,
        Self::ListVolumes,
        Self::CreateVolume,
        Self::GrowVolume,
        Self::DeleteVolume,
        Self::Discover,
    ];
}
