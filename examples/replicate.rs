//! Two processes, each with a state of its own, that replicate over a plain TCP connection: this one orders lamps to
//! be switched on, the other one (the same program, started with an address) switches them and reports.
//!
//! The session decides what to say and when; here are only the socket, the clock, and the way between rows and JSON.

use pony_state::sync::{
    Event, FullRows, Held, Limits, Now, Part, Pkey, Role, RowId, Session, SnapshotRows, Source, SourceRow,
    WireChange,
};
use pony_state::{
    AnyRow, AnyTable, ColumnSchema, ColumnType, Key, PartError, PartKind, Read, Snapshot, State, TableSchema,
};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

type Failure = Box<dyn Error>;

const MACHINE: Uuid = Uuid::from_u128(1);
const LAMPS: [&str; 3] = ["attic", "cellar", "hall"];

/// How long a read waits before the timers are looked at, in milliseconds.
const TICK_MS: u64 = 20;

/// How long either side tries, in milliseconds; a fraction of this is enough on any machine.
const PATIENCE_MS: u64 = 30_000;

/// The rows of one part, for the session to send.
struct Rows {
    snapshot: Snapshot,
    kind: PartKind,
}

impl Source for Rows {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let table = self.snapshot.any(&*row.table)?;
        table.get(&row.key(table.def()).ok()?).map(SourceRow::Row)
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(SnapshotRows::all(self.snapshot.clone(), self.kind))
    }
}

/// One of the two processes.
struct Side {
    state: State,
    session: Session,
    /// The part that comes from the other side. Ours is the other one.
    received: PartKind,
    start: Instant,
    stream: TcpStream,
}

impl Side {
    fn new(role: Role, stream: TcpStream) -> Result<Self, Failure> {
        let lit = || ColumnSchema::new("lit", ColumnType::Bool);
        let lamp = TableSchema::new("lamp").key(ColumnSchema::new("room", ColumnType::Text));
        let state = State::builder().table_dyn(lamp.desired([lit()]).current([lit()])).build()?;
        stream.set_read_timeout(Some(Duration::from_millis(TICK_MS)))?;
        stream.set_write_timeout(Some(Duration::from_millis(PATIENCE_MS)))?;
        let session = Session::new(role, Uuid::new_v4(), Limits::default(), Now::default());
        let received = match role {
            Role::Sparkle { .. } => PartKind::Current,
            Role::Peer { .. } => PartKind::Desired,
        };
        let mut side = Self { state, session, received, start: Instant::now(), stream };
        side.session.handle_connected(side.now()?);
        Ok(side)
    }

    fn now(&self) -> Result<Now, Failure> {
        let ms = u64::try_from(self.start.elapsed().as_millis())?;
        Ok(Now { ms, unix_s: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() })
    }

    fn originated(&self) -> PartKind {
        if self.received == PartKind::Desired { PartKind::Current } else { PartKind::Desired }
    }

    /// Gives a lamp our part of its row, and marks it for the other side.
    fn set(&mut self, room: &str, lit: &Json) -> Result<(), PartError> {
        let kind = self.originated();
        let mut tx = self.state.transaction();
        tx.set_json("lamp", &Key::one(room), kind, &json!({ "lit": lit }))?;
        for change in tx.commit().changes() {
            self.session.changed(&RowId::of(change.table(), &change.key()));
        }
        Ok(())
    }

    /// Takes what came in; says which rows changed.
    fn take(&mut self) -> Result<Vec<WireChange>, PartError> {
        let mut all = Vec::new();
        while let Some(event) = self.session.poll_event() {
            let changes = match event {
                Event::Changes(changes) => changes,
                Event::Full(full) => {
                    let kind = self.received;
                    let rows =
                        self.state.view().tables().flat_map(AnyTable::iter).filter(|row| row.has(kind));
                    let held: HashMap<RowId, AnyRow<'_>> =
                        rows.map(|row| (RowId::of(row.def(), &row.key()), row)).collect();
                    full.diff(kind, held.keys().cloned(), |row, part| {
                        let same = held.get(row).and_then(|row| Part::of(*row, kind)).as_ref() == Some(part);
                        if same { Held::Same } else { Held::Different }
                    })
                }
                _ => continue,
            };
            self.apply(&changes)?;
            all.extend(changes);
        }
        Ok(all)
    }

