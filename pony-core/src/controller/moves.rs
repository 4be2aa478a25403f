//! How an instance that runs gets to another host: one placement, which names where it goes, until it is handed over.
//!
//! The placement's own host (the *source*) has the instance until it says that it let go, which it does once its guest
//! has arrived at the *target*, or went off. From the first word of the move to the last the source starts the guest no
//! more, and the target does nothing but let it in: so there is no moment at which both could start it. What the guest
//! did last decides nothing: once the source has let go, the placement is the target's in one transaction, and the
//! target finds the guest that arrived, or starts it.
//!
//! The steps: the target is written, and told to let the guest in; it says that it is ready; the source is told the way,
//! and sends the guest; it lets go; the placement is handed over. A move that is not wanted any longer is cancelled, and
//! ends once the source has said, to just that order, that the guest is here and stays. Each such word has its serial
//! number.
//!
//! Its volumes go along: [`holds`] says how where both hosts reach them, and [`copies`] where they do not. Of the latter it is
//! the instance's only if the source has sent it, and else as if the move had never begun.

use super::instances::{
    Decision, Round, has_let_go, host_name, is_evacuated, is_fenced, is_present, key_of, pin_of, silent,
};
use super::{copies, holds, ops};
use crate::tables::{
    Host, HostInstance, HostInstanceCurrent, HostInstanceDesired, HostVolume, InstanceDesired,
    InstanceStatus, Vdisk, Volume,
};
use pony_state::{Read, Text};
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// Where the instance moves to.
pub(super) fn target_of(row: &HostInstance) -> Option<Uuid> {
    row.desired.as_ref()?.target
}

/// How guests that run get to a host.
pub(super) fn way_to(view: &impl Read, host: Uuid) -> Option<Text> {
    view.get::<Host>(&host)?.current.as_ref()?.migration.clone()
}

/// An instance is to leave its host for another one: while it runs, if both can do that.
pub(super) fn begin(
    view: &impl Read,
    round: &mut Round<'_>,
    order: &InstanceDesired,
    row: &HostInstance,
    to: Uuid,
) -> Decision {
    let serial = row.desired.as_ref().map(|it| it.serial);
    let said = row.current.as_ref().filter(|it| !it.released);
    let runs =
        said.is_some_and(|it| it.status == InstanceStatus::Running || it.status == InstanceStatus::Paused);
    let comes = said.is_some_and(|it| it.status == InstanceStatus::Migrating);
    // It may be up: what its host says of it is about an earlier order, or what it is able to is not known yet.
    if (runs || comes) && (said.is_some_and(|it| it.serial != serial) || !is_known(view, row.host)) {
        return Decision::Nothing;
    }
    let copies = copies::places(view, row.instance, to);
    match (way_to(view, row.host).filter(|_| way_to(view, to).is_some()), copies) {
        (Some(origin), Ok(copies)) if runs => {
            let serial = round.reserve(to, row.instance, order.mem);
            let columns = [("target", json!(to)), ("origin", json!(&*origin)), ("serial", json!(serial))];
            let placed = ops::update("host_instance", key_of(row), columns);
            Decision::Write([placed].into_iter().chain(copies::begin(&copies, to, round)).collect())
        }
        (_, Err(why)) => Decision::Stuck(format!(
            "it is to be on host {}, and cannot move there: {why}; stop it, or see to that",
            name_of(view, to)
        )),
        (_, Ok(copies)) if !copies.is_empty() => Decision::Stuck(format!(
            "it is to be on host {}, with volumes that only its own host reaches: they are copied while it runs, between \
             hosts that exchange guests",
            name_of(view, to)
        )),
        // Without a host that could have it while it runs, it is stopped where it has to go, and nowhere else.
        _ if runs && !is_evacuated(view, row.host) => Decision::Stuck(format!(
            "it is to be on host {}, and cannot move there while it runs (one of the hosts exchanges no guests): stop it, \
             and start it again",
            name_of(view, to)
        )),
        _ => update(row, [("released", json!(true))]),
    }
}

