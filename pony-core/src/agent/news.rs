//! One-time news for people: what happened, as opposed to what is. Bounded, and without repetition.

use super::config::Config;
use super::step::ResourceId;
use crate::host::UplinkId;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// Something that happened on this host.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The instance that it happened to.
    pub instance: Option<Uuid>,
    /// What happened, a word: `instance-stopped` (the guest switched itself off), `instance-panicked`,
    /// `instance-killed` (its emulator was, or broke down), `instance-destroyed` (somebody at the host pulled its
    /// plug), `instance-crashed` (nobody saw how), `volume-filled`, `step-failing`, `link-down`, `nic-gone`, `disk-gone`,
    /// `disk-failing`, `disk-errors`, `pool-broken`, `pool-filling`, `uplinks-rolled-back` (Sparkle could not be reached any more after a
    /// change of the host's links).
    pub kind: &'static str,
    /// The rest.
    pub data: Json,
}

/// What news can be about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Resource(ResourceId),
    /// By its hardware address.
    Nic(String),
    /// By its identity.
    Disk(String),
    Pool(Uuid),
}

/// What has happened and has not been sent.
#[derive(Debug, Clone, Default)]
pub(super) struct News {
    queue: VecDeque<Notification>,
    /// When the like of it was last told, by what makes two of them alike.
    told: BTreeMap<(&'static str, Thing), u64>,
    dropped: u64,
}

impl News {
    /// The guest broke down, or went off without an order.
    pub(super) fn guest_went_off(
        &mut self,
        now_ms: u64,
        instance: Uuid,
        kind: &'static str,
        config: &Config,
    ) {
        let news = Notification { instance: Some(instance), kind, data: json!({}) };
        self.tell(now_ms, Thing::Resource(ResourceId::Instance(instance)), news, config);
    }

    /// A volume has its data.
    pub(super) fn volume_filled(&mut self, now_ms: u64, volume: Uuid, size_mib: i64, config: &Config) {
        let data = json!({ "volume": volume, "size": size_mib });
        let news = Notification { instance: None, kind: "volume-filled", data };
        self.tell(now_ms, Thing::Resource(ResourceId::Volume(volume)), news, config);
    }

    /// A step failed for the first time since its resource was as ordered.
    pub(super) fn step_failing(
        &mut self,
        now_ms: u64,
        id: ResourceId,
        verb: &str,
        error: &str,
        config: &Config,
    ) {
        let (kind, uuid) = match id {
            ResourceId::Volume(uuid) => ("volume", uuid),
            ResourceId::Uplink(uplink) => ("bond", uplink.bond()),
            ResourceId::Switch(uuid) => ("switch", uuid),
            ResourceId::Tap(uuid) => ("vnic", uuid),
            ResourceId::Instance(uuid) => ("instance", uuid),
        };
        let instance = (kind == "instance").then_some(uuid);
        let data = json!({ kind: uuid, "step": verb, "error": error });
        let news = Notification { instance, kind: "step-failing", data };
        self.tell(now_ms, Thing::Resource(id), news, config);
    }

    /// A change of uplinks was taken back; `uplink`: one of them.
    pub(super) fn rolled_back(&mut self, now_ms: u64, uplink: UplinkId, attempts: u32, config: &Config) {
        let data = json!({ "bond": uplink.bond(), "attempts": attempts });
        let news = Notification { instance: None, kind: "uplinks-rolled-back", data };
        self.tell(now_ms, Thing::Resource(ResourceId::Uplink(uplink)), news, config);
    }

    /// Something happened to a thing.
    pub(super) fn tell(&mut self, now_ms: u64, thing: Thing, news: Notification, config: &Config) {
        self.told.retain(|_, at| now_ms < at.saturating_add(config.notification_repeat_ms));
        if self.told.insert((news.kind, thing), now_ms).is_some_and(|_| news.kind != "volume-filled") {
            return;
        }
        self.queue.push_back(news);
        while self.queue.len() > config.notifications_max {
            self.queue.pop_front();
            self.dropped += 1;
        }
    }

    /// The next to be sent.
    pub(super) fn pop(&mut self) -> Option<Notification> {
        self.queue.pop_front()
    }

    /// How many were dropped because nobody took them.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
