//! What the options of a storage pool mean, by its type: the one place that reads `storage_pool.config`. The document
//! asks here when a pool is ordered, and the agent when it makes a spec of it.

use crate::host::PoolBackend;
use crate::tables::StoragePoolType;
use serde_json::{Map, Value as Json};
use std::path::PathBuf;

/// Longest name of a volume group or of a logical volume in LVM, characters.
const LVM_NAME_MAX: usize = 127;

/// Longest name of a server or list of mount options, characters.
const WORD_MAX: usize = 255;

/// Options of one pool, each of which has to be known and of the right form.
struct Options<'a> {
    kind: &'static str,
    given: &'a Map<String, Json>,
}

/// What the pool is made of; for types without a driver, [`PoolBackend::Unsupported`], whatever its options are.
///
/// # Errors
/// What is wrong with the options, and what would be right.
pub(crate) fn backend(kind: StoragePoolType, config: &Json) -> Result<PoolBackend, String> {
    let none = Map::new();
    let given = match config {
        Json::Object(given) => given,
        Json::Null => &none,
        _ => return Err("it must be an object: {\"option\": value}".to_owned()),
    };
    let options = Options { kind: kind.as_str(), given };
    match kind {
        StoragePoolType::Dir => {
            options.only(&["path"])?;
            Ok(PoolBackend::Dir { path: options.path("path")? })
        }
        StoragePoolType::Btrfs => {
            options.only(&["path"])?;
            Ok(PoolBackend::Btrfs { path: options.path("path")? })
        }
        StoragePoolType::Lvm => {
            options.only(&["vg", "thin_pool"])?;
            let vg =
                options.lvm_name("vg")?.ok_or_else(|| options.missing("vg", "name of a volume group"))?;
            Ok(PoolBackend::Lvm { vg, thin_pool: options.lvm_name("thin_pool")? })
        }
        StoragePoolType::Nfs => {
            options.only(&["server", "export", "options"])?;
            let server = options.word("server", ".-:[]")?;
            let server = server.ok_or_else(|| options.missing("server", "name or address"))?;
            let mount = options.word("options", "=,._-/:")?;
            Ok(PoolBackend::Nfs { server, export: options.path("export")?, options: mount })
        }
        other => Ok(PoolBackend::Unsupported(other.as_str().to_owned())),
    }
}

impl Options<'_> {
    fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.given.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                Err(format!("a pool of type {} has no option `{name}`, but {}", self.kind, known.join(", ")))
            }
        }
    }

    fn missing(&self, name: &str, what: &str) -> String {
        format!("a pool of type {} needs {{\"{name}\": \"{what}\"}}", self.kind)
    }

    fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.given.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} must be a text")),
        }
    }

    fn path(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.text(name)?.ok_or_else(|| self.missing(name, "/an/absolute/path"))?;
        let clean = path.starts_with('/')
            && path.split('/').all(|part| part != ".." && part != ".")
            && !path.chars().any(char::is_control);
        match clean {
            true => Ok(PathBuf::from(path)),
            false => Err(format!("{name} must be absolute, without `.` and `..`")),
        }
    }

    /// Letters, digits and some signs: nothing that a command line or a list of options takes for something else.
    fn word(&self, name: &str, signs: &str) -> Result<Option<String>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let fits = |c: char| c.is_ascii_alphanumeric() || signs.contains(c);
        match !text.is_empty() && text.len() <= WORD_MAX && !text.starts_with('-') && text.chars().all(fits) {
            true => Ok(Some(text.to_owned())),
            false => Err(format!("{name} must be 1 to {WORD_MAX} of a-z A-Z 0-9 {signs}")),
        }
    }

    /// What LVM takes as a name, and what no command line takes for an option.
    fn lvm_name(&self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let fits = |c: char| c.is_ascii_alphanumeric() || "+_.-".contains(c);
        let named = !text.is_empty() && text.len() <= LVM_NAME_MAX && !matches!(text, "." | "..");
        match named && !text.starts_with('-') && text.chars().all(fits) {
            true => Ok(Some(text.to_owned())),
            false => Err(format!("{name} must be a name of LVM: 1 to {LVM_NAME_MAX} of a-z A-Z 0-9 + _ . -")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_read_by_type() {
        let dir = |path: &str| PathBuf::from(path);
        let (vg, thin_pool) = ("data".to_owned(), Some("thin".to_owned()));
        let cases = [
            (StoragePoolType::Dir, json!({"path": "/a"}), PoolBackend::Dir { path: dir("/a") }),
            (StoragePoolType::Btrfs, json!({"path": "/a/b"}), PoolBackend::Btrfs { path: dir("/a/b") }),
            (
                StoragePoolType::Lvm,
                json!({"vg": "data"}),
                PoolBackend::Lvm { vg: vg.clone(), thin_pool: None },
            ),
            (
                StoragePoolType::Lvm,
                json!({"vg": "data", "thin_pool": "thin"}),
                PoolBackend::Lvm { vg, thin_pool },
            ),
            (
                StoragePoolType::Nfs,
                json!({"server": "10.0.0.1", "export": "/srv/a", "options": "vers=4.1,port=2050"}),
                PoolBackend::Nfs {
                    server: "10.0.0.1".to_owned(),
                    export: dir("/srv/a"),
                    options: Some("vers=4.1,port=2050".to_owned()),
                },
            ),
            (StoragePoolType::Zfs, json!({"any": 1}), PoolBackend::Unsupported("zfs".to_owned())),
        ];
        for (kind, config, expected) in cases {
            assert_eq!(backend(kind, &config), Ok(expected));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (kind, config, words) in [
            (StoragePoolType::Dir, json!({}), "needs {\"path\": \"/an/absolute/path\"}"),
            (StoragePoolType::Dir, json!([]), "must be an object"),
            (StoragePoolType::Dir, json!({"path": 1}), "path must be a text"),
            (StoragePoolType::Btrfs, json!({"path": "a"}), "absolute"),
            (StoragePoolType::Btrfs, json!({"path": "/a/../b"}), "absolute"),
            (StoragePoolType::Btrfs, json!({"path": "/a", "size": 1}), "type btrfs has no option `size`"),
            (StoragePoolType::Lvm, json!({"thin_pool": "a"}), "needs {\"vg\""),
            (StoragePoolType::Lvm, json!({"vg": "--help"}), "name of LVM"),
            (StoragePoolType::Lvm, json!({"vg": "a/b"}), "name of LVM"),
            (StoragePoolType::Nfs, json!({"export": "/a"}), "needs {\"server\""),
            (StoragePoolType::Nfs, json!({"server": "a", "export": "a"}), "absolute"),
            (StoragePoolType::Nfs, json!({"server": "-a", "export": "/a"}), "server must be"),
            (
                StoragePoolType::Nfs,
                json!({"server": "a", "export": "/a", "options": "a b"}),
                "options must be",
            ),
            (StoragePoolType::Lvm, json!({"vg": ""}), "name of LVM"),
            (StoragePoolType::Lvm, json!({"vg": "a", "thin_pool": ".."}), "name of LVM"),
        ] {
            let said = backend(kind, &config).unwrap_err();
            assert!(said.contains(words), "{config}: {said}");
        }
    }
}