/// Whether the host has told what it is.
fn is_known(view: &impl Read, host: Uuid) -> bool {
    view.get::<Host>(&host).and_then(|it| it.current.as_ref()).is_some_and(|it| it.mem.is_some())
}

fn name_of(view: &impl Read, host: Uuid) -> String {
    view.get::<Host>(&host).map_or_else(|| host.to_string(), host_name)
}

fn update<const N: usize>(row: &HostInstance, columns: [(&str, Json); N]) -> Decision {
    Decision::Write(vec![ops::update("host_instance", key_of(row), columns)])
}

/// What follows for an instance on its way.
pub(super) fn go_on(view: &impl Read, round: &mut Round<'_>, row: &HostInstance) -> Decision {
    let Some((placement, to)) = row.desired.as_ref().and_then(|it| Some((it, it.target?))) else {
        return Decision::Nothing;
    };
    if has_let_go(view, row.host, row) {
        return arrive(view, round, row, placement, to);
    }
    if let Some(source) = view.get::<Host>(&row.host).filter(|host| !is_present(host)) {
        return Decision::Waiting(silent(source));
    }
    if placement.cancelled {
        return end_when_settled(round, row, placement);
    }
    let is_wanted = is_wanted(view, row, to) && !copies::are_missing(view, row.instance, to);
    if !is_wanted || is_torn(view, row, placement, to) {
        return update(row, [("cancelled", json!(true)), ("serial", json!(round.next_serial()))]);
    }
    show_the_way(view, row, placement, to)
}

/// The source has let go of it.
fn arrive(
    view: &impl Read,
    round: &mut Round<'_>,
    row: &HostInstance,
    placement: &HostInstanceDesired,
    to: Uuid,
) -> Decision {
    let (copies, missing) =
        (copies::coming(view, row.instance, to), copies::are_missing(view, row.instance, to));
    let said = row.current.as_ref().filter(|it| it.released && it.serial == Some(placement.serial));
    match said {
        _ if copies.is_empty() && !missing => hand_over(round, row, to, &copies),
        Some(said) if said.sent && !missing && !is_fenced(view, to) => hand_over(round, row, to, &copies),
        Some(_) => end(round, row),
        // It is dead, and has said nothing: only there is all that the instance wrote.
        None => Decision::Stuck(format!(
            "its volumes were on their way from host {}, which is known to be off: it is there that they are whole",
            name_of(view, row.host)
        )),
    }
}

/// In one transaction: at no time is it placed nowhere, or twice.
fn hand_over(round: &mut Round<'_>, row: &HostInstance, to: Uuid, copies: &[copies::Copy]) -> Decision {
    let serial = round.next_serial();
    let placed = [
        ("host", json!(to)),
        ("instance", json!(row.instance)),
        ("released", json!(false)),
        ("serial", json!(serial)),
    ];
    let mut written = vec![ops::delete("host_instance", key_of(row)), ops::insert("host_instance", placed)];
    written.extend(copies::hand_over(copies, row.host, to, round));
    Decision::Write(written)
}

/// Whether it is still to go there: it may not stay, or is wished there, and the target can have it. One that is to be off
/// is let go of all the same, and off there then.
fn is_wanted(view: &impl Read, row: &HostInstance, to: Uuid) -> bool {
    let is_fit = view.get::<Host>(&to).is_some_and(is_present) && !is_evacuated(view, to);
    let is_asked = is_evacuated(view, row.host) || pin_of(view, row.instance) == Some(to);
    is_fit && is_asked && !is_fenced(view, to)
}

/// Whether the guest seems to be on both hosts: it arrived, but the source does not know, and has it still, after a try that
/// failed, or with no way to try again. Then the move begins anew: what is at the target stands still there, and goes with the
/// end of this one.
fn is_torn(view: &impl Read, row: &HostInstance, placement: &HostInstanceDesired, to: Uuid) -> bool {
    use InstanceStatus::{Paused, Running};
    let has_it = |host: Uuid| {
        let said = view.get::<HostInstance>(&(host, row.instance)).and_then(|it| it.current.as_ref());
        said.filter(|it| it.serial == Some(placement.serial) && matches!(it.status, Running | Paused))
    };
    has_it(to).is_some() && has_it(row.host).is_some_and(|it| it.attempts > 0 || placement.way.is_none())
}

