//! What can be ordered of the scene, and the transitions that are made of it.

/// What somebody orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// An instance that shall run, with a disk from an image and a card in a switch of its own; where there are several hosts,
    /// pinned to the first one.
    Create,
    /// The same with an empty disk in a pool that all hosts reach.
    CreateShared,
    Start,
    Stop,
    Pause,
    /// A card and a disk more.
    Plug,
    /// The cards out.
    Unplug,
    /// A larger disk.
    Grow,
    /// Other data for the software inside.
    Tell,
    /// The card into a switch of its own, the old one out of use.
    Replug,
    /// The instance, and what belongs to it.
    Delete,
    /// An image, with a copy of it.
    CopyImage,
    DeleteCopy,
    /// The host that the instance is on shall have none.
    Evacuate,
    /// It may have them again, and the other one not.
    Return,
    /// That, and then the former once more.
    EvacuateAgain,
    /// The instance shall be on the second host, as long as that can have it.
    Pin,
    /// On the first one.
    PinBack,
}

use Order::{
    CopyImage, Create, CreateShared, Delete, DeleteCopy, Evacuate, EvacuateAgain, Grow, Pause, Pin, PinBack,
    Plug, Replug, Return, Start, Stop, Tell, Unplug,
};

impl Order {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Create | CreateShared => "create",
            Start => "start",
            Stop => "stop",
            Pause => "pause",
            Plug => "plug in",
            Unplug => "unplug",
            Grow => "grow",
            Tell => "tell it something else",
            Replug => "plug into another switch",
            Delete => "delete",
            CopyImage => "copy",
            DeleteCopy => "delete the copy",
            Evacuate => "evacuate the host",
            Return => "allow it again, not the other",
            EvacuateAgain => "allow it again, and evacuate it again",
            Pin => "pin to the other host",
            PinBack => "pin back",
        }
    }

    /// Whether it cannot come to be without a step.
    pub(super) fn needs(self, verb: &str) -> bool {
        match self {
            Delete | DeleteCopy => {
                ["shut down", "switch off", "undefine", "remove the tap", "remove the switch", "delete"]
                    .contains(&verb)
            }
            Stop => ["shut down", "switch off"].contains(&verb),
            // What has not left stays. What stands still there already has to come back, to where nothing is left of it.
            Return | PinBack => ["resume", "delete"].contains(&verb),
            _ => true,
        }
    }

    /// Whether it comes to be by no other step than that one, which goes on: it makes what is ordered, or removes what was to go
    /// before.
    pub(super) fn awaits(self, verb: &str) -> bool {
        let makes = !matches!(self, Stop | Delete | DeleteCopy);
        self.needs(verb) && (makes || ["remove the tap", "remove the switch", "delete"].contains(&verb))
    }

    /// How many hosts further than where it was the instance shall be, where that is what is ordered.
    pub(super) const fn away(self) -> Option<usize> {
        match self {
            Evacuate | EvacuateAgain | Pin => Some(1),
            Return | PinBack => Some(0),
            _ => None,
        }
    }
}

/// A change of what is, made by an order.
pub(super) struct Transition {
    pub(super) name: &'static str,
    /// The hosts that it takes.
    pub(super) hosts: usize,
    pub(super) before: &'static [Order],
    pub(super) order: Order,
    /// The steps that it takes.
    pub(super) verbs: &'static [&'static str],
    /// What may be ordered then: each step is tried with one of them in turn.
    pub(super) later: &'static [Order],
}

/// One that a host makes alone.
const fn to(
    name: &'static str,
    before: &'static [Order],
    order: Order,
    verbs: &'static [&'static str],
    later: &'static [Order],
) -> Transition {
    Transition { name, hosts: 1, before, order, verbs, later }
}

/// One between two hosts.
const fn across(
    name: &'static str,
    before: &'static [Order],
    order: Order,
    verbs: &'static [&'static str],
    later: &'static [Order],
) -> Transition {
    Transition { hosts: 2, ..to(name, before, order, verbs, later) }
}

pub(super) const TRANSITIONS: [Transition; 14] = [
    to(
        "instance: create",
        &[],
        Create,
        &["fill", "make the switch", "make the tap", "define", "start"],
        &[Delete, Stop, Pause, Tell],
    ),
    to("instance: stop", &[Create], Stop, &["shut down", "switch off"], &[Start, Delete]),
    to("instance: start", &[Create, Stop], Start, &["start"], &[Stop, Tell, Delete]),
    to("instance: pause", &[Create], Pause, &["pause"], &[Start, Delete]),
    to("instance: resume", &[Create, Pause], Start, &["resume"], &[Pause, Stop, Delete]),
    // Not out again: only a guest can let go of a card, and these let go of none.
    to(
        "instance: plug in",
        &[Create],
        Plug,
        &["make", "make the tap", "change while it runs"],
        &[Stop, Delete, Pause, Tell],
    ),
    // For the same reason its tap stays, and users are told of that until the guest is off.
    to("instance: unplug", &[Create], Unplug, &["change while it runs"], &[Stop, Delete]),
    to(
        "card: plug into another switch",
        &[Create],
        Replug,
        &["make the switch", "make the tap", "remove the switch"],
        &[Stop, Tell, Delete, Replug],
    ),
    to("volume: grow while it is used", &[Create], Grow, &["grow while it is used"], &[Stop, Tell, Delete]),
    to(
        "instance: tell it something else",
        &[Create],
        Tell,
        &["define", "change while it runs"],
        &[Stop, Delete, Tell],
    ),
    to(
        "instance: delete",
        &[Create],
        Delete,
        &["switch off", "undefine", "remove the tap", "remove the switch", "delete"],
        &[Create],
    ),
    to("image: copy", &[], CopyImage, &["fill"], &[DeleteCopy]),
    across(
        "instance on a pool of all hosts: move",
        &[CreateShared],
        Evacuate,
        &["make the tap", "let in", "send to another host", "resume", "remove the tap"],
        &[Return, Stop, EvacuateAgain, Delete, Pause],
    ),
    across(
        "instance on a pool of its host: move",
        &[Create],
        Pin,
        &["make", "let in", "send to another host", "delete"],
        &[PinBack, Delete, Stop, Pause],
    ),
];
