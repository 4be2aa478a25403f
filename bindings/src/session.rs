//! The state exchange: what a state says to Sparkle, and what comes in.
//!
//! It opens no socket and reads no clock: `python/ponycloud/session.py` does. Everything here is as the engine's session says;
//! this only moves rows between it and the tables. A row that does not fit a table of this state is refused by itself.

use crate::convert::{Changes, from_commit};
use crate::draft::Engine;
use crate::names::Names;
use crate::take::to_json;
use pony_state::sync::{
    Event, FullRows, FullState, Held, Limits, Notification, NotifyError, Now, Part, Role, RowId,
    SnapshotRows, Source, SourceRow, WireChange,
};
use pony_state::{
    AnyRow, AnyTable, Commit, FeedError, PartError, PartKind, Read, SharedState, Snapshot, Subscription,
    Transaction,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Changes of the state's own that may wait until they are looked at; after more, everything is said anew.
const OWN_CHANGES_MAX: usize = 65_536;

/// What came in, and its reason where it is no commit.
type Told<'py> = (&'static str, Option<Changes<'py>>, String);

struct Parts(Snapshot);

impl Source for Parts {
    fn row(&self, row: &RowId) -> Option<SourceRow<'_>> {
        let table = self.0.any(&*row.table)?;
        let row = table.get(&row.key(table.def()).ok()?)?;
        row.has(PartKind::Current).then_some(SourceRow::Row(row))
    }

    fn full(&self) -> Box<dyn FullRows> {
        Box::new(SnapshotRows::all(self.0.clone(), PartKind::Current))
    }
}

/// One thread at a time has it.
#[pyclass(frozen)]
pub(crate) struct Exchange(Mutex<Talk>);

struct Talk {
    session: pony_state::sync::Session,
    state: SharedState,
    names: Arc<Names>,
    /// What changes in the state, from whatever side.
    own: Subscription,
}

