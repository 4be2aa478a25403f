//! Numbers of a body that would not be what was written once they are read: an integer of more than 64 bits, a fraction
//! with more digits than a double has.

use super::error::{DocumentError, Problem};

/// Characters of a number that a refusal shows.
const SHOWN_CHARS: usize = 40;

/// Refuses numbers that JSON allows, and that would be changed by being read.
///
/// # Errors
/// [`Problem::Inexact`].
pub(super) fn check(text: &[u8]) -> Result<(), DocumentError> {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9')) {
        rest = &rest[at..];
        if rest[0] == b'"' {
            rest = &rest[string_bytes(rest)..];
            continue;
        }
        let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let end = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        // What is no number is refused by the parser, which says where.
        if let Ok(number) = std::str::from_utf8(number)
            && !is_exact(number)
        {
            let shown = number.chars().take(SHOWN_CHARS).collect();
            return Err(DocumentError::anywhere(Problem::Inexact(shown)));
        }
        rest = after;
    }
    Ok(())
}

/// The length of a string that begins here, its quotes included.
fn string_bytes(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn is_exact(number: &str) -> bool {
    if number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return true;
    }
    // Out of range, or no number: the parser refuses it.
    let Ok(read) = serde_json::from_str::<f64>(number) else { return true };
    Decimal::of(number) == Decimal::of(&format!("{read:e}"))
}

/// A number in decimal: its digits without zeros at either end, and the power of ten of the last one.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    digits: String,
    power: i64,
}

impl Decimal {
    fn of(number: &str) -> Self {
        let (mantissa, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{}{fraction}", whole.trim_start_matches('-'));
        let kept = all.trim_end_matches('0');
        let digits = kept.trim_start_matches('0').to_owned();
        let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
        // A power beyond this type belongs to zero, or to what is no finite double.
        let power = power.parse().unwrap_or(0_i64).saturating_sub(length(fraction));
        let power = if digits.is_empty() { 0 } else { power.saturating_add(length(&all) - length(kept)) };
        Self { digits, power }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_as_it_is_written_is_taken() {
        for number in [
            "0",
            "-0",
            "-0.0",
            "0e5",
            "0.10",
            "1.5e3",
            "1E+2",
            "0.1",
            "0.30000000000000004",
            "-2.50",
            "18446744073709551615",
            "-9223372036854775808",
            "100000000000000000000",
            "1e300",
            "5e-324",
            "123456789.125",
            "0.000001",
            "9007199254740993",
        ] {
            assert_eq!(check(number.as_bytes()).err(), None, "{number}");
        }
        let text = br#"{"a\"1": "18446744073709551617 \\", "b": [1, 2.5], "0.12345678901234567890": null}"#;
        assert_eq!(check(text).err(), None, "texts are no numbers");
    }

    #[test]
    fn what_would_be_changed_is_refused() {
        for number in [
            "18446744073709551616001",
            "18446744073709551617",
            "-9223372036854775809",
            "0.12345678901234567890",
            "9007199254740993.0",
            "1e-400",
        ] {
            let text = format!(r#"{{"x": ["", {number}]}}"#);
            let refused = check(text.as_bytes()).unwrap_err();
            assert_eq!(refused.problem, Problem::Inexact(number.to_owned()), "{refused}");
        }
    }
}
