//! Everything at once: one snapshot, table after table by binary COPY, straight into values. What waits between the
//! database and the reader is bounded; the database itself waits where the reader is slow.

use super::binary::{Decoder, Malformed};
use super::outage::unavailable;
use super::rows::{History, Origin};
use super::server::{Server, Session};
use crate::ddl::ident;
use crate::ddl::plan::{Plan, Table};
use crate::error::{LoadError, Outage, Unavailable};
use crate::store::{BATCH_ROWS, Batch, LOAD_STALL_MS, Load, Position};
use bytes::{Buf, Bytes, BytesMut};
use futures::TryStreamExt;
use pony_state::Value;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Batches between the database and the reader: one being filled while another is being taken apart.
const BATCHES_WAITING: usize = 2;

/// What a binary COPY begins with; flags and an extension's length, both 0, follow.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Bytes of all that.
const HEADER_BYTES: usize = 19;

/// The session of a load: a snapshot of everything, and a server that does not wait for a reader that is gone.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '2min';
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

type Batches = mpsc::Sender<Result<Option<Batch>, LoadError>>;

/// The last position of the feed in the session's snapshot, and how far it was trimmed.
pub(super) const NEWEST: &str = "SELECT greatest(coalesce((SELECT max(\"seq\") FROM \"_outbox\"), 0), \"trimmed\"), \
                                 \"trimmed\" FROM \"_meta\"";

/// Starts reading everything.
pub(super) async fn load(server: &Server, plan: Arc<Plan>, origin: &Origin) -> Result<Load, LoadError> {
    let session = server.session(SETTINGS).await?;
    let wrong = |error: tokio_postgres::Error| unavailable(&error);
    // The first query takes the snapshot, so its position is that of all that follows.
    let newest = session.client.query_one(NEWEST, &[]).await.map_err(wrong)?;
    let position = Position(newest.try_get(0).map_err(wrong)?);
    origin.begin(History::read(&session.client).await.map_err(wrong)?);
    let (batches, taken) = mpsc::channel(BATCHES_WAITING);
    tokio::spawn(async move {
        let loader = Loader { session, plan, batches };
        let ended = loader.run().await;
        // An end that nobody waits for any more needs no telling.
        let _ = give(&loader.batches, ended.map(|()| None)).await;
    });
    Ok(Load::new(position, taken))
}

struct Loader {
    session: Session,
    plan: Arc<Plan>,
    batches: Batches,
}

impl Loader {
    async fn run(&self) -> Result<(), LoadError> {
        for table in &self.plan.tables {
            self.table(table).await?;
        }
        Ok(())
    }

    async fn table(&self, table: &Table) -> Result<(), LoadError> {
        let wrong = |error: tokio_postgres::Error| LoadError::from(unavailable(&error));
        let columns: Vec<String> = table.columns.iter().map(|column| ident(&column.name)).collect();
        let sql = format!("COPY {} ({}) TO STDOUT (FORMAT binary)", ident(&table.name), columns.join(", "));
        let mut stream = pin!(self.session.client.copy_out(&sql).await.map_err(wrong)?);
        let mut tuples = Tuples::new(table);
        while let Some(piece) = stream.try_next().await.map_err(wrong)? {
            tuples.take(piece).map_err(|error| malformed(table, error))?;
            if tuples.batch.len() >= BATCH_ROWS {
                give(&self.batches, Ok(Some(tuples.next_batch()))).await?;
            }
        }
        let rest = tuples.next_batch();
        if rest.is_empty() { Ok(()) } else { give(&self.batches, Ok(Some(rest))).await }
    }
}

fn malformed(table: &Table, error: Malformed) -> LoadError {
    Unavailable::new(Outage::Corrupt, format!("table {}: {error}", table.name)).into()
}

/// Waits until there is room, but not for ever.
async fn give(batches: &Batches, batch: Result<Option<Batch>, LoadError>) -> Result<(), LoadError> {
    match batches.send_timeout(batch, Duration::from_millis(LOAD_STALL_MS)).await {
        Ok(()) => Ok(()),
        Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(LoadError::Stalled { after_ms: LOAD_STALL_MS }),
        Err(mpsc::error::SendTimeoutError::Closed(_)) => {
            Err(Unavailable::new(Outage::Closed, "nobody reads what is loaded").into())
        }
    }
}

/// Takes a binary COPY of a table apart.
struct Tuples<'t> {
    table: &'t Table,
    names: Arc<[String]>,
    decoders: Vec<Decoder<'t>>,
    /// What came and is no whole tuple yet. The server sends tuple by tuple, so mostly nothing.
    left: BytesMut,
    begun: bool,
    batch: Batch,
}

impl<'t> Tuples<'t> {
    fn new(table: &'t Table) -> Self {
        let names = table.column_names();
        let decoders = table.columns.iter().map(|column| Decoder::new(&column.ty)).collect();
        let batch = Batch::new(Arc::clone(&table.name), Arc::clone(&names));
        Self { table, names, decoders, left: BytesMut::new(), begun: false, batch }
    }

    fn next_batch(&mut self) -> Batch {
        let next = Batch::new(Arc::clone(&self.table.name), Arc::clone(&self.names));
        std::mem::replace(&mut self.batch, next)
    }

    fn take(&mut self, mut piece: Bytes) -> Result<(), Malformed> {
        if !self.left.is_empty() {
            self.left.extend_from_slice(&piece);
            piece = self.left.split().freeze();
        }
        if !self.begun {
            if piece.len() < HEADER_BYTES {
                self.left.extend_from_slice(&piece);
                return Ok(());
            }
            if !piece.starts_with(SIGNATURE) {
                return Err(Malformed);
            }
            piece.advance(HEADER_BYTES);
            self.begun = true;
        }
        while let Some(bytes) = self.tuple(&piece)? {
            piece.advance(bytes);
        }
        self.left.extend_from_slice(&piece);
        Ok(())
    }

    /// Reads the tuple at the beginning; answers with its length, or nothing where not all of it is there.
    fn tuple(&mut self, data: &[u8]) -> Result<Option<usize>, Malformed> {
        let Some(bytes) = self.length(data)? else { return Ok(None) };
        // The end is a tuple of -1 fields.
        if bytes == 2 {
            return Ok(Some(2));
        }
        let mut at = 2;
        for decoder in &self.decoders {
            let length = number(data, at).ok_or(Malformed)?;
            at += 4;
            let Ok(length) = usize::try_from(length) else {
                self.batch.push(Value::Null);
                continue;
            };
            let field = data.get(at..at + length).ok_or(Malformed)?;
            self.batch.push(decoder.decode(field)?);
            at += length;
        }
        Ok(Some(bytes))
    }

    /// The length of the tuple at the beginning, where it is there as a whole.
    fn length(&self, data: &[u8]) -> Result<Option<usize>, Malformed> {
        let Some(count) = data.get(..2) else { return Ok(None) };
        let count = i16::from_be_bytes([count[0], count[1]]);
        if count < 0 {
            return Ok(Some(2));
        }
        if usize::try_from(count) != Ok(self.decoders.len()) {
            return Err(Malformed);
        }
        let mut at = 2;
        for _ in 0..count {
            let Some(length) = number(data, at) else { return Ok(None) };
            at += 4 + usize::try_from(length).unwrap_or(0);
        }
        Ok((at <= data.len()).then_some(at))
    }
}

fn number(data: &[u8], at: usize) -> Option<i32> {
    let bytes = data.get(at..at + 4)?;
    Some(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
