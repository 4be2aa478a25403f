//! A disk as QEMU's tools are told of it: a file, a device, something on another machine, or nothing but zeroes.

use super::pool::extension;
use crate::secrets::Secrets;
use pony_core::host::{Login, NetworkDisk, Place, Protocol, Slice, VolumeFormat};
use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

/// See the module.
#[derive(Debug, Clone)]
pub(super) enum Disk {
    /// It is made where it is written to, unless it is a device.
    Local(PathBuf, VolumeFormat),
    Device(PathBuf),
    /// A part of a device.
    Part(PathBuf, Slice),
    Remote(Remote),
    /// So many bytes.
    Zeroes(u64),
    /// What speaks the protocol NBD at the other end of a socket, which is to be the standard input; so many bytes.
    Stream(Arc<OwnedFd>, u64),
}

/// A disk on another machine.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    /// For people.
    shown: PathBuf,
    /// `name=value,…`.
    options: String,
    /// The file that has the secret. Only its name stands in an argument.
    secret: Option<PathBuf>,
    protocol: Protocol,
}

/// Which of the two disks of a command: their secrets have names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    From,
    To,
}

impl Disk {
    pub(super) fn of(place: &Place, format: VolumeFormat, secrets: &Secrets) -> Self {
        match place {
            Place::Block(path) if format == VolumeFormat::Raw => Self::Device(path.clone()),
            Place::File(path) | Place::Block(path) => Self::Local(path.clone(), format),
            Place::Network(disk) => Self::Remote(Remote::new(disk, secrets)),
        }
    }

    /// How it is called in messages.
    pub(super) fn shown(&self) -> &Path {
        match self {
            Self::Local(path, _) | Self::Device(path) | Self::Part(path, _) => path,
            Self::Remote(remote) => &remote.shown,
            Self::Zeroes(_) => Path::new("zeroes"),
            Self::Stream(..) => Path::new("a volume of another host"),
        }
    }

    /// The file that is written, where it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Local(path, _) | Self::Device(path) | Self::Part(path, _) => Some(path),
            Self::Remote(_) | Self::Zeroes(_) | Self::Stream(..) => None,
        }
    }

    /// Whether a server or a device has it, which may be at fault where something fails.
    pub(super) const fn may_be_at_fault(&self) -> bool {
        matches!(self, Self::Remote(_) | Self::Device(_) | Self::Part(..))
    }

    /// What is to be the standard input of whoever opens it.
    pub(super) fn input(&self) -> io::Result<Stdio> {
        match self {
            Self::Stream(socket, _) => Ok(socket.try_clone()?.into()),
            Self::Local(..) | Self::Device(_) | Self::Part(..) | Self::Remote(_) | Self::Zeroes(_) => {
                Ok(Stdio::null())
            }
        }
    }

    /// Options that go before the names of disks.
    pub(super) fn flags(&self, role: Role) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        if let Self::Remote(Remote { secret: Some(file), protocol, .. }) = self {
            // Ceph's keys are bytes, which are written in base64.
            let format = if *protocol == Protocol::Rbd { "base64" } else { "raw" };
            let mut object = OsString::from(format!("secret,id={},format={format},file=", role.secret()));
            object.push(doubled(&file.to_string_lossy()));
            flags.extend(["--object".into(), object]);
        }
        let more: &[&str] = match (self, role) {
            (Self::Local(_, format), Role::From) => &["-f", extension(*format)],
            (Self::Device(_), Role::From) => &["-f", "raw"],
            (Self::Part(..) | Self::Remote(_) | Self::Zeroes(_) | Self::Stream(..), Role::From) => {
                &["--image-opts"]
            }
            (Self::Local(_, format), Role::To) => &["-O", extension(*format)],
            // What is flushed is to be on the device in the end.
            (Self::Device(_), Role::To) => &["-O", "raw", "-n", "-t", "writeback"],
            (Self::Part(..) | Self::Remote(_) | Self::Zeroes(_) | Self::Stream(..), Role::To) => {
                &["--target-image-opts", "-n", "-t", "writeback"]
            }
        };
        flags.extend(more.iter().map(OsString::from));
        flags
    }

    /// What stands for the disk.
    pub(super) fn name(&self, role: Role) -> OsString {
        match self {
            Self::Local(path, _) | Self::Device(path) => path.clone().into_os_string(),
            Self::Part(path, Slice { offset, len }) => {
                let file = doubled(&path.to_string_lossy());
                format!("driver=raw,offset={offset},size={len},file.driver=host_device,file.filename={file}")
                    .into()
            }
            Self::Remote(Remote { options, secret: None, .. }) => options.into(),
            Self::Remote(Remote { options, protocol, .. }) => {
                let name = if *protocol == Protocol::Rbd { "key-secret" } else { "password-secret" };
                format!("{options},file.{name}={}", role.secret()).into()
            }
            Self::Zeroes(bytes) => format!("driver=null-co,size={bytes},read-zeroes=on").into(),
            Self::Stream(_, bytes) => {
                format!("driver=raw,size={bytes},file.driver=nbd,file.server.type=fd,file.server.str=0")
                    .into()
            }
        }
    }
}

