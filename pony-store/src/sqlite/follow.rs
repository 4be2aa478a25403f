//! Watching for what other processes write to the file: SQLite tells nobody, but a number that changes with
//! each commit of another connection can be looked at for next to nothing.

use super::connection::{self, unavailable};
use crate::error::{Outage, Unavailable};
use crate::queue::tell;
use crate::store::Position;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::watch;

/// The thread that looks.
#[derive(Debug)]
pub(super) struct Follower {
    /// Dropped to stop it.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    pub(super) fn start(
        path: &Path,
        period: Duration,
        told: Arc<watch::Sender<Position>>,
    ) -> Result<Self, Unavailable> {
        let connection = connection::reading(path)?;
        let (stop, stopped) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("store-follow".to_owned())
            .spawn(move || follow(&connection, period, &told, &stopped))
            .map_err(|error| Unavailable::new(Outage::Internal, format!("no thread can be had ({error})")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that follows the database has panicked");
        }
    }
}

fn follow(connection: &Connection, period: Duration, told: &watch::Sender<Position>, stopped: &Receiver<()>) {
    let mut seen = None;
    let mut failing = false;
    while matches!(stopped.recv_timeout(period), Err(RecvTimeoutError::Timeout)) {
        match look(connection, &mut seen, told) {
            Ok(()) => failing = false,
            // Once per outage: each look would say the same.
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(error = %unavailable(&error), "the database cannot be followed");
            }
            Err(_) => {}
        }
    }
}

/// Reads the last position where something was committed since the last look.
fn look(
    connection: &Connection,
    seen: &mut Option<i64>,
    told: &watch::Sender<Position>,
) -> rusqlite::Result<()> {
    let version: i64 = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
    if *seen != Some(version) {
        tell(told, connection::newest(connection)?);
        *seen = Some(version);
    }
    Ok(())
}
