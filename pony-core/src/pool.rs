//! What the options of a storage pool mean, by its type: the one place that reads `storage_pool.config`. The document
//! asks here when a pool is ordered, and the agent when it makes a spec of it.

use crate::host::{IscsiMode, IscsiPool, Login, PlvmPool, PoolBackend, RbdPool};
use crate::tables::StoragePoolType;
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::path::PathBuf;

/// Longest name of a volume group or of a logical volume in LVM, characters.
const LVM_NAME_MAX: usize = 127;

/// Longest name of a server or list of mount options, characters.
const WORD_MAX: usize = 255;

/// Longest name of a target or an initiator, characters: that of the protocol.
const ISCSI_NAME_MAX: usize = 223;

/// LUNs of one pool: all that there may be. A look at each takes some round trips, all of them less than a second.
const LUNS_MAX: usize = 256;

/// Largest number of a LUN: the emulator's initiator addresses no larger ones.
const LUN_MAX: u8 = u8::MAX;

/// Monitors of one cluster: a cluster has a handful.
const MONITORS_MAX: usize = 16;

/// Where monitors listen, unless something else is said: the port that all clients know.
const MONITOR_PORT: u16 = 6789;

/// Where iSCSI targets listen, unless something else is said.
const ISCSI_PORT: u16 = 3260;

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
        // Its disks are rows that name it.
        StoragePoolType::Plvm => {
            options.only(&[])?;
            Ok(PoolBackend::Plvm(PlvmPool::default()))
        }
        StoragePoolType::Nfs => {
            options.only(&["server", "export", "options"])?;
            let server = options.word("server", ".-:[]")?;
            let server = server.ok_or_else(|| options.missing("server", "name or address"))?;
            let mount = options.word("options", "=,._-/:")?;
            Ok(PoolBackend::Nfs { server, export: options.path("export")?, options: mount })
        }
        StoragePoolType::Iscsi => {
            options.only(&["portal", "target", "luns", "user", "secret", "initiator", "mode"])?;
            options.iscsi().map(PoolBackend::from)
        }
        StoragePoolType::Rbd => {
            options.only(&["monitors", "pool", "user", "secret"])?;
            let monitors = options.monitors("monitors")?;
            let pool = options.word("pool", "._-")?;
            let pool = pool.ok_or_else(|| options.missing("pool", "name of a pool of the cluster"))?;
            Ok(RbdPool { monitors, pool, login: options.login()? }.into())
        }
        other => Ok(PoolBackend::Unsupported(other.as_str().to_owned())),
    }
}

