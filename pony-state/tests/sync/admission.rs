//! What a session lets in, what it drops and reports, and what it holds at most; on a session that is fed by hand.

use crate::side::{MACHINE, OURS, Side, THEIRS, UNIX_S, at, desired, full_rows, row, update};
use pony_state::PartKind;
use pony_state::sync::{
    DecodeError, Dropped, Event, Limits, MISSING_MS, Message, NOTIFICATIONS_MAX, Notification, NotifyError,
    Part, Role, Update, WireChange,
};
use serde_json::json;
use uuid::Uuid;

#[test]
fn a_silent_peer_is_missing_and_comes_back() {
    let mut sparkle = Side::sparkle();
    assert!(sparkle.wait(MISSING_MS - 1).events().is_empty());
    assert!(matches!(sparkle.wait(1).events()[..], [Event::Missing]));
    assert!(sparkle.session.is_missing());
    assert!(sparkle.wait(10 * MISSING_MS).events().is_empty(), "said once");
    sparkle.hear(&Message::TwilightNotify { uuid: MACHINE, notifications: vec![] });
    assert!(matches!(sparkle.events()[..], [Event::Back]));
    assert!(!sparkle.session.is_missing());
}

#[test]
fn old_messages_are_dropped_and_reported() {
    let mut peer = Side::peer().settled();
    let text = Message::SparkleUpdate { epoch: None, update: update(THEIRS, 0, vec![]) }.encode();
    let mut hear = |time: &str| {
        peer.session.handle_frames(text.as_bytes(), time.as_bytes(), at(0));
        peer.events()
    };
    assert!(matches!(hear(&(UNIX_S - 15).to_string())[..], [Event::Full(_)]));
    let late = hear(&(UNIX_S - 16).to_string());
    assert!(matches!(late[..], [Event::Dropped(Dropped::Late { age_s: 16 })]));
    assert!(matches!(hear(&(UNIX_S + 100).to_string())[..], [Event::Full(_)]));
    for bad in ["", "now", "-1", "1.5", "+5", " 7", "99999999999999999999999"] {
        let events = hear(bad);
        let [Event::Dropped(Dropped::Malformed(DecodeError::Time { .. }))] = events[..] else {
            panic!("time {bad:?}: {events:?}")
        };
    }
    assert_eq!((peer.session.counters().late, peer.session.counters().malformed), (1, 7));
}

#[test]
fn a_skewed_peer_is_missing_although_it_talks() {
    let mut sparkle = Side::sparkle();
    let text = Message::TwilightResync { uuid: MACHINE }.encode();
    for _ in 0..5 {
        sparkle.wait(10_000);
        let time = (sparkle.now.unix_s - 60).to_string();
        sparkle.session.handle_frames(text.as_bytes(), time.as_bytes(), sparkle.now);
    }
    let events = sparkle.events();
    let late = |event: &&Event| matches!(event, Event::Dropped(Dropped::Late { age_s: 60 }));
    assert_eq!(events.iter().filter(late).count(), 5);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Missing)).count(), 1);
}

#[test]
fn malformed_messages_change_nothing() {
    let mut peer = Side::peer().settled();
    let before = peer.session.remote();
    let current = WireChange { kind: PartKind::Current, ..desired("a", 1) };
    peer.hear(&Message::TwilightResync { uuid: MACHINE });
    peer.told(update(THEIRS, 1, vec![desired("a", 2), current]));
    peer.session.handle_frames(b"\xff{", b"1700000000", at(0));
    let errors = peer.events().into_iter().map(|event| match event {
        Event::Dropped(Dropped::Malformed(error)) => error,
        other => panic!("{other:?}"),
    });
    let errors: Vec<_> = errors.map(|error| error.to_string()).collect();
    assert_eq!(errors.len(), 3);
    assert!(errors[0].starts_with("event twilight-resync goes from this side"));
    assert!(errors[1].starts_with("changes[1] of row instance/a writes the part"));
    assert_eq!((peer.session.remote(), peer.session.counters().malformed), (before, 3));
    assert_eq!(peer.says(), []);
}

#[test]
fn another_machines_uuid_is_refused() {
    let mut sparkle = Side::sparkle();
    sparkle.says();
    sparkle.hear(&Message::TwilightResync { uuid: Uuid::from_u128(77) });
    let events = sparkle.events();
    let [Event::Dropped(Dropped::ForeignUuid { claimed, peer: MACHINE })] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((claimed.as_u128(), sparkle.says()), (77, vec![]));
}

