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
    /// Both at once.
    Replace,
    /// Off, and a moment later on again.
    Restart,
    /// Its card into the other switch, and back.
    Replug,
    ReplugBack,
    /// The switch joins hosts: as a VLAN of the core network, as an overlay; or does so no more.
    JoinByVlan,
    JoinByOverlay,
    JoinNoMore,
    /// The switch, with all cards in it.
    DeleteSwitch,
    /// It and the card anew.
    CreateSwitch,
    /// A volume from an image.
    CreateVolume,
    CreateEmptyVolume,
    /// A volume on the second host from an image that only the first one has.
    CreateRemoteVolume,
    /// The copy that it is read from, and itself.
    DeleteRemote,
    /// A volume from an image that every host reaches.
    CreateSharedVolume,
    /// A volume from the one that is there.
    CopyVolume,
    GrowVolume,
    DeleteVolume,
    /// Another one in its place.
    ReplaceVolume,
    /// One more copy of an image.
    CopyImage,
    DeleteCopy,
    /// A new image from the volume that is there.
    CreateImage,
    /// A pool, with a volume in it.
    CreatePool,
    /// The pool, with what is in it given up.
    DeletePool,
    /// The host of the instance shall have none.
    Evacuate,
    Return,
    /// A bond of a host, with an address on what it carries.
    CreateBond,
    /// The same, as the way to the core network, and as the end of overlays.
    CreateCore,
    CreateVirtual,
    /// Another way to share the work, and another VLAN.
    ChangeBond,
    /// Both as they were.
    ChangeBondBack,
    /// The bond and all on it.
    DeleteBond,
    /// Another bond in its place.
    ReplaceBond,
    CreateRole,
    /// Another VLAN.
    ChangeRole,
    ChangeRoleBack,
    DeleteRole,
}

