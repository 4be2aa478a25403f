//! Images of a Ceph cluster as devices, by Ceph's own commands. They read as zeroes where nothing was written.

use super::devices::{Device, Devices, Usage};
use super::error::StorageError;
use super::size::{MIB, mib};
use super::tool;
use crate::secrets::Secrets;
use pony_core::host::RbdPool;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;

/// The package of the commands.
const PACKAGE: &str = "ceph-common";

/// How long the cluster may take to answer, seconds: monitors at first, then any operation of theirs or of a disk's.
/// Each command is bounded as a whole, too.
const PATIENCE: [&str; 3] =
    ["--client_mount_timeout=10", "--rados_mon_op_timeout=10", "--rados_osd_op_timeout=30"];

/// Images that are asked for one by one; more are listed, which opens each of them.
const FEW: usize = 4;

/// A pool of a cluster.
pub(super) struct Rbd {
    pub(super) at: RbdPool,
    pub(super) secrets: Secrets,
}

#[derive(Deserialize)]
struct Listed {
    image: String,
    size: u64,
    snapshot: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    size: u64,
}

#[derive(Deserialize)]
struct Space {
    pools: Vec<PoolSpace>,
}

#[derive(Deserialize)]
struct PoolSpace {
    name: String,
    stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    stored: u64,
    max_avail: u64,
}

impl Rbd {
    fn run(&self, tool: &'static str, args: &[&str]) -> Result<Vec<u8>, StorageError> {
        // No file of the host's says anything about this cluster; one of the commands insists on one.
        let mut all: Vec<OsString> = ["--conf", "/dev/null", "-m"].map(OsString::from).into();
        all.push(self.at.monitors.join(",").into());
        match &self.at.login {
            Some(login) => {
                // It is read here for the sake of what is wrong with it.
                self.secrets.read(&login.secret).map_err(|why| StorageError::Secret { why })?;
                let file = self.secrets.path(&login.secret).into_os_string();
                all.extend(["--id".into(), login.user.clone().into(), "--keyfile".into(), file]);
            }
            None => all.push("--auth_client_required=none".into()),
        }
        all.extend(PATIENCE.into_iter().chain(args.iter().copied()).map(OsString::from));
        tool::run(tool, PACKAGE, all.iter().map(OsString::as_os_str)).map_err(|error| match error {
            StorageError::Tool { why, .. } => self.wrong(&why),
            other => other,
        })
    }

    fn ask<T: DeserializeOwned>(&self, tool: &'static str, args: &[&str]) -> Result<T, StorageError> {
        let text = self.run(tool, &[args, &["--format", "json"]].concat())?;
        let unclear = |_| StorageError::Tool { tool, why: "its answer is not understood".into() };
        serde_json::from_slice(&text).map_err(unclear)
    }

    fn wrong(&self, why: &str) -> StorageError {
        let server = format!("{} (monitors {})", self.at.pool, self.at.monitors.join(", "));
        StorageError::Server { what: "Ceph pool", server, why: format!("cannot be used: {why}") }
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.at.pool)
    }

    fn device(&self, name: &str, bytes: u64) -> Device {
        Device { name: name.to_owned(), bytes, place: self.at.disk(name).into() }
    }
}

/// As Ceph's commands have sizes.
fn size(bytes: u64) -> String {
    format!("{}M", mib(bytes))
}

impl Devices for Rbd {
    fn usage(&self) -> Result<Usage, StorageError> {
        let space: Space = self.ask("ceph", &["--connect-timeout", "10", "df"])?;
        let pool = space.pools.into_iter().find(|it| it.name == self.at.pool);
        let stats = pool.ok_or_else(|| self.wrong("the cluster has no pool of that name"))?.stats;
        let capacity = stats.stored.saturating_add(stats.max_avail);
        Ok(Usage { capacity, allocated: stats.stored, granule: MIB })
    }

    fn list(&self, prefix: &str) -> Result<Vec<Device>, StorageError> {
        let mut names: Vec<String> = self.ask("rbd", &["ls", &self.at.pool])?;
        names.retain(|name| name.starts_with(prefix));
        if names.len() <= FEW {
            let info = |name: &String| {
                let info: Info = self.ask("rbd", &["info", &self.full_name(name)])?;
                Ok(self.device(name, info.size))
            };
            return names.iter().map(info).collect();
        }
        let listed: Vec<Listed> = self.ask("rbd", &["ls", "-l", &self.at.pool])?;
        let ours = listed.into_iter().filter(|it| it.snapshot.is_none() && it.image.starts_with(prefix));
        Ok(ours.map(|it| self.device(&it.image, it.size)).collect())
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Device, StorageError> {
        self.run("rbd", &["create", "--size", &size(bytes), &self.full_name(name)])?;
        Ok(self.device(name, mib(bytes) * MIB))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.run("rbd", &["mv", &self.full_name(from), &self.full_name(to)]).map(drop)
    }

    fn extend(&self, device: &Device, bytes: u64) -> Result<Device, StorageError> {
        let name = self.full_name(&device.name);
        self.run("rbd", &["resize", "--no-progress", "--size", &size(bytes), &name])?;
        Ok(self.device(&device.name, mib(bytes) * MIB))
    }

    fn settle(&self, _: &Device) -> Result<(), StorageError> {
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.run("rbd", &["rm", "--no-progress", &self.full_name(name)]).map(drop)
    }

    fn are_blank(&self) -> bool {
        true
    }
}
