//! Notifications on their way out: a bounded queue beside the sequence, oldest dropped first.

use super::bounds::{Limits, NOTIFICATION_BYTES_MAX};
use super::wire::{ListWriter, Notification};
use crate::codec::write_json;
use std::collections::VecDeque;
use uuid::Uuid;

/// Why a notification is not sent.
///
/// ```
/// # use pony_state::{sync::*, *};
/// # use pony_state_docs::*;
/// # let (mut state, mut sparkle, mut peer) = conversation()?;
/// let crash = Notification { instance: None, kind: "crash".into(), data: serde_json::json!({}) };
/// assert_eq!(sparkle.notify(&crash), Err(NotifyError::NotAPeer));
/// # Ok::<_, SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// It is too long.
    #[error("notification of {bytes} bytes exceeds {NOTIFICATION_BYTES_MAX}: send an excerpt")]
    TooLong {
        /// Its length as JSON.
        bytes: usize,
    },
    /// Only peers send notifications.
    #[error("only a peer notifies, Sparkle does not")]
    NotAPeer,
}

/// Notifications as JSON text, waiting. Empty, it holds no memory.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Vec<u8>>,
}

impl Outbox {
    /// Adds a notification; returns how many old ones had to go for it.
    pub(crate) fn push(&mut self, notification: &Notification, limits: &Limits) -> Result<u64, NotifyError> {
        let mut text = Vec::new();
        write_json(notification, &mut text);
        if text.len() > NOTIFICATION_BYTES_MAX {
            return Err(NotifyError::TooLong { bytes: text.len() });
        }
        let mut dropped = 0;
        while self.queue.len() >= limits.notifications.max(1) {
            self.queue.pop_front();
            dropped += 1;
        }
        self.queue.push_back(text);
        Ok(dropped)
    }

    /// A message with the oldest notifications, as many as fit.
    pub(crate) fn transmit(&mut self, uuid: Uuid, limits: &Limits) -> Option<String> {
        if self.queue.is_empty() {
            return None;
        }
        let mut writer = ListWriter::notifications(uuid);
        while writer.bytes() < limits.cut_bytes {
            let Some(text) = self.queue.pop_front() else { break };
            writer.item(|message| message.extend_from_slice(&text));
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(writer.finish())
    }
}
