//! Tells by its first bytes whether something can be a disk image. No name and no server is believed.

use super::{qcow2, size::SECTOR};
use pony_core::host::VolumeFormat;

/// Bytes at the start that decide: up to the mark of a tar archive.
pub(super) const HEAD: usize = 512;

/// What other things begin with, and what to do about them.
const OTHERS: [(usize, &[u8], &str); 15] = [
    (0, b"\x1f\x8b", "data compressed with gzip; unpack it first"),
    (0, b"\xfd7zXZ\0", "data compressed with xz; unpack it first"),
    (0, b"BZh", "data compressed with bzip2; unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "data compressed with zstd; unpack it first"),
    (0, b"\x04\x22\x4d\x18", "data compressed with lz4; unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (0, b"PK\x03\x04", "a zip archive; unpack it first"),
    (257, b"ustar", "a tar archive (an OVA?); unpack it first"),
    (0, b"KDMV", "a VMDK image; convert it first (qemu-img convert)"),
    (0, b"# Disk DescriptorFile", "a VMDK descriptor; convert the image first (qemu-img convert)"),
    (0, b"vhdxfile", "a VHDX image; convert it first (qemu-img convert)"),
    (0, b"conectix", "a VHD image; convert it first (qemu-img convert)"),
    (0, b"<<< ", "a VDI image; convert it first (qemu-img convert)"),
    (0, b"QED\0", "a QED image; convert it first (qemu-img convert)"),
    (0, b"QFI\xfb\0\0\0\x01", "a qcow image of version 1; convert it first (qemu-img convert)"),
];

/// How markup begins; in lower case.
const MARKUP: [&str; 4] = ["<!doctype", "<html", "<?xml", "<!--"];

/// Longest piece of markup that is shown, characters.
const SHOWN_MAX: usize = 32;

/// Tells the format of something by its start, its length (where known) and whether a server called it a web page.
/// The error says what was found instead of an image. It shows nothing of the content but a tag: whoever orders an
/// image should not be able to read what this host can reach.
pub(super) fn format_of(head: &[u8], len: Option<u64>, said_html: bool) -> Result<VolumeFormat, String> {
    if len == Some(0) {
        return Err("it is empty".into());
    }
    if let Some((_, _, what)) = OTHERS.iter().find(|(at, magic, _)| has_at(head, *at, magic)) {
        return Err(format!("it is {what}"));
    }
    if head.starts_with(&qcow2::MAGIC) {
        return Ok(VolumeFormat::Qcow2);
    }
    if let Some(tag) = markup(head) {
        return Err(format!("it starts with `{tag}`, like a web page"));
    }
    if said_html {
        return Err("the server says that it is a web page (text/html)".into());
    }
    match len {
        Some(len) if len % SECTOR != 0 => Err(odd(head, len)),
        _ => Ok(VolumeFormat::Raw),
    }
}

fn has_at(head: &[u8], at: usize, magic: &[u8]) -> bool {
    head.get(at..at + magic.len()).is_some_and(|found| found == magic)
}

fn markup(head: &[u8]) -> Option<String> {
    let text: String = head.iter().map(|byte| char::from(*byte)).take(HEAD).collect();
    let text =
        text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '\u{ef}' | '\u{bb}' | '\u{bf}'));
    let lower = text.to_ascii_lowercase();
    MARKUP.iter().find(|start| lower.starts_with(**start))?;
    let tag: String = text.chars().take_while(|c| *c != '>' && c.is_ascii_graphic() || *c == ' ').collect();
    Some(tag.chars().take(SHOWN_MAX).collect())
}

fn odd(head: &[u8], len: u64) -> String {
    let is_text = head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..));
    let kind = if is_text { "text" } else { "data" };
    format!("it is {len} bytes of {kind}, and a disk has a multiple of {SECTOR}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(head: &[u8], len: u64) -> String {
        format_of(head, Some(len), false).unwrap_err()
    }

    #[test]
    fn formats_are_told_by_content() {
        assert_eq!(format_of(&[0; HEAD], Some(1024), false), Ok(VolumeFormat::Raw));
        assert_eq!(format_of(b"QFI\xfb\0\0\0\x03", Some(197_000), true), Ok(VolumeFormat::Qcow2));
        assert_eq!(format_of(b"QFI\xfb\0\0\0\x03", None, false), Ok(VolumeFormat::Qcow2));
    }

    #[test]
    fn web_pages_are_named() {
        assert!(found(b"<!doctype html>\n<html>", 512).contains("`<!doctype html`"));
        assert!(found(b"\xef\xbb\xbf\r\n <HTML lang=en><head>", 1024).contains("`<HTML lang=en`"));
        assert!(format_of(&[0; HEAD], Some(512), true).unwrap_err().contains("text/html"));
    }

    #[test]
    fn other_things_are_named_and_not_shown() {
        assert!(found(b"\x1f\x8b\x08\0", 512).contains("gzip"));
        assert!(found(b"QFI\xfb\0\0\0\x01", 512).contains("version 1"));
        let mut tar = [0; HEAD];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(found(&tar, 10240).contains("tar"));
        assert!(found(b"", 0).contains("empty"));
        let secret = found(b"root:$y$j9T$secret", 18);
        assert!(secret.contains("18 bytes of text") && !secret.contains("secret"), "{secret}");
        assert!(found(&[1, 2, 0], 513).contains("513 bytes of data"));
    }
}
