//! Notices that something changed: told by the kernel, found by looking again, or said by a disk.

use super::kernel::{Kernel, News};
use super::machine::Machine;
use crate::Discovery as _;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long after a first word from the kernel it is looked: what changes, changes in bursts. Well below a second.
const SETTLE: Duration = Duration::from_millis(100);
const _: () =
    assert!(SETTLE.as_millis() <= 250, "changes are shown within a second, by way of the agent and Sparkle");

/// Watches one machine.
pub(super) struct Watch {
    machine: Machine,
    kernel: Option<Kernel>,
}

impl Watch {
    /// Listens from now on. Needs a Tokio runtime.
    pub(super) fn new(machine: Machine) -> Self {
        let poll = machine.options.poll;
        let deaf = |error: &io::Error| {
            tracing::warn!(
                "the kernel tells nothing ({error}): changes of hardware are seen within {poll:?}"
            );
        };
        let kernel = machine.options.listen.then(|| Kernel::listen().inspect_err(deaf).ok());
        Self { machine, kernel: kernel.flatten() }
    }

    /// Sends a word whenever something changed, for as long as the receiver lives.
    pub(super) async fn run(self, sender: mpsc::Sender<()>) {
        tokio::select! {
            () = sender.closed() => {}
            () = self.look_out(&sender) => {}
            () = self.examine(&sender) => {}
        }
    }

    async fn look_out(&self, sender: &mpsc::Sender<()>) {
        let mut before = self.machine.everything().await.ok();
        loop {
            let news = self.wait().await;
            let now = self.machine.everything().await.ok();
            if (now.is_some() && now != before) || news == News::Block {
                let _ = sender.try_send(());
            }
            before = now.or(before);
        }
    }

    /// Until it is time to look again.
    async fn wait(&self) -> News {
        let said = async {
            match &self.kernel {
                Some(kernel) => kernel.news().await,
                None => std::future::pending().await,
            }
        };
        let Ok(news) = tokio::time::timeout(self.machine.options.poll, said).await else {
            return News::Something;
        };
        tokio::time::sleep(SETTLE).await;
        news.max(self.kernel.as_ref().and_then(Kernel::take).unwrap_or(news))
    }

    /// Asks the disks how they do.
    async fn examine(&self, sender: &mpsc::Sender<()>) {
        if !self.machine.options.listen {
            return std::future::pending().await;
        }
        loop {
            let disks = self.machine.disks().await.unwrap_or_default();
            let devices = disks.into_iter().map(|disk| (disk.id, Path::new("/dev").join(disk.link_name)));
            if self.machine.health.ask(&self.machine.options.smartctl, devices.collect()).await {
                let _ = sender.try_send(());
            }
            tokio::time::sleep(self.machine.options.health).await;
        }
    }
}
