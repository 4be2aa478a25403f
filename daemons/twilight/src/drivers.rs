//! The drivers of a host, and the one place that maps the agent's steps and looks on them.

use async_trait::async_trait;
use pony_core::agent::{Found, Look, Output, Step};
use pony_core::host::{DriverError, Export, HostFact, Place, Source};
use pony_host::{Discovery, Hypervisor, Network, Progress, Storage};
use std::sync::Arc;

/// What carries out the agent's steps and looks at the host for it: [`Drivers`], or something around them.
///
/// Whatever holds for drivers holds for it: it is asked again and again, and may be dropped at any await point.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Carries out a step. `progress` is told what fraction of it is done, where that takes long.
    ///
    /// # Errors
    /// The driver's; the step is tried again later.
    async fn run(&self, step: &Step, progress: Progress) -> Result<Output, DriverError>;

    /// Asks a step to end that must not be dropped but can be called off.
    async fn call_off(&self, step: &Step);

    /// Looks at something.
    ///
    /// # Errors
    /// The driver's; nothing is concluded from it then.
    async fn look(&self, what: &Look) -> Result<Found, DriverError>;

    /// Lets other hosts read just these volumes.
    fn export(&self, volumes: Vec<Export>);
}

/// The four drivers of a host, real or simulated.
#[derive(Clone)]
pub struct Drivers {
    /// Runs guests.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// Makes links.
    pub network: Arc<dyn Network>,
    /// Keeps volumes.
    pub storage: Arc<dyn Storage>,
    /// Finds out what the machine is made of.
    pub discovery: Arc<dyn Discovery>,
}

impl Drivers {
    /// One object that is all four, as the simulated host is.
    pub fn all<T: Hypervisor + Network + Storage + Discovery + 'static>(host: Arc<T>) -> Self {
        Self { hypervisor: host.clone(), network: host.clone(), storage: host.clone(), discovery: host }
    }
}

impl Drivers {
    /// The machine, with what runs guests on it; where that does not answer, the rest is still known.
    async fn machine(&self) -> Result<HostFact, DriverError> {
        let (machine, version) = tokio::join!(self.discovery.host(), self.hypervisor.version());
        Ok(HostFact { hypervisor: version.ok(), ..machine? })
    }
}

#[async_trait]
impl Hands for Drivers {
    async fn run(&self, step: &Step, progress: Progress) -> Result<Output, DriverError> {
        match step {
            Step::Define(spec) => self.hypervisor.define(spec).await?,
            Step::Start(instance) => self.hypervisor.start(*instance).await?,
            Step::Pause(instance) => self.hypervisor.pause(*instance).await?,
            Step::Resume(instance) => self.hypervisor.resume(*instance).await?,
            Step::Shutdown(instance) => self.hypervisor.shutdown(*instance).await?,
            Step::Destroy(instance) => self.hypervisor.destroy(*instance).await?,
            Step::Undefine(instance) => self.hypervisor.undefine(*instance).await?,
            Step::Adjust(spec) => self.hypervisor.adjust(spec).await?,
            Step::Expect { spec, origin } => self.hypervisor.expect(spec, origin).await?,
            Step::Migrate { instance, to, copied } => {
                self.hypervisor.migrate(*instance, to, copied, progress).await?;
            }
            Step::GrowDisk { instance, disk, spec } => {
                // The emulator grows a file itself; of a device it can only take what is there.
                if matches!(disk.place, Place::Block(_)) {
                    self.storage.create_volume(spec, &Source::Empty, progress).await?;
                }
                self.hypervisor.grow_disk(*instance, disk, spec.size_mib.unwrap_or_default()).await?;
            }
            Step::EnsureUplink(spec) => return self.network.ensure_uplink(spec).await.map(Output::Uplink),
            Step::RemoveUplink(id) => self.network.remove_uplink(*id).await?,
            Step::EnsureSwitch(spec) => return self.network.ensure_switch(spec).await.map(Output::Switch),
            Step::RemoveSwitch(switch) => self.network.remove_switch(*switch).await?,
            Step::EnsureTap(spec) => return self.network.ensure_tap(spec).await.map(Output::Tap),
            Step::RemoveTap(vnic) => self.network.remove_tap(*vnic).await?,
            Step::CreateVolume { spec, source } => {
                return self.storage.create_volume(spec, source, progress).await.map(Output::Volume);
            }
            Step::DeleteVolume(spec) => self.storage.delete_volume(spec).await?,
        }
        Ok(Output::None)
    }

    async fn call_off(&self, step: &Step) {
        if let Step::Migrate { instance, .. } = step
            && let Err(error) = self.hypervisor.call_off(*instance).await
        {
            tracing::warn!(%instance, %error, "a move could not be called off: its end is waited for");
        }
    }

