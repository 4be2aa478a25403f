//! What a session costs, measured by the allocator: a cloud of thousands of hosts has thousands of them.

#![allow(unsafe_code, reason = "counting allocations takes an allocator, whose trait is unsafe")]

use pony_state::sync::{
    Frames, FullRows, Limits, Now, PENDING_ROWS_MAX, Part, Pkey, Role, RowId, Session, Source, SourceRow,
    Update,
};
use pony_state::sync::{Message, WireChange};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use uuid::Uuid;

thread_local! {
    static HELD_BYTES: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: isize) {
    // A thread that is ending has no counter any more, and measures nothing.
    let _ = HELD_BYTES.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes unchanged to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const IDLE_BYTES_MAX: isize = 4 << 10;
const BACKLOG_BYTES_MAX: isize = 2 << 20;

fn held_bytes() -> isize {
    HELD_BYTES.with(Cell::get)
}

/// Many rows, made up as they are read.
struct Many(u64);

fn row(table: &Arc<str>, number: u64) -> RowId {
    RowId::new(table.clone(), Pkey::one(&Uuid::from_u64_pair(7, number).to_string()))
}

fn part(number: u64) -> Part {
    Part::from(&[("number".to_owned(), number.into())].into_iter().collect())
}

impl Source for Many {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        Some(SourceRow::Part(row.clone(), part(0)))
    }

    fn full(&self) -> Box<dyn FullRows> {
        let table: Arc<str> = "volume".into();
        Box::new((0..self.0).map(move |number| (row(&table, number), part(number))))
    }
}

fn sparkle_and_peer() -> [Session; 2] {
    let uuid = Uuid::from_u128(1);
    let now = Now { ms: 0, unix_s: 100 };
    [Role::Sparkle { peer: uuid, epoch: 1 }, Role::Peer { uuid, epoch_highest: 0 }]
        .map(|role| Session::new(role, Uuid::from_u128(2), Limits::default(), now))
}

/// Exchanges until both are silent.
fn settle(sessions: &mut [Session; 2], source: &Many, now: Now) {
    let mut silent = 0;
    let mut from = 0;
    while silent < 2 {
        silent += 1;
        while let Some(Frames { body, sent_unix_s }) = sessions[from].poll_transmit(now, source) {
            silent = 0;
            sessions[1 - from].handle_message(body.as_bytes(), sent_unix_s, now);
            while sessions[1 - from].poll_event().is_some() {}
        }
        from = 1 - from;
    }
}

#[test]
fn an_idle_session_is_tiny() {
    let before = held_bytes();
    let mut sessions = sparkle_and_peer();
    let (source, mut now) = (Many(20_000), Now { ms: 0, unix_s: 100 });
    settle(&mut sessions, &source, now);
    assert!(sessions.iter().all(Session::is_synchronized));
    let table: Arc<str> = "volume".into();
    for number in 0..PENDING_ROWS_MAX as u64 {
        sessions.iter_mut().for_each(|session| session.changed(&row(&table, number)));
    }
    settle(&mut sessions, &source, now);
    now.ms += 20_000;
    sessions.iter_mut().for_each(|session| session.handle_timeout(now));
    settle(&mut sessions, &source, now);
    drop(table);

    let each = (held_bytes() - before) / 2 + size_of::<Session>() as isize;
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes for an idle session");
    println!("{each} bytes for an idle session");
}

#[test]
fn a_backlog_is_bounded() {
    let mut sessions = sparkle_and_peer();
    let now = Now { ms: 0, unix_s: 100 };
    settle(&mut sessions, &Many(0), now);
    let table: Arc<str> = "volume".into();
    let (before, mut most) = (held_bytes(), 0);
    for number in 0..3 * PENDING_ROWS_MAX as u64 {
        sessions[0].changed(&row(&table, number));
        most = most.max(held_bytes() - before);
    }
    assert!(most <= BACKLOG_BYTES_MAX, "{most} bytes for a backlog");
    println!("{most} bytes for the longest backlog");
}

/// Pieces that never become complete are held up to their bound, and not beyond.
#[test]
fn an_unfinished_full_state_is_bounded() {
    let limits = Limits { full_bytes: 1 << 20, ..Limits::default() };
    let role = Role::Peer { uuid: Uuid::from_u128(1), epoch_highest: 0 };
    let now = Now { ms: 0, unix_s: 100 };
    let mut session = Session::new(role, Uuid::from_u128(2), limits, now);
    let table: Arc<str> = "volume".into();
    let (before, mut most) = (held_bytes(), 0);
    for piece in 1..500 {
        let rows = (0..100).map(|number| WireChange {
            row: row(&table, piece * 100 + number),
            kind: pony_state::PartKind::Desired,
            part: Some(part(number)),
        });
        let update = Update {
            incarnation: Uuid::from_u128(3),
            full: Some(1),
            piece: Some(piece),
            more: true,
            changes: rows.collect(),
            ..Update::default()
        };
        let text = Message::SparkleUpdate { epoch: None, update }.encode();
        session.handle_frames(text.as_bytes(), b"100", now);
        while session.poll_event().is_some() {}
        most = most.max(held_bytes() - before);
    }
    assert!(most <= 20 << 20, "{most} bytes for an unfinished full state of 1 MiB of text");
    assert!(held_bytes() - before < 100 << 10, "and given back beyond the bound");
}
