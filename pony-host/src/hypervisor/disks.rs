//! What the two hosts of a move call the disks of the guest: the target says it, and the source puts its names into the
//! definition that it sends along.

use super::error::transient;
use crate::Result;
use pony_core::host::{DiskSpec, Place};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a host may say of a guest's disks, bytes: some hundred of them.
const TEXT_BYTES_MAX: u64 = 256 * 1_024;

/// The disks as they go over the wire.
pub(super) fn text(disks: &[DiskSpec]) -> Vec<u8> {
    // Values that are all texts and numbers can be written, but for a path that is not UTF-8: no domain has such a disk.
    serde_json::to_vec(disks).unwrap_or_default()
}

/// Reads them from the other host.
///
/// # Errors
///
/// `Transient` if it says something else, or nothing.
pub(super) async fn read(stream: impl AsyncRead + Unpin) -> Result<Vec<DiskSpec>> {
    let mut said = Vec::new();
    let read = stream.take(TEXT_BYTES_MAX).read_to_end(&mut said).await;
    let disks = read.ok().and_then(|_| serde_json::from_slice(&said).ok());
    disks.ok_or_else(|| {
        transient("the other host does not say what it calls the guest's disks: it lets no guest in just now")
    })
}

/// Which names are to be replaced by which.
///
/// # Errors
///
/// `Transient` if the two do not agree on what the guest has, which a later order may change, or one of the names cannot be
/// replaced.
pub(super) fn renames(own: &[DiskSpec], theirs: &[DiskSpec]) -> Result<Vec<(String, String)>> {
    let mut renames = Vec::new();
    for disk in own {
        let other = theirs.iter().find(|it| it.vdisk == disk.vdisk);
        let Some(other) = other.filter(|it| is_alike(disk, it)) else {
            return Err(transient(format!(
                "the other host is told of other disks than the guest has: {} is {}",
                disk.place,
                other.map_or_else(|| "not among them".to_owned(), |it| format!("{} there", it.place)),
            )));
        };
        if disk.place != other.place {
            renames.push((plain(&disk.place)?, plain(&other.place)?));
        }
    }
    Ok(renames)
}

/// Whether the guest cannot tell them apart, and the emulator opens them alike.
fn is_alike(one: &DiskSpec, other: &DiskSpec) -> bool {
    let places = match (&one.place, &other.place) {
        (Place::File(_), Place::File(_)) | (Place::Block(_), Place::Block(_)) => true,
        (one, other) => one == other,
    };
    places && DiskSpec { place: other.place.clone(), ..one.clone() } == *other
}

/// A path that is written alike wherever a definition names it: as an attribute, and in what it says of itself.
fn plain(place: &Place) -> Result<String> {
    let text = place.to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match text.starts_with('/') && text.chars().all(is_plain) {
        true => Ok(text),
        false => Err(transient(format!(
            "{text} has another name on the other host, and letters in it that cannot be replaced: use letters, digits and ._-"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pony_core::host::VolumeFormat;
    use uuid::Uuid;

    fn disk(n: u128, path: &str) -> DiskSpec {
        let (vdisk, format) = (Uuid::from_u128(n), VolumeFormat::Raw);
        DiskSpec { vdisk, index: 0, place: Place::File(path.into()), format, read_only: false, shared: false }
    }

    #[test]
    fn only_what_differs_is_renamed() {
        let own = [disk(1, "/a/x"), disk(2, "/a/y")];
        let theirs = [disk(2, "/b/y"), disk(1, "/a/x"), disk(3, "/b/z")];
        assert_eq!(renames(&own, &theirs).unwrap(), [("/a/y".to_owned(), "/b/y".to_owned())]);
    }

    #[test]
    fn disks_that_are_not_alike_are_refused() {
        let qcow2 = DiskSpec { format: VolumeFormat::Qcow2, ..disk(1, "/a/x") };
        let block = DiskSpec { place: Place::Block("/a/x".into()), ..disk(1, "/a/x") };
        for theirs in [vec![], vec![disk(2, "/a/x")], vec![qcow2], vec![block], vec![disk(1, "/b/'x")]] {
            assert!(renames(&[disk(1, "/a/x")], &theirs).is_err(), "{theirs:?}");
        }
    }

    #[tokio::test]
    async fn what_is_said_comes_back_and_other_words_are_refused() {
        let said = [disk(1, "/a/x")];
        assert_eq!(read(&*text(&said)).await.unwrap(), said);
        for other in [&b""[..], b"{}", &[b'['; 300_000]] {
            assert!(read(other).await.is_err());
        }
    }
}
