//! The rules of the sequence, one by one, on a single session that is fed by hand.

use crate::side::{MACHINE, NEXT, OURS, Side, THEIRS, desired, full_rows, numbered, part, row, update};
use pony_state::PartKind;
use pony_state::sync::{Event, FullState, Held, KEEPALIVE_MS, Limits, Message, Role, Update, WireChange};
use std::collections::BTreeMap;

#[test]
fn the_very_first_message_is_empty_and_refused() {
    let mut peer = Side::peer();
    let hello = update(OURS, 1, vec![]);
    assert_eq!(peer.says(), [Message::TwilightUpdate { uuid: MACHINE, update: hello.clone() }]);

    let mut sparkle = Side::sparkle();
    sparkle.hear(&Message::TwilightUpdate { uuid: MACHINE, update: hello });
    assert!(sparkle.events().is_empty());
    assert_eq!(
        sparkle.says(),
        [
            Message::SparkleResync { epoch: Some(5) },
            Message::SparkleUpdate { epoch: Some(5), update: update(OURS, 1, vec![]) }
        ]
    );
}

#[test]
fn changes_are_withheld_until_a_full_state_was_asked_for() {
    let mut peer = Side::peer();
    peer.set("a", 1);
    assert_eq!(peer.updates(), [update(OURS, 1, vec![])]);
    peer.set("b", 2);
    assert_eq!(peer.updates(), []);
    assert_eq!(peer.session.pending_rows(), 0);

    let answer = peer.hear(&Message::SparkleResync { epoch: None }).updates();
    assert_eq!((answer.len(), answer[0].seq, answer[0].changes.len()), (1, 0, 2));
    assert!(peer.session.is_synchronized());

    peer.set("a", 3);
    peer.set("c", 1);
    peer.set("a", 4);
    let partial = peer.updates();
    assert_eq!((partial.len(), partial[0].seq), (1, 1));
    let parts: Vec<_> = partial[0].changes.iter().map(|change| change.part.clone()).collect();
    assert_eq!(parts, [Some(part(4)), Some(part(1))], "once per row, as it is when sent");

    peer.rows.0.remove(&row("c"));
    peer.session.changed(&row("c"));
    let removal = peer.updates();
    assert_eq!((removal[0].seq, &removal[0].changes[0].part), (2, &None));
}

#[test]
fn a_full_state_restarts_the_sequence_at_one() {
    let mut peer = Side::peer();
    let first = peer.told(update(THEIRS, 0, vec![desired("a", 1)])).events();
    assert_eq!(full_rows(&first[0]), BTreeMap::from([(row("a"), part(1))]));
    assert!(peer.told(update(THEIRS, 1, vec![])).events().is_empty(), "a keep-alive changes nothing");
    let events = peer.told(update(THEIRS, 2, vec![desired("a", 2)])).events();
    assert!(matches!(&events[..], [Event::Changes(changes)] if changes == &[desired("a", 2)]));
    let again = peer.told(update(THEIRS, 0, vec![])).events();
    assert_eq!(full_rows(&again[0]).len(), 0);
    assert_eq!(peer.session.remote().unwrap().next_seq, 1);
    assert_eq!(peer.requests(), 0);
}

/// Each way to be out of sequence: refused, nothing touched, one request.
#[test]
fn out_of_sequence_is_refused_with_one_request() {
    let bad = [
        ("a gap", update(THEIRS, 2, vec![desired("a", 9)])),
        ("another process", update(NEXT, 1, vec![desired("a", 9)])),
        ("another full state", numbered(4, 1, vec![desired("a", 9)])),
    ];
    for (name, message) in bad {
        let mut peer = Side::peer().settled();
        let before = peer.session.remote();
        for _ in 0..50 {
            peer.told(message.clone());
        }
        assert!(peer.events().is_empty(), "{name}");
        assert_eq!(peer.session.remote(), before, "{name}");
        assert_eq!(peer.requests(), 1, "{name}");
        assert_eq!(peer.told(message).requests(), 0, "{name}: the request is under way");
    }
    let mut peer = Side::peer().settled();
    peer.told(update(THEIRS, 1, vec![]));
    assert_eq!(peer.told(update(THEIRS, 1, vec![])).requests(), 1, "a duplicate");
}

