//! collectd's binary network protocol: numbers and their names, in packets, signed where there is a password.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Longest packet, bytes: collectd's own, which fits an Ethernet frame.
pub(super) const PACKET_MAX: usize = 1_452;

/// Longest name that collectd takes, bytes, without the zero at its end.
const NAME_MAX: usize = 127;

/// collectd's fractions of a second: 2⁻³⁰.
const FRACTIONS_PER_S: f64 = (1_u64 << 30) as f64;

/// Kinds of parts.
mod part {
    pub(super) const HOST: u16 = 0x0000;
    pub(super) const PLUGIN: u16 = 0x0002;
    pub(super) const PLUGIN_INSTANCE: u16 = 0x0003;
    pub(super) const TYPE: u16 = 0x0004;
    pub(super) const TYPE_INSTANCE: u16 = 0x0005;
    pub(super) const VALUES: u16 = 0x0006;
    pub(super) const TIME: u16 = 0x0008;
    pub(super) const INTERVAL: u16 = 0x0009;
    pub(super) const SIGNATURE: u16 = 0x0200;
}

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    /// What is now.
    Gauge(f64),
    /// What grows; collectd makes a rate of it.
    Derive(i64),
}

/// Numbers that belong together, and what they are, by collectd's `types.db`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) host: String,
    pub(super) plugin: &'static str,
    pub(super) plugin_instance: String,
    pub(super) kind: &'static str,
    pub(super) type_instance: String,
    pub(super) values: Vec<Value>,
}

/// Who signs.
pub(super) struct Signer<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
}

/// The packets that tell these readings.
pub(super) fn packets(
    readings: &[Reading],
    unix_s: f64,
    interval_s: f64,
    signer: Option<&Signer<'_>>,
) -> Vec<Vec<u8>> {
    let room = PACKET_MAX - signer.map_or(0, |signer| signature_len(signer.user));
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for reading in readings {
        let bytes = encode(reading, unix_s, interval_s);
        match bodies.last_mut().filter(|body| body.len() + bytes.len() <= room) {
            Some(body) => body.extend(bytes),
            None => bodies.push(bytes),
        }
    }
    bodies.into_iter().map(|body| signer.map_or_else(|| body.clone(), |signer| sign(signer, &body))).collect()
}

/// A reading with all of its names: each packet can be read without those before it.
fn encode(reading: &Reading, unix_s: f64, interval_s: f64) -> Vec<u8> {
    let mut bytes = Vec::new();
    text(&mut bytes, part::HOST, &reading.host);
    time(&mut bytes, part::TIME, unix_s);
    time(&mut bytes, part::INTERVAL, interval_s);
    text(&mut bytes, part::PLUGIN, reading.plugin);
    text(&mut bytes, part::PLUGIN_INSTANCE, &reading.plugin_instance);
    text(&mut bytes, part::TYPE, reading.kind);
    text(&mut bytes, part::TYPE_INSTANCE, &reading.type_instance);
    values(&mut bytes, &reading.values);
    bytes
}

fn head(bytes: &mut Vec<u8>, kind: u16, content: usize) {
    bytes.extend(kind.to_be_bytes());
    // Names and lists of values are far shorter than 64 KiB.
    bytes.extend(u16::try_from(content + 4).unwrap_or(u16::MAX).to_be_bytes());
}

fn text(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    // A slash would lead into another directory of collectd's files.
    let plain = |byte: u8| if byte.is_ascii_graphic() && byte != b'/' { byte } else { b'_' };
    let name: Vec<u8> = text.bytes().take(NAME_MAX).map(plain).collect();
    head(bytes, kind, name.len() + 1);
    bytes.extend(name);
    bytes.push(0);
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn time(bytes: &mut Vec<u8>, kind: u16, seconds: f64) {
    head(bytes, kind, 8);
    // Saturates; times are positive.
    bytes.extend(((seconds * FRACTIONS_PER_S) as u64).to_be_bytes());
}

fn values(bytes: &mut Vec<u8>, values: &[Value]) {
    head(bytes, part::VALUES, 2 + values.len() * 9);
    bytes.extend(u16::try_from(values.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(values.iter().map(|value| match value {
        Value::Gauge(_) => 1_u8,
        Value::Derive(_) => 2,
    }));
    for value in values {
        match value {
            // Of all numbers these alone begin with the low byte.
            Value::Gauge(value) => bytes.extend(value.to_le_bytes()),
            Value::Derive(value) => bytes.extend(value.to_be_bytes()),
        }
    }
}

fn signature_len(user: &str) -> usize {
    4 + 32 + user.len()
}

fn sign(signer: &Signer<'_>, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(signature_len(signer.user) + body.len());
    head(&mut packet, part::SIGNATURE, 32 + signer.user.len());
    packet.extend(code(signer, body));
    packet.extend(signer.user.as_bytes());
    packet.extend(body);
    packet
}

fn code(signer: &Signer<'_>, body: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(signer.password.as_bytes()) else { return [0; 32] };
    mac.update(signer.user.as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(type_instance: &str) -> Reading {
        Reading {
            host: "h".into(),
            plugin: "cpu",
            plugin_instance: String::new(),
            kind: "cpu",
            type_instance: type_instance.into(),
            values: vec![Value::Derive(7), Value::Gauge(1.0)],
        }
    }

    #[test]
    fn parts_are_as_collectd_says() {
        let packets = packets(&[reading("a/b")], 1.5, 10.0, None);
        let mut expected = vec![0, 0, 0, 6, b'h', 0, 0, 8, 0, 12, 0, 0, 0, 0, 0x60, 0, 0, 0];
        expected.extend([0, 9, 0, 12, 0, 0, 0, 2, 0x80, 0, 0, 0]);
        expected.extend(b"\0\x02\0\x08cpu\0\0\x03\0\x05\0\0\x04\0\x08cpu\0\0\x05\0\x08a_b\0");
        expected.extend([0, 6, 0, 24, 0, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
        assert_eq!(packets, [expected]);
    }

    #[test]
    fn packets_are_bounded_and_complete() {
        let long = "x".repeat(500);
        let readings: Vec<_> = (0..100).map(|_| reading(&long)).collect();
        let signer = Signer { user: "pony", password: "secret" };
        let packets = packets(&readings, 0.0, 10.0, Some(&signer));
        assert!(packets.len() > 10 && packets.iter().all(|packet| packet.len() <= PACKET_MAX));
        let told: usize = packets.iter().map(|packet| packet.len() - signature_len("pony")).sum();
        assert_eq!(told, readings.iter().map(|it| encode(it, 0.0, 10.0).len()).sum::<usize>());
        assert!(packets.iter().all(|packet| packet.starts_with(&[2, 0, 0, 40])));
    }
}
