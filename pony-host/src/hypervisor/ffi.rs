//! The only unsafe code of the driver: what the `virt` crate does not wrap, such as lifecycle events of domains.
//!
//! libvirt delivers events through an event loop that the process must run. Its built-in one is registered once
//! per process, before the first connection, and runs on a thread of its own for as long as the process lives
//! (libvirt has no way to take it back). Callbacks run on that thread; they only send to bounded channels.

use super::hub::{Hub, Turn};
use pony_core::host::Ending;
use std::ffi::{CString, c_int, c_void};
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
