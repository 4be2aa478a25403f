//! How a session begins: names, who signs in (CHAP, RFC 1994), and what both sides can.

use super::pdu::{DATA_MAX, FINAL, IMMEDIATE, Pdu, opcode};
use super::session::{Failure, Session};
use super::target::Target;
use md5::{Digest, Md5};
use std::collections::BTreeMap;

/// Messages of one login: three suffice.
const ROUNDS_MAX: u32 = 10;

/// The one task that a login is.
const TASK: u32 = 0;

/// CHAP with MD5, the one way that every target has.
const MD5: &str = "5";

/// Longest challenge, bytes.
const CHALLENGE_MAX: usize = 1024;

/// Stages of a login, as the flags have them.
const SECURITY: u8 = 0;
const OPERATIONAL: u8 = 1;
const FULL: u8 = 3;

/// What this side says of itself. Data come only when the target asks: one way for all commands.
const ABILITIES: [(&str, &str); 12] = [
    ("HeaderDigest", "None"),
    ("DataDigest", "None"),
    ("InitialR2T", "Yes"),
    ("ImmediateData", "No"),
    ("MaxBurstLength", "262144"),
    ("FirstBurstLength", "65536"),
    ("MaxOutstandingR2T", "1"),
    ("MaxConnections", "1"),
    ("ErrorRecoveryLevel", "0"),
    ("DefaultTime2Wait", "0"),
    ("DefaultTime2Retain", "0"),
    ("DataPDUInOrder", "Yes"),
];

type Keys = BTreeMap<String, String>;

impl Session {
    pub(super) fn login(&mut self, target: &Target) -> Result<(), Failure> {
        let isid: [u8; 6] = {
            let [a, b, c, d, e, ..] = *uuid::Uuid::new_v4().as_bytes();
            [0x80, a, b, c, d, e]
        };
        let mut login = Login { session: self, isid, tsih: 0 };
        let names =
            [("InitiatorName", &*target.initiator), ("TargetName", &*target.name), ("SessionType", "Normal")];
        match &target.login {
            None => {
                let open = [("AuthMethod", "None")];
                login.stage(&[&names[..], &open].concat(), SECURITY, OPERATIONAL)?;
            }
            Some(who) => {
                let open = [("AuthMethod", "CHAP")];
                login.say(&[&names[..], &open].concat(), (SECURITY, None))?;
                let keys = login.say(&[("CHAP_A", MD5)], (SECURITY, None))?.0;
                let response = answer(&keys, &who.1)?;
                let mine = [("CHAP_N", &*who.0), ("CHAP_R", &*response)];
                login.stage(&mine, SECURITY, OPERATIONAL)?;
            }
        }
        let mut abilities = ABILITIES.to_vec();
        let data_max = DATA_MAX.to_string();
        abilities.push(("MaxRecvDataSegmentLength", &data_max));
        abilities.push(("DataSequenceInOrder", "Yes"));
        login.stage(&abilities, OPERATIONAL, FULL)
    }
}

struct Login<'a> {
    session: &'a mut Session,
    isid: [u8; 6],
    tsih: u16,
}

