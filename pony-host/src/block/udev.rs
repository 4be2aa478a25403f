//! What udev found out about a device, where udev runs: `/run/udev/data`.

use super::files;
use std::path::Path;

/// What udev says of one device; nothing where it does not run.
#[derive(Debug, Default)]
pub(super) struct Udev(String);

impl Udev {
    /// Of a block device, by its directory in `/sys`.
    pub(super) fn of(root: &Path, block: &Path) -> Self {
        let number = files::known(&block.join("dev")).filter(|number| !number.contains('/'));
        let data = number.and_then(|number| files::known(&root.join(format!("run/udev/data/b{number}"))));
        Self(data.unwrap_or_default())
    }

    /// A property.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let properties = self.0.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
        let mut found = properties.filter(|(key, _)| *key == name).map(|(_, value)| value.trim().to_owned());
        found.rfind(|value| !value.is_empty())
    }

    /// The World Wide Name, as the kernel writes it where it knows it.
    pub(super) fn wwn(&self) -> Option<String> {
        let wwn = self.get("ID_WWN_WITH_EXTENSION").or_else(|| self.get("ID_WWN"))?;
        Some(wwn.strip_prefix("0x").map_or_else(|| wwn.clone(), |digits| format!("naa.{digits}")))
    }
}
