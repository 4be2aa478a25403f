//! A cloud of real hosts whose agents are clumsy, and what goes wrong with it.

use super::orders::Order;
use crate::cloud::{Cloud, merge, named};
use crate::ground::Ground;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// A pool.
pub(super) struct Pool {
    pub(super) uuid: String,
    pub(super) dir: PathBuf,
}

impl From<(String, PathBuf)> for Pool {
    fn from((uuid, dir): (String, PathBuf)) -> Self {
        Self { uuid, dir }
    }
}

pub(super) struct Scene {
    pub(super) cloud: Cloud,
    /// One of each host in turn; where there are several hosts, then one that all reach.
    pub(super) pools: Vec<Pool>,
    pub(super) tenant: String,
    pub(super) image: String,
    pub(super) source: String,
    /// The image's own copy: what pools have when nothing else is in them.
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) instance: Uuid,
    /// Paths of all that was ordered with it.
    pub(super) parts: Vec<String>,
    pub(super) volume: String,
    pub(super) switch: String,
    pub(super) vnic: String,
    /// Says which host it is to be on.
    pub(super) pin: String,
    /// The number of the host that it was on before it was to move.
    pub(super) home: usize,
    /// The discs that there were before the guest was told something else.
    pub(super) told: Vec<PathBuf>,
    /// An image of its own, and where its copy is.
    pub(super) copy: Option<(String, String)>,
    /// Sees to it that names are not used again before they are free.
    pub(super) count: usize,
    begun: BTreeSet<String>,
}

impl Scene {
    /// The scene, with an image from `source`.
    pub(super) async fn new(cloud: Cloud, source: &str) -> Self {
        let mut pools: Vec<Pool> = Vec::new();
        for n in 0..cloud.hosts.len() {
            pools.push(cloud.own_pool(n, &format!("own{n}")).await.into());
        }
        if cloud.hosts.len() > 1 {
            pools.push(cloud.shared_pool().await.into());
        }
        let copy = json!({"storage_pool": pools[0].uuid, "format": "raw"});
        let uuids = cloud
            .patch(&[
                merge("/tenant/$tenant", &json!({"name": "matrix", "approved": true})),
                merge("/image/$image", &json!({"name": "small", "source_uri": source})),
                merge("/image/$image/children/volume/$backing", &copy),
            ])
            .await;
        let (tenant, image) = (named(&uuids, "$tenant"), named(&uuids, "$image"));
        let filled =
            async |cloud: &Cloud| cloud.get(&["image", &image]).await["desired"]["source_uri"].is_null();
        cloud.wait_until("the image is there", Duration::from_secs(60), filled).await;
        let nothing = String::new;
        let mut scene = Self {
            cloud,
            pools,
            tenant,
            image,
            source: source.to_owned(),
            files: BTreeSet::new(),
            instance: Uuid::nil(),
            parts: Vec::new(),
            volume: nothing(),
            switch: nothing(),
            vnic: nothing(),
            pin: nothing(),
            home: 0,
            told: Vec::new(),
            copy: None,
            count: 0,
            begun: BTreeSet::new(),
        };
        scene.files = scene.pool_files();
        scene.mend();
        scene
    }

    pub(super) async fn wait_for(&self, what: &str, patience: Duration, order: Order) {
        self.wait_until(what, patience, async |it| it.is(order).await).await;
    }

    pub(super) async fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        holds: impl AsyncFn(&Self) -> bool,
    ) {
        self.cloud.wait_until(what, patience, async |_: &Cloud| holds(self).await).await;
    }

    /// Deletes everything, and waits until nothing is left.
    pub(super) async fn clear(&mut self, what: &str, patience: Duration) {
        if self.copy.is_some() && !self.is_empty().await {
            let image = self.copy.as_ref().map_or("", |(image, _)| image);
            if !self.cloud.get(&["image", image]).await.is_null() {
                self.give(Order::DeleteCopy).await;
            }
        }
        if !self.parts.is_empty() {
            self.give(Order::Delete).await;
        }
        self.wait_for(&format!("{what}: nothing is left"), patience, Order::Delete).await;
        self.allow_hosts().await;
        self.copy = None;
        self.note_begun();
    }

    /// A file of each host, by which one speaks with its clumsy agent.
    fn talk(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        self.cloud.hosts.iter().map(move |host| host.dir.join(name))
    }

    /// From now on a step goes wrong.
    pub(super) fn break_step(&mut self, verb: &str, how: &str) {
        self.note_begun();
        self.talk("fault").for_each(|file| std::fs::write(file, format!("{verb}: {how}")).unwrap());
    }

    pub(super) fn mend(&mut self) {
        self.talk("fault").for_each(|file| drop(std::fs::remove_file(file)));
        self.heal();
    }

    /// The link of the n-th host is cut: to Sparkle, and where it is apart to all others.
    pub(super) fn cut(&self, n: usize) {
        self.cloud.hosts[n].plug(false);
        self.ground().cut();
    }

    /// Links are whole, and disks have room.
    pub(super) fn heal(&self) {
        self.cloud.hosts.iter().for_each(|host| host.plug(true));
        self.ground().mend(false);
    }

    fn note_begun(&mut self) {
        let files: Vec<PathBuf> = self.talk("begun").collect();
        for file in files {
            self.begun.extend(lines(&file));
            let _ = std::fs::remove_file(file);
        }
    }

    /// All steps that were ever begun.
    pub(super) fn all_begun(mut self) -> BTreeSet<String> {
        self.note_begun();
        self.begun.clone()
    }

    /// Waits until a step has begun since they were noted last; says on which host.
    pub(super) async fn wait_until_begun(&self, verb: &str, what: &str, patience: Duration) -> usize {
        let begun = || self.talk("begun").position(|file| lines(&file).iter().any(|it| it == verb));
        let is_begun = async |_: &Cloud| begun().is_some();
        self.cloud.wait_until(&format!("{what}: the step is begun"), patience, is_begun).await;
        begun().unwrap()
    }

    pub(super) fn ground(&self) -> &Ground {
        &self.cloud.ground
    }

    pub(super) fn restart_twilight(&mut self, n: usize) {
        self.cloud.hosts[n].kill_twilight();
        self.cloud.start_twilight_of(n);
    }

    pub(super) async fn restart_sparkle(&mut self) {
        self.cloud.sparkle.kill();
        self.cloud.start_sparkle().await;
    }
}

/// The steps that a host has begun.
fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub(super) fn remove(path: &str) -> Json {
    json!({"op": "remove", "path": path})
}
