//! The transitions that are made of what can be ordered.

use super::orders::Order;

/// A change of what is, made by an order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transition {
    /// Of what it is, and what becomes of that.
    pub(super) name: &'static str,
    /// What is ordered, and done, before.
    pub(super) before: &'static [Order],
    pub(super) order: Order,
    /// What may be ordered then.
    pub(super) later: &'static [Order],
}

use Order::*;

const fn to(
    name: &'static str,
    before: &'static [Order],
    order: Order,
    later: &'static [Order],
) -> Transition {
    Transition { name, before, order, later }
}

pub(super) const TRANSITIONS: [Transition; 42] = [
    to("instance: create", &[], Create, &[Stop, Restart, Pause, Resize, Plug, Delete, Replace]),
    to("instance: start", &[CreateStopped], Start, &[Stop, Restart, Pause, Resize, Delete]),
    to("instance: stop", &[Create], Stop, &[Start, Pause, Delete]),
    to("instance: pause", &[Create], Pause, &[Start, Stop, Restart, Resize, Delete]),
    to("instance: resume", &[Create, Pause], Start, &[Pause, Stop, Delete]),
    to("instance: resize", &[Create], Resize, &[Stop, Restart, Pause, Delete]),
    to("instance: plug in", &[Create], Plug, &[Unplug, Stop, Delete]),
    to("instance: unplug", &[Create], Unplug, &[Plug, Stop, Delete]),
    to("instance: tell it something else", &[Create], Tell, &[Stop, Restart, Pause, Delete]),
    to("instance: delete", &[Create], Delete, &[CreateAgain]),
    to("instance: move to another host", &[CreateDiskless], Evacuate, &[Return, Stop, Pause, Resize, Delete]),
    to(
        "instance: move while it stands still",
        &[CreateDiskless, Pause],
        Evacuate,
        &[Return, Start, Stop, Delete],
    ),
    to("volume: create from an image", &[], CreateVolume, &[DeleteVolume, GrowVolume, ReplaceVolume]),
    to("volume: create empty", &[], CreateEmptyVolume, &[DeleteVolume, GrowVolume]),
    to("volume: grow", &[CreateVolume], GrowVolume, &[DeleteVolume, ReplaceVolume]),
    to("volume: grow while it is used", &[Create], GrowVolume, &[Stop, Delete]),
    to("volume: copy", &[CreateVolume], CopyVolume, &[DeleteVolume, GrowVolume, ReplaceVolume]),
    to("volume: delete", &[CreateVolume], DeleteVolume, &[CreateVolume]),
    to("instance on a pool of its host: move", &[Create], Evacuate, &[Return, Stop, Pause, Resize, Delete]),
    to("instance on a pool of all hosts: create", &[], CreateShared, &[Stop, Delete]),
    to(
        "instance on a pool of all hosts: move",
        &[CreateShared],
        Evacuate,
        &[Return, Stop, Pause, Resize, Delete],
    ),
    to(
        "instance on a pool of all hosts: move while it stands still",
        &[CreateShared, Pause],
        Evacuate,
        &[Return, GrowVolume, Start, Stop, Delete],
    ),
    to("volume in a pool of all hosts: create", &[], CreateSharedVolume, &[DeleteVolume, GrowVolume]),
    to("volume in a pool of all hosts: grow", &[CreateSharedVolume], GrowVolume, &[DeleteVolume]),
    to("volume in a pool of all hosts: delete", &[CreateSharedVolume], DeleteVolume, &[CreateSharedVolume]),
    to(
        "volume from an image of another host: create",
        &[],
        CreateRemoteVolume,
        &[DeleteVolume, DeleteRemote, GrowVolume, ReplaceVolume],
    ),
    to("pool: create, with a volume in it", &[], CreatePool, &[DeletePool, DeleteVolume, GrowVolume]),
    to("pool: give up what is in it", &[CreatePool], DeleteVolume, &[DeletePool]),
    to("card: plug into another switch", &[Create], Replug, &[ReplugBack, Stop, Pause, Restart, Delete]),
    to(
        "switch: join hosts by a VLAN",
        &[CreateCore, Create],
        JoinByVlan,
        &[JoinNoMore, DeleteSwitch, Stop, Delete],
    ),
    to(
        "switch: join hosts by an overlay",
        &[CreateVirtual, Create],
        JoinByOverlay,
        &[JoinNoMore, DeleteSwitch, Stop, Delete],
    ),
    to(
        "switch: join hosts no more",
        &[CreateCore, Create, JoinByVlan],
        JoinNoMore,
        &[JoinByVlan, Stop, Delete],
    ),
    to("switch: delete", &[Create], DeleteSwitch, &[CreateSwitch, Stop, Delete]),
    to("bond: create", &[], CreateBond, &[ChangeBond, DeleteRole, DeleteBond, ReplaceBond]),
    to("bond: change", &[CreateBond], ChangeBond, &[ChangeBondBack, DeleteRole, DeleteBond, ReplaceBond]),
    to("bond: delete", &[CreateBond], DeleteBond, &[CreateBond]),
    to("role: create", &[CreateBond, DeleteRole], CreateRole, &[ChangeRole, DeleteRole, DeleteBond]),
    to("role: change", &[CreateBond], ChangeRole, &[ChangeRoleBack, ChangeBond, DeleteRole, DeleteBond]),
    to("role: delete", &[CreateBond], DeleteRole, &[CreateRole, DeleteBond]),
    to("image: copy", &[], CopyImage, &[DeleteCopy]),
    to("image: create from a volume", &[CreateVolume], CreateImage, &[DeleteCopy]),
    to("image: delete a copy", &[CopyImage], DeleteCopy, &[CopyImage]),
];