impl Order {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create
            | Self::CreateVolume
            | Self::CreateShared
            | Self::CreateSharedVolume
            | Self::CreateRemoteVolume
            | Self::CreatePool
            | Self::CreateImage
            | Self::CreateBond
            | Self::CreateCore
            | Self::CreateVirtual
            | Self::CreateRole => "create",
            Self::CreateStopped => "create, off",
            Self::CreateDiskless => "create without a disk",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Resize => "resize",
            Self::Plug => "plug a card and a disk in",
            Self::Unplug => "unplug the cards",
            Self::Tell => "tell it something else",
            Self::Delete
            | Self::DeleteVolume
            | Self::DeleteCopy
            | Self::DeleteBond
            | Self::DeleteRole
            | Self::DeleteSwitch => "delete",
            Self::ChangeBond | Self::ChangeRole => "change",
            Self::ChangeBondBack | Self::ChangeRoleBack => "change back",
            Self::CreateAgain | Self::CreateSwitch => "create again",
            Self::Restart => "stop and start",
            Self::Replug => "plug into another switch",
            Self::ReplugBack => "plug back",
            Self::JoinByVlan => "join hosts by a VLAN",
            Self::JoinByOverlay => "join hosts by an overlay",
            Self::JoinNoMore => "join hosts no more",
            Self::DeletePool => "delete the pool",
            Self::CreateEmptyVolume => "create empty",
            Self::DeleteRemote => "delete it and what it is read from",
            Self::GrowVolume => "grow",
            Self::Replace | Self::ReplaceVolume | Self::ReplaceBond => "replace",
            Self::CopyImage | Self::CopyVolume => "copy",
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
                | Self::DeletePool
                | Self::DeleteSwitch
        )
    }

    /// What is not yet as it says.
    pub(super) fn difference(self, scene: &Scene) -> Option<String> {
        match self {
            Self::Delete | Self::DeleteVolume | Self::DeleteCopy | Self::DeleteRemote | Self::DeletePool => {
                scene.left_of_deleted()
            }
            Self::CreateVolume
            | Self::CopyVolume
            | Self::CreateImage
            | Self::CreatePool
            | Self::CreateEmptyVolume
            | Self::CreateRemoteVolume
            | Self::CreateSharedVolume
            | Self::GrowVolume
            | Self::ReplaceVolume
            | Self::CopyImage => scene.volume_difference(),
            Self::Stop => scene.running(),
            Self::CreateBond
            | Self::CreateCore
            | Self::CreateVirtual
            | Self::ChangeBond
            | Self::ChangeBondBack
            | Self::DeleteBond
            | Self::ReplaceBond
            | Self::CreateRole
            | Self::ChangeRole
            | Self::ChangeRoleBack
            | Self::DeleteRole => scene.uplink_difference(),
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
            Self::Start | Self::Restart => state(scene, "running"),
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
            Self::Replace => {
                let mut ops = Self::Delete.ops(scene);
                ops.extend(Self::Create.ops(scene));
                ops
            }
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
            Self::CopyVolume => scene.volume(json!({ "base_volume": scene.volume })),
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
            Self::CreateImage => {
                let image = scene.world.uuid();
                let mut ops = vec![insert("image", json!({ "uuid": image, "name": "of a volume" }))];
                let base = json!({ "image": image, "base_volume": scene.volume, "size": Json::Null });
                ops.extend(scene.volume(base));
                ops
            }
            Self::CreatePool => scene.pool(),
            Self::DeletePool => {
                scene.given_up.insert(scene.volume);
                let volume = scene.removal_of("volume", scene.volume);
                volume.into_iter().chain([delete("storage_pool", scene.pool)]).collect()
            }
            Self::Evacuate => scene.host_state("evacuated"),
            Self::Return => scene.host_state("present"),
            _ => self.link_ops(scene),
        }
    }

    /// The operations that order something of switches, bonds and roles.
    fn link_ops(self, scene: &mut Scene) -> Vec<RowOp> {
        match self {
            Self::Replug => scene.plug_into(scene.world.users.other_switch()),
            Self::ReplugBack => scene.plug_into(scene.world.users.switch()),
            Self::JoinByVlan => scene.change_switch(json!({ "tag": 8 })),
            Self::JoinByOverlay => scene.change_switch(json!({ "type": "vxlan", "tag": 77 })),
            Self::JoinNoMore => scene.change_switch(json!({ "type": "bridge", "tag": Json::Null })),
            Self::DeleteSwitch => vec![delete("switch", scene.world.users.switch())],
            Self::CreateSwitch => vec![scene.world.users.first_switch(0), scene.card(0)],
            Self::CreateBond => scene.bond("storage"),
            Self::CreateCore => scene.bond("core"),
            Self::CreateVirtual => scene.bond("virtual"),
            Self::ChangeBond => scene.change_bond("802.3ad", json!(7)),
            Self::ChangeBondBack => scene.change_bond("active-backup", Json::Null),
            Self::DeleteBond => vec![delete("bond", scene.bond)],
            Self::ReplaceBond => {
                let mut ops = Self::DeleteBond.ops(scene);
                ops.extend(Self::CreateBond.ops(scene));
                ops
            }
            Self::CreateRole => vec![scene.role("storage")],
            Self::ChangeRole => vec![update("net_role", scene.role, json!({ "vlan_id": 7 }))],
            Self::ChangeRoleBack => vec![update("net_role", scene.role, json!({ "vlan_id": Json::Null }))],
            Self::DeleteRole => scene.removal_of("net_role", scene.role).into_iter().collect(),
            _ => unreachable!("{self:?} is of something else"),
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

    /// Nothing where the row is gone by now.
    fn removal_of(&self, table: &str, row: Uuid) -> Option<RowOp> {
        self.world.store.database.get(table, row).map(|_| delete(table, row))
    }

    /// A new pool of the first host, with an empty volume in it.
    fn pool(&mut self) -> Vec<RowOp> {
        self.pool = self.world.uuid();
        let (host, path) = (self.world.nodes[0].uuid, json!({ "path": "/sim/more" }));
        let pool = json!({ "uuid": self.pool, "type": "dir", "name": "more", "host": host, "config": path });
        let mut ops = vec![insert("storage_pool", pool)];
        ops.extend(self.volume(json!({ "storage_pool": self.pool })));
        ops
    }

    /// A new bond of the first host, for something.
    fn bond(&mut self, role: &str) -> Vec<RowOp> {
        self.bond = self.world.uuid();
        let bond = json!({ "uuid": self.bond, "host": self.world.nodes[0].uuid, "mode": "active-backup" });
        vec![insert("bond", bond), self.role(role)]
    }

    fn role(&mut self, role: &str) -> RowOp {
        self.role = self.world.uuid();
        let role = json!({ "uuid": self.role, "bond": self.bond, "role": role, "address": "10.9.0.1/24" });
        insert("net_role", role)
    }

    fn change_bond(&self, mode: &str, vlan_id: Json) -> Vec<RowOp> {
        vec![
            update("bond", self.bond, json!({ "mode": mode })),
            update("net_role", self.role, json!({ "vlan_id": vlan_id })),
        ]
    }

    fn change_switch(&self, columns: Json) -> Vec<RowOp> {
        vec![update("switch", self.world.users.switch(), columns)]
    }

    /// The cards of the instance go into a switch.
    fn plug_into(&self, switch: Uuid) -> Vec<RowOp> {
        let cards = self.world.store.database.table("vnic");
        let own = cards.filter(|it| it["instance"] == json!(self.instance));
        let own = own.filter_map(|it| uuid_of(it, "uuid"));
        own.map(|it| update("vnic", it, json!({ "switch": switch }))).collect()
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
