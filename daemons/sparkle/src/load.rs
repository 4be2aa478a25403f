//! The way from the database into a controller, at the start.

use crate::feed;
use anyhow::Context;
use pony_core::controller::Controller;
use pony_state::{Read, Snapshot};
use pony_store::{DesiredStore, Position};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Reads everything into a controller that has nothing yet, piece by piece, and says how far the feed of changes was then.
/// What follows from it is for [`Controller::loaded`] to find out.
///
/// # Errors
/// When the database cannot be read, or has rows that do not fit the schema. What was read until then is of no use.
pub async fn load(store: &dyn DesiredStore, controller: &mut Controller) -> anyhow::Result<Position> {
    let mut load = store.load().await?;
    while let Some(batch) = load.next().await? {
        let taken = controller.load_piece(feed::rows(&batch));
        taken.context("the database does not fit the schema")?;
    }
    build_indexes(&controller.snapshot());
    Ok(load.position())
}

/// Loading leaves the indexes to whoever looks first. That would be one thread, a table after the other.
fn build_indexes(snapshot: &Snapshot) {
    let (tables, next) = (snapshot.view().tables().collect::<Vec<_>>(), AtomicUsize::new(0));
    let build = || {
        while let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed)) {
            // To look is to build them.
            table.ordered().next();
        }
    };
    let others = thread::available_parallelism().map_or(0, |all| NonZero::get(all) - 1);
    thread::scope(|scope| {
        for _ in 0..others.min(tables.len()) {
            // Where there is no thread to be had this one does it all.
            let _ = thread::Builder::new().spawn_scoped(scope, build);
        }
        build();
    });
}