impl Login<'_> {
    /// Ends a stage; the target may want more words before it agrees.
    fn stage(&mut self, keys: &[(&str, &str)], from: u8, to: u8) -> Result<(), Failure> {
        let mut say = keys;
        for _ in 0..ROUNDS_MAX {
            let (answer, moved) = self.say(say, (from, Some(to)))?;
            if let Some((key, _)) = answer.iter().find(|(_, value)| *value == "Reject") {
                return Err(Failure::Refused(format!("refuses {key}")));
            }
            if moved {
                return Ok(());
            }
            say = &[];
        }
        Err(Failure::Protocol("does not come to an end with signing in".into()))
    }

    /// Says something, and hears the answer: its keys, and whether the next stage begins.
    fn say(&mut self, keys: &[(&str, &str)], stage: (u8, Option<u8>)) -> Result<(Keys, bool), Failure> {
        let transit = stage.1.map_or(0, |next| FINAL | next);
        let mut pdu = Pdu::new(opcode::LOGIN | IMMEDIATE, stage.0 << 2 | transit);
        pdu.header[8..14].copy_from_slice(&self.isid);
        pdu.header[14..16].copy_from_slice(&self.tsih.to_be_bytes());
        pdu.data = keys.iter().flat_map(|(key, value)| format!("{key}={value}\0").into_bytes()).collect();
        self.session.send(&mut pdu, TASK)?;
        let answer = self.session.hear()?;
        if answer.opcode() != opcode::LOGIN_RESPONSE {
            return Err(Failure::Protocol("does not answer as an iSCSI target does".into()));
        }
        self.tsih = u16::from_be_bytes([answer.header[14], answer.header[15]]);
        if let Some(why) = refusal(answer.header[36], answer.header[37]) {
            return Err(Failure::Refused(why));
        }
        let moved = answer.flags() & FINAL != 0 && stage.1.is_some();
        let keys = parse(&answer.data);
        if let Some(group) = keys.get("TargetPortalGroupTag").and_then(|it| it.parse().ok()) {
            self.session.group = group;
        }
        Ok((keys, moved))
    }
}

fn parse(data: &[u8]) -> Keys {
    let pairs = data.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    pairs.filter_map(|pair| pair.split_once('=').map(|(key, value)| (key.into(), value.into()))).collect()
}

/// The answer to a challenge.
fn answer(keys: &Keys, secret: &str) -> Result<String, Failure> {
    let unclear = || Failure::Protocol("signs in by something else than CHAP with MD5".into());
    let id = keys.get("CHAP_I").and_then(|it| it.parse::<u8>().ok());
    let challenge = keys.get("CHAP_C").and_then(|it| hex(it.strip_prefix("0x").or(it.strip_prefix("0X"))?));
    if keys.get("CHAP_A").is_none_or(|it| it != MD5) {
        return Err(unclear());
    }
    let (Some(id), Some(challenge)) = (id, challenge) else { return Err(unclear()) };
    let mut digest = Md5::new();
    digest.update([id]);
    digest.update(secret.as_bytes());
    digest.update(challenge);
    Ok(digest.finalize().iter().fold("0x".into(), |text: String, byte| format!("{text}{byte:02x}")))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let fits = text.is_ascii() && text.len().is_multiple_of(2) && text.len() <= 2 * CHALLENGE_MAX;
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    fits.then(|| (0..text.len()).step_by(2).map(byte).collect())?
}

/// Why a login was refused, if it was.
fn refusal(class: u8, detail: u8) -> Option<String> {
    Some(match (class, detail) {
        (0, _) => return None,
        (1, _) => "sends hosts on to another portal: name that one in the pool".into(),
        (2, 1) => "does not take this user and secret (or wants none, or wants some)".into(),
        (2, 2) => "does not let this host in: see its list of initiators, and the pool's `initiator`".into(),
        (2, 3) => "is not there: this portal has no target of that name".into(),
        (3, _) => format!("cannot serve now (status 3, {detail})"),
        _ => format!("refuses (status {class}, {detail})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_answered_as_the_rfc_says() {
        let keys = |challenge: &str| parse(format!("CHAP_A=5\0CHAP_I=37\0CHAP_C={challenge}\0").as_bytes());
        let expected = {
            let digest = Md5::digest([&[37], &b"open sesame"[..], &[0x0a, 0xff]].concat());
            digest.iter().fold(String::from("0x"), |text, byte| format!("{text}{byte:02x}"))
        };
        assert_eq!(answer(&keys("0x0aff"), "open sesame").unwrap(), expected);
        for challenge in ["", "0x0", "0xzz", "0b+", &format!("0x{}", "00".repeat(2000))] {
            assert!(answer(&keys(challenge), "open sesame").is_err(), "{challenge:.10}");
        }
    }
}
