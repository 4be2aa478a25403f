//! What can be ordered of the scene, and the transitions that are made of it.

use super::super::users::uuid_of;
use super::scene::Scene;
use crate::database::{delete, insert, update};
use pony_state::RowOp;
use serde_json::{Value as Json, json};
use uuid::Uuid;

/// What somebody orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// An instance that shall run, with a disk from an image and a card.
    Create,
    /// The same, but it shall stay off.
    CreateStopped,
    /// One whose disk every host reaches.
    CreateShared,
    /// An instance without a disk, hence of no host in particular.
    CreateDiskless,
    Start,
    Stop,
    Pause,
    /// More memory, which a running guest has from its next start on.
    Resize,
    /// A card and a disk more.
    Plug,
    /// None of either that can be missed.
    Unplug,
    /// Other data for the software inside.
    Tell,
    /// The instance, and its disk with it.
    Delete,
    /// What was deleted, anew under its old name.
    CreateAgain,
    /// A volume from an image.
    CreateVolume,
    CreateEmptyVolume,
    /// A volume on the second host from an image that only the first one has.
    CreateRemoteVolume,
    /// The copy that it is read from, and itself.
    DeleteRemote,
    /// A volume from an image that every host reaches.
    CreateSharedVolume,
    GrowVolume,
    DeleteVolume,
    /// Another one in its place.
    ReplaceVolume,
    /// One more copy of an image.
    CopyImage,
    DeleteCopy,
    /// The host of the instance shall have none.
    Evacuate,
    Return,
    /// A bond of a host, with an address on what it carries.
    CreateBond,
    /// Another way to share the work, and another VLAN.
    ChangeBond,
    /// The bond and all on it.
    DeleteBond,
}

