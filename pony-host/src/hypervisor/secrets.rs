//! Secrets for the emulator: libvirt is told them before a guest needs them, keeps them in memory only, shows them to
//! nobody, and gives them to the emulator encrypted.

use super::error::{from_virt, transient};
use crate::Result;
use crate::secrets::Secrets;
use pony_core::host::{DiskSpec, Login, Place, Protocol};
use uuid::Uuid;
use virt::connect::Connect;
use virt::secret::Secret;

/// What libvirt calls secrets for such servers.
pub(super) const fn usage(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Rbd => "ceph",
        Protocol::Iscsi | Protocol::Nfs => "iscsi",
    }
}

/// What this secret is called at libvirt: the same at each time.
pub(super) fn uuid(protocol: Protocol, login: &Login) -> Uuid {
    let of = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"ponycloud:secret");
    Uuid::new_v5(&of, format!("{}/{}", usage(protocol), login.secret).as_bytes())
}

/// Tells libvirt all secrets that these disks need.
pub(super) fn tell<'a>(
    conn: &Connect,
    secrets: &Secrets,
    disks: impl IntoIterator<Item = &'a DiskSpec>,
) -> Result<()> {
    for disk in disks {
        if let Place::Network(disk) = &disk.place
            && let Some(login) = &disk.login
        {
            tell_one(conn, secrets, disk.protocol, login)?;
        }
    }
    Ok(())
}

fn tell_one(conn: &Connect, secrets: &Secrets, protocol: Protocol, login: &Login) -> Result<()> {
    let text = secrets.read(&login.secret).map_err(transient)?;
    let value = match protocol {
        Protocol::Iscsi | Protocol::Nfs => text.into_bytes(),
        // A key is bytes, which libvirt wants as they are.
        Protocol::Rbd => base64(&text).ok_or_else(|| {
            transient(format!(
                "secret {} is not a key of Ceph's, as `ceph auth print-key` shows it",
                login.secret
            ))
        })?,
    };
    let (uuid, usage) = (uuid(protocol, login), usage(protocol));
    let inner = match protocol {
        Protocol::Rbd => format!("<name>pony {}</name>", login.secret),
        Protocol::Iscsi | Protocol::Nfs => format!("<target>pony {}</target>", login.secret),
    };
    // The names of secrets are of letters, digits and dots: no markup can be in them.
    let xml = format!(
        "<secret ephemeral='yes' private='yes'><uuid>{uuid}</uuid><usage type='{usage}'>{inner}</usage></secret>"
    );
    let failed = |error| from_virt(&format!("tell libvirt secret {}", login.secret), &error);
    let secret = Secret::define_xml(conn, &xml, 0).map_err(failed)?;
    secret.set_value(&value, 0).map_err(failed)
}

/// The bytes of a text in base64, with its padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let is_whole = text.len().is_multiple_of(4) && text.len() - digits.len() <= 2;
    let mut bytes = Vec::new();
    let (mut word, mut bits) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    (is_whole && !bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        assert_eq!(base64("cG9uaWVz").unwrap(), b"ponies");
        assert_eq!(base64("cG9uaWU=").unwrap(), b"ponie");
        assert_eq!(base64("cG9uaQ==").unwrap(), b"poni");
        for wrong in ["", "====", "cG9", "cG9uaWU", "cG9 aWVz", "[client]"] {
            assert_eq!(base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_called_the_same_each_time() {
        let login = |secret: &str| Login { user: "a".into(), secret: secret.into() };
        let one = uuid(Protocol::Iscsi, &login("san"));
        assert_eq!(one, uuid(Protocol::Iscsi, &login("san")));
        assert_ne!(one, uuid(Protocol::Iscsi, &login("other")));
        assert_ne!(one, uuid(Protocol::Rbd, &login("san")));
    }
}