/// What came in.
enum News {
    Commit(Commit),
    Other(&'static str, String),
}

impl Talk {
    /// Marks what changed of our part.
    fn look(&mut self) {
        loop {
            match self.own.try_next() {
                Ok(Some(commit)) => {
                    for change in commit.iter().filter(|change| change.part_changed(PartKind::Current)) {
                        self.session.changed(&RowId::of(change.table(), &change.key()));
                    }
                }
                Err(FeedError::Lagged) => self.session.everything_changed(),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn take(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Changes(changes) => self.apply(&changes, &mut news),
                Event::Full(full) => {
                    let changes = self.diff(full);
                    self.apply(&changes, &mut news);
                    news.push(News::Other("full", String::new()));
                }
                Event::EpochRaised(epoch) => news.push(News::Other("epoch", epoch.to_string())),
                Event::Missing => news.push(News::Other("missing", String::new())),
                Event::Back => news.push(News::Other("back", String::new())),
                Event::Dropped(why) => news.push(News::Other("dropped", why.to_string())),
                Event::Oversized { row, bytes } => {
                    news.push(News::Other("oversized", format!("{row:?}: {bytes} bytes")));
                }
                Event::Notifications(_) => {}
            }
        }
        news
    }

    fn diff(&self, full: FullState) -> Vec<WireChange> {
        let (snapshot, kind) = (self.state.snapshot(), PartKind::Desired);
        let rows = snapshot.view().tables().flat_map(AnyTable::iter).filter(|row| row.has(kind));
        let held: HashMap<RowId, AnyRow<'_>> =
            rows.map(|row| (RowId::of(row.def(), &row.key()), row)).collect();
        full.diff(kind, held.keys().cloned(), |row, part| {
            let same = held.get(row).and_then(|row| Part::of(*row, kind)).as_ref() == Some(part);
            if same { Held::Same } else { Held::Different }
        })
    }

    fn apply(&self, changes: &[WireChange], news: &mut Vec<News>) {
        let known = |change: &&WireChange| self.state.snapshot().any(&*change.row.table).is_some();
        let write = |tx: &mut Transaction<'_>| {
            for change in changes.iter().filter(known) {
                if let Err(error) = apply(tx, change) {
                    news.push(News::Other("refused", error.to_string()));
                }
            }
        };
        let mut draft = self.state.draft();
        draft.write(write);
        let commit = draft.commit();
        if !commit.is_empty() {
            news.push(News::Commit(commit));
        }
    }
}

fn apply(tx: &mut Transaction<'_>, change: &WireChange) -> Result<bool, PartError> {
    let def = tx.def(&*change.row.table)?;
    let key = change.row.key(&def)?;
    match &change.part {
        Some(part) => tx.set_text(def.id(), &key, change.kind, part.text()),
        None => tx.remove_part(def.id(), &key, change.kind),
    }
}

fn uuid(text: &str) -> PyResult<Uuid> {
    Uuid::parse_str(text).map_err(|error| PyValueError::new_err(format!("`{text}` is no UUID: {error}")))
}

impl Exchange {
    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Exchange {
    #[new]
    fn new(engine: &Engine, machine: &str, incarnation: &str, epoch: u64, now: (u64, u64)) -> PyResult<Self> {
        let role = Role::Peer { uuid: uuid(machine)?, epoch_highest: epoch };
        let session = pony_state::sync::Session::new(role, uuid(incarnation)?, Limits::default(), time(now));
        let (state, names) = engine.parts();
        // What is there already is part of the first full state, like all that comes before that is asked for.
        let (_, own) = state.subscribe(OWN_CHANGES_MAX);
        Ok(Self(Mutex::new(Talk { session, state, names, own })))
    }

    /// Times are milliseconds of a monotonic clock, and seconds since 1970.
    fn connected(&self, now: (u64, u64)) {
        self.talk().session.handle_connected(time(now));
    }

    fn handle(&self, py: Python<'_>, body: &[u8], sent: &[u8], now: (u64, u64)) {
        py.detach(|| self.talk().session.handle_frames(body, sent, time(now)));
    }

    /// Does what is due; says what came in.
    fn poll<'py>(&self, py: Python<'py>, now: (u64, u64)) -> PyResult<Vec<Told<'py>>> {
        let (news, names) = py.detach(|| {
            let mut talk = self.talk();
            talk.session.handle_timeout(time(now));
            let news = talk.take();
            talk.look();
            (news, Arc::clone(&talk.names))
        });
        let tell = |news| match news {
            News::Commit(commit) => Ok(("commit", Some(from_commit(py, &names, &commit)?), String::new())),
            News::Other(what, why) => Ok((what, None, why)),
        };
        news.into_iter().map(tell).collect()
    }

    /// The next message to be sent: its text, and its time.
    fn transmit(&self, py: Python<'_>, now: (u64, u64)) -> Option<(String, u64)> {
        let frames = py.detach(|| {
            let mut talk = self.talk();
            let source = Parts(talk.state.snapshot());
            talk.session.poll_transmit(time(now), &source)
        })?;
        Some((frames.body, frames.sent_unix_s))
    }

    /// When it wants to be polled, in milliseconds of the monotonic clock.
    #[getter]
    fn next_ms(&self) -> Option<u64> {
        self.talk().session.poll_timeout()
    }

    #[getter]
    fn is_synchronized(&self) -> bool {
        let talk = self.talk();
        talk.session.is_synchronized() && talk.session.remote().is_some()
    }

    #[getter]
    fn is_missing(&self) -> bool {
        self.talk().session.is_missing()
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.talk().session.epoch()
    }

    fn notify(&self, kind: &str, data: &Bound<'_, PyAny>, instance: Option<&str>) -> PyResult<()> {
        let instance = instance.map(uuid).transpose()?;
        let notification = Notification { instance, kind: kind.to_owned(), data: to_json(data)? };
        let refused = |error: NotifyError| PyValueError::new_err(error.to_string());
        self.talk().session.notify(&notification).map_err(refused)
    }

    /// How many messages were sent, taken, refused, dropped because they were late or malformed.
    fn counters(&self) -> (u64, u64, u64, u64, u64) {
        let it = self.talk().session.counters();
        (it.sent, it.received, it.refused, it.late, it.malformed)
    }
}

const fn time((ms, unix_s): (u64, u64)) -> Now {
    Now { ms, unix_s }
}
