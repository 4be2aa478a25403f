//! Who leads. Of several Sparkles with one database, one leads: it commands the hosts and writes. The others stand by:
//! they follow the database, serve reads, and ask again and again for the lead, which they get once it was given up or
//! nothing was heard of its holder for a while. Whoever lost it writes nothing more: the database itself refuses that,
//! and hosts refuse its epoch.

use pony_store::{Claim, DesiredStore, Lead};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Milliseconds after which another Sparkle may lead when this one is not heard of: hosts go on without one, and a
/// database that is away for so long has no news for the next one either.
pub(crate) const LEAD_TTL_MS: u64 = 10_000;
/// How often the lead is renewed: twice may fail.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How often a Sparkle that stands by asks for it.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What this Sparkle is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It commands and writes.
    Leads,
    /// It follows and serves reads.
    StandsBy {
        /// Who leads, for people.
        leader: String,
    },
}

/// Keeps the lead, or waits for it.
pub(crate) struct Keeper {
    pub(crate) store: Arc<dyn DesiredStore>,
    pub(crate) claim: Claim,
    pub(crate) role: watch::Sender<Role>,
    /// Told the epoch when the lead was taken over.
    pub(crate) taken: mpsc::Sender<u64>,
    /// Cancelled when the lead is lost.
    pub(crate) lost: CancellationToken,
}

impl Keeper {
    /// Until it is stopped, or the lead is lost.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let stopped = stop.clone();
        tokio::select! {
            () = stopped.cancelled() => {}
            () = self.keep() => {
                tracing::error!("another Sparkle leads now; this one writes nothing more");
                self.lost.cancel();
                stop.cancel();
            }
        }
        if *self.role.borrow() == Role::Leads && !self.lost.is_cancelled() {
            self.store.resign().await;
        }
    }

    /// Returns once the lead is lost.
    async fn keep(&self) {
        let stands_by = matches!(*self.role.borrow(), Role::StandsBy { .. });
        if stands_by {
            let epoch = self.wait().await;
            tracing::warn!("takes over, in epoch {epoch}");
            if self.taken.send(epoch).await.is_err() {
                return;
            }
        }
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            match self.store.renew_lead().await {
                Ok(true) => {}
                Ok(false) => return,
                // Nobody else can have taken it without the database either.
                Err(error) => tracing::debug!(%error, "the lead cannot be renewed"),
            }
        }
    }

    async fn wait(&self) -> u64 {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            match self.store.take_lead(&self.claim).await {
                Ok(Lead::Own { epoch }) => return epoch,
                Ok(Lead::Others { name }) => {
                    self.role.send_if_modified(|role| {
                        let now = Role::StandsBy { leader: name };
                        let changes = *role != now;
                        *role = now;
                        changes
                    });
                }
                Err(error) => tracing::debug!(%error, "the lead cannot be asked for"),
            }
        }
    }
}