/// A cancelled move ends once the source has said that the guest is here, with nothing under way.
fn end_when_settled(round: &mut Round<'_>, row: &HostInstance, placement: &HostInstanceDesired) -> Decision {
    let said = row.current.as_ref().filter(|it| it.serial == Some(placement.serial));
    if said.is_none_or(|it| it.status == InstanceStatus::Migrating) {
        return Decision::Nothing;
    }
    end(round, row)
}

/// It is its host's again, as if it never had been to move.
fn end(round: &mut Round<'_>, row: &HostInstance) -> Decision {
    let [target, way, origin] = ["target", "way", "origin"].map(|column| (column, Json::Null));
    update(row, [target, way, origin, ("cancelled", json!(false)), ("serial", json!(round.next_serial()))])
}

/// Whether the move has come so far that the source is to keep nothing of the instance's volumes for itself: the target is
/// ready, or the source may be sending it already.
pub(super) fn is_parting(view: &impl Read, row: &HostInstance) -> bool {
    let Some((placement, to)) = row.desired.as_ref().and_then(|it| Some((it, it.target?))) else {
        return false;
    };
    let is_ready =
        || word_of_target(view, row, placement, to).is_some_and(|it| it.status == InstanceStatus::Migrating);
    !placement.cancelled && (placement.way.is_some() || is_ready())
}

/// What the target says about just this order.
fn word_of_target<'a>(
    view: &'a impl Read,
    row: &HostInstance,
    placement: &HostInstanceDesired,
    to: Uuid,
) -> Option<&'a HostInstanceCurrent> {
    let said = view.get::<HostInstance>(&(to, row.instance)).and_then(|it| it.current.as_ref());
    said.filter(|it| it.serial == Some(placement.serial))
}

/// The source is told the way once the target lets the guest in, and both are told of each other's new ways.
fn show_the_way(view: &impl Read, row: &HostInstance, placement: &HostInstanceDesired, to: Uuid) -> Decision {
    let (Some(origin), Some(way)) = (way_to(view, row.host), way_to(view, to)) else {
        return Decision::Stuck("one of its two hosts can have no guests moved just now".to_owned());
    };
    if placement.origin.as_ref() != Some(&origin) {
        return update(row, [("origin", json!(&*origin)), ("way", Json::Null)]);
    }
    let said = word_of_target(view, row, placement, to);
    let mut volumes = view.joined::<Vdisk, Volume>("instance", row.instance).map(|(_, it)| it.uuid);
    let is_ready = said.is_some_and(|it| it.status == InstanceStatus::Migrating);
    match said.and_then(|it| it.error.as_deref()) {
        _ if placement.way.as_ref() == Some(&way) => Decision::Nothing,
        _ if placement.way.is_some() => update(row, [("way", Json::Null)]),
        // From the way on nothing is done with its volumes but by the guest.
        _ if is_ready && volumes.any(|it| holds::keeps(view, row.host, it)) => Decision::Nothing,
        _ if is_ready => update(row, [("way", json!(&*way))]),
        Some(error) => {
            let why = trouble_there(view, row.instance, to).unwrap_or_default();
            Decision::Stuck(format!("host {} cannot have it yet: {error}{why}", name_of(view, to)))
        }
        None => Decision::Nothing,
    }
}

/// What is wrong with a volume of the instance on the target. Of the volume itself its own host tells, where all may be well.
fn trouble_there(view: &impl Read, instance: Uuid, to: Uuid) -> Option<String> {
    let mut volumes = view.joined::<Vdisk, Volume>("instance", instance).map(|(_, it)| it.uuid);
    volumes.find_map(|volume| {
        let error = view.get::<HostVolume>(&(to, volume))?.current.as_ref()?.error.as_deref()?;
        Some(format!("; volume {volume} there: {error}"))
    })
}
