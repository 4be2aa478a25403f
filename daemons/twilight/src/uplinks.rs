//! What is proven, on trial and refused of the host's uplinks, kept so that a restart in the middle of a change rolls it
//! back too, and so that the host can be reached after it was switched on.

use crate::durable::Durable;
use anyhow::Context;
use pony_core::agent::UplinkRecord;
use std::path::Path;

pub(crate) struct UplinkFile(Durable);

impl UplinkFile {
    pub(crate) fn new(dir: &Path) -> Self {
        Self(Durable::new(dir, "uplinks.json"))
    }

    /// The record; an empty one where none was ever written.
    pub(crate) fn read(&self) -> anyhow::Result<UplinkRecord> {
        let Some(text) = self.0.read()? else { return Ok(UplinkRecord::default()) };
        let wrong = || {
            let path = self.0.path().display();
            format!(
                "{path}: it is not what this program wrote; without it, all uplinks are taken for new orders"
            )
        };
        serde_json::from_str(&text).with_context(wrong)
    }

    pub(crate) fn write(&self, record: &UplinkRecord) -> std::io::Result<()> {
        self.0.write(&serde_json::to_string(record)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::host::{BondMode, BondSpec, SegmentSpec, UplinkSpec, XmitHash};
    use uuid::Uuid;

    #[test]
    fn a_record_is_kept_and_nonsense_is_not_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = UplinkFile::new(dir.path());
        assert_eq!(file.read().unwrap(), UplinkRecord::default());
        let bond = Uuid::from_u128(1);
        let mode = BondMode::Lacp { fast: true, hash: XmitHash::Layer34 };
        let nics = ["52:54:00:00:00:01".to_owned()].into();
        let mut segment = SegmentSpec::plain(bond, 0, 7);
        segment.addresses.insert(("fd00::1".parse().unwrap(), 64));
        let proven = vec![UplinkSpec::Bond(BondSpec { bond, mode, nics }), UplinkSpec::Segment(segment)];
        let record = UplinkRecord { trial: Some(proven.clone()), proven, refused: None };
        file.write(&record).unwrap();
        assert_eq!(UplinkFile::new(dir.path()).read().unwrap(), record);
        std::fs::write(dir.path().join("uplinks.json"), "x").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("uplinks.json"));
    }
}