impl Order {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create
            | Self::CreateVolume
            | Self::CreateShared
            | Self::CreateSharedVolume
            | Self::CreateRemoteVolume
            | Self::CreateBond => "create",
            Self::CreateStopped => "create, off",
            Self::CreateDiskless => "create without a disk",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Resize => "resize",
            Self::Plug => "plug a card and a disk in",
            Self::Unplug => "unplug the cards",
            Self::Tell => "tell it something else",
            Self::Delete | Self::DeleteVolume | Self::DeleteCopy | Self::DeleteBond => "delete",
            Self::ChangeBond => "change",
            Self::CreateAgain => "create again",
            Self::CreateEmptyVolume => "create empty",
            Self::DeleteRemote => "delete it and what it is read from",
            Self::GrowVolume => "grow",
            Self::ReplaceVolume => "replace",
            Self::CopyImage => "copy",
            Self::Evacuate => "evacuate the host",
            Self::Return => "allow the host again",
        }
    }

    /// Whether what was ordered is up in the end, for which guests and their disks have to be made.
    pub(super) const fn makes(self) -> bool {
        !matches!(
            self,
            Self::Stop
                | Self::Delete
                | Self::DeleteVolume
                | Self::DeleteCopy
                | Self::DeleteRemote
                | Self::DeleteBond
        )
    }

    /// What is not yet as it says.
    pub(super) fn difference(self, scene: &Scene) -> Option<String> {
        match self {
            Self::Delete | Self::DeleteVolume | Self::DeleteCopy | Self::DeleteRemote => {
                scene.left_of_deleted()
            }
            Self::CreateVolume
            | Self::CreateEmptyVolume
            | Self::CreateRemoteVolume
            | Self::CreateSharedVolume
            | Self::GrowVolume
            | Self::ReplaceVolume
            | Self::CopyImage => scene.volume_difference(),
            Self::Stop => scene.running(),
            Self::CreateBond | Self::ChangeBond | Self::DeleteBond => scene.uplink_difference(),
            _ => scene.instance_difference(),
        }
    }

    /// The operations that order it.
    pub(super) fn ops(self, scene: &mut Scene) -> Vec<RowOp> {
        let state =
            |scene: &Scene, it: &str| vec![update("instance", scene.instance, json!({ "state": it }))];
        match self {
            Self::Create | Self::CreateAgain => scene.create("running", Some(scene.own_pool())),
            Self::CreateStopped => scene.create("stopped", Some(scene.own_pool())),
            Self::CreateShared => scene.create("running", Some(scene.shared_pool())),
            Self::CreateDiskless => scene.create("running", None),
            Self::Start => state(scene, "running"),
            Self::Stop => state(scene, "stopped"),
            Self::Pause => state(scene, "paused"),
            Self::Resize => vec![update("instance", scene.instance, json!({ "mem": 1024 }))],
            Self::Plug => scene.plug(),
            Self::Tell => vec![update("instance", scene.instance, json!({ "user_data": "#cloud-config" }))],
            Self::Unplug => {
                let database = &scene.world.store.database;
                let cards = database.table("vnic").filter(|it| it["instance"] == json!(scene.instance));
                cards.filter_map(|it| uuid_of(it, "uuid")).map(|it| delete("vnic", it)).collect()
            }
            Self::Delete => scene.world.removal(scene.instance, true),
            Self::CreateVolume => scene.volume(json!({ "base_image": scene.world.users.image })),
            Self::CreateEmptyVolume => scene.volume(json!({})),
            Self::CreateRemoteVolume => {
                let (image, pool) = (scene.world.users.rare_image, scene.world.nodes[1].pool);
                scene.volume(json!({ "base_image": image, "storage_pool": pool }))
            }
            Self::DeleteRemote => {
                let backs = |it: &&pony_state::Columns| it["image"] == json!(scene.world.users.rare_image);
                let copy = scene.world.store.database.table("volume").find(backs);
                let copy = copy.and_then(|it| uuid_of(it, "uuid")).unwrap();
                let deleted = |it| update("volume", it, json!({ "state": "deleted" }));
                vec![deleted(scene.volume), deleted(copy)]
            }
            Self::CreateSharedVolume => {
                let (image, pool) = (scene.world.users.image, scene.shared_pool());
                scene.volume(json!({ "base_image": image, "storage_pool": pool }))
            }
            Self::GrowVolume => vec![update("volume", scene.volume, json!({ "size": 300 }))],
            Self::DeleteVolume | Self::DeleteCopy => {
                vec![update("volume", scene.volume, json!({ "state": "deleted" }))]
            }
            Self::ReplaceVolume => {
                let mut ops = Self::DeleteVolume.ops(scene);
                ops.extend(Self::CreateVolume.ops(scene));
                ops
            }
            Self::CopyImage => {
                let image = scene.world.users.rare_image;
                scene.volume(json!({ "image": image, "size": Json::Null }))
            }
            Self::Evacuate => scene.host_state("evacuated"),
            Self::Return => scene.host_state("present"),
            Self::CreateBond => scene.bond(),
            Self::ChangeBond => vec![
                update("bond", scene.bond, json!({ "mode": "802.3ad" })),
                update("net_role", scene.role, json!({ "vlan_id": 7 })),
            ],
            Self::DeleteBond => vec![delete("net_role", scene.role), delete("bond", scene.bond)],
        }
    }
}

impl Scene {
    fn own_pool(&self) -> Uuid {
        self.world.nodes[0].pool
    }

    fn shared_pool(&self) -> Uuid {
        self.world.shelf.pool()
    }

    /// An instance, with a disk in `pool`.
    fn create(&mut self, state: &str, pool: Option<Uuid>) -> Vec<RowOp> {
        self.instance = self.world.uuid();
        let row = json!({
            "uuid": self.instance, "tenant": self.world.users.tenant(), "name": "web", "state": state,
            "vcpu": 1, "rcpu": 1.0, "mem": 512,
        });
        let mut ops = vec![insert("instance", row)];
        if let Some(pool) = pool {
            let image = self.world.users.image;
            ops.extend(self.volume(json!({ "base_image": image, "storage_pool": pool })));
            ops.push(self.disk(self.volume, 0));
        }
        ops.push(self.card(0));
        ops
    }

    fn disk(&mut self, volume: Uuid, index: usize) -> RowOp {
        let uuid = self.world.uuid();
        insert("vdisk", json!({ "uuid": uuid, "instance": self.instance, "volume": volume, "index": index }))
    }

    fn card(&mut self, index: usize) -> RowOp {
        let (uuid, switch) = (self.world.uuid(), self.world.users.switch());
        insert("vnic", json!({ "uuid": uuid, "instance": self.instance, "switch": switch, "index": index }))
    }

