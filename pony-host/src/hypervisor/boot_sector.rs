//! The smallest guest there is: a boot sector that says one word on the serial port and halts.
//!
//! It proves that a guest's CPU runs, needs no kernel, and starts as fast as the emulator does.

/// Size of a boot sector.
pub const BOOT_SECTOR_BYTES: usize = 512;

/// Code for an 80386, loaded by the BIOS to 0x7c00. It enters protected mode and returns from an interrupt there, which
/// every boot loader does, and which some hosts' KVM cannot do although it runs code in real mode; then it speaks on COM1
/// (port 0x3f8).
const CODE: [u8; 111] = [
    0xfa, //                               0     cli                    no interrupt ever wakes it
    0x31, 0xc0, //                         1     xor ax, ax
    0x8e, 0xd8, //                         3     mov ds, ax
    0x0f, 0x01, 0x16, 0x69, 0x7c, //       5     lgdt [gdtr]
    0x0f, 0x20, 0xc0, //                   10    mov eax, cr0
    0x0c, 0x01, //                         13    or al, 1
    0x0f, 0x22, 0xc0, //                   15    mov cr0, eax
    0xea, 0x17, 0x7c, 0x08, 0x00, //       18    jmp 8:p
    0x66, 0xb8, 0x10, 0x00, //             23 p: mov ax, 16             32 bits from here on
    0x8e, 0xd8, //                         27    mov ds, ax
    0x8e, 0xc0, //                         29    mov es, ax
    0x8e, 0xd0, //                         31    mov ss, ax
    0xbc, 0x00, 0x7c, 0x00, 0x00, //       33    mov esp, 0x7c00
    0x9c, //                               38    pushfd
    0x6a, 0x08, //                         39    push 8
    0x68, 0x2f, 0x7c, 0x00, 0x00, //       41    push r
    0xcf, //                               46    iretd
    0xfc, //                               47 r: cld
    0xbe, 0x6f, 0x7c, 0x00, 0x00, //       48    mov esi, text
    0xac, //                               53 c: lodsb
    0x84, 0xc0, //                         54    test al, al
    0x74, 0x14, //                         56    jz h                   the text ends with a zero
    0x88, 0xc4, //                         58    mov ah, al
    0x66, 0xba, 0xfd, 0x03, //             60    mov dx, 0x3fd          line status
    0xec, //                               64 w: in al, dx
    0xa8, 0x20, //                         65    test al, 0x20          transmitter empty?
    0x74, 0xfb, //                         67    jz w
    0x88, 0xe0, //                         69    mov al, ah
    0x66, 0xba, 0xf8, 0x03, //             71    mov dx, 0x3f8          data
    0xee, //                               75    out dx, al
    0xeb, 0xe7, //                         76    jmp c
    0xf4, //                               78 h: hlt
    0xeb, 0xfd, //                         79    jmp h
    0, 0, 0, 0, 0, 0, 0, 0, //             81    no segment
    0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0, // 89    8: code, all of memory
    0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0, // 97    16: data, all of memory
    0x17, 0x00, 0x51, 0x7c, 0x00, 0x00, // 105   gdtr: what begins at 81; the text follows
];

/// Room for the text: what code, the final zero and the signature leave.
const TEXT_BYTES_MAX: usize = BOOT_SECTOR_BYTES - CODE.len() - 1 - SIGNATURE.len();

/// What makes the BIOS take a sector for bootable.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// A boot sector that writes `marker` to the first serial port and then halts for ever. A marker that is longer
/// than the sector has room for is cut short, and so is one at a zero byte.
#[must_use]
pub fn marker_boot_sector(marker: &str) -> [u8; BOOT_SECTOR_BYTES] {
    let text = &marker.as_bytes()[..marker.len().min(TEXT_BYTES_MAX)];
    let mut sector = [0; BOOT_SECTOR_BYTES];
    sector[..CODE.len()].copy_from_slice(&CODE);
    sector[CODE.len()..CODE.len() + text.len()].copy_from_slice(text);
    sector[BOOT_SECTOR_BYTES - SIGNATURE.len()..].copy_from_slice(&SIGNATURE);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_and_text_fit() {
        let sector = marker_boot_sector(&"x".repeat(1000));
        assert_eq!(sector[510..], SIGNATURE);
        assert_eq!(sector[509], 0, "the text ends before the signature");
        let address = |at: usize| usize::from(u16::from_le_bytes([CODE[at], CODE[at + 1]])) - 0x7c00;
        assert_eq!([8, 19, 42, 49, 107].map(address), [105, 23, 47, CODE.len(), 81]);
        let jump = |at: usize| (at as i32 + 2 + i32::from(CODE[at + 1] as i8)) as usize;
        assert_eq!([56, 67, 76, 79].map(jump), [78, 64, 53, 78]);
    }
}