#[test]
fn an_older_epoch_is_refused() {
    let mut peer = Side::new(Role::Peer { uuid: MACHINE, epoch_highest: 4 }, Limits::default());
    peer.says();
    peer.hear(&Message::SparkleResync { epoch: Some(3) });
    peer.hear(&Message::SparkleResync { epoch: None });
    let events = peer.events();
    let epochs = events.iter().map(|event| match event {
        Event::Dropped(Dropped::OldEpoch { epoch, highest }) => (*epoch, *highest),
        other => panic!("{other:?}"),
    });
    assert_eq!(epochs.collect::<Vec<_>>(), [(3, 4), (0, 4)]);
    assert_eq!(peer.says(), []);

    let update = update(THEIRS, 0, vec![]);
    let events = peer.hear(&Message::SparkleUpdate { epoch: Some(6), update }).events();
    assert!(matches!(events[..], [Event::EpochRaised(6), Event::Full(_)]), "durable first");
    assert_eq!(peer.session.epoch(), 6);
    assert!(matches!(
        peer.hear(&Message::SparkleResync { epoch: Some(5) }).events()[..],
        [Event::Dropped(Dropped::OldEpoch { epoch: 5, highest: 6 })]
    ));
    assert_eq!(peer.session.counters().old_epoch, 3);
}

#[test]
fn sparkles_epoch_only_rises() {
    let mut sparkle = Side::sparkle();
    sparkle.session.raise_epoch(3);
    assert_eq!(sparkle.session.epoch(), 5);
    sparkle.session.raise_epoch(9);
    assert_eq!(sparkle.says(), [Message::SparkleUpdate { epoch: Some(9), update: update(OURS, 1, vec![]) }]);
}

fn notification(number: u64) -> Notification {
    Notification { instance: None, kind: "test".into(), data: json!(number) }
}

#[test]
fn notifications_pass_outside_the_sequence() {
    let mut peer = Side::peer();
    peer.says();
    peer.session.notify(&notification(1)).unwrap();
    let said = peer.says();
    assert_eq!(said, [Message::TwilightNotify { uuid: MACHINE, notifications: vec![notification(1)] }]);

    let mut sparkle = Side::sparkle();
    let events = sparkle.hear(&said[0]).events();
    assert!(matches!(&events[..], [Event::Notifications(list)] if list == &[notification(1)]));
    assert_eq!(sparkle.session.notify(&notification(1)), Err(NotifyError::NotAPeer));
}

#[test]
fn waiting_notifications_are_bounded() {
    let mut peer = Side::peer();
    let count = NOTIFICATIONS_MAX as u64 + 10;
    (0..count).for_each(|number| peer.session.notify(&notification(number)).unwrap());
    assert_eq!(peer.session.counters().notifications_dropped, 10);
    let Message::TwilightNotify { notifications, .. } = &peer.says()[0] else { panic!() };
    assert_eq!((notifications.len(), &notifications[0]), (NOTIFICATIONS_MAX, &notification(10)));

    let long = Notification { data: json!("x".repeat(20_000)), ..notification(0) };
    assert!(matches!(peer.session.notify(&long), Err(NotifyError::TooLong { .. })));
}

#[test]
fn a_part_that_fits_no_message_is_reported_and_left_out() {
    let mut peer = Side::peer().settled();
    let big = json!({"x": "x".repeat(2 << 20)});
    peer.rows.0.insert(row("big"), Part::from(big.as_object().unwrap()));
    peer.set("small", 1);
    peer.session.changed(&row("big"));
    let sent = peer.updates();
    let parts: Vec<_> = sent[0].changes.iter().map(|change| change.part.is_some()).collect();
    assert_eq!(parts, [true, false]);
    assert!(matches!(&peer.events()[..], [Event::Oversized { row: r, .. }] if *r == row("big")));
}

/// An owner that fetches no events loses messages, as if the network had, and is healed the same way.
#[test]
fn unfetched_events_are_bounded() {
    let mut peer = Side::peer().settled();
    for seq in 1..=100 {
        peer.told(update(THEIRS, seq, vec![desired("a", seq)]));
    }
    assert_eq!(peer.session.counters().overrun, 36);
    assert_eq!(peer.events().len(), 64);
    assert_eq!(peer.told(update(THEIRS, 101, vec![])).requests(), 1);
}

#[test]
fn a_full_state_beyond_the_bounds_is_dropped_whole() {
    let limits = Limits { full_rows: 2, ..Limits::default() };
    let mut peer = Side::new(Role::Peer { uuid: MACHINE, epoch_highest: 0 }, limits);
    let bare = |more, changes| Update { more, ..update(THEIRS, 0, changes) };
    peer.told(bare(true, vec![desired("a", 1), desired("b", 1)])).told(bare(true, vec![desired("c", 1)]));
    peer.told(bare(false, vec![desired("d", 1)]));
    let too_large = |event: &Event| {
        matches!(event, Event::Dropped(Dropped::Malformed(DecodeError::FullTooLarge { rows: 2, .. })))
    };
    let events = peer.events();
    assert!(events.len() == 2 && events.iter().all(too_large), "{events:?}");
    assert!(peer.session.remote().is_none());
    peer.told(bare(false, vec![desired("a", 1)]));
    assert_eq!(full_rows(&peer.events()[0]).len(), 1);
}