#[test]
fn an_unanswered_request_is_repeated_ever_more_slowly() {
    let mut peer = Side::peer().settled();
    peer.told(update(THEIRS, 7, vec![]));
    let mut asked_ms = Vec::new();
    for ms in (0..20_000).step_by(100) {
        if peer.requests() > 0 {
            asked_ms.push(ms);
        }
        peer.wait(100);
    }
    assert_eq!(asked_ms, [0, 2_000, 6_000, 11_000, 16_000]);
    peer.told(update(THEIRS, 0, vec![]));
    assert!(!peer.session.is_awaiting_full());
    assert_eq!(peer.wait(20_000).requests(), 0, "answered");
}

#[test]
fn requests_and_full_states_keep_their_rate() {
    let mut peer = Side::peer().settled();
    let (mut requests, mut fulls) = (0, 0);
    for _ in 0..100 {
        // A sender that loses its sequence all the time, and asks all the time.
        peer.told(update(THEIRS, 0, vec![])).told(update(THEIRS, 9, vec![]));
        peer.hear(&Message::SparkleResync { epoch: None });
        for message in peer.says() {
            match message {
                Message::TwilightResync { .. } => requests += 1,
                Message::TwilightUpdate { update, .. } if update.seq == 0 => fulls += 1,
                _ => {}
            }
        }
        peer.events();
        peer.wait(100);
    }
    assert!((9..=11).contains(&requests), "{requests} requests in 10 s");
    assert!((9..=11).contains(&fulls), "{fulls} full states in 10 s");
}

/// The story: full state 1, full state 2, then a late copy of 1. Without numbers it would be taken, the next
/// partial update would by chance have the expected sequence 1, and both sides would differ for ever.
#[test]
fn a_late_full_state_of_the_same_process_is_superseded() {
    let mut peer = Side::peer();
    peer.told(numbered(2, 0, vec![desired("a", 2)])).told(numbered(2, 1, vec![]));
    assert_eq!(peer.events().len(), 1);
    peer.told(numbered(1, 0, vec![desired("a", 1)])).told(numbered(2, 0, vec![desired("a", 2)]));
    assert!(peer.events().is_empty(), "neither an older one nor a duplicate changes anything");
    assert_eq!(peer.session.counters().superseded, 2);
    assert!(matches!(peer.told(numbered(2, 2, vec![desired("b", 1)])).events()[..], [Event::Changes(_)]));
}

#[test]
fn a_late_full_state_of_a_dead_process_is_healed() {
    let mut peer = Side::peer().settled();
    assert_eq!(full_rows(&peer.told(update(NEXT, 0, vec![])).events()[0]).len(), 0, "always accepted");
    assert_eq!(peer.told(update(THEIRS, 1, vec![])).requests(), 1, "the living process is asked again");
    let healed = peer.told(update(THEIRS, 0, vec![desired("a", 1)])).events();
    assert_eq!(full_rows(&healed[0]).len(), 1);
}

fn piece(full: u64, piece: u64, more: bool, changes: Vec<WireChange>) -> Update {
    Update { piece: Some(piece), more, ..numbered(full, 0, changes) }
}

#[test]
fn pieces_take_effect_together_in_any_order() {
    let mut peer = Side::peer();
    peer.told(piece(1, 2, false, vec![desired("c", 3)])).told(piece(1, 0, true, vec![desired("a", 1)]));
    peer.told(piece(1, 0, true, vec![desired("a", 1)]));
    assert!(peer.events().is_empty(), "one piece is missing");
    assert!(peer.session.remote().is_none());
    let events = peer.told(piece(1, 1, true, vec![desired("b", 2)])).events();
    assert_eq!(full_rows(&events[0]).len(), 3);
    assert_eq!(peer.session.remote().unwrap().next_seq, 1);
}

