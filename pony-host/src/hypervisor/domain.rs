//! The steps over one guest, as blocking calls into libvirt. Each looks first and is content with what already is.

use super::accel::Accel;
use super::console::Place;
use super::elements::DomainXml;
use super::error::{from_virt, is_gone, order, transient};
use super::facts;
use super::metadata::{STOPPING_KEY, STOPPING_NS, STOPPING_XML};
use super::secrets;
use super::seeds::Seeds;
use super::xml::{Console, Places, Recipe};
use crate::Result;
use crate::secrets::Secrets;
use pony_core::host::{DiskSpec, GuestState, InstanceSpec};
use std::collections::BTreeSet;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt_sys as sys;

/// Everything that libvirt keeps beside a definition and that would forbid forgetting it.
const UNDEFINE_ALL: u32 = sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | sys::VIR_DOMAIN_UNDEFINE_NVRAM;

/// Length of a unix socket's path that the kernel takes, without the final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Files that `virtlogd` keeps of one console: the current one and its older parts `.0`, `.1`, ….
const CONSOLE_LOG_PARTS_MAX: usize = 16;

/// How guests are made on this host.
#[derive(Debug)]
pub(super) struct Maker {
    pub(super) recipe: Recipe,
    console_dir: Option<PathBuf>,
    pub(super) seeds: Seeds,
    secrets: Secrets,
    /// Whether libvirt has not yet said that this machine's cgroups cannot limit CPU time.
    quota: AtomicBool,
}

impl Maker {
    pub(super) fn new(recipe: Recipe, console_dir: Option<PathBuf>, seeds: Seeds, secrets: &Path) -> Self {
        let secrets = Secrets::at(secrets);
        Self { recipe, console_dir, seeds, secrets, quota: AtomicBool::new(recipe.quota) }
    }

    pub(super) fn host(&self) -> Uuid {
        self.recipe.host
    }

    pub(super) fn accel(&self) -> Accel {
        self.recipe.accel
    }

    /// The directory of consoles.
    pub(super) fn consoles(&self) -> Option<&Path> {
        self.console_dir.as_deref()
    }

    /// `ours` is called once it is clear that the domain is ours to make, and before it is made.
    pub(super) fn define(&self, conn: &Connect, spec: &InstanceSpec, ours: impl FnOnce()) -> Result<()> {
        let found = lookup(conn, spec.instance)?;
        let owner = match &found {
            Some(domain) => {
                facts::owner(domain).map_err(|e| from_virt(&doing("look at", spec.instance), &e))?
            }
            None => None,
        };
        if found.is_some() && owner.as_ref().map(|o| o.host) != Some(self.host()) {
            let name = super::xml::domain_name(spec.instance);
            return Err(order(format!(
                "cannot define {name}: a guest with this uuid exists on this machine and is not ours; remove it by hand"
            )));
        }
        ours();
        let xml = self.xml(spec)?;
        self.make_seed(spec)?;
        let same = owner.is_some_and(|owner| xml.owner().is(&owner));
        if same && found.as_ref().is_some_and(|domain| domain.is_persistent().unwrap_or(false)) {
            return Ok(());
        }
        let defined = define_xml(conn, spec.instance, &xml.text()?);
        match &found {
            None if defined.is_err() => self.seeds.keep(spec.instance, &[]),
            // One that runs has its disc until it is given the other one.
            Some(domain) if defined.is_ok() && !is_active(domain, spec.instance)? => {
                self.seeds.keep(spec.instance, &spec.seed.iter().collect::<Vec<_>>());
            }
            _ => {}
        }
        defined
    }

    /// What the guest is told has to be there before it is.
    pub(super) fn make_seed(&self, spec: &InstanceSpec) -> Result<()> {
        spec.seed.as_ref().map_or(Ok(()), |seed| self.seeds.make(spec.instance, seed))
    }

    fn xml(&self, spec: &InstanceSpec) -> Result<DomainXml> {
        let recipe = Recipe { quota: self.quota.load(Ordering::Relaxed), ..self.recipe };
        let seed = spec.seed.as_ref().map(|seed| self.seeds.place(spec.instance, seed));
        DomainXml::new(recipe, &Places { console: self.console(spec.instance), seed }, spec)
    }

