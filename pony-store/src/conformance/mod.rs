//! The suite of tests that every [`DesiredStore`] passes, whatever keeps its rows. An implementation gives a
//! [`Fixture`] and names it to [`conformance_suite!`](crate::conformance_suite), which makes a test of each
//! check.
//!
//! Each check begins with an empty database of [`tables`], and panics where the store does not keep its
//! promises. What only one kind of database can be tested for (its crash, its full disk) is not here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod broken;
mod cluster;
mod constraints;
mod feed;
mod proxy;
mod quotas;
mod replica;
mod tables;
mod transactions;

pub use broken::{constraints_hold_against_raw_sql, values_have_one_form};
pub use cluster::{Cluster, Stop, USER};
pub use constraints::{broken_constraints_are_named, unknown_names_are_refused};
pub use feed::{
    a_batch_never_cuts_a_transaction, a_gap_is_told, a_load_continues_in_the_feed,
    an_update_without_effect_is_no_change, cascades_are_in_the_feed, changes_by_others_are_followed,
    what_was_read_equals_what_is_fed,
};
pub use proxy::{Proxy, Way};
pub use quotas::{a_low_limit_takes_nothing_away, quotas_are_kept};
pub use replica::Replica;
pub use tables::tables;
pub use transactions::{
    a_group_ends_at_its_first_failure, a_transaction_is_all_or_nothing, concurrent_commits_are_all_there,
    large_transactions_are_like_small_ones, rows_may_come_in_any_order, the_epoch_only_rises,
    what_was_committed_is_there_after_reopening,
};

use crate::store::DesiredStore;
use async_trait::async_trait;
use pony_state::{Columns, RowOp};
use serde_json::{Value as Json, json};

/// A database for one check.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// The store, opened with [`tables`].
    fn store(&self) -> &dyn DesiredStore;

    /// Runs one statement as somebody who knows nothing of the store; the error is what the database says.
    async fn raw(&self, sql: &str) -> Result<(), String>;

    /// What is not a list of addresses, as it would stand in an SQL string.
    fn no_lists(&self) -> Vec<&'static str>;

    /// A range as an SQL literal.
    fn range(&self, start: i64, end: i64) -> String;

    /// Closes the store and opens it again.
    async fn reopen(&mut self);
}

/// Makes a test of each check. The argument is an async function from the number of changes that the feed keeps
/// to a [`Fixture`], or to nothing where the database cannot be had and the tests are skipped.
#[macro_export]
macro_rules! conformance_suite {
    ($fixture:path) => {
        $crate::conformance_suite!(@each $fixture, 100_000;
            broken_constraints_are_named,
            unknown_names_are_refused,
            quotas_are_kept,
            a_low_limit_takes_nothing_away,
            constraints_hold_against_raw_sql,
            values_have_one_form,
            a_transaction_is_all_or_nothing,
            rows_may_come_in_any_order,
            large_transactions_are_like_small_ones,
            concurrent_commits_are_all_there,
            a_group_ends_at_its_first_failure,
            what_was_committed_is_there_after_reopening,
            the_epoch_only_rises,
            what_was_read_equals_what_is_fed,
            a_batch_never_cuts_a_transaction,
            a_load_continues_in_the_feed,
            an_update_without_effect_is_no_change,
            cascades_are_in_the_feed,
            changes_by_others_are_followed,
        );
        $crate::conformance_suite!(@each $fixture, 8; a_gap_is_told,);
    };
    (@each $fixture:path, $kept:literal; $($check:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let Some(mut fixture) = $fixture($kept).await else { return };
            $crate::conformance::$check(&mut fixture).await;
        }
    )*};
}

/// A JSON object's columns.
///
/// # Panics
/// Where it is no object.
#[must_use]
pub fn columns(json: Json) -> Columns {
    match json {
        Json::Object(columns) => columns,
        other => panic!("{other} is no object"),
    }
}

/// An insertion.
#[must_use]
pub fn insert(table: &str, row: Json) -> RowOp {
    RowOp::Insert { table: table.to_owned(), row: columns(row) }
}

/// An update.
#[must_use]
pub fn update(table: &str, key: Json, new: Json) -> RowOp {
    RowOp::Update { table: table.to_owned(), key: columns(key), columns: columns(new) }
}

/// A removal.
#[must_use]
pub fn delete(table: &str, key: Json) -> RowOp {
    RowOp::Delete { table: table.to_owned(), key: columns(key) }
}

/// The UUID that ends in this number.
#[must_use]
pub fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// A tenant, for checks that are about something else.
fn tenant(number: u32) -> RowOp {
    insert("tenant", json!({"uuid": id(number), "name": format!("tenant-{number}"), "approved": true}))
}