#[test]
fn pieces_of_different_full_states_do_not_mix() {
    let mut peer = Side::peer();
    peer.told(piece(1, 0, true, vec![desired("a", 1)])).told(piece(2, 0, true, vec![desired("b", 1)]));
    peer.told(piece(1, 1, false, vec![desired("c", 1)]));
    assert!(peer.events().is_empty());
    let events = peer.told(piece(2, 1, false, vec![desired("d", 1)])).events();
    assert_eq!(full_rows(&events[0]).keys().cloned().collect::<Vec<_>>(), [row("b"), row("d")]);
}

/// No sender of this crate names a row twice in a full state. Of one that does, the last word counts.
#[test]
fn a_row_that_comes_twice_is_what_it_is_last() {
    let gone = |key| WireChange { part: None, ..desired(key, 0) };
    let changes =
        vec![desired("a", 1), gone("b"), desired("a", 2), desired("c", 1), gone("c"), desired("b", 1)];
    let mut peer = Side::peer();
    let mut events = peer.told(update(THEIRS, 0, changes)).events();
    let Some(Event::Full(full)) = events.pop() else { panic!() };
    let mut held = BTreeMap::from([(row("a"), part(1)), (row("b"), part(1)), (row("c"), part(1))]);
    let before = held.clone();
    for change in full.diff(PartKind::Desired, before.keys().cloned(), |row, part| {
        if before.get(row) == Some(part) { Held::Same } else { Held::Different }
    }) {
        match change.part {
            Some(part) => drop(held.insert(change.row, part)),
            None => drop(held.remove(&change.row)),
        }
    }
    assert_eq!(held, BTreeMap::from([(row("a"), part(2)), (row("b"), part(1))]));
}

/// A sender of the bare protocol numbers neither full states nor pieces; its pieces come in order.
#[test]
fn pieces_without_numbers_count_in_order() {
    let bare = |more, changes| Update { more, ..update(THEIRS, 0, changes) };
    let mut peer = Side::peer();
    peer.told(bare(true, vec![desired("a", 1)])).told(bare(false, vec![desired("b", 1)]));
    assert_eq!(full_rows(&peer.events()[0]).len(), 2);

    peer.told(bare(true, vec![desired("x", 1)]));
    peer.told(update(THEIRS, 5, vec![]));
    peer.told(bare(false, vec![desired("b", 1)]));
    assert_eq!(full_rows(&peer.events()[0]).len(), 1, "what was cut off by a refused update is forgotten");

    peer.told(bare(true, vec![desired("x", 1)])).told(bare(true, vec![desired("y", 1)]));
    peer.told(bare(true, vec![desired("y", 2)])).told(bare(false, vec![desired("z", 2)]));
    assert_eq!(full_rows(&peer.events()[0]).len(), 2, "a row that comes again begins another full state");
}

#[test]
fn a_full_state_is_cut_and_numbered() {
    let limits = Limits { changes: 2, ..Limits::default() };
    let mut peer = Side::new(Role::Peer { uuid: MACHINE, epoch_highest: 0 }, limits);
    (0..5).for_each(|value| peer.set(&value.to_string(), value));
    peer.says();
    let pieces = peer.hear(&Message::SparkleResync { epoch: None }).updates();
    let shape: Vec<_> = pieces.iter().map(|p| (p.seq, p.piece, p.more, p.changes.len())).collect();
    assert_eq!(shape, [(0, Some(0), true, 2), (0, Some(1), true, 2), (0, Some(2), false, 1)]);
    assert!(pieces.iter().all(|piece| piece.full == Some(1)));
}