    /// Removes what is left of guests that went while nobody looked.
    pub(super) fn sweep(&self, conn: &Connect) -> Result<()> {
        let domains = conn.list_all_domains(0).map_err(|e| from_virt("list the guests", &e))?;
        let there: BTreeSet<Uuid> = domains
            .iter()
            .filter_map(|it| Some(Uuid::from_bytes(it.get_uuid().ok()?.into_bytes())))
            .collect();
        self.seeds.sweep(|instance| there.contains(&instance));
        if let Some(dir) = &self.console_dir {
            let gone = consoles(dir).into_iter().filter(|instance| !there.contains(instance));
            gone.for_each(|instance| self.remove_console(instance));
        }
        Ok(())
    }

    pub(super) fn start(&self, conn: &Connect, instance: Uuid) -> Result<()> {
        let Some(domain) = self.find(conn, instance)? else {
            return Err(transient(format!(
                "cannot start instance {instance}: it is not defined on this host"
            )));
        };
        if is_active(&domain, instance)? {
            return forget_stopping(&domain, instance);
        }
        let owner = facts::owner(&domain).map_err(|e| from_virt(&doing("start", instance), &e))?;
        if let Some(spec) = owner.and_then(|owner| owner.spec()) {
            self.tell_secrets(conn, &spec.disks)?;
        }
        match domain.create() {
            Err(error) if is_quota_refusal(&error) && self.quota.swap(false, Ordering::Relaxed) => {
                tracing::warn!(
                    reason = error.message(),
                    "this machine's cgroups cannot limit CPU time: guests run without their limit"
                );
                self.start_without_quota(conn, &domain, instance)
            }
            Err(error) if is_quota_refusal(&error) => self.start_without_quota(conn, &domain, instance),
            started => unless_active(started.map(drop), &domain, "start", instance),
        }
    }

