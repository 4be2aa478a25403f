//! The smallest guest there is: a boot sector that says one word on the serial port and halts.
//!
//! It proves that a guest's CPU runs, needs no kernel, and starts as fast as the emulator does.

/// Size of a boot sector.
pub const BOOT_SECTOR_BYTES: usize = 512;

/// Where the BIOS loads it.
const LOAD_ADDRESS: u16 = 0x7c00;

/// Offset of the operand of `mov si, imm16` in [`CODE`].
const TEXT_OPERAND: usize = 7;

/// Real-mode 8086 code, COM1 at port 0x3f8:
const CODE: [u8; 35] = [
    0xfa, //             0     cli                  no interrupt ever wakes it
    0x31, 0xc0, //       1     xor ax, ax
    0x8e, 0xd8, //       3     mov ds, ax
    0xfc, //             5     cld
    0xbe, 0, 0,    //       6     mov si, text         operand filled in below
    0xac, //             9  c: lodsb
    0x84, 0xc0, //       10    test al, al
    0x74, 0x12, //       12    jz h                 the text ends with a zero
    0x88, 0xc4, //       14    mov ah, al
    0xba, 0xfd, 0x03, // 16    mov dx, 0x3fd        line status
    0xec, //             19 w: in al, dx
    0xa8, 0x20, //       20    test al, 0x20        transmitter empty?
    0x74, 0xfb, //       22    jz w
    0x88, 0xe0, //       24    mov al, ah
    0xba, 0xf8, 0x03, // 26    mov dx, 0x3f8        data
    0xee, //             29    out dx, al
    0xeb, 0xe9, //       30    jmp c
    0xf4, //             32 h: hlt
    0xeb, 0xfd, //       33    jmp h
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
    let address = LOAD_ADDRESS + CODE.len() as u16;
    sector[TEXT_OPERAND..TEXT_OPERAND + 2].copy_from_slice(&address.to_le_bytes());
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
        assert_eq!(u16::from_le_bytes([sector[7], sector[8]]), 0x7c00 + CODE.len() as u16);
        assert_eq!((CODE[13] as usize) + 14, 32, "jz h");
        assert_eq!(24 + i32::from(CODE[23] as i8), 19, "jz w");
        assert_eq!(32 + i32::from(CODE[31] as i8), 9, "jmp c");
    }
}
