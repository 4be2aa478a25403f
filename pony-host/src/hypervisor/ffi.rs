//! The only unsafe code of the driver: what the `virt` crate does not wrap, such as lifecycle events of domains.
//!
//! libvirt delivers events through an event loop that the process must run. Its built-in one is registered once
//! per process, before the first connection, and runs on a thread of its own for as long as the process lives
//! (libvirt has no way to take it back). Callbacks run on that thread; they only send to bounded channels.

use super::hub::{Hub, Turn};
use pony_core::host::Ending;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt_sys as sys;

/// Pause after a failed turn of the event loop, so that a lasting failure does not burn a CPU.
const LOOP_RETRY: Duration = Duration::from_millis(200);

/// Registers and starts libvirt's event loop, the first time that it is called.
///
/// # Errors
///
/// If libvirt or the system refuses; the same answer for ever after.
pub(super) fn start_event_loop() -> Result<(), String> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    STARTED.get_or_init(start).clone()
}

fn start() -> Result<(), String> {
    // Without this libvirt prints every error on stderr, also the ones that are expected.
    virt::error::clear_error_callback();
    virt::event::event_register_default_impl().map_err(|e| e.message().to_owned())?;
    let run = || {
        loop {
            if let Err(error) = virt::event::event_run_default_impl() {
                tracing::warn!(error = error.message(), "libvirt's event loop failed; going on");
                std::thread::sleep(LOOP_RETRY);
            }
        }
    };
    std::thread::Builder::new().name("libvirt-events".into()).spawn(run).map(drop).map_err(|e| e.to_string())
}

/// A callback in place. It must be taken back with [`unsubscribe`] before its connection is closed.
#[derive(Debug)]
pub(super) struct Subscription(c_int);

/// Has the lifecycle events of all domains of a connection told to `hub`.
///
/// # Errors
///
/// libvirt's refusal, also where the driver behind the connection knows no events.
pub(super) fn subscribe(conn: &Connect, hub: Arc<Hub>) -> Result<Subscription, Error> {
    let opaque = Box::into_raw(Box::new(hub)).cast::<c_void>();
    // SAFETY: `conn` is open, since `Connect` is alive. The callback has the signature that libvirt documents for
    // VIR_DOMAIN_EVENT_ID_LIFECYCLE (`virConnectDomainEventCallback`) and is called with no other; the cast to
    // the generic type is what C's VIR_DOMAIN_EVENT_CALLBACK does. `opaque` is a `Box<Arc<Hub>>` that lives until
    // libvirt calls `free_hub`, which it does exactly once, after the last callback.
    let id = unsafe {
        let callback = std::mem::transmute::<Lifecycle, Generic>(on_lifecycle);
        sys::virConnectDomainEventRegisterAny(
            conn.as_ptr(),
            std::ptr::null_mut(),
            sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE as c_int,
            Some(callback),
            opaque,
            Some(free_hub),
        )
    };
    if id >= 0 {
        return Ok(Subscription(id));
    }
    let error = Error::last_error();
    // SAFETY: a refused registration leaves `opaque` with the caller, and nobody else has it.
    unsafe { free_hub(opaque) };
    Err(error)
}

/// Takes the callback back. A connection that is dead already lets go of it by itself.
pub(super) fn unsubscribe(conn: &Connect, subscription: &Subscription) {
    // SAFETY: `conn` is open, and libvirt checks the identifier.
    unsafe { sys::virConnectDomainEventDeregisterAny(conn.as_ptr(), subscription.0) };
}

/// Asks the guest to let go of a device; returns without waiting for it.
///
/// # Errors
///
/// libvirt's refusal.
pub(super) fn unplug(domain: &Domain, alias: &str) -> Result<(), Error> {
    let Ok(alias) = CString::new(alias) else { return Ok(()) };
    // SAFETY: `domain` is alive, and the text ends with a zero and outlives the call.
    let done = unsafe {
        sys::virDomainDetachDeviceAlias(domain.as_ptr(), alias.as_ptr(), sys::VIR_DOMAIN_AFFECT_LIVE)
    };
    if done == 0 { Ok(()) } else { Err(Error::last_error()) }
}

/// Whether a guest run by the emulator in this way (`kvm`, `qemu`) can be shown a CPU.
///
/// # Errors
///
/// libvirt's refusal, also of a model that it does not know.
pub(super) fn can_show(conn: &Connect, virt_type: &str, cpu: &str) -> Result<bool, Error> {
    let (Ok(virt_type), Ok(cpu)) = (CString::new(virt_type), CString::new(cpu)) else { return Ok(false) };
    let any = std::ptr::null();
    // SAFETY: `conn` is open. The texts end with a zero and outlive the call; nulls stand for what is usual here.
    let found = unsafe {
        let (virt_type, cpu) = (virt_type.as_ptr(), cpu.as_ptr());
        sys::virConnectCompareHypervisorCPU(conn.as_ptr(), any, any, any, virt_type, cpu, 0)
    };
    match found {
        sys::VIR_CPU_COMPARE_IDENTICAL | sys::VIR_CPU_COMPARE_SUPERSET => Ok(true),
        sys::VIR_CPU_COMPARE_ERROR => Err(Error::last_error()),
        _ => Ok(false),
    }
}

/// What libvirt says of one thing of a domain.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stat {
    Number(u64),
    Text(String),
}

/// What libvirt says of a domain, by its names (`man virsh`, *domstats*).
pub(super) type Stats = BTreeMap<String, Stat>;