    /// One card and one disk more, whose volume is made first.
    fn plug(&mut self) -> Vec<RowOp> {
        let (cards, disks) = (self.parts("vnic"), self.parts("vdisk"));
        let volume = self.world.uuid();
        let row = json!({ "uuid": volume, "size": 200, "storage_pool": self.world.nodes[0].pool });
        vec![insert("volume", row), self.disk(volume, disks), self.card(cards)]
    }

    /// How many rows of a table belong to the instance.
    pub(super) fn parts(&self, table: &str) -> usize {
        let rows = self.world.store.database.table(table);
        rows.filter(|it| it["instance"] == json!(self.instance)).count()
    }

    /// A new volume in the first host's pool, unless `columns` say otherwise.
    fn volume(&mut self, columns: Json) -> Vec<RowOp> {
        self.volume = self.world.uuid();
        let mut row = json!({ "uuid": self.volume, "size": 200, "storage_pool": self.world.nodes[0].pool });
        if let (Json::Object(row), Json::Object(columns)) = (&mut row, columns) {
            row.extend(columns);
        }
        vec![insert("volume", row)]
    }

    /// A new bond of the first host.
    fn bond(&mut self) -> Vec<RowOp> {
        (self.bond, self.role) = (self.world.uuid(), self.world.uuid());
        let bond = json!({ "uuid": self.bond, "host": self.world.nodes[0].uuid, "mode": "active-backup" });
        let role = json!({
            "uuid": self.role, "bond": self.bond, "role": "storage", "address": "10.9.0.1/24",
        });
        vec![insert("bond", bond), insert("net_role", role)]
    }

    fn host_state(&mut self, state: &str) -> Vec<RowOp> {
        let database = &self.world.store.database;
        let placed = database.table("host_instance").find(|it| it["instance"] == json!(self.instance));
        let host = placed.and_then(|it| uuid_of(it, "host")).filter(|_| state == "evacuated");
        self.evacuated = host.unwrap_or(self.evacuated);
        let host = if self.evacuated.is_nil() { self.world.nodes[0].uuid } else { self.evacuated };
        vec![update("host", host, json!({ "state": state }))]
    }
}

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

use Order::{
    ChangeBond, CopyImage, Create, CreateAgain, CreateBond, CreateDiskless, CreateEmptyVolume,
    CreateRemoteVolume, CreateShared, CreateSharedVolume, CreateStopped, CreateVolume, Delete, DeleteBond,
    DeleteCopy, DeleteRemote, DeleteVolume, Evacuate, GrowVolume, Pause, Plug, ReplaceVolume, Resize, Return,
    Start, Stop, Tell, Unplug,
};

const fn to(
    name: &'static str,
    before: &'static [Order],
    order: Order,
    later: &'static [Order],
) -> Transition {
    Transition { name, before, order, later }
}

pub(super) const TRANSITIONS: [Transition; 30] = [
    to("instance: create", &[], Create, &[Stop, Pause, Resize, Plug, Delete]),
    to("instance: start", &[CreateStopped], Start, &[Stop, Pause, Resize, Delete]),
    to("instance: stop", &[Create], Stop, &[Start, Pause, Delete]),
    to("instance: pause", &[Create], Pause, &[Start, Stop, Resize, Delete]),
    to("instance: resume", &[Create, Pause], Start, &[Pause, Stop, Delete]),
    to("instance: resize", &[Create], Resize, &[Stop, Pause, Delete]),
    to("instance: plug in", &[Create], Plug, &[Unplug, Stop, Delete]),
    to("instance: unplug", &[Create], Unplug, &[Plug, Stop, Delete]),
    to("instance: tell it something else", &[Create], Tell, &[Stop, Pause, Delete]),
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
    to("bond: create", &[], CreateBond, &[ChangeBond, DeleteBond]),
    to("bond: change", &[CreateBond], ChangeBond, &[DeleteBond]),
    to("bond: delete", &[CreateBond], DeleteBond, &[CreateBond]),
    to("image: copy", &[], CopyImage, &[DeleteCopy]),
    to("image: delete a copy", &[CopyImage], DeleteCopy, &[CopyImage]),
];
