//! What a domain carries to say whose it is and what was ordered: an element of our own in `<metadata>`.

use super::accel::Accel;
use pony_core::host::InstanceSpec;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use uuid::Uuid;

/// Namespace of [`Owner`].
pub(super) const OWNER_NS: &str = "urn:ponycloud:instance:1";
/// Namespace of the mark that a guest was told to shut down. It is set on the running domain only, so that it
/// survives the agent and the daemon and goes away with the run.
pub(super) const STOPPING_NS: &str = "urn:ponycloud:stopping:1";
/// Prefix of the element on a running domain.
pub(super) const OWNER_KEY: &str = "pony";
/// Prefix and content of that mark.
pub(super) const STOPPING_KEY: &str = "ponystop";
/// The mark itself.
pub(super) const STOPPING_XML: &str = "<stopping/>";

/// Raised whenever the same spec is turned into another domain, so that `define` replaces old ones.
const REVISION: u32 = 3;

/// The element as it is written.
#[derive(Debug, Serialize)]
#[serde(rename = "pony:instance")]
pub(super) struct OwnerXml {
    #[serde(rename = "@xmlns:pony")]
    xmlns: &'static str,
    #[serde(rename = "@host")]
    host: Uuid,
    #[serde(rename = "@accel")]
    accel: &'static str,
    #[serde(rename = "@revision")]
    revision: u32,
    #[serde(rename = "@quota")]
    quota: bool,
    #[serde(rename = "pony:spec")]
    spec: String,
}

/// The element as libvirt gives it back: without its prefix.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Owner {
    /// Whose it is.
    #[serde(rename = "@host")]
    pub(super) host: Uuid,
    #[serde(rename = "@accel", default)]
    accel: String,
    #[serde(rename = "@revision", default)]
    revision: u32,
    /// Whether it is held to its CPU share.
    #[serde(rename = "@quota", default)]
    pub(super) quota: bool,
    #[serde(rename = "spec", alias = "pony:spec", default)]
    spec: String,
}

impl OwnerXml {
    /// # Errors
    ///
    /// If the spec cannot be written as JSON: a path that is not UTF-8.
    pub(super) fn new(
        host: Uuid,
        accel: Accel,
        quota: bool,
        spec: &InstanceSpec,
    ) -> Result<Self, serde_json::Error> {
        let spec = ascii_json(&serde_json::to_string(spec)?);
        Ok(Self { xmlns: OWNER_NS, host, accel: accel.as_str(), revision: REVISION, quota, spec })
    }

    /// The element as libvirt wants it when it is changed on a running domain: it adds the namespace itself.
    ///
    /// # Errors
    ///
    /// If the serializer refuses the values.
    pub(super) fn bare(&self) -> Result<String, quick_xml::SeError> {
        // What is escaped inside holds none of these.
        let text = quick_xml::se::to_string(self)?;
        let text = text.replace(&format!(" xmlns:pony=\"{OWNER_NS}\""), "");
        Ok(text.replace("<pony:", "<").replace("</pony:", "</"))
    }

    /// Whether a domain that carries `found` is the one that this would make.
    pub(super) fn is(&self, found: &Owner) -> bool {
        self.host == found.host
            && self.accel == found.accel
            && self.revision == found.revision
            && self.quota == found.quota
            && self.spec == found.spec
    }
}

impl Owner {
    /// Reads the element; `None` if it is not one of ours after all.
    pub(super) fn parse(xml: &str) -> Option<Self> {
        quick_xml::de::from_str(xml).ok()
    }

    /// The order that the domain was made from, if it is readable.
    pub(super) fn spec(&self) -> Option<InstanceSpec> {
        serde_json::from_str(&self.spec).ok()
    }
}

/// Names may hold characters that no XML document can (U+FFFF, U+0001): JSON can say all of them in ASCII.
fn ascii_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::host::Boot;

    fn spec(name: &str) -> InstanceSpec {
        let instance = Uuid::from_u128(7);
        let name = name.to_owned();
        let boot = Boot::Disk;
        InstanceSpec {
            instance,
            name,
            vcpu: 1,
            cpu_percent: 100,
            mem_mib: 64,
            boot,
            firmware: pony_core::host::Firmware::default(),
            cpu: None,
            disks: vec![],
            nics: vec![],
            seed: None,
        }
    }

    #[test]
    fn hostile_names_come_back() {
        for name in ["<>&\"'", "a\nb\tc\r\u{0}\u{1}\u{7f}", "𝕏\u{ffff}\u{202e}ü", "]]>", "&#10;\\u0000\\", ""]
        {
            let xml = OwnerXml::new(Uuid::from_u128(1), Accel::Tcg, true, &spec(name)).unwrap();
            let text = quick_xml::se::to_string(&xml).unwrap();
            let owner = Owner::parse(&text).unwrap();
            assert!(xml.is(&owner), "{text}");
            assert_eq!(owner.spec().unwrap(), spec(name));
        }
    }

    #[test]
    fn foreign_metadata_are_not_ours() {
        assert_eq!(Owner::parse("<instance host='not a uuid'/>"), None);
        assert_eq!(Owner::parse("<instance/>"), None);
        assert_eq!(Owner::parse(""), None);
    }
}
