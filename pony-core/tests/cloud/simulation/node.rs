//! A host: the simulated machine, and the agent on it while it runs.

use pony_core::agent::{Agent, AgentEvent, AgentOptions, Command, Config, Lane, Step, UplinkRecord};
use pony_core::reconcile;
use pony_core::sim::{SimAnswer, SimHost};
use pony_state::sync::{Frames, Limits, Now};
use uuid::Uuid;

pub(super) struct Node {
    pub(super) uuid: Uuid,
    /// The storage pool that is its own.
    pub(super) pool: Uuid,
    pub(super) sim: SimHost,
    pub(super) agent: Option<Agent>,
    pub(super) powered: bool,
    /// When the agent starts again, or the machine.
    pub(super) start_ms: Option<u64>,
    /// Until when it is cut off.
    pub(super) cut_until_ms: u64,
    /// What the agent wrote down.
    epoch: u64,
    uplinks: UplinkRecord,
    pub(super) steps: u64,
    /// The steps that were begun, where somebody wants to know them.
    pub(super) begun: Option<Vec<Step>>,
}

fn config() -> Config {
    let config = Config::default();
    let mut lanes = config.engine.lanes.clone();
    lanes[Lane::Quick as usize].stall_ms = 8_000;
    lanes[Lane::Guest as usize].stall_ms = 12_000;
    lanes[Lane::Fill as usize].stall_ms = 15_000;
    lanes[Lane::Move as usize].stall_ms = 12_000;
    let engine = reconcile::Config { lanes, backoff_cap_ms: 10_000, settle_ms: 15_000, ..config.engine };
    Config { engine, shutdown_grace_ms: 3_000, look_timeout_ms: 10_000, ..config }
}

impl Node {
    pub(super) fn new(uuid: Uuid, pool: Uuid, sim: SimHost) -> Self {
        Self {
            uuid,
            pool,
            sim,
            agent: None,
            powered: true,
            start_ms: Some(0),
            cut_until_ms: 0,
            epoch: 0,
            uplinks: UplinkRecord::default(),
            steps: 0,
            begun: None,
        }
    }

    /// The agent's process starts; the machine, if need be.
    pub(super) fn start(&mut self, incarnation: Uuid, now: Now) {
        (self.powered, self.start_ms) = (true, None);
        let options = AgentOptions {
            uuid: self.uuid,
            incarnation,
            epoch_highest: self.epoch,
            seed: incarnation.as_u64_pair().0,
            uplinks: self.uplinks.clone(),
            config: config(),
            limits: Limits::default(),
        };
        self.agent = Some(Agent::new(options, now).unwrap());
    }

    pub(super) fn kill_agent(&mut self, now_ms: u64, start_ms: u64) {
        self.sim.kill_agent(now_ms);
        (self.agent, self.start_ms) = (None, Some(start_ms));
    }

    pub(super) fn power_off(&mut self, now_ms: u64, start_ms: Option<u64>) {
        self.sim.reboot(now_ms);
        (self.agent, self.powered, self.start_ms) = (None, false, start_ms);
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        let agent = self.agent.as_ref().and_then(Agent::poll_timeout);
        let sim = self.powered.then(|| self.sim.poll_timeout()).flatten();
        [agent, sim, self.start_ms].into_iter().flatten().min()
    }

    pub(super) fn hear(&mut self, frames: &Frames, now: Now) {
        if let Some(agent) = &mut self.agent {
            agent.handle_message(frames.body.as_bytes(), frames.sent_unix_s, now);
        }
    }

    /// Lets the machine and the agent do all that there is to do now; gives what is to be sent.
    pub(super) fn serve(&mut self, now: Now) -> Vec<Frames> {
        let mut sent = Vec::new();
        if !self.powered {
            return sent;
        }
        loop {
            let answers = self.sim.poll(now.ms);
            let Some(agent) = &mut self.agent else { return sent };
            let mut idle = answers.is_empty();
            for answer in answers {
                match answer {
                    SimAnswer::Outcome(run, outcome) => agent.handle_outcome(run, outcome, now),
                    SimAnswer::Progress(run, fraction) => agent.handle_progress(run, fraction, now),
                    SimAnswer::Look(look, found) => agent.handle_look(look, found, now),
                    SimAnswer::Hint(hint) => agent.handle_hint(hint, now),
                }
            }
            if agent.poll_timeout().is_some_and(|at| at <= now.ms) {
                agent.handle_timeout(now);
            }
            while let Some(event) = agent.poll_event() {
                match event {
                    AgentEvent::EpochRaised(epoch) => {
                        self.epoch = epoch;
                        agent.epoch_saved(epoch);
                    }
                    AgentEvent::UplinksChanged { serial, record } => {
                        self.uplinks = record;
                        agent.uplinks_saved(serial, now);
                        idle = false;
                    }
                    _ => {}
                }
            }
            while let Some(command) = agent.poll_command() {
                if let Command::Run { step, .. } = &command {
                    self.steps += 1;
                    if let Some(begun) = &mut self.begun {
                        begun.push(step.clone());
                    }
                }
                self.sim.handle(command, now.ms);
                idle = false;
            }
            sent.extend(std::iter::from_fn(|| agent.poll_transmit(now)));
            if idle {
                return sent;
            }
        }
    }
}