    async fn look(&self, what: &Look) -> Result<Found, DriverError> {
        Ok(match what {
            Look::Host => Found::Host(Box::new(self.machine().await?)),
            Look::Nics => Found::Nics(self.discovery.nics().await?),
            Look::Disks => Found::Disks(self.discovery.disks().await?),
            Look::Cpus(cpus) => Found::Cpus(self.hypervisor.offers(cpus).await?),
            Look::Guests => Found::Guests(self.hypervisor.list().await?),
            Look::Uplinks => Found::Uplinks(self.network.list_uplinks().await?),
            Look::Switches => Found::Switches(self.network.list_switches().await?),
            Look::Taps => Found::Taps(self.network.list_taps().await?),
            Look::Pool(pool) => Found::Pool(self.storage.open_pool(pool).await?),
            Look::Volumes(pool) => Found::Volumes(self.storage.list_volumes(pool).await?),
        })
    }

    fn export(&self, volumes: Vec<Export>) {
        self.storage.export(volumes);
    }
}

/// Whether a step can be broken off by dropping it, so that a later order need not wait for it, however it hangs. The
/// drivers see to it that what still goes on then is in no later step's way; what comes of it is found by looking.
///
/// Not so where more depends on it that nothing goes on: as long as something may bring a guest up, or is sending it away,
/// this host must not say that it let go of the guest (pulling the plug ends such a step); the host's own links are on
/// trial; and what is deleted late may be what was ordered anew.
pub(crate) fn can_be_dropped(step: &Step) -> bool {
    match step {
        Step::Start(_)
        | Step::Resume(_)
        | Step::Migrate { .. }
        | Step::EnsureUplink(_)
        | Step::RemoveUplink(_)
        | Step::DeleteVolume(_) => false,
        Step::Define(_)
        | Step::Pause(_)
        | Step::Shutdown(_)
        | Step::Destroy(_)
        | Step::Undefine(_)
        | Step::Adjust(_)
        | Step::Expect { .. }
        | Step::GrowDisk { .. }
        | Step::EnsureSwitch(_)
        | Step::RemoveSwitch(_)
        | Step::EnsureTap(_)
        | Step::RemoveTap(_)
        | Step::CreateVolume { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use pony_core::host::{
        Boot, DiskSpec, DriverErrorKind, Firmware, InstanceSpec, PoolBackend, PoolSpec, VolumeFormat,
        VolumeSpec,
    };
    use pony_host::{SimHost, SimOp, SimOptions};
    use uuid::Uuid;

    fn guest(place: Place) -> InstanceSpec {
        let (vdisk, format) = (Uuid::from_u128(4), VolumeFormat::Raw);
        let disks = vec![DiskSpec { vdisk, index: 0, place, format, read_only: false, shared: false }];
        InstanceSpec {
            instance: Uuid::from_u128(3),
            name: "guest".into(),
            vcpu: 1,
            cpu_percent: 100,
            mem_mib: 64,
            boot: Boot::Disk,
            firmware: Firmware::default(),
            cpu: None,
            disks,
            nics: vec![],
            seed: None,
        }
    }

    /// An emulator takes what there is of a device, and no more: the device comes first.
    #[tokio::test(start_paused = true)]
    async fn a_device_is_larger_before_its_guest_is_told() {
        let host = SimHost::new(SimOptions::numbered(1, 1));
        let drivers = Drivers::all(Arc::new(host.clone()));
        let backend = PoolBackend::Lvm { vg: "data".into(), thin_pool: None };
        let pool = PoolSpec { pool: Uuid::from_u128(1), backend };
        let volume = Uuid::from_u128(2);
        let sized = |size| VolumeSpec {
            volume,
            pool: pool.clone(),
            format: VolumeFormat::Raw,
            size_mib: Some(size),
            extents: Vec::new(),
        };
        let create = Step::CreateVolume { spec: sized(8), source: Source::Empty };
        let Output::Volume(fact) = drivers.run(&create, Arc::new(|_| {})).await.unwrap() else { panic!() };
        let spec = guest(fact.place);
        let (instance, disk) = (spec.instance, spec.disks[0].clone());
        for step in [Step::Define(spec), Step::Start(instance)] {
            drivers.run(&step, Arc::new(|_| {})).await.unwrap();
        }
        let too_early = drivers.hypervisor.grow_disk(instance, &disk, 12).await.unwrap_err();
        assert_eq!(too_early.kind, DriverErrorKind::Order, "{too_early}");
        let grow = Step::GrowDisk { instance, disk, spec: sized(12) };
        drivers.run(&grow, Arc::new(|_| {})).await.unwrap();
        assert_eq!((host.effects(SimOp::GrowVolume), host.effects(SimOp::GrowDisk)), (1, 0));
        assert_eq!(drivers.storage.list_volumes(&pool).await.unwrap()[0].size_mib, 12);
    }
}