impl Role {
    const fn secret(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }
}

impl Remote {
    fn new(disk: &NetworkDisk, secrets: &Secrets) -> Self {
        let mut options = String::from("driver=raw");
        if let Some(slice) = disk.slice {
            options += &format!(",offset={},size={}", slice.offset, slice.len);
        }
        for (name, value) in of_protocol(disk) {
            options += &format!(",file.{name}={}", doubled(&value));
        }
        let secret = disk.login.as_ref().map(|Login { secret, .. }| secrets.path(secret));
        Self { shown: disk.to_string().into(), options, secret, protocol: disk.protocol }
    }
}

/// What the emulator's client of that protocol is told.
fn of_protocol(disk: &NetworkDisk) -> Vec<(Cow<'static, str>, String)> {
    let driver = ("driver".into(), disk.protocol.as_str().to_owned());
    let user = disk.login.as_ref().map(|login| ("user".into(), login.user.clone()));
    match disk.protocol {
        Protocol::Iscsi => {
            let (target, lun) = disk.name.rsplit_once('/').unwrap_or((&disk.name, "0"));
            let portal = ("portal".into(), disk.servers.first().cloned().unwrap_or_default());
            let initiator = disk.initiator.clone().map(|name| ("initiator-name".into(), name));
            let (target, lun) = (("target".into(), target.to_owned()), ("lun".into(), lun.to_owned()));
            let at = [driver, ("transport".into(), "tcp".to_owned()), portal, target, lun];
            at.into_iter().chain(user).chain(initiator).collect()
        }
        Protocol::Rbd => {
            let (pool, image) = disk.name.split_once('/').unwrap_or(("", &disk.name));
            let at = [driver, ("pool".into(), pool.to_owned()), ("image".into(), image.to_owned())];
            let open = disk.login.is_none().then(|| ("auth-client-required.0".into(), "none".to_owned()));
            let monitors = disk.servers.iter().enumerate().flat_map(|(n, server)| {
                let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let of = |what: &str, value: &str| (format!("server.{n}.{what}").into(), value.to_owned());
                [of("host", host), of("port", port)]
            });
            at.into_iter().chain(user).chain(open).chain(monitors).collect()
        }
        Protocol::Nfs => vec![driver, ("filename".into(), disk.to_string())],
    }
}

/// In lists of options, a comma that is meant is written twice.
fn doubled(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::host::{IscsiMode, IscsiPool, RbdPool};
    use std::ffi::OsStr;

    #[test]
    fn secrets_stand_in_no_argument_but_by_the_name_of_their_file() {
        let pool = IscsiPool {
            portal: "[::1]:3260".into(),
            target: "iqn.2026-01.test:a".into(),
            luns: vec![7],
            login: Some(Login { user: "a,b".into(), secret: "san".into() }),
            initiator: None,
            mode: IscsiMode::Direct,
        };
        let place = pool.disk(7, Slice { offset: 1024, len: 512 }).into();
        let disk = Disk::of(&place, VolumeFormat::Raw, &Secrets::at(Path::new("/etc/a,b")));
        let flags = disk.flags(Role::To).join(OsStr::new(" "));
        assert_eq!(
            flags.to_str().unwrap(),
            "--object secret,id=to,format=raw,file=/etc/a,,b/san --target-image-opts -n -t writeback"
        );
        assert_eq!(
            disk.name(Role::To).to_str().unwrap(),
            "driver=raw,offset=1024,size=512,file.driver=iscsi,file.transport=tcp,file.portal=[::1]:3260,\
             file.target=iqn.2026-01.test:a,file.lun=7,file.user=a,,b,file.password-secret=to"
        );
    }

    #[test]
    fn a_part_of_a_device_is_no_more_than_that() {
        let disk = Disk::Part("/dev/mapper/a,b".into(), Slice { offset: 1024, len: 512 });
        assert_eq!(
            disk.name(Role::To).to_str().unwrap(),
            "driver=raw,offset=1024,size=512,file.driver=host_device,file.filename=/dev/mapper/a,,b"
        );
        assert!(disk.flags(Role::To).contains(&"-n".into()));
    }

    #[test]
    fn an_image_of_a_cluster_is_found_by_its_monitors() {
        let monitors = vec!["a:6789".into(), "[::1]:3300".into()];
        let login = Some(Login { user: "pony".into(), secret: "ceph".into() });
        let pool = RbdPool { monitors, pool: "p".into(), login };
        let disk = Disk::of(&pool.disk("i").into(), VolumeFormat::Raw, &Secrets::at(Path::new("/s")));
        assert_eq!(
            disk.name(Role::From).to_str().unwrap(),
            "driver=raw,file.driver=rbd,file.pool=p,file.image=i,file.user=pony,file.server.0.host=a,\
             file.server.0.port=6789,file.server.1.host=::1,file.server.1.port=3300,file.key-secret=from"
        );
        assert!(disk.flags(Role::From)[1].to_str().unwrap().contains("format=base64"));
    }
}
