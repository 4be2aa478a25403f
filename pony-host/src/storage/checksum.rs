//! Compares what was brought here with the checksum that was ordered.

use super::attempt::Attempt;
use super::error::StorageError;
use pony_core::host::{Checksum, ChecksumAlgorithm};
use sha2::{Digest, Sha256, Sha512};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// Checks a file that nobody else writes to. `origin` is what it was brought from, for people.
pub(super) async fn check(
    attempt: &Attempt,
    path: &Path,
    ordered: Checksum,
    origin: String,
) -> Result<(), StorageError> {
    let path: PathBuf = path.to_owned();
    attempt
        .blocking(move |attempt| {
            let found = match ordered.algorithm {
                ChecksumAlgorithm::Sha256 => hash::<Sha256>(attempt, &path)?,
                ChecksumAlgorithm::Sha512 => hash::<Sha512>(attempt, &path)?,
            };
            if found == ordered.hex {
                return Ok(());
            }
            Err(StorageError::Checksum { origin, algorithm: ordered.algorithm.as_str(), found })
        })
        .await
}

fn hash<D: Digest>(attempt: &Attempt, path: &Path) -> Result<String, StorageError> {
    let mut file = File::open(path).map_err(StorageError::io("open", path))?;
    let (mut digest, mut piece) = (D::new(), vec![0; PIECE]);
    loop {
        attempt.ticket.check()?;
        match file.read(&mut piece).map_err(StorageError::io("read", path))? {
            0 => break,
            len => digest.update(&piece[..len]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