    /// Before the emulator opens these disks.
    pub(super) fn tell_secrets<'a>(
        &self,
        conn: &Connect,
        disks: impl IntoIterator<Item = &'a DiskSpec>,
    ) -> Result<()> {
        secrets::tell(conn, &self.secrets, disks)
    }

    fn start_without_quota(&self, conn: &Connect, domain: &Domain, instance: Uuid) -> Result<()> {
        let owner = facts::owner(domain).map_err(|e| from_virt(&doing("start", instance), &e))?;
        let Some(spec) = owner.and_then(|owner| owner.spec()) else {
            return Err(transient(format!(
                "cannot start instance {instance}: its definition is not readable"
            )));
        };
        define_xml(conn, instance, &self.xml(&spec)?.text()?)?;
        unless_active(domain.create().map(drop), domain, "start", instance)
    }

    pub(super) fn pause(&self, conn: &Connect, instance: Uuid) -> Result<()> {
        let domain = self.running(conn, instance, "pause")?;
        match facts::state(&domain).map_err(|e| from_virt(&doing("pause", instance), &e))? {
            GuestState::Paused => Ok(()),
            _ => domain.suspend().map(drop).map_err(|e| from_virt(&doing("pause", instance), &e)),
        }
    }

    pub(super) fn resume(&self, conn: &Connect, instance: Uuid) -> Result<()> {
        let domain = self.running(conn, instance, "resume")?;
        match facts::state(&domain).map_err(|e| from_virt(&doing("resume", instance), &e))? {
            GuestState::Paused => {
                domain.resume().map(drop).map_err(|e| from_virt(&doing("resume", instance), &e))
            }
            _ => forget_stopping(&domain, instance),
        }
    }

    pub(super) fn shutdown(&self, conn: &Connect, instance: Uuid) -> Result<()> {
        let Some(domain) = self.find(conn, instance)? else { return Ok(()) };
        if !is_active(&domain, instance)? {
            return Ok(());
        }
        // The mark first: a guest that stops at once takes it along.
        set_stopping(&domain, Some(STOPPING_XML), instance)?;
        unless_inactive(domain.shutdown().map(drop), &domain, "shut down", instance)
    }

    /// `arriving`: it was to come from another host, and may leave no definition.
    pub(super) fn destroy(&self, conn: &Connect, instance: Uuid, arriving: bool) -> Result<()> {
        let found = self.find(conn, instance)?;
        if let Some(domain) = &found {
            unless_inactive(domain.destroy(), domain, "stop", instance)?;
        }
        if (found.is_none() || arriving) && lookup(conn, instance)?.is_none() {
            self.seeds.keep(instance, &[]);
        }
        Ok(())
    }

    pub(super) fn undefine(&self, conn: &Connect, instance: Uuid) -> Result<()> {
        if let Some(domain) = self.find(conn, instance)? {
            if is_active(&domain, instance)? {
                return Err(transient(format!(
                    "cannot forget instance {instance}: it runs; it must be stopped first"
                )));
            }
            match domain.undefine_flags(UNDEFINE_ALL) {
                Err(error) if !is_gone(&error) => return Err(from_virt(&doing("forget", instance), &error)),
                _ => {}
            }
        }
        self.remove_files(instance);
        Ok(())
    }

    /// Forgets a guest of the same name that is off.
    pub(super) fn make_room(&self, conn: &Connect, instance: Uuid) -> Result<()> {
        match self.find(conn, instance)? {
            Some(domain) if !is_active(&domain, instance)? => self.undefine(conn, instance),
            _ => Ok(()),
        }
    }

    /// Where the serial console of a guest that is on can be opened.
    pub(super) fn serial_place(&self, conn: &Connect, instance: Uuid) -> Result<Place> {
        let domain = self.running(conn, instance, "open the serial console of")?;
        let xml = domain.get_xml_desc(0).map_err(|e| from_virt(&doing("look at", instance), &e))?;
        let socket = facts::console_path(&xml).map(PathBuf::from);
        // A pty can be opened by one only, and what it said before is lost.
        let socket = socket.filter(|path| !path.starts_with("/dev"));
        let advice = "it gets one with its next start, where the console directory's path is short enough";
        socket.map(Place).ok_or_else(|| {
            transient(format!("instance {instance} has no socket for its serial console: {advice}"))
        })
    }

    /// A connection to the screen of a guest that is on. libvirt hands the other end to the emulator, so that nothing has
    /// to listen anywhere.
    pub(super) fn screen(&self, conn: &Connect, instance: Uuid) -> Result<UnixStream> {
        let domain = self.running(conn, instance, "show the screen of")?;
        let paired = UnixStream::pair().and_then(|(ours, theirs)| {
            ours.set_nonblocking(true)?;
            Ok((ours, theirs))
        });
        let (ours, theirs) = paired
            .map_err(|error| transient(format!("cannot show the screen of instance {instance}: {error}")))?;
        domain
            .open_graphics(0, theirs.as_raw_fd(), sys::VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
            .map_err(|error| from_virt(&doing("show the screen of", instance), &error))?;
        Ok(ours)
    }

    /// The domain of `instance` if it is ours. Somebody else's is none of our business, as if it were not there.
    pub(super) fn find(&self, conn: &Connect, instance: Uuid) -> Result<Option<Domain>> {
        let Some(domain) = lookup(conn, instance)? else { return Ok(None) };
        match facts::owner(&domain) {
            Ok(owner) => Ok(owner.filter(|owner| owner.host == self.host()).map(|_| domain)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(from_virt(&doing("look at", instance), &error)),
        }
    }

    pub(super) fn running(&self, conn: &Connect, instance: Uuid, verb: &str) -> Result<Domain> {
        match self.find(conn, instance)? {
            Some(domain) if is_active(&domain, instance)? => return Ok(domain),
            _ => {}
        }
        Err(transient(format!("cannot {verb} instance {instance}: it does not run on this host")))
    }

    /// A socket where its path fits into an address, else a terminal.
    fn console(&self, instance: Uuid) -> Console {
        match &self.console_dir {
            Some(dir) => {
                let socket = dir.join(format!("{instance}.sock"));
                if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
                    return Console::Pty;
                }
                Console::Socket { socket, log: log_path(dir, instance) }
            }
            None => Console::Pty,
        }
    }

    /// Removes what a guest that is gone leaves behind.
    pub(super) fn remove_files(&self, instance: Uuid) {
        self.seeds.keep(instance, &[]);
        self.remove_console(instance);
    }

    fn remove_console(&self, instance: Uuid) {
        let Some(dir) = &self.console_dir else { return };
        let log = log_path(dir, instance);
        let parts = (0..CONSOLE_LOG_PARTS_MAX).map(|n| dir.join(format!("{instance}.log.{n}")));
        for file in parts.chain([dir.join(format!("{instance}.sock")), log]) {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(file = %file.display(), %error, "cannot remove the console of a guest that is gone");
                }
                _ => {}
            }
        }
    }
}