/// What all domains that are up have used. Does not wait for those that do not answer.
///
/// # Errors
///
/// libvirt's refusal.
pub(super) fn stats(conn: &Connect) -> Result<Vec<(Uuid, Stats)>, Error> {
    let which = sys::VIR_DOMAIN_STATS_CPU_TOTAL
        | sys::VIR_DOMAIN_STATS_BALLOON
        | sys::VIR_DOMAIN_STATS_VCPU
        | sys::VIR_DOMAIN_STATS_INTERFACE
        | sys::VIR_DOMAIN_STATS_BLOCK;
    let flags = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
    let mut records = std::ptr::null_mut();
    // SAFETY: `conn` is open, and libvirt writes one pointer to `records`, a list that is the caller's to free.
    let found = unsafe { sys::virConnectGetAllDomainStats(conn.as_ptr(), which, &mut records, flags) };
    let Ok(count) = usize::try_from(found) else { return Err(Error::last_error()) };
    let mut all = Vec::new();
    for place in 0..count {
        // SAFETY: the list has `count` records, which are valid until it is freed.
        all.extend(unsafe { record(&**records.add(place)) });
    }
    // SAFETY: the list is freed once, and nothing of it was kept.
    unsafe { sys::virDomainStatsRecordListFree(records) };
    Ok(all)
}

/// SAFETY (to be kept by the caller): the record is one of libvirt's, and not freed yet.
unsafe fn record(record: &sys::virDomainStatsRecord) -> Option<(Uuid, Stats)> {
    let mut uuid = [0_u8; sys::VIR_UUID_BUFLEN as usize];
    // SAFETY: the record's domain is valid, and the buffer has the documented length.
    let found = unsafe { sys::virDomainGetUUID(record.dom, uuid.as_mut_ptr()) };
    let count = usize::try_from(record.nparams).unwrap_or_default();
    // SAFETY: the record has so many parameters.
    let stats = (0..count).filter_map(|place| unsafe { stat(&*record.params.add(place)) }).collect();
    (found == 0).then(|| (Uuid::from_bytes(uuid), stats))
}

/// SAFETY (to be kept by the caller): the parameter is one of libvirt's, and not freed yet.
unsafe fn stat(of: &sys::virTypedParameter) -> Option<(String, Stat)> {
    // SAFETY: libvirt ends the name with a zero; `type_` says which of the values it is, and a text is one of C.
    let (name, value) = unsafe {
        let value = match of.type_.cast_unsigned() {
            sys::VIR_TYPED_PARAM_UINT => Stat::Number(of.value.ui.into()),
            sys::VIR_TYPED_PARAM_ULLONG => Stat::Number(of.value.ul),
            sys::VIR_TYPED_PARAM_INT => Stat::Number(u64::try_from(of.value.i).ok()?),
            sys::VIR_TYPED_PARAM_LLONG => Stat::Number(u64::try_from(of.value.l).ok()?),
            sys::VIR_TYPED_PARAM_STRING if !of.value.s.is_null() => {
                Stat::Text(CStr::from_ptr(of.value.s).to_string_lossy().into_owned())
            }
            _ => return None,
        };
        (CStr::from_ptr(of.field.as_ptr()), value)
    };
    Some((name.to_string_lossy().into_owned(), value))
}

/// Has a job of the domain end that takes long, such as its being sent to another host.
///
/// # Errors
///
/// libvirt's refusal, also where there is none.
pub(super) fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: `domain` is alive.
    let done = unsafe { sys::virDomainAbortJob(domain.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(Error::last_error()) }
}

type Lifecycle =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, c_int, *mut c_void) -> c_int;
type Generic = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);

/// SAFETY (to be kept by the caller, libvirt): `domain` is valid for the call, `opaque` is the `Box<Arc<Hub>>`
/// of the registration and not freed yet.
unsafe extern "C" fn on_lifecycle(
    _conn: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    let mut uuid = [0_u8; sys::VIR_UUID_BUFLEN as usize];
    // SAFETY: `domain` is valid, and the buffer has the documented length. The call is local: no round trip.
    let found = unsafe { sys::virDomainGetUUID(domain, uuid.as_mut_ptr()) };
    // SAFETY: see the contract above. The reference does not outlive the call.
    let hub = unsafe { &*opaque.cast::<Arc<Hub>>() };
    if found == 0 {
        hub.changed(Uuid::from_bytes(uuid), turn(event, detail));
    }
    0
}

/// What an event says of the run of a guest.
fn turn(event: c_int, detail: c_int) -> Turn {
    let (event, detail) = (event.cast_unsigned(), detail.cast_unsigned());
    match (event, detail) {
        (sys::VIR_DOMAIN_EVENT_STARTED, _) => Turn::Started,
        (sys::VIR_DOMAIN_EVENT_CRASHED, _) => Turn::Ended(Ending::Panicked),
        (sys::VIR_DOMAIN_EVENT_STOPPED, sys::VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN) => {
            Turn::Ended(Ending::ShutDown)
        }
        (sys::VIR_DOMAIN_EVENT_STOPPED, sys::VIR_DOMAIN_EVENT_STOPPED_DESTROYED) => {
            Turn::Ended(Ending::Destroyed)
        }
        (
            sys::VIR_DOMAIN_EVENT_STOPPED,
            sys::VIR_DOMAIN_EVENT_STOPPED_CRASHED | sys::VIR_DOMAIN_EVENT_STOPPED_FAILED,
        ) => Turn::Ended(Ending::Killed),
        _ => Turn::Other,
    }
}

/// SAFETY (to be kept by the caller): `opaque` came from `Box::into_raw(Box<Arc<Hub>>)` and is not used again.
unsafe extern "C" fn free_hub(opaque: *mut c_void) {
    // SAFETY: see the contract above.
    drop(unsafe { Box::from_raw(opaque.cast::<Arc<Hub>>()) });
}
