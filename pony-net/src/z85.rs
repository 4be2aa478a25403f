//! Z85 text of a 32-byte key (ZeroMQ RFC 32).
//!
//! Written here because libzmq's binding accepts characters outside the alphabet and leaks its copy of the text,
//! which may be a secret.

/// Bytes of a CURVE key.
pub(crate) const KEY_BYTES: usize = 32;
/// Characters of a CURVE key in Z85.
pub(crate) const KEY_CHARS: usize = KEY_BYTES / 4 * 5;

const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// The text of a key.
pub(crate) fn encode(key: &[u8; KEY_BYTES]) -> String {
    let mut text = String::with_capacity(KEY_CHARS);
    for chunk in key.as_chunks::<4>().0 {
        let word = u32::from_be_bytes(*chunk);
        for power in (0..5).rev() {
            text.push(char::from(ALPHABET[(word / 85u32.pow(power) % 85) as usize]));
        }
    }
    text
}

/// The key that a text stands for; `None` when it is not 40 characters of the Z85 alphabet.
pub(crate) fn decode(text: &str) -> Option<[u8; KEY_BYTES]> {
    if text.len() != KEY_CHARS {
        return None;
    }
    let mut key = [0; KEY_BYTES];
    for (word, chars) in key.as_chunks_mut::<4>().0.iter_mut().zip(text.as_bytes().chunks(5)) {
        *word = decode_word(chars)?.to_be_bytes();
    }
    Some(key)
}

fn decode_word(chars: &[u8]) -> Option<u32> {
    chars.iter().try_fold(0u32, |word, char| {
        let digit = ALPHABET.iter().position(|letter| letter == char)?;
        word.checked_mul(85)?.checked_add(u32::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_libzmq() {
        let mut key = [0u8; KEY_BYTES];
        for round in 0..200u32 {
            for (index, byte) in key.iter_mut().enumerate() {
                *byte = (round.wrapping_mul(2_654_435_761) >> (index % 24)) as u8 ^ (index as u8);
            }
            let text = encode(&key);
            assert_eq!(text, zmq::z85_encode(&key).unwrap());
            assert_eq!(decode(&text), Some(key));
        }
    }

    #[test]
    fn refuses_what_is_no_key() {
        let good = encode(&[7; KEY_BYTES]);
        assert_eq!(decode(&good[1..]), None);
        assert_eq!(decode(&format!("{good}0")), None);
        assert_eq!(decode(&good.replacen(|_| true, "\"", 1)), None);
        assert_eq!(decode(&"#".repeat(KEY_CHARS)), None, "a word above u32::MAX");
        assert_eq!(decode(&"é".repeat(KEY_CHARS / 2)), None);
    }
}
