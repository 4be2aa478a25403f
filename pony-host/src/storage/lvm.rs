//! Logical volumes as devices, by LVM's own commands; they know about locks, clusters and configuration.

use super::devices::{Device, Devices, Usage};
use super::error::StorageError;
use super::tool;
use pony_core::host::Place;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::ffi::OsStr;
use std::path::Path;

/// The tag of a logical volume that was made larger, and whose added part may hold somebody else's data: how many
/// bytes of it can be used.
const USABLE: &str = "pony.usable=";

/// A volume group, and the thin pool in it.
pub(super) struct Lvm {
    vg: String,
    thin_pool: Option<String>,
}

#[derive(Deserialize)]
struct Answer<T> {
    report: Vec<T>,
}

#[derive(Deserialize)]
struct Groups {
    vg: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    vg_size: String,
    vg_free: String,
    vg_extent_size: String,
    vg_attr: String,
}

#[derive(Deserialize)]
struct Volumes {
    lv: Vec<Volume>,
}

#[derive(Deserialize)]
struct Volume {
    lv_name: String,
    lv_size: String,
    lv_tags: String,
    lv_active: String,
    data_percent: String,
    lv_health_status: String,
}

impl Lvm {
    pub(super) fn new(vg: &str, thin_pool: Option<&str>) -> Self {
        Self { vg: vg.to_owned(), thin_pool: thin_pool.map(str::to_owned) }
    }

    fn run(&self, tool: &'static str, args: &[&str]) -> Result<Vec<u8>, StorageError> {
        tool::run(tool, "lvm2", args.iter().map(OsStr::new))
    }

    fn report<T: DeserializeOwned>(&self, tool: &'static str, args: &[&str]) -> Result<T, StorageError> {
        let form = ["--reportformat", "json", "--units", "b", "--nosuffix"];
        let text = self.run(tool, &[&form, args].concat())?;
        let answer: Option<Answer<T>> = serde_json::from_slice(&text).ok();
        let unclear = || StorageError::Tool { tool, why: "its answer is not understood".into() };
        answer.and_then(|answer| answer.report.into_iter().next()).ok_or_else(unclear)
    }

    fn volumes(&self, which: &str) -> Result<Vec<Volume>, StorageError> {
        let fields = "lv_name,lv_size,lv_tags,lv_active,data_percent,lv_health_status";
        Ok(self.report::<Volumes>("lvs", &["-o", fields, which])?.lv)
    }

    fn device(&self, name: &str, bytes: u64) -> Device {
        let place = Place::Block(Path::new("/dev").join(&self.vg).join(name));
        Device { name: name.to_owned(), bytes, place }
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.vg)
    }

    fn group(&self) -> Result<Group, StorageError> {
        let fields = "vg_size,vg_free,vg_extent_size,vg_attr";
        let mut found = self.report::<Groups>("vgs", &["-o", fields, &self.vg])?.vg;
        let group = found.pop().ok_or_else(|| self.wrong("does not exist"))?;
        match group.vg_attr.chars().nth(3) {
            Some('p') => Err(self.wrong("lacks some of its physical volumes: bring their disks back")),
            _ => Ok(group),
        }
    }

    fn wrong(&self, why: &'static str) -> StorageError {
        StorageError::Device { what: "volume group", name: self.vg.clone(), why }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_default()
}

impl Volume {
    /// Bytes that can be used.
    fn usable(&self) -> u64 {
        let tag = self.lv_tags.split(',').find_map(|tag| tag.strip_prefix(USABLE));
        tag.and_then(|bytes| bytes.parse().ok()).unwrap_or_else(|| number(&self.lv_size))
    }
}

impl Devices for Lvm {
    fn usage(&self) -> Result<Usage, StorageError> {
        let group = self.group()?;
        let granule = number(&group.vg_extent_size);
        let Some(pool) = &self.thin_pool else {
            let capacity = number(&group.vg_size);
            let allocated = capacity.saturating_sub(number(&group.vg_free));
            return Ok(Usage { capacity, allocated, granule });
        };
        let wrong = |why| StorageError::Device { what: "thin pool", name: self.full_name(pool), why };
        let found = self.volumes(&self.full_name(pool))?;
        let pool = found.first().ok_or_else(|| wrong("does not exist"))?;
        if !pool.lv_health_status.is_empty() {
            return Err(wrong("is not healthy (lvs -o lv_health_status): it is full, or must be repaired"));
        }
        let percent: f64 =
            pool.data_percent.parse().map_err(|_| wrong("is not a thin pool, or not active"))?;
        let capacity = number(&pool.lv_size);
        // Of a few hundredths of a percent, which is what LVM tells.
        let allocated = (capacity as f64 * percent / 100.0) as u64;
        Ok(Usage { capacity, allocated, granule })
    }

    fn list(&self, prefix: &str) -> Result<Vec<Device>, StorageError> {
        let ours = self.volumes(&self.vg)?.into_iter().filter(|it| it.lv_name.starts_with(prefix));
        let ready = |it: Volume| {
            if it.lv_active.is_empty() {
                self.run("lvchange", &["-ay", &self.full_name(&it.lv_name)])?;
            }
            Ok(self.device(&it.lv_name, it.usable()))
        };
        ours.map(ready).collect()
    }

    fn create(&self, name: &str, bytes: u64) -> Result<Device, StorageError> {
        let size = format!("{bytes}b");
        match &self.thin_pool {
            Some(pool) => {
                self.run("lvcreate", &["-y", "-V", &size, "--thinpool", pool, "-n", name, &self.vg])
            }
            // What lies there from before is overwritten by whoever asks for it.
            None => self.run("lvcreate", &["-y", "-W", "n", "-Z", "n", "-L", &size, "-n", name, &self.vg]),
        }
        .map(|_| self.device(name, bytes))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.run("lvrename", &[&self.vg, from, to]).map(drop)
    }

    fn extend(&self, device: &Device, bytes: u64) -> Result<Device, StorageError> {
        let name = self.full_name(&device.name);
        let found = self.volumes(&name)?;
        let Some(found) = found.first() else { return Err(self.wrong("has lost the volume")) };
        if !self.are_blank() && !found.lv_tags.contains(USABLE) {
            self.run("lvchange", &["--addtag", &format!("{USABLE}{}", device.bytes), &name])?;
        }
        if number(&found.lv_size) < bytes {
            self.run("lvextend", &["-L", &format!("{bytes}b"), &name])?;
        }
        Ok(Device { bytes, ..device.clone() })
    }

    fn settle(&self, device: &Device) -> Result<(), StorageError> {
        if self.are_blank() {
            return Ok(());
        }
        let tag = format!("{USABLE}{}", device.bytes);
        self.run("lvchange", &["--deltag", &tag, &self.full_name(&device.name)]).map(drop)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.run("lvremove", &["-f", &self.full_name(name)]).map(drop)
    }

    fn are_blank(&self) -> bool {
        self.thin_pool.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_zeroed_yet_does_not_count() {
        let volume = |tags: &str| Volume {
            lv_name: "pony-x".into(),
            lv_size: "8388608".into(),
            lv_tags: tags.into(),
            lv_active: "active".into(),
            data_percent: String::new(),
            lv_health_status: String::new(),
        };
        assert_eq!(volume("").usable(), 8 << 20);
        assert_eq!(volume("other,pony.usable=4194304").usable(), 4 << 20);
    }
}
