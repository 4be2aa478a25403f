//! The smallest useful file system for CD-ROMs: ISO 9660 with Joliet's names, one directory, a few small files.
//!
//! Written here rather than by a program, which every host would have to have, wait for and be able to break off. The same
//! files always make the same bytes. Nothing is read by this module.

/// Size of a sector, bytes.
const SECTOR: usize = 2_048;

/// What stands where, by sector. The first 16 belong to whoever boots from such a disc.
const PRIMARY: usize = 16;
const JOLIET: usize = 17;
const TERMINATOR: usize = 18;
const PRIMARY_PATHS: usize = 19;
const JOLIET_PATHS: usize = 21;
const PRIMARY_ROOT: usize = 23;
const JOLIET_ROOT: usize = 24;
const FILES: usize = 25;

/// Length of a path table that leads to the root only.
const PATHS_BYTES: u32 = 10;

/// How many characters of a name every reader takes.
const PLAIN_CHARS_MAX: usize = 8;

/// How many characters of a name Joliet takes.
const JOLIET_CHARS_MAX: usize = 64;

/// Files that fit into a directory of one sector, at the longest names.
const FILES_MAX: usize = 10;

/// The date of everything: the first that also others' file systems know. Nobody asks.
const DATE: [u8; 7] = [80, 1, 1, 0, 0, 0, 0];

/// A file on the disc.
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: &'a [u8],
}

/// A directory, twice: with names for all, and with Joliet's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Plain,
    Joliet,
}

