//! What is, on the hosts and in what users are told.

use super::given::SIZES_MIB;
use super::orders::Order;
use super::scene::Scene;
use crate::cloud::HOSTS;
use crate::host::Host;
use crate::traces;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::PathBuf;

impl Scene {
    /// Whether what somebody ordered is so: on the host, and in what users are shown.
    pub(super) async fn is(&self, order: Order) -> bool {
        let domains = self.domains();
        let is_off = domains.iter().all(|(_, state)| state == "shut off");
        match order {
            Order::Create | Order::CreateShared | Order::Start => self.is_up("running").await,
            Order::Pause => self.is_up("paused").await,
            Order::Stop => is_off && self.current().await["status"] == "stopped",
            Order::Plug => self.devices("domblklist") == 2 && self.devices("domiflist") == 2,
            Order::Unplug => self.devices("domblklist") == 1 && self.devices("domiflist") == 0,
            Order::Replug => self.is_plugged(),
            Order::Grow => self.capacity_mib() == Some(SIZES_MIB[1]),
            Order::Tell => {
                let discs = self.discs();
                let runs = matches!(&domains[..], [(_, state)] if state == "running");
                discs.len() == 1 && discs != self.told && runs
            }
            Order::Delete => domains.is_empty() && self.is_empty().await,
            Order::CopyImage => self.pool_files().len() > self.files.len(),
            Order::DeleteCopy => self.is_empty().await,
            Order::Evacuate | Order::EvacuateAgain | Order::Return | Order::Pin | Order::PinBack => {
                let there = order.away().map(|away| (self.home + away) % HOSTS);
                domains.iter().all(|(n, _)| Some(*n) == there) && self.is_up("running").await
            }
        }
    }

    /// The hosts that have a domain of the instance, by their numbers, and what libvirt says of it.
    fn domains(&self) -> Vec<(usize, String)> {
        let hosts = self.cloud.hosts.iter().enumerate();
        hosts.filter_map(|(n, host)| Some((n, host.domain_state(self.instance)?))).collect()
    }

    /// Whether just one host has it, which it is so on, and users are shown that. (What else is still to come to be, and is told
    /// meanwhile, such as a move that goes on, is no part of it.)
    async fn is_up(&self, status: &str) -> bool {
        let domains = self.domains();
        let [(n, state)] = &domains[..] else { return false };
        let current = self.current().await;
        state == status && current["status"] == status && current["host"] == *self.cloud.hosts[*n].uuid
    }

    async fn current(&self) -> Json {
        let path = ["tenant", &self.tenant, "instance", &self.instance.to_string()];
        self.cloud.get(&path).await["current"].clone()
    }

    /// The host that it is on; the first one where none is.
    fn place(&self) -> &Host {
        &self.cloud.hosts[self.number()]
    }

    /// Its number.
    pub(super) fn number(&self) -> usize {
        self.domains().first().map_or(0, |(n, _)| *n)
    }

    pub(super) fn discs(&self) -> Vec<PathBuf> {
        self.cloud.hosts.iter().flat_map(Host::discs).collect()
    }

    /// All files in pools, finished or not.
    pub(super) fn pool_files(&self) -> BTreeSet<PathBuf> {
        self.pools.iter().flat_map(|pool| traces::files(&pool.dir)).filter(|it| it.is_file()).collect()
    }

    /// How many lines a table of virsh has about the domain, but for the disc that tells it about itself.
    fn devices(&self, table: &str) -> usize {
        let output = self.place().virsh(&[table, &self.instance.to_string()]);
        let is_device = |line: &&str| !line.trim().is_empty() && !line.contains("ponycloud-seeds");
        String::from_utf8_lossy(&output.stdout).lines().filter(is_device).count()
    }

    /// Whether the card's tap is in its switch, as the kernel has it.
    fn is_plugged(&self) -> bool {
        let links = self.place().links();
        let of = |who: &str| {
            let is_it = |it: &&Json| it["ifalias"].as_str().is_some_and(|alias| alias.contains(who));
            links.iter().find(is_it)
        };
        let (tap, switch) = (of(&self.vnic), of(&self.switch));
        tap.zip(switch).is_some_and(|(tap, switch)| tap["master"] == switch["ifname"])
    }

    fn capacity_mib(&self) -> Option<u64> {
        let output = self.place().virsh(&["domblkinfo", &self.instance.to_string(), "vda"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("Capacity:"))?;
        line.trim().parse::<u64>().ok().map(|bytes| bytes >> 20)
    }

    /// Whether it is as ordered, or users are told why not; `cause`: with these words.
    pub(super) async fn is_told(&self, order: Order, cause: &str) -> bool {
        let instance = self.instance.to_string();
        let of_instance = ["tenant", &self.tenant, "instance", &instance];
        let of_volume = ["tenant", &self.tenant, "volume", &self.volume];
        let (table, path): (_, &[&str]) = match (order, &self.copy) {
            // Rows that are gone say nothing.
            (Order::Delete | Order::DeleteCopy, _) => return true,
            (Order::CopyImage, Some((image, _))) => ("image", &["image", image]),
            (Order::Grow, _) => ("volume", &of_volume),
            _ => ("instance", &of_instance),
        };
        let told = self.cloud.explain(table, path).await.unwrap_or_default();
        // While it moves it goes on running as ordered.
        let runs = order.away().is_some() && cause.is_empty();
        told.iter().any(|it| it.contains(cause)) || runs || self.is(order).await
    }

    /// Whether users are told of no trouble.
    pub(super) async fn is_told_well(&self) -> bool {
        let instance = self.instance.to_string();
        let told = self.cloud.explain("instance", &["tenant", &self.tenant, "instance", &instance]).await;
        told.is_ok_and(|it| it.is_empty())
    }

    /// Whether nothing but the image is on the hosts, and nothing else is known of them.
    pub(super) async fn is_empty(&self) -> bool {
        let mut rows = 0;
        for pool in &self.pools {
            rows += self.cloud.list(&["storage-pool", &pool.uuid, "volume"]).await.len();
        }
        for host in &self.cloud.hosts {
            if !self.cloud.list(&["host", &host.uuid, "instance"]).await.is_empty() {
                return false;
            }
        }
        let links = self.cloud.hosts.iter().any(|host| !host.links().is_empty() || host.has_rules());
        rows == 1 && !links && self.discs().is_empty() && self.pool_files() == self.files
    }

    /// Whether hosts that do not have the instance have nothing of it, and its disk is in one place.
    pub(super) fn is_tidy(&self) -> bool {
        let domains = self.domains();
        let is_elsewhere = |n: usize| !domains.iter().any(|(there, _)| *there == n);
        let others = self.cloud.hosts.iter().enumerate().filter(|(n, _)| is_elsewhere(*n));
        let is_clear = |host: &Host| host.links().is_empty() && !host.has_rules() && host.discs().is_empty();
        let is_disk = |it: &&PathBuf| it.to_string_lossy().contains(&self.volume);
        // Where none has it, all may still be kept for it.
        domains.is_empty()
            || others.into_iter().all(|(_, host)| is_clear(host))
                && self.pool_files().iter().filter(is_disk).count() == 1
    }
}
