//! Carries out the agent's commands, each in a task of its own, and brings back exactly one answer to each.

use crate::drivers::{Hands, can_be_dropped};
use pony_core::agent::{Command, Found, LookId, Step, StepOutcome};
use pony_core::host::{DriverError, DriverErrorKind};
use pony_core::reconcile::RunId;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Answers that may wait for the agent. Progress beyond it is dropped; outcomes wait in their tasks, whose number
/// the agent bounds.
const ANSWERS_WAITING_MAX: usize = 256;

/// What comes back.
#[derive(Debug)]
pub(crate) enum Answer {
    Outcome(RunId, StepOutcome),
    Progress(RunId, f64),
    Look(LookId, Result<Found, DriverError>),
}

pub(crate) struct Executor {
    hands: Arc<dyn Hands>,
    running: HashMap<RunId, CancellationToken>,
    answers: mpsc::Sender<Answer>,
}

impl Executor {
    pub(crate) fn new(hands: Arc<dyn Hands>) -> (Self, mpsc::Receiver<Answer>) {
        let (answers, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
        (Self { hands, running: HashMap::new(), answers }, receiver)
    }

    pub(crate) fn command(&mut self, command: Command) {
        match command {
            Command::Run { run, step } => self.run(run, step),
            Command::Cancel { run } => {
                if let Some(token) = self.running.get(&run) {
                    token.cancel();
                }
            }
            Command::Export(volumes) => self.hands.export(volumes),
            Command::Look { look, what } => {
                let (hands, answers) = (self.hands.clone(), self.answers.clone());
                tokio::spawn(async move {
                    let found = hands.look(&what).await;
                    let _ = answers.send(Answer::Look(look, found)).await;
                });
            }
        }
    }

    /// Forgets a run that has ended.
    pub(crate) fn ended(&mut self, run: RunId) {
        self.running.remove(&run);
    }

    fn run(&mut self, run: RunId, step: Step) {
        let token = CancellationToken::new();
        self.running.insert(run, token.clone());
        let (hands, answers) = (self.hands.clone(), self.answers.clone());
        tokio::spawn(async move {
            // A task of its own: a driver that panics is a failed step, not a run without an answer.
            let work = tokio::spawn(carry_out(hands, run, step, token, answers.clone()));
            let outcome = work.await.unwrap_or_else(|error| {
                let message = format!("the driver broke down: {error}");
                StepOutcome::Failed(DriverError { kind: DriverErrorKind::Transient, message })
            });
            let _ = answers.send(Answer::Outcome(run, outcome)).await;
        });
    }
}

async fn carry_out(
    hands: Arc<dyn Hands>,
    run: RunId,
    step: Step,
    token: CancellationToken,
    answers: mpsc::Sender<Answer>,
) -> StepOutcome {
    let progress = Arc::new(move |fraction: f64| {
        let _ = answers.try_send(Answer::Progress(run, fraction));
    });
    let work = hands.run(&step, progress);
    let result = if can_be_dropped(&step) {
        tokio::select! {
            result = work => result,
            () = token.cancelled() => return StepOutcome::Cancelled,
        }
    } else {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            result = &mut work => result,
            () = token.cancelled() => {
                hands.call_off(&step).await;
                work.await
            }
        }
    };
    match result {
        Ok(output) => StepOutcome::Done(output),
        Err(error) => StepOutcome::Failed(error),
    }
}