/// The guests of which there is something in the directory of consoles.
fn consoles(dir: &Path) -> BTreeSet<Uuid> {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.file_name());
    names.filter_map(|name| name.to_str()?.split('.').next()?.parse().ok()).collect()
}

fn log_path(dir: &Path, instance: Uuid) -> PathBuf {
    dir.join(format!("{instance}.log"))
}

pub(super) fn doing(verb: &str, instance: Uuid) -> String {
    format!("{verb} instance {instance}")
}

fn lookup(conn: &Connect, instance: Uuid) -> Result<Option<Domain>> {
    match Domain::lookup_by_uuid(conn, instance) {
        Ok(domain) => Ok(Some(domain)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(from_virt(&doing("look at", instance), &error)),
    }
}

fn define_xml(conn: &Connect, instance: Uuid, xml: &str) -> Result<()> {
    Domain::define_xml(conn, xml).map(drop).map_err(|e| from_virt(&doing("define", instance), &e))
}

fn is_active(domain: &Domain, instance: Uuid) -> Result<bool> {
    match domain.is_active() {
        Err(error) if is_gone(&error) => Ok(false),
        other => other.map_err(|e| from_virt(&doing("look at", instance), &e)),
    }
}

/// The failure of a step that wanted the guest to run does not matter if it runs.
fn unless_active(
    done: std::result::Result<(), Error>,
    domain: &Domain,
    verb: &str,
    instance: Uuid,
) -> Result<()> {
    let Err(error) = done else { return Ok(()) };
    if error.code() == ErrorNumber::OperationInvalid && domain.is_active().unwrap_or(false) {
        return Ok(());
    }
    Err(from_virt(&doing(verb, instance), &error))
}

/// The failure of a step that wanted the guest to stop does not matter if it does not run.
fn unless_inactive(
    done: std::result::Result<(), Error>,
    domain: &Domain,
    verb: &str,
    instance: Uuid,
) -> Result<()> {
    let Err(error) = done else { return Ok(()) };
    match domain.is_active() {
        Ok(false) => Ok(()),
        Err(gone) if is_gone(&gone) => Ok(()),
        _ => Err(from_virt(&doing(verb, instance), &error)),
    }
}

/// A later order to run takes back what an earlier one to stop left as a mark.
fn forget_stopping(domain: &Domain, instance: Uuid) -> Result<()> {
    match facts::state(domain) {
        Ok(GuestState::ShuttingDown) => set_stopping(domain, None, instance),
        Ok(_) => Ok(()),
        Err(error) => Err(from_virt(&doing("start", instance), &error)),
    }
}

fn set_stopping(domain: &Domain, mark: Option<&str>, instance: Uuid) -> Result<()> {
    let kind = sys::VIR_DOMAIN_METADATA_ELEMENT as i32;
    let key = mark.map(|_| STOPPING_KEY);
    match domain.set_metadata(kind, mark, key, Some(STOPPING_NS), sys::VIR_DOMAIN_AFFECT_LIVE) {
        Ok(_) => Ok(()),
        Err(error) if error.code() == ErrorNumber::OperationInvalid || is_gone(&error) => Ok(()),
        Err(error) => Err(from_virt(&doing("shut down", instance), &error)),
    }
}

/// libvirt says so only when the guest is started, and has no code of its own for it: "cgroup cpu is required for
/// scheduler tuning" (as root), "CPU tuning is not available on this host" (otherwise).
fn is_quota_refusal(error: &Error) -> bool {
    let text = error.message();
    error.code() == ErrorNumber::ConfigUnsupported
        && (text.contains("cgroup cpu") || text.contains("CPU tuning"))
}