impl Options<'_> {
    fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.given.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) if known.is_empty() => {
                Err(format!("a pool of type {} has no options, hence no `{name}`", self.kind))
            }
            Some(name) => {
                Err(format!("a pool of type {} has no option `{name}`, but {}", self.kind, known.join(", ")))
            }
        }
    }

    fn missing(&self, name: &str, what: &str) -> String {
        format!("a pool of type {} needs {{\"{name}\": \"{what}\"}}", self.kind)
    }

    fn missing_list(&self, name: &str, what: &str) -> String {
        format!("a pool of type {} needs {{\"{name}\": {what}}}", self.kind)
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

    fn iscsi(&self) -> Result<IscsiPool, String> {
        let target = self.iscsi_name("target")?;
        let target = target.ok_or_else(|| self.missing("target", "iqn.2026-01.org.example:disks"))?;
        let (portal, luns, login) = (self.portal("portal")?, self.luns("luns")?, self.login()?);
        let (initiator, mode) = (self.iscsi_name("initiator")?, self.iscsi_mode("mode")?);
        if mode == IscsiMode::Host && initiator.is_some() {
            return Err(
                "initiator goes with mode direct only: in mode host each host has a name of its own, which \
                        stands in its /etc/iscsi/initiatorname.iscsi"
                    .to_owned(),
            );
        }
        Ok(IscsiPool { portal, target, luns, login, initiator, mode })
    }

    fn iscsi_mode(&self, name: &str) -> Result<IscsiMode, String> {
        match self.text(name)? {
            None | Some("direct") => Ok(IscsiMode::Direct),
            Some("host") => Ok(IscsiMode::Host),
            Some(_) => Err(format!(
                "{name} must be \"direct\" (the emulator signs in at the target) or \"host\" (the host's kernel does)"
            )),
        }
    }

    /// The name of an iSCSI node, in lower case.
    fn iscsi_name(&self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:".contains(c);
        let named = ["iqn.", "eui.", "naa."].iter().any(|kind| text.starts_with(kind));
        match named && text.len() <= ISCSI_NAME_MAX && text.chars().all(fits) {
            true => Ok(Some(text.to_owned())),
            false => Err(format!(
                "{name} must be a name of iSCSI: iqn., eui. or naa., then a-z 0-9 . - :, {ISCSI_NAME_MAX} in all"
            )),
        }
    }

    fn portal(&self, name: &str) -> Result<String, String> {
        let text = self.word(name, ".-:[]")?.ok_or_else(|| self.missing(name, "host:port"))?;
        server(&text, ISCSI_PORT)
            .ok_or_else(|| format!("{name} must be host:port, where an IPv6 address stands in brackets"))
    }

    fn monitors(&self, name: &str) -> Result<Vec<String>, String> {
        let wrong = || format!("{name} must be a list of 1 to {MONITORS_MAX} texts host:port");
        let given = self.given.get(name).ok_or_else(|| self.missing_list(name, "[\"host:port\"]"))?;
        let given = given.as_array().filter(|it| (1..=MONITORS_MAX).contains(&it.len())).ok_or_else(wrong)?;
        let monitor = |it: &Json| server(it.as_str()?, MONITOR_PORT);
        given.iter().map(monitor).collect::<Option<_>>().ok_or_else(wrong)
    }

    fn luns(&self, name: &str) -> Result<Vec<u8>, String> {
        let wrong = || {
            format!(
                "{name} must be a list of 1 to {LUNS_MAX} different numbers of LUNs, 0 to {LUN_MAX}: [1, 2]"
            )
        };
        let given = self.given.get(name).ok_or_else(|| self.missing_list(name, "[1, 2]"))?;
        let given = given.as_array().filter(|it| (1..=LUNS_MAX).contains(&it.len())).ok_or_else(wrong)?;
        let number = |it: &Json| u8::try_from(it.as_u64()?).ok();
        let luns: Vec<u8> = given.iter().map(number).collect::<Option<_>>().ok_or_else(wrong)?;
        match luns.iter().collect::<BTreeSet<_>>().len() == luns.len() {
            true => Ok(luns),
            false => Err(wrong()),
        }
    }

    /// Who signs in, and where each host finds the secret. The secret itself has no place here: everybody reads this.
    fn login(&self) -> Result<Option<Login>, String> {
        match (self.word("user", "._-@:")?, self.file_name("secret")?) {
            (None, None) => Ok(None),
            (Some(user), Some(secret)) => Ok(Some(Login { user, secret })),
            _ => Err(
                "user and secret belong together: secret names the file that has the user's secret, below \
                      /etc/pony/secrets of each host"
                    .to_owned(),
            ),
        }
    }

    fn file_name(&self, name: &str) -> Result<Option<String>, String> {
        match self.word(name, "._-")? {
            Some(text) if text.starts_with('.') => Err(format!("{name} must not begin with a dot")),
            word => Ok(word),
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

/// `host:port`, where the port may be left out, and an IPv6 address stands in brackets.
fn server(text: &str, usual_port: u16) -> Option<String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|it| *it != 0)?),
        _ => (text, usual_port),
    };
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let is_host = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.starts_with('-') && host.chars().all(is_name),
    };
    (is_host && text.len() <= WORD_MAX).then(|| format!("{host}:{port}"))
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
            (
                StoragePoolType::Iscsi,
                json!({"portal": "[::1]", "target": "iqn.2026-01.test:a", "luns": [1, 255],
                       "user": "pony", "secret": "san-1"}),
                IscsiPool {
                    portal: "[::1]:3260".to_owned(),
                    target: "iqn.2026-01.test:a".to_owned(),
                    luns: vec![1, 255],
                    login: Some(Login { user: "pony".to_owned(), secret: "san-1".to_owned() }),
                    initiator: None,
                    mode: IscsiMode::Direct,
                }
                .into(),
            ),
            (
                StoragePoolType::Iscsi,
                json!({"portal": "a:1", "target": "iqn.a", "luns": [1], "mode": "host"}),
                IscsiPool {
                    portal: "a:1".to_owned(),
                    target: "iqn.a".to_owned(),
                    luns: vec![1],
                    login: None,
                    initiator: None,
                    mode: IscsiMode::Host,
                }
                .into(),
            ),
            (
                StoragePoolType::Rbd,
                json!({"monitors": ["ceph1", "[::1]:3300"], "pool": "volumes"}),
                RbdPool {
                    monitors: vec!["ceph1:6789".to_owned(), "[::1]:3300".to_owned()],
                    pool: "volumes".to_owned(),
                    login: None,
                }
                .into(),
            ),
            (StoragePoolType::Plvm, json!({}), PoolBackend::Plvm(PlvmPool::default())),
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
            (StoragePoolType::Plvm, json!({"disks": ["a"]}), "has no options, hence no `disks`"),
            (StoragePoolType::Lvm, json!({"vg": ""}), "name of LVM"),
            (StoragePoolType::Lvm, json!({"vg": "a", "thin_pool": ".."}), "name of LVM"),
        ] {
            let said = backend(kind, &config).unwrap_err();
            assert!(said.contains(words), "{config}: {said}");
        }
    }

    #[test]
    fn what_is_wrong_with_rbd_is_named() {
        for (config, words) in [
            (json!({"pool": "a"}), "needs {\"monitors\""),
            (json!({"monitors": [], "pool": "a"}), "a list of 1 to 16"),
            (json!({"monitors": ["a,b"], "pool": "a"}), "host:port"),
            (json!({"monitors": ["a"]}), "needs {\"pool\""),
            (json!({"monitors": ["a"], "pool": "a/b"}), "pool must be"),
            (json!({"monitors": ["a"], "pool": "a", "key": "b"}), "has no option `key`"),
        ] {
            let said = backend(StoragePoolType::Rbd, &config).unwrap_err();
            assert!(said.contains(words), "{config}: {said}");
        }
    }

    #[test]
    fn what_is_wrong_with_iscsi_is_named() {
        let right = json!({"portal": "a:1", "target": "iqn.a", "luns": [1]});
        assert!(backend(StoragePoolType::Iscsi, &right).is_ok());
        for (name, value, words) in [
            ("portal", json!(null), "needs {\"portal\""),
            ("portal", json!(":1"), "host:port"),
            ("portal", json!("a:0"), "host:port"),
            ("portal", json!("::1"), "brackets"),
            ("portal", json!("[a]"), "brackets"),
            ("portal", json!("a,b"), "portal must be"),
            ("target", json!(null), "needs {\"target\""),
            ("target", json!("disk"), "a name of iSCSI"),
            ("target", json!("iqn.a,lun=2"), "a name of iSCSI"),
            ("luns", json!([]), "a list of 1 to 256"),
            ("luns", json!([1, 1]), "different"),
            ("luns", json!([256]), "0 to 255"),
            ("luns", json!("1"), "a list of"),
            ("user", json!("a"), "belong together"),
            ("secret", json!("a"), "belong together"),
            ("secret", json!("../a"), "secret must be"),
            ("secret", json!("..a"), "dot"),
            ("password", json!("a"), "has no option `password`"),
            ("mode", json!("kernel"), "mode must be"),
            ("mode", json!(true), "mode must be a text"),
        ] {
            let mut config = right.clone();
            config[name] = value;
            let said = backend(StoragePoolType::Iscsi, &config).unwrap_err();
            assert!(said.contains(words), "{config}: {said}");
        }
        let mut named = right;
        (named["mode"], named["initiator"]) = (json!("host"), json!("iqn.b"));
        let said = backend(StoragePoolType::Iscsi, &named).unwrap_err();
        assert!(said.contains("initiatorname.iscsi"), "{said}");
    }
}
