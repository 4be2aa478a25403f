//! What a session does just below each of its bounds, at it, and just beyond.

use crate::side::{MACHINE, Side, THEIRS, UNIX_S, at, desired, full_rows, row, update};
use pony_state::PartKind;
use pony_state::sync::{
    AGE_S_MAX, CHANGES_MAX, CUT_BYTES, DecodeError, Dropped, ENVELOPE_BYTES, EVENTS_MAX, Event,
    FULL_BYTES_MAX, FULL_INTERVAL_MS, FULL_ROWS_MAX, GREETING_INTERVAL_MS, KEEPALIVE_MS, Limits,
    MESSAGE_BYTES_MAX, MISSING_MS, Message, NOTIFICATION_BYTES_MAX, NOTIFICATIONS_MAX, Notification,
    NotifyError, PENDING_ROWS_MAX, Part, Pkey, RESYNC_INTERVAL_MS, RESYNC_RETRY_MS, RESYNC_RETRY_MS_MAX,
    Role, RowId, Update, WireChange,
};
use serde_json::json;
use uuid::Uuid;

/// A bound, one less and one more; and whether that is within it.
fn around(bound: usize) -> [(usize, bool); 3] {
    [(bound - 1, true), (bound, true), (bound + 1, false)]
}

/// Milliseconds of silence around a wait, and whether it is over.
fn waits(wait_ms: u64) -> [(u64, bool); 3] {
    [(wait_ms - 1, false), (wait_ms, true), (wait_ms + 1, true)]
}

fn short(number: usize) -> RowId {
    RowId::new("t", Pkey::one(&format!("{number:04}")))
}

