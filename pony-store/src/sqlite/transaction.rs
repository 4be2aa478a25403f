//! A transaction as a guard. (rusqlite's own wants the connection for itself or gives up checking; this one
//! leaves it to be read after a commit that failed.)

use rusqlite::Connection;

/// A transaction that is rolled back unless it is committed.
pub(super) struct Transaction<'a> {
    connection: &'a Connection,
}

impl<'a> Transaction<'a> {
    /// Begins one that writes.
    pub(super) fn begin(connection: &'a Connection) -> rusqlite::Result<Self> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self { connection })
    }

    /// Ends it. Where that fails because of references it is still open, and says more when it is asked.
    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Some errors (a full disk) have ended it already.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}