#[test]
fn a_change_during_a_full_state_follows_it() {
    let limits = Limits { changes: 1, ..Limits::default() };
    let mut peer = Side::new(Role::Peer { uuid: MACHINE, epoch_highest: 0 }, limits);
    (0..3).for_each(|value| peer.set(&value.to_string(), value));
    peer.says();
    peer.hear(&Message::SparkleResync { epoch: None });
    let first = peer.session.poll_transmit(peer.now, &peer.rows).unwrap();
    assert!(first.body.contains(r#""more":true"#));
    peer.set("2", 9);
    peer.set("7", 7);
    let rest: Vec<_> = peer.updates().iter().map(|u| (u.seq, u.changes[0].part.clone().unwrap())).collect();
    assert_eq!(rest, [(0, part(1)), (0, part(2)), (1, part(9)), (2, part(7))]);
}

#[test]
fn a_request_during_a_full_state_is_answered_after_it() {
    let limits = Limits { changes: 1, ..Limits::default() };
    let mut peer = Side::new(Role::Peer { uuid: MACHINE, epoch_highest: 0 }, limits);
    (0..3).for_each(|value| peer.set(&value.to_string(), value));
    peer.says();
    peer.hear(&Message::SparkleResync { epoch: None });
    peer.session.poll_transmit(peer.now, &peer.rows).unwrap();
    peer.hear(&Message::SparkleResync { epoch: None });
    assert_eq!(peer.updates().len(), 2, "the first is finished, or a slow link would never see the end");
    let second = peer.wait(1_000).updates();
    assert_eq!(second.iter().map(|u| u.full).collect::<Vec<_>>(), [Some(2); 3]);
}

#[test]
fn too_many_pending_rows_become_a_full_state() {
    let limits = Limits { pending_rows: 3, ..Limits::default() };
    let mut peer = Side::new(Role::Peer { uuid: MACHINE, epoch_highest: 0 }, limits);
    peer.hear(&Message::SparkleResync { epoch: None }).says();
    (0..3).for_each(|value| peer.set(&value.to_string(), value));
    peer.set("0", 5);
    assert_eq!(peer.session.pending_rows(), 3);
    peer.set("3", 3);
    assert_eq!(peer.session.pending_rows(), 0);
    let updates = peer.wait(1_000).updates();
    assert_eq!(updates.iter().map(|u| (u.seq, u.changes.len())).collect::<Vec<_>>(), [(0, 4)]);
}

#[test]
fn silence_is_broken_by_keepalives() {
    let mut peer = Side::peer().settled();
    let quiet = peer.wait(KEEPALIVE_MS - 1).says();
    assert_eq!(quiet, []);
    let sent = peer.wait(1).updates();
    assert_eq!((sent.len(), sent[0].seq, sent[0].changes.len()), (1, 1, 0));
    peer.wait(KEEPALIVE_MS - 1).set("a", 1);
    assert_eq!(peer.updates()[0].seq, 2);
    assert_eq!(peer.wait(KEEPALIVE_MS - 1).says(), []);
    assert_eq!(peer.wait(1).updates()[0].seq, 3);
}

/// A reconnection shows at once what was lost, instead of at the next keep-alive; flapping links are not chatty.
#[test]
fn a_connection_is_greeted() {
    let mut peer = Side::peer().settled();
    peer.wait(2_000).set("a", 1);
    assert_eq!(peer.updates()[0].seq, 1);
    peer.session.handle_connected(peer.now);
    let greeting = peer.updates();
    assert_eq!((greeting.len(), greeting[0].seq, greeting[0].changes.len()), (1, 2, 0));
    for _ in 0..10 {
        peer.session.handle_connected(peer.now);
        assert_eq!(peer.wait(10).says(), []);
    }
    assert_eq!(peer.wait(900).updates()[0].seq, 3);
}

#[test]
fn a_full_state_differs_by_the_least() {
    let mut peer = Side::peer();
    let changes = vec![desired("same", 1), desired("other", 2), desired("new", 3)];
    let events = peer.told(update(THEIRS, 0, changes)).events();
    let full = FullState::clone(match &events[0] {
        Event::Full(full) => full,
        other => panic!("{other:?}"),
    });
    let held = BTreeMap::from([(row("same"), part(1)), (row("other"), part(1)), (row("gone"), part(4))]);
    let changes = full.diff(PartKind::Desired, held.keys().cloned(), |row, part| {
        if held.get(row) == Some(part) { Held::Same } else { Held::Different }
    });
    let removal = WireChange { part: None, ..desired("gone", 0) };
    assert_eq!(changes, [removal, desired("other", 2), desired("new", 3)]);
}
