//! The wire format, message by message: the texts here are the protocol, and change only with it.

use pony_state::PartKind;
use pony_state::sync::{
    DecodeError, KeyPart, Limits, Message, NOTIFICATIONS_MAX, Notification, PROTO, Part, Pkey, RowId, Update,
    WireChange, claimed_uuid,
};
use serde_json::json;
use uuid::{Uuid, uuid};

const MACHINE: Uuid = uuid!("9ece4546-1199-42b0-acf5-1b68f393683a");
const PROCESS: Uuid = uuid!("35a446d6-6f8b-40bb-ac13-17eedf2e7c3e");

fn change(table: &str, pkey: Pkey, kind: PartKind, part: &serde_json::Value) -> WireChange {
    WireChange { row: RowId::new(table, pkey), kind, part: part.as_object().map(Part::from) }
}

/// Every message beside its text.
fn golden() -> Vec<(Message, &'static str)> {
    let instance = uuid!("11111111-2222-3333-4444-555555555555");
    let desired = change(
        "instance",
        Pkey::one(&instance.to_string()),
        PartKind::Desired,
        &json!({"uuid": instance, "name": "größe", "mem": 512, "ns": ["10.0.0.1"], "tenant": null}),
    );
    let vlan = Pkey::many([KeyPart::text("b0"), KeyPart::Int(7)]);
    let current = change("vlan", vlan.clone(), PartKind::Current, &json!({"bond": "b0", "tag": 7}));
    let removal = change("vlan", vlan, PartKind::Current, &json!(null));
    vec![
        (Message::SparkleResync { epoch: None }, r#"{"event":"sparkle-resync"}"#),
        (Message::SparkleResync { epoch: Some(7) }, r#"{"event":"sparkle-resync","epoch":7}"#),
        (
            Message::TwilightResync { uuid: MACHINE },
            r#"{"event":"twilight-resync","uuid":"9ece4546-1199-42b0-acf5-1b68f393683a"}"#,
        ),
        (
            Message::SparkleUpdate {
                epoch: Some(7),
                update: Update { incarnation: PROCESS, seq: 12, changes: vec![desired], ..Update::default() },
            },
            concat!(
                r#"{"event":"sparkle-update-state","epoch":7,"#,
                r#""incarnation":"35a446d6-6f8b-40bb-ac13-17eedf2e7c3e","seq":12,"#,
                r#""changes":[["instance","11111111-2222-3333-4444-555555555555","desired","#,
                r#"{"mem":512,"name":"größe","ns":["10.0.0.1"],"tenant":null,"#,
                r#""uuid":"11111111-2222-3333-4444-555555555555"}]]}"#
            ),
        ),
        (
            Message::TwilightUpdate {
                uuid: MACHINE,
                update: Update { incarnation: PROCESS, seq: 0, ..Update::default() },
            },
            concat!(
                r#"{"event":"twilight-update-state","uuid":"9ece4546-1199-42b0-acf5-1b68f393683a","#,
                r#""incarnation":"35a446d6-6f8b-40bb-ac13-17eedf2e7c3e","seq":0,"changes":[]}"#
            ),
        ),
        (
            Message::TwilightUpdate {
                uuid: MACHINE,
                update: Update {
                    incarnation: PROCESS,
                    seq: 0,
                    proto: Some(PROTO),
                    full: Some(3),
                    piece: Some(2),
                    more: true,
                    changes: vec![current, removal],
                },
            },
            concat!(
                r#"{"event":"twilight-update-state","uuid":"9ece4546-1199-42b0-acf5-1b68f393683a","#,
                r#""incarnation":"35a446d6-6f8b-40bb-ac13-17eedf2e7c3e","seq":0,"proto":1,"full":3,"#,
                r#""changes":[["vlan",["b0",7],"current",{"bond":"b0","tag":7}],"#,
                r#"["vlan",["b0",7],"current",null]],"piece":2,"more":true}"#
            ),
        ),
        (
            Message::TwilightNotify {
                uuid: MACHINE,
                notifications: vec![
                    Notification {
                        instance: Some(instance),
                        kind: "instance-crashed".into(),
                        data: json!({"reason": "panicked"}),
                    },
                    Notification { instance: None, kind: "disk-full".into(), data: json!(null) },
                ],
            },
            concat!(
                r#"{"event":"twilight-notify","uuid":"9ece4546-1199-42b0-acf5-1b68f393683a","#,
                r#""notifications":[{"instance":"11111111-2222-3333-4444-555555555555","#,
                r#""type":"instance-crashed","data":{"reason":"panicked"}},"#,
                r#"{"type":"disk-full","data":null}]}"#
            ),
        ),
    ]
}

#[test]
fn every_message_has_its_text() {
    for (message, text) in golden() {
        assert_eq!(message.encode(), text);
        assert_eq!(Message::decode(text.as_bytes(), &Limits::default()).unwrap(), message);
        assert!(text.contains(message.event()));
    }
}

#[test]
fn unknown_members_are_ignored() {
    for (message, text) in golden() {
        let later = text.replacen('{', r#"{"later":[{"x":1}],"#, 1);
        assert_eq!(Message::decode(later.as_bytes(), &Limits::default()).unwrap(), message);
    }
}

/// Any text cut short, and any with one byte changed, is read as a message or refused: no panic.
#[test]
fn damaged_texts_are_refused_or_read() {
    for (_, text) in golden() {
        for length in 0..text.len() {
            let _: DecodeError = Message::decode(&text.as_bytes()[..length], &Limits::default()).unwrap_err();
        }
        for index in 0..text.len() {
            for byte in [0, b'"', b'{', b'[', b'9', b'-', 0xff] {
                let mut damaged = text.as_bytes().to_vec();
                damaged[index] = byte;
                let _ = Message::decode(&damaged, &Limits::default());
            }
        }
    }
}

#[test]
fn errors_say_what_and_where() {
    let update = |members: &str| {
        format!(
            r#"{{"event":"twilight-update-state","uuid":"{MACHINE}","incarnation":"{PROCESS}",{members}}}"#
        )
    };
    let notify =
        |list: &str| format!(r#"{{"event":"twilight-notify","uuid":"{MACHINE}","notifications":{list}}}"#);
    let cases = [
        ("[]".into(), "message is a list, expected an object"),
        (r#"{"event":"sparkle-stop"}"#.into(), r#"event "sparkle-stop" is unknown"#),
        (r#"{"event":5}"#.into(), r#"event "5" is unknown"#),
        ("{}".into(), r#"event "(none)" is unknown"#),
        (r#"{"event":"twilight-resync"}"#.into(), "twilight-resync: uuid is missing, expected a UUID"),
        (r#"{"event":"twilight-resync","uuid":"x"}"#.into(), r#"uuid is "x", expected a UUID"#),
        (r#"{"event":"sparkle-resync","epoch":-1}"#.into(), "epoch is -1, expected a whole number from 0"),
        (update(r#""seq":1"#), "changes is missing, expected a list"),
        (update(r#""changes":[]"#), "seq is missing"),
        (update(r#""seq":1.5,"changes":[]"#), "seq is 1.5, expected a whole number from 0"),
        (update(r#""seq":0,"more":1,"changes":[]"#), "more is 1, expected true or false"),
        (update(r#""seq":1,"changes":{}"#), "changes is an object, expected a list"),
        (update(r#""seq":1,"changes":[7]"#), "changes[0] is a number, expected [table, pkey"),
        (update(r#""seq":1,"changes":[["t","k","desired"]]"#), "changes[0] is a list of 3 items"),
        (
            update(r#""seq":1,"changes":[[1,"k","desired",{}]]"#),
            "changes[0][0] is 1, expected a table's name",
        ),
        (
            update(r#""seq":1,"changes":[["t",7,"desired",{}]]"#),
            "changes[0][1] is 7, expected a string or a list",
        ),
        (update(r#""seq":1,"changes":[["t",[],"desired",{}]]"#), "changes[0][1] is a list, expected"),
        (update(r#""seq":1,"changes":[["t","k","wanted",{}]]"#), r#"changes[0][2] is "wanted", expected"#),
        (
            update(r#""seq":1,"changes":[["t","k","desired",3]]"#),
            "changes[0][3] is 3, expected an object or null",
        ),
        (notify(r#"[{"data":1}]"#), "notifications[0].type is missing, expected text"),
        (notify(r#"[{"type":"x"}]"#), "notifications[0].data is missing, expected any JSON"),
        (notify(r#"[{"type":"x","data":1,"instance":"y"}]"#), r#"notifications[0].instance is "y""#),
        (notify("[3]"), "notifications[0] is 3, expected an object"),
    ];
    for (text, expected) in cases {
        let error = Message::decode(text.as_bytes(), &Limits::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}\n  says: {error}\n  not:  {expected}");
    }
}

#[test]
fn sizes_are_bounded() {
    let limits = Limits::default();
    let long = " ".repeat(limits.message_bytes + 1);
    assert!(matches!(Message::decode(long.as_bytes(), &limits), Err(DecodeError::TooLong { .. })));
    assert!(matches!(claimed_uuid(long.as_bytes(), &limits), Err(DecodeError::TooLong { .. })));

    let one = Notification { instance: None, kind: "x".into(), data: json!(null) };
    let many = Message::TwilightNotify { uuid: MACHINE, notifications: vec![one; NOTIFICATIONS_MAX + 1] };
    let error = Message::decode(many.encode().as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::TooMany { path: "notifications", count: 257, max: 256, .. }));

    let one = change("t", Pkey::one("k"), PartKind::Current, &json!({}));
    let update = Update { incarnation: PROCESS, seq: 1, changes: vec![one; 4097], ..Update::default() };
    let many = Message::TwilightUpdate { uuid: MACHINE, update };
    let error = Message::decode(many.encode().as_bytes(), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::TooMany { path: "changes", count: 4097, max: 4096, .. }));
}

/// What lies too deep to be read as a tree is refused with its message, wherever it is.
#[test]
fn depth_is_bounded() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let decode = |text: &str| Message::decode(text.as_bytes(), &Limits::default());
    let unknown = |depth| decode(&format!(r#"{{"event":"sparkle-resync","x":{}}}"#, deep(depth)));
    assert_eq!(unknown(127).unwrap(), Message::SparkleResync { epoch: None });
    let update = |depth| {
        let deep = deep(depth);
        decode(&format!(
            r#"{{"event":"sparkle-update-state","incarnation":"{PROCESS}","seq":1,"changes":[["t","k","desired",{{"x":{deep}}}]]}}"#
        ))
    };
    let Ok(Message::SparkleUpdate { update: read, .. }) = update(126) else { panic!() };
    assert!(read.changes[0].part.as_ref().unwrap().columns().is_ok());
    for depth in [128, 100_000] {
        assert!(matches!(unknown(depth), Err(DecodeError::NotJson(_))));
        assert!(matches!(update(depth - 1), Err(DecodeError::NotJson(_))));
    }
}

#[test]
fn members_come_once_and_lists_are_no_objects() {
    let decode = |text: &str| Message::decode(text.as_bytes(), &Limits::default()).unwrap_err();
    assert!(matches!(decode(r#"{"event":"sparkle-resync","epoch":1,"epoch":2}"#), DecodeError::NotJson(_)));
    assert!(matches!(decode(r#"["sparkle-resync"]"#), DecodeError::NotAnObject { found: "a list" }));
    assert!(matches!(decode(" nul"), DecodeError::NotJson(_)));
    assert!(matches!(Message::decode(b"\xff{}", &Limits::default()), Err(DecodeError::NotUtf8(_))));
}

/// However a string is escaped, it is the same string.
#[test]
fn escapes_are_understood_everywhere() {
    let text = format!(
        r#" {{"event":"sparkle\u002dupdate-state", "incarnation":"{PROCESS}","seq":1,"changes":[
            ["\u0074", "k\n", "d\u0065sired", {{"a\u0062": 1}} ], ["t",["\"",7],"desired",null]]}}"#
    );
    let Message::SparkleUpdate { update, .. } = Message::decode(text.as_bytes(), &Limits::default()).unwrap()
    else {
        panic!()
    };
    let many = Pkey::many([KeyPart::text("\""), KeyPart::Int(7)]);
    assert_eq!(
        update.changes,
        [
            change("t", Pkey::one("k\n"), PartKind::Desired, &json!({"ab": 1})),
            change("t", many, PartKind::Desired, &json!(null))
        ]
    );
}

#[test]
fn the_claimed_uuid_is_found_without_reading_the_rest() {
    let limits = Limits::default();
    for (message, text) in golden() {
        let expected = match message {
            Message::SparkleResync { .. } | Message::SparkleUpdate { .. } => None,
            _ => Some(MACHINE),
        };
        assert_eq!(claimed_uuid(text.as_bytes(), &limits).unwrap(), expected);
    }
    assert!(claimed_uuid(br#"{"uuid":"nobody"}"#, &limits).is_err());
}

#[test]
fn keys_survive_json() {
    for json in [json!("plain"), json!(["a", 1, "b"]), json!([i64::MIN])] {
        assert_eq!(Pkey::from_json(&json).unwrap().to_json(), json);
    }
    for json in [json!(1), json!(null), json!([]), json!([1.5]), json!([["a"]]), json!({"a": 1})] {
        assert_eq!(Pkey::from_json(&json), None);
    }
}