/// The whole disc. `label`: its name, of which 16 characters count; at most [`FILES_MAX`] files of less than 4 GiB.
pub(super) fn image(label: &str, files: &[File<'_>]) -> Vec<u8> {
    debug_assert!(files.len() <= FILES_MAX, "a directory has one sector here");
    let mut sorted: Vec<&File<'_>> = files.iter().take(FILES_MAX).collect();
    sorted.sort_by_key(|file| file.name);
    let mut next = FILES;
    let mut placed = Vec::new();
    for file in sorted {
        placed.push((file, next));
        next += sectors(file.bytes.len());
    }
    let mut disc = vec![0; next * SECTOR];
    put(&mut disc, PRIMARY, &descriptor(Names::Plain, label, next));
    put(&mut disc, JOLIET, &descriptor(Names::Joliet, label, next));
    put(&mut disc, TERMINATOR, b"\xffCD001\x01");
    for (paths, root) in [(PRIMARY_PATHS, PRIMARY_ROOT), (JOLIET_PATHS, JOLIET_ROOT)] {
        put(&mut disc, paths, &path_table(narrow(root).to_le_bytes(), 1_u16.to_le_bytes()));
        put(&mut disc, paths + 1, &path_table(narrow(root).to_be_bytes(), 1_u16.to_be_bytes()));
    }
    put(&mut disc, PRIMARY_ROOT, &directory(Names::Plain, PRIMARY_ROOT, &placed));
    put(&mut disc, JOLIET_ROOT, &directory(Names::Joliet, JOLIET_ROOT, &placed));
    for (file, sector) in placed {
        put(&mut disc, sector, file.bytes);
    }
    disc
}

fn sectors(bytes: usize) -> usize {
    bytes.div_ceil(SECTOR)
}

fn put(disc: &mut [u8], sector: usize, bytes: &[u8]) {
    disc[sector * SECTOR..][..bytes.len()].copy_from_slice(bytes);
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Numbers stand there for machines of either kind.
fn both32(number: usize) -> [u8; 8] {
    let mut both = [0; 8];
    both[..4].copy_from_slice(&narrow(number).to_le_bytes());
    both[4..].copy_from_slice(&narrow(number).to_be_bytes());
    both
}

const fn both16(number: u16) -> [u8; 4] {
    let [low, high] = number.to_le_bytes();
    [low, high, high, low]
}

/// Joliet's texts are UCS-2, the greater byte first; what is not in it becomes a question mark.
fn text(names: Names, text: &str) -> Vec<u8> {
    match names {
        Names::Plain => text.bytes().collect(),
        Names::Joliet => {
            let unit = |c: char| u16::try_from(u32::from(c)).unwrap_or(u16::from(b'?'));
            text.chars().flat_map(|c| unit(c).to_be_bytes()).collect()
        }
    }
}

/// A text of so many bytes, filled up with spaces.
fn field(names: Names, said: &str, length: usize) -> Vec<u8> {
    let mut field = text(names, said);
    field.truncate(length);
    let spaces = text(names, &" ".repeat(length));
    field.extend(spaces.into_iter().take(length - field.len()));
    field
}

fn descriptor(names: Names, label: &str, sectors: usize) -> Vec<u8> {
    let (kind, escape, paths, root): (u8, &[u8], _, _) = match names {
        Names::Plain => (1, b"", PRIMARY_PATHS, PRIMARY_ROOT),
        Names::Joliet => (2, b"%/E", JOLIET_PATHS, JOLIET_ROOT),
    };
    let mut said = vec![kind];
    said.extend_from_slice(b"CD001\x01\0");
    said.extend(field(names, "", 32));
    said.extend(field(names, label, 32));
    said.resize(80, 0);
    said.extend(both32(sectors));
    said.extend_from_slice(escape);
    said.resize(120, 0);
    for number in [1, 1, SECTOR as u16] {
        said.extend(both16(number));
    }
    said.extend(both32(PATHS_BYTES as usize));
    said.extend(narrow(paths).to_le_bytes());
    said.extend([0; 4]);
    said.extend(narrow(paths + 1).to_be_bytes());
    said.extend([0; 4]);
    said.extend(record(&[0], root, SECTOR, true));
    // Whose it is, by four names, and three files that would say more.
    for length in [128, 128, 128, 128, 37, 37, 37] {
        said.extend(field(names, "", length));
    }
    // Made, changed, invalid and valid at no time in particular.
    said.extend(b"0000000000000000\0".repeat(4));
    said.push(1);
    said
}

fn path_table(root: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    [&[1, 0][..], &root, &parent, &[0, 0]].concat()
}

fn directory(names: Names, root: usize, files: &[(&File<'_>, usize)]) -> Vec<u8> {
    // Itself, and what is above it: itself.
    let mut records = [record(&[0], root, SECTOR, true), record(&[1], root, SECTOR, true)].concat();
    for (file, sector) in files {
        let name = match names {
            Names::Plain => format!("{}.;1", plain(file.name)),
            Names::Joliet => {
                format!("{};1", file.name.chars().take(JOLIET_CHARS_MAX - 2).collect::<String>())
            }
        };
        records.extend(record(&text(names, &name), *sector, file.bytes.len(), false));
    }
    records
}

/// Capital letters, digits and underscores.
fn plain(name: &str) -> String {
    let taken = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().take(PLAIN_CHARS_MAX).map(taken).collect()
}

fn record(name: &[u8], sector: usize, bytes: usize, is_directory: bool) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both32(sector));
    record.extend(both32(bytes));
    record.extend(DATE);
    record.extend([if is_directory { 2 } else { 0 }, 0, 0]);
    record.extend(both16(1));
    record.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    record.extend_from_slice(name);
    if name.len().is_multiple_of(2) {
        record.push(0);
    }
    record[0] = u8::try_from(record.len()).unwrap_or(u8::MAX);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disc() -> Vec<u8> {
        let long = vec![b'x'; 5_000];
        let files = [
            File { name: "user-data", bytes: &long },
            File { name: "meta-data", bytes: b"{}" },
            File { name: "vendor-data", bytes: b"" },
        ];
        image("cidata", &files)
    }

    #[test]
    fn the_same_files_make_the_same_disc_in_whole_sectors() {
        assert_eq!(disc(), disc());
        assert_eq!(disc().len(), (FILES + 1 + 3) * SECTOR);
    }

    #[test]
    fn every_field_stands_where_the_standard_says() {
        let disc = disc();
        for (sector, kind) in [(PRIMARY, 1), (JOLIET, 2), (TERMINATOR, 255)] {
            let said = &disc[sector * SECTOR..][..SECTOR];
            assert_eq!((said[0], &said[1..6], said[6]), (kind, &b"CD001"[..], 1));
        }
        let primary = &disc[PRIMARY * SECTOR..][..SECTOR];
        assert_eq!(&primary[40..72], format!("{:32}", "cidata").as_bytes());
        assert_eq!(primary[80..88], both32(disc.len() / SECTOR));
        assert_eq!(primary[128..132], both16(2_048));
        assert_eq!((primary[156], primary[156 + 25], primary[881]), (34, 2, 1));
        let joliet = &disc[JOLIET * SECTOR..][..SECTOR];
        assert_eq!((&joliet[88..91], &joliet[40..44]), (&b"%/E"[..], &[0, b'c', 0, b'i'][..]));
    }

    #[test]
    fn names_are_sorted_and_even_ones_are_padded() {
        let disc = disc();
        let mut at = PRIMARY_ROOT * SECTOR;
        let mut names = Vec::new();
        while disc[at] != 0 {
            assert_eq!(disc[at] % 2, 0);
            let length = usize::from(disc[at + 32]);
            names.push(String::from_utf8_lossy(&disc[at + 33..][..length]).into_owned());
            at += usize::from(disc[at]);
        }
        assert_eq!(names, ["\0", "\u{1}", "META_DAT.;1", "USER_DAT.;1", "VENDOR_D.;1"]);
    }
}