    fn apply(&mut self, changes: &[WireChange]) -> Result<(), PartError> {
        let mut tx = self.state.transaction();
        for change in changes {
            let (table, kind) = (&*change.row.table, change.kind);
            let key = change.row.key(&*tx.def(table)?)?;
            match &change.part {
                Some(part) => tx.set_text(table, &key, kind, part.text())?,
                None => tx.remove_part(table, &key, kind)?,
            };
        }
        tx.commit();
        Ok(())
    }

    /// Sends what is due: a line for each message, its time before its text.
    fn send(&mut self) -> Result<(), Failure> {
        let now = self.now()?;
        self.session.handle_timeout(now);
        let rows = Rows { snapshot: self.state.snapshot(), kind: self.originated() };
        while let Some(frames) = self.session.poll_transmit(now, &rows) {
            self.stream.write_all(format!("{} {}\n", frames.sent_unix_s, frames.body).as_bytes())?;
        }
        Ok(())
    }

    /// Runs until `done`, or until the other side hangs up. `changed` is told of each row that came in.
    fn run(
        &mut self,
        mut changed: impl FnMut(&mut Self, &WireChange) -> Result<(), PartError>,
        done: impl Fn(&State) -> bool,
    ) -> Result<(), Failure> {
        let mut input = BufReader::new(self.stream.try_clone()?);
        let mut line = Vec::new();
        while !done(&self.state) {
            self.send()?;
            match input.read_until(b'\n', &mut line) {
                Ok(0) => return Ok(()),
                Ok(_) => {
                    let (time, body) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(0));
                    self.session.handle_frames(body.trim_ascii(), time, self.now()?);
                    line.clear();
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            for change in self.take()? {
                changed(self, &change)?;
            }
            if self.now()?.ms > PATIENCE_MS {
                return Err("the two sides did not agree in time".into());
            }
        }
        Ok(())
    }
}

/// The other process: does what is ordered, and reports it.
fn peer(address: &str) -> Result<(), Failure> {
    let role = Role::Peer { uuid: MACHINE, epoch_highest: 0 };
    let switch = |side: &mut Side, change: &WireChange| {
        let Pkey::One(room) = &change.row.pkey else { return Ok(()) };
        let lit = change.part.as_ref().and_then(|part| part.columns().ok()?.remove("lit"));
        side.set(room, &lit.unwrap_or(Json::Bool(false)))
    };
    Side::new(role, TcpStream::connect(address)?)?.run(switch, |_| false)
}

/// Waits for the other process, as long as it lives.
fn accept(listener: &TcpListener, child: &mut Child) -> Result<TcpStream, Failure> {
    listener.set_nonblocking(true)?;
    while child.try_wait()?.is_none() {
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(TICK_MS));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err("the other process ended before it connected".into())
}

fn is_lit(row: AnyRow<'_>) -> bool {
    row.value(PartKind::Current, "lit") == Some(true.into())
}

fn main() -> Result<(), Failure> {
    if let Some(address) = std::env::args().nth(1) {
        return peer(&address);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut child = Command::new(std::env::current_exe()?).arg(listener.local_addr()?.to_string()).spawn()?;
    let mut side = Side::new(Role::Sparkle { peer: MACHINE, epoch: 1 }, accept(&listener, &mut child)?)?;
    for room in LAMPS {
        side.set(room, &Json::Bool(true))?;
    }
    let all_lit = |state: &State| state.any("lamp").is_some_and(|lamps| lamps.iter().all(is_lit));
    let result = side.run(|_, _| Ok(()), all_lit);
    for row in side.state.view().tables().flat_map(AnyTable::ordered) {
        let shown = |kind| row.value(kind, "lit").map_or("unknown".into(), |lit| lit.to_string());
        println!("{}: ordered {}, is {}", row.key(), shown(PartKind::Desired), shown(PartKind::Current));
    }
    drop(side);
    result.and(if child.wait()?.success() { Ok(()) } else { Err("the other process failed".into()) })
}
