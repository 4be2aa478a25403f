//! What a domain is doing, read from libvirt.

use super::error::from_virt;
use super::live::Live;
use super::metadata::{OWNER_NS, Owner, STOPPING_NS};
use crate::Result;
use pony_core::host::{GuestState, InstanceFact, InstanceSpec, Room};
use quick_xml::events::{BytesStart, Event};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};
use virt_sys as sys;

const ELEMENT: i32 = sys::VIR_DOMAIN_METADATA_ELEMENT as i32;

/// All guests of `host`. One that vanishes meanwhile is left out.
pub(super) fn list(conn: &Connect, host: Uuid) -> Result<Vec<InstanceFact>> {
    let domains = conn.list_all_domains(0).map_err(|e| from_virt("list the guests", &e))?;
    let mut facts = Vec::new();
    for domain in &domains {
        facts.extend(fact(domain, host)?);
    }
    Ok(facts)
}

/// Whose a domain is, by the definition for its next start or, failing that, by the one that runs.
pub(super) fn owner(domain: &Domain) -> std::result::Result<Option<Owner>, Error> {
    match metadata(domain, OWNER_NS, sys::VIR_DOMAIN_AFFECT_CONFIG) {
        Err(error) if error.code() == ErrorNumber::OperationInvalid => {
            // Only a domain without a persistent definition has no such thing: somebody undefined it by hand.
            let running = metadata(domain, OWNER_NS, sys::VIR_DOMAIN_AFFECT_LIVE)?;
            Ok(running.and_then(|xml| Owner::parse(&xml)))
        }
        found => Ok(found?.and_then(|xml| Owner::parse(&xml))),
    }
}

/// What a domain is doing.
pub(super) fn state(domain: &Domain) -> std::result::Result<GuestState, Error> {
    let (state, reason) = domain.get_state()?;
    let reason = u32::try_from(reason).unwrap_or_default();
    Ok(match state {
        sys::VIR_DOMAIN_RUNNING | sys::VIR_DOMAIN_BLOCKED if is_stopping(domain)? => GuestState::ShuttingDown,
        sys::VIR_DOMAIN_RUNNING | sys::VIR_DOMAIN_BLOCKED => GuestState::Running,
        sys::VIR_DOMAIN_SHUTDOWN => GuestState::ShuttingDown,
        // It comes from another host, where it is still. (One that leaves this host stands still for a moment likewise, but
        // has a definition here.)
        sys::VIR_DOMAIN_PAUSED
            if reason == sys::VIR_DOMAIN_PAUSED_MIGRATION && !domain.is_persistent()? =>
        {
            GuestState::Incoming
        }
        // Its memory is being set up: it does not run before its start is through.
        sys::VIR_DOMAIN_PAUSED if reason == sys::VIR_DOMAIN_PAUSED_STARTING_UP => GuestState::Off,
        sys::VIR_DOMAIN_PAUSED if reason == sys::VIR_DOMAIN_PAUSED_CRASHED => GuestState::Crashed,
        sys::VIR_DOMAIN_PAUSED | sys::VIR_DOMAIN_PMSUSPENDED => GuestState::Paused,
        sys::VIR_DOMAIN_CRASHED => GuestState::Crashed,
        sys::VIR_DOMAIN_SHUTOFF if reason == sys::VIR_DOMAIN_SHUTOFF_CRASHED => GuestState::Crashed,
        _ => GuestState::Off,
    })
}

/// Whether the running domain carries the mark of [`STOPPING_NS`].
fn is_stopping(domain: &Domain) -> std::result::Result<bool, Error> {
    match metadata(domain, STOPPING_NS, sys::VIR_DOMAIN_AFFECT_LIVE) {
        // It stopped running between the two questions.
        Err(error) if error.code() == ErrorNumber::OperationInvalid => Ok(false),
        found => Ok(found?.is_some()),
    }
}

fn metadata(domain: &Domain, ns: &str, of: u32) -> std::result::Result<Option<String>, Error> {
    match domain.get_metadata(ELEMENT, Some(ns), of) {
        Ok(xml) => Ok(Some(xml)),
        Err(error) if error.code() == ErrorNumber::NoDomainMetadata => Ok(None),
        Err(error) => Err(error),
    }
}

fn fact(domain: &Domain, host: Uuid) -> Result<Option<InstanceFact>> {
    match read(domain, host) {
        Ok(fact) => Ok(fact),
        Err(error) if error.code() == ErrorNumber::NoDomain => Ok(None),
        Err(error) => Err(from_virt("look at a guest", &error)),
    }
}

fn read(domain: &Domain, host: Uuid) -> std::result::Result<Option<InstanceFact>, Error> {
    let Some(owner) = owner(domain)?.filter(|owner| owner.host == host) else {
        return Ok(None);
    };
    let instance = Uuid::from_bytes(domain.get_uuid()?.into_bytes());
    // Without a persistent definition it must be defined again, whatever it was made from.
    let spec = if domain.is_persistent()? { owner.spec() } else { None };
    let state = state(domain)?;
    let (live, room, console) = match state {
        GuestState::Off | GuestState::Crashed | GuestState::Incoming => (None, None, None),
        _ => running(domain)?,
    };
    Ok(Some(InstanceFact { instance, state, spec, live, room, ending: None, console, origin: None }))
}

/// What a guest runs with, how far that can be changed, and its console.
type Running = (Option<InstanceSpec>, Option<Room>, Option<String>);

/// Nothing of a guest that stopped just now.
fn running(domain: &Domain) -> std::result::Result<Running, Error> {
    match live_owner(domain) {
        Err(error) if error.code() == ErrorNumber::OperationInvalid => Ok((None, None, None)),
        found => {
            let (said, xml) = (found?.and_then(|owner| owner.spec()), domain.get_xml_desc(0)?);
            let live = Live::parse(&xml);
            let spec = said.map(|said| live.as_ref().map_or(said.clone(), |live| live.spec(said)));
            Ok((spec, live.map(|live| live.room()), console_path(&xml)))
        }
    }
}

/// What a domain that runs says about itself.
pub(super) fn live_owner(domain: &Domain) -> std::result::Result<Option<Owner>, Error> {
    Ok(metadata(domain, OWNER_NS, sys::VIR_DOMAIN_AFFECT_LIVE)?.and_then(|xml| Owner::parse(&xml)))
}

/// The path of the first serial port: where to open it.
pub(super) fn console_path(xml: &str) -> Option<String> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut in_serial = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(e) if e.local_name().as_ref() == "serial" => in_serial = true,
            Event::End(e) if e.local_name().as_ref() == "serial" => in_serial = false,
            Event::Start(e) | Event::Empty(e) if in_serial && e.local_name().as_ref() == "source" => {
                return path_attribute(&e);
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn path_attribute(element: &BytesStart<'_>) -> Option<String> {
    let attribute = element.try_get_attribute("path").ok()??;
    quick_xml::escape::unescape(&attribute.value).ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_is_the_first_serial_port() {
        let disk = "<domain><devices><disk><source path='/no'/><serial>1</serial></disk>";
        let serial = "<serial type='unix'><source mode='bind' path='/a&amp;b.sock'/></serial>";
        let rest = "<console><source path='/no'/></console></devices></domain>";
        assert_eq!(console_path(&format!("{disk}{serial}{rest}")).as_deref(), Some("/a&b.sock"));
        assert_eq!(console_path(&format!("{disk}<serial type='null'></serial>{rest}")), None);
        assert_eq!(console_path("not <xml"), None);
    }
}
