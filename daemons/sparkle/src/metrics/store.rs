//! A store that measures how long commits take.

use super::Metrics;
use pony_state::RowOp;
use pony_store::{
    Changes, Claim, CommitError, Committed, DesiredStore, FeedError, Lead, Load, LoadError, Position,
    Unavailable,
};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// See the module.
pub(crate) struct Measured {
    store: Arc<dyn DesiredStore>,
    metrics: Metrics,
}

impl Measured {
    pub(crate) fn new(store: Arc<dyn DesiredStore>, metrics: Metrics) -> Self {
        Self { store, metrics }
    }
}

#[async_trait::async_trait]
impl DesiredStore for Measured {
    async fn load(&self) -> Result<Load, LoadError> {
        self.store.load().await
    }

    async fn commit_all(&self, requests: Vec<Vec<RowOp>>) -> Vec<Result<Committed, CommitError>> {
        let began = Instant::now();
        let results = self.store.commit_all(requests).await;
        self.metrics.committed(began.elapsed());
        results
    }

    async fn import(&self, ops: Vec<RowOp>) -> Result<Committed, CommitError> {
        self.store.import(ops).await
    }

    async fn changes_after(&self, position: Position, limit: usize) -> Result<Changes, FeedError> {
        self.store.changes_after(position, limit).await
    }

    fn subscribe(&self) -> watch::Receiver<Position> {
        self.store.subscribe()
    }

    async fn take_lead(&self, claim: &Claim) -> Result<Lead, Unavailable> {
        self.store.take_lead(claim).await
    }

    async fn renew_lead(&self) -> Result<bool, Unavailable> {
        self.store.renew_lead().await
    }

    async fn resign(&self) {
        self.store.resign().await;
    }
}