/// A part whose change of row `key` has this many bytes.
fn sized(key: &str, bytes: usize) -> Part {
    let part = |pad: usize| json!({ "x": "x".repeat(pad) });
    let frame = format!(r#"["instance","{key}","current",{}]"#, part(0)).len();
    Part::from(part(bytes - frame).as_object().unwrap())
}

fn bodies(side: &mut Side) -> Vec<String> {
    let all = std::iter::from_fn(|| side.session.poll_transmit(side.now, &side.rows));
    all.map(|frames| frames.body).collect()
}

#[test]
fn limits_are_the_constants() {
    let expected = Limits {
        message_bytes: MESSAGE_BYTES_MAX,
        cut_bytes: CUT_BYTES,
        changes: CHANGES_MAX,
        pending_rows: PENDING_ROWS_MAX,
        full_rows: FULL_ROWS_MAX,
        full_bytes: FULL_BYTES_MAX,
        notifications: NOTIFICATIONS_MAX,
    };
    assert_eq!(Limits::default(), expected);
    assert_eq!(expected.change_bytes(), MESSAGE_BYTES_MAX - CUT_BYTES - ENVELOPE_BYTES);
}

#[test]
fn age() {
    for (age_s, fits) in around(AGE_S_MAX as usize) {
        let mut peer = Side::peer().settled();
        let text = Message::SparkleResync { epoch: None }.encode();
        peer.session.handle_message(text.as_bytes(), UNIX_S - age_s as u64, at(0));
        assert_eq!((peer.session.counters().late == 0, peer.events().is_empty()), (fits, fits), "{age_s} s");
    }
}

#[test]
fn waiting() {
    for (ms, over) in waits(KEEPALIVE_MS) {
        assert_eq!(Side::peer().settled().wait(ms).updates().len(), usize::from(over), "keep-alive, {ms} ms");
    }
    for (ms, over) in waits(MISSING_MS) {
        let mut peer = Side::peer().settled();
        assert_eq!(peer.wait(ms).session.is_missing(), over, "missing, {ms} ms");
    }
    for (ms, over) in waits(RESYNC_INTERVAL_MS) {
        let mut peer = Side::peer().settled();
        assert_eq!(peer.told(update(THEIRS, 9, vec![])).requests(), 1);
        peer.told(update(THEIRS, 0, vec![])).told(update(THEIRS, 9, vec![]));
        assert_eq!((peer.requests(), peer.wait(ms).requests()), (0, usize::from(over)), "request, {ms} ms");
    }
    for (ms, over) in waits(RESYNC_RETRY_MS) {
        let mut peer = Side::peer().settled();
        peer.told(update(THEIRS, 9, vec![])).requests();
        assert_eq!(peer.wait(ms).requests(), usize::from(over), "repetition, {ms} ms");
    }
    for (ms, over) in waits(RESYNC_RETRY_MS_MAX) {
        let mut peer = Side::peer().settled();
        peer.told(update(THEIRS, 9, vec![])).requests();
        for wait_ms in [RESYNC_RETRY_MS, 2 * RESYNC_RETRY_MS] {
            assert_eq!(peer.wait(wait_ms).requests(), 1);
        }
        assert_eq!(peer.wait(ms).requests(), usize::from(over), "later repetition, {ms} ms");
    }
    for (ms, over) in waits(FULL_INTERVAL_MS) {
        let mut peer = Side::peer().settled();
        peer.hear(&Message::SparkleResync { epoch: None });
        assert_eq!(
            (peer.updates().len(), peer.wait(ms).updates().len()),
            (0, usize::from(over)),
            "full, {ms} ms"
        );
    }
    for (ms, over) in waits(GREETING_INTERVAL_MS) {
        let mut peer = Side::peer().settled();
        peer.wait(GREETING_INTERVAL_MS);
        peer.session.handle_connected(peer.now);
        assert_eq!(peer.updates().len(), 1);
        peer.session.handle_connected(peer.now);
        assert_eq!(peer.wait(ms).updates().len(), usize::from(over), "greeting, {ms} ms");
    }
}

#[test]
fn bytes_of_a_message_read() {
    let limits = Limits::default();
    let text = Message::SparkleResync { epoch: None }.encode();
    for (bytes, fits) in around(MESSAGE_BYTES_MAX) {
        let padded = text.clone() + &" ".repeat(bytes - text.len());
        match Message::decode(padded.as_bytes(), &limits) {
            Ok(message) => assert!(fits && message == Message::SparkleResync { epoch: None }),
            Err(DecodeError::TooLong { bytes: found, max: MESSAGE_BYTES_MAX }) => {
                assert!(!fits && found == bytes);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn items_of_a_message_read() {
    let limits = Limits::default();
    let decode = |message: Message| Message::decode(message.encode().as_bytes(), &limits);
    for (count, fits) in around(CHANGES_MAX) {
        let change = WireChange { row: short(0), kind: PartKind::Desired, part: None };
        let read =
            decode(Message::SparkleUpdate { epoch: None, update: update(THEIRS, 1, vec![change; count]) });
        assert_eq!(read.is_ok(), fits, "{count} changes");
        assert!(fits || matches!(read, Err(DecodeError::TooMany { path: "changes", .. })));
    }
    for (count, fits) in around(NOTIFICATIONS_MAX) {
        let one = Notification { instance: None, kind: "x".into(), data: json!(null) };
        let read = decode(Message::TwilightNotify { uuid: MACHINE, notifications: vec![one; count] });
        assert_eq!(read.is_ok(), fits, "{count} notifications");
        assert!(fits || matches!(read, Err(DecodeError::TooMany { path: "notifications", .. })));
    }
}

#[test]
fn bytes_of_a_notification() {
    let notification =
        |pad: usize| Notification { instance: None, kind: "x".into(), data: json!("x".repeat(pad)) };
    let frame = serde_json::to_string(&notification(0)).unwrap().len();
    for (bytes, fits) in around(NOTIFICATION_BYTES_MAX) {
        let result = Side::peer().session.notify(&notification(bytes - frame));
        assert_eq!(result, if fits { Ok(()) } else { Err(NotifyError::TooLong { bytes }) });
    }
}

#[test]
fn notifications_that_wait() {
    for (count, fits) in around(NOTIFICATIONS_MAX) {
        let mut peer = Side::peer();
        for number in 0..count {
            let one = Notification { instance: None, kind: "x".into(), data: json!(number) };
            peer.session.notify(&one).unwrap();
        }
        assert_eq!(peer.session.counters().notifications_dropped, u64::from(!fits));
    }
}

#[test]
fn rows_that_wait() {
    for (count, fits) in around(PENDING_ROWS_MAX) {
        let mut peer = Side::peer().settled();
        peer.wait(FULL_INTERVAL_MS);
        (0..count).for_each(|number| peer.session.changed(&short(number)));
        assert_eq!(peer.session.pending_rows(), if fits { count } else { 0 });
        let first = &peer.updates()[0];
        assert_eq!((first.seq, first.changes.len()), if fits { (1, CHANGES_MAX) } else { (0, 0) });
        peer.session.changed(&short(0));
        peer.session.changed(&short(0));
        assert_eq!(peer.session.pending_rows(), 1, "each once");
    }
}

#[test]
fn changes_of_a_message_sent() {
    for (count, fits) in around(CHANGES_MAX) {
        let mut peer = Side::peer().settled();
        (0..count).for_each(|number| peer.session.changed(&short(number)));
        let counts: Vec<usize> = peer.updates().iter().map(|update| update.changes.len()).collect();
        assert_eq!(counts, if fits { vec![count] } else { vec![CHANGES_MAX, 1] });
    }
}

/// A message is cut as soon as it is so long, be it a partial update or a piece of a full state.
#[test]
fn bytes_of_a_message_sent() {
    for full in [false, true] {
        let send = |first: usize, second: bool| {
            let mut peer = Side::peer().settled();
            peer.wait(FULL_INTERVAL_MS);
            peer.set_part("a", sized("a", first));
            if second {
                peer.set_part("b", sized("b", 100));
            }
            if full {
                peer.session.everything_changed();
            }
            bodies(&mut peer)
        };
        // A message of one change is cut at that change's end: without its last two characters, with a comma.
        let around_it = send(1_000, false)[0].len() - 1_000 - 1;
        for (bytes, _) in around(CUT_BYTES) {
            let sent = send(bytes - around_it, true).len();
            assert_eq!(sent, if bytes < CUT_BYTES { 1 } else { 2 }, "{bytes} bytes, full: {full}");
        }
    }
}

/// The longest change still fits behind all that a message may hold before it is cut.
#[test]
fn bytes_of_a_change() {
    for (bytes, fits) in around(Limits::default().change_bytes()) {
        let mut peer = Side::peer().settled();
        peer.set_part("a", sized("a", CUT_BYTES - 300));
        peer.set_part("b", sized("b", bytes));
        let sent = bodies(&mut peer);
        assert!(sent.len() == 1 && sent[0].len() <= MESSAGE_BYTES_MAX, "{} bytes", sent[0].len());
        let Ok(Message::TwilightUpdate { update, .. }) =
            Message::decode(sent[0].as_bytes(), &Limits::default())
        else {
            panic!("what is sent can be read")
        };
        assert_eq!(update.changes[1].part.is_some(), fits);
        let reported = peer.events();
        assert_eq!(reported.is_empty(), fits);
        assert!(
            fits || matches!(&reported[..], [Event::Oversized { row: it, bytes: found }] if *it == row("b") && *found == bytes)
        );
    }
}

/// In a full state a row that fits no message is left out, and the rest arrives.
#[test]
fn a_full_state_leaves_out_what_fits_no_message() {
    let mut peer = Side::peer().settled();
    peer.rows.0.insert(row("a"), sized("a", 100));
    peer.rows.0.insert(row("b"), sized("b", MESSAGE_BYTES_MAX));
    peer.rows.0.insert(row("c"), sized("c", 100));
    peer.wait(FULL_INTERVAL_MS).session.everything_changed();
    let sent = peer.updates();
    let rows: Vec<_> = sent[0].changes.iter().map(|change| change.row.clone()).collect();
    assert_eq!((sent.len(), rows), (1, vec![row("a"), row("c")]));
    assert_eq!(peer.session.counters().oversized, 1);
}

#[test]
fn what_stands_around_the_changes() {
    let update = Update {
        incarnation: Uuid::max(),
        seq: u64::MAX,
        proto: Some(u64::MAX),
        full: Some(u64::MAX),
        piece: Some(u64::MAX),
        more: true,
        changes: vec![],
    };
    let sparkle = Message::SparkleUpdate { epoch: Some(u64::MAX), update: update.clone() };
    let peer = Message::TwilightUpdate { uuid: Uuid::max(), update };
    assert!(sparkle.encode().len() <= ENVELOPE_BYTES && peer.encode().len() <= ENVELOPE_BYTES);
}

fn piece(piece: u64, more: bool, count: usize) -> Update {
    let changes = (0..count).map(|number| desired(&format!("{piece}-{number}"), 1)).collect();
    Update { full: Some(1), piece: Some(piece), more, ..update(THEIRS, 0, changes) }
}

fn hear_pieces(limits: Limits, pieces: &[Update]) -> Vec<Event> {
    let mut peer = Side::new(Role::Peer { uuid: MACHINE, epoch_highest: 0 }, limits);
    for piece in pieces {
        peer.told(piece.clone());
    }
    peer.events()
}

fn is_too_large(event: &Event) -> bool {
    matches!(event, Event::Dropped(Dropped::Malformed(DecodeError::FullTooLarge { .. })))
}

#[test]
fn rows_of_a_full_state() {
    for (count, fits) in around(10) {
        let limits = Limits { full_rows: 10, ..Limits::default() };
        let events = hear_pieces(limits, &[piece(0, true, 4), piece(1, false, count - 4)]);
        assert_eq!(events.len(), 1);
        if fits {
            assert_eq!(full_rows(&events[0]).len(), count);
        } else {
            assert!(is_too_large(&events[0]));
        }
    }
}

#[test]
fn bytes_of_a_full_state() {
    let pieces = [piece(0, true, 4), piece(1, false, 3)];
    let length =
        |update: &Update| Message::SparkleUpdate { epoch: None, update: update.clone() }.encode().len();
    let bytes: usize = pieces.iter().map(length).sum();
    for (bound, fits) in [(bytes + 1, true), (bytes, true), (bytes - 1, false)] {
        let events = hear_pieces(Limits { full_bytes: bound, ..Limits::default() }, &pieces);
        assert_eq!(events.len(), 1);
        assert_eq!(is_too_large(&events[0]), !fits, "{bytes} bytes, at most {bound}");
    }
}

#[test]
fn events_that_nobody_fetches() {
    for (count, fits) in around(EVENTS_MAX) {
        let mut peer = Side::peer().settled();
        for seq in 1..=count as u64 {
            peer.told(update(THEIRS, seq, vec![desired("a", seq)]));
        }
        assert_eq!(peer.session.counters().overrun, u64::from(!fits));
        assert_eq!(peer.events().len(), count.min(EVENTS_MAX));
    }
}

/// A peer that asks without end, and whose sequence is lost with every message, costs one request and one full state
/// a second, and no memory.
#[test]
fn a_storm_costs_its_rate() {
    let mut peer = Side::peer().settled();
    let before = peer.session.counters();
    for _ in 0..1_000 {
        for _ in 0..20 {
            peer.hear(&Message::SparkleResync { epoch: None });
            peer.told(update(THEIRS, 0, vec![])).told(update(THEIRS, 9, vec![desired("a", 1)]));
        }
        peer.says();
        peer.events();
        peer.wait(10);
    }
    let after = peer.session.counters();
    assert!((9..=11).contains(&(after.resyncs_sent - before.resyncs_sent)), "{after:?}");
    assert!((9..=11).contains(&(after.fulls_sent - before.fulls_sent)), "{after:?}");
    assert_eq!(after.resyncs_received - before.resyncs_received, 20_000);
    assert_eq!(peer.session.pending_rows(), 0);
}
