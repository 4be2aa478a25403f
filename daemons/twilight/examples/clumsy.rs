//! A Twilight whose steps fail, hang or are done without an answer, as a file tells it, for tests of what the cloud makes of
//! that; and an example of something that is put around the drivers of a host.
//!
//! The file `fault` in its directory names a step and what becomes of it (`start: hangs`); none: all is well. What is begun is
//! noted in the file `begun`, a line each.

use async_trait::async_trait;
use clap::Parser;
use pony_core::agent::{Found, Look, Output, Step};
use pony_core::host::{DriverError, DriverErrorKind, Export};
use pony_host::Progress;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use twilight::{Drivers, Hands, Options};
use uuid::Uuid;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
}

/// What hangs, hangs until a driver's own time-out: no call of one lasts longer.
const TIME_OUT: Duration = Duration::from_secs(60);

/// Words to steps that a hanging one may not have heard of yet; it hears of all that are newer.
const WORDS_MAX: usize = 64;

/// What ends a step that hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// The plug of that guest was pulled.
    Pulled(Uuid),
    /// The move of that guest was called off.
    CalledOff(Uuid),
}

impl Word {
    fn ends(self, step: &Step) -> bool {
        match step {
            Step::Start(guest) | Step::Resume(guest) => self == Self::Pulled(*guest),
            Step::Migrate { instance, .. } => {
                self == Self::Pulled(*instance) || self == Self::CalledOff(*instance)
            }
            _ => false,
        }
    }
}

/// Drivers that misbehave.
struct Clumsy {
    drivers: Drivers,
    dir: PathBuf,
    /// What steps that hang are told.
    words: broadcast::Sender<Word>,
}

impl Clumsy {
    /// Notes that a step begins; says what shall become of it.
    fn fate(&self, verb: &str) -> std::io::Result<String> {
        let mut begun = std::fs::File::options().append(true).create(true).open(self.dir.join("begun"))?;
        // In one write: other steps begin at the same time, and `writeln!` makes two.
        begun.write_all(format!("{verb}\n").as_bytes())?;
        let fault = std::fs::read_to_string(self.dir.join("fault")).unwrap_or_default();
        let fate = fault.trim().rsplit_once(": ").filter(|(of, _)| *of == verb);
        Ok(fate.map(|(_, fate)| fate.to_owned()).unwrap_or_default())
    }
}

fn made_to_fail(what: &str) -> DriverError {
    DriverError { kind: DriverErrorKind::Transient, message: format!("made to fail {what}") }
}

/// What waits for an emulator ends with it, and a move when it is called off.
async fn hang(step: &Step, mut words: broadcast::Receiver<Word>) -> Result<Output, DriverError> {
    let over = async { while !words.recv().await.is_ok_and(|it| it.ends(step)) {} };
    match tokio::time::timeout(TIME_OUT, over).await {
        Ok(()) => Err(made_to_fail("by the end of its emulator, or as it was called off")),
        Err(_) => Err(made_to_fail("by a time-out")),
    }
}

#[async_trait]
impl Hands for Clumsy {
    async fn run(&self, step: &Step, progress: Progress) -> Result<Output, DriverError> {
        let fate = self.fate(step.verb()).map_err(|error| made_to_fail(&error.to_string()))?;
        let words = self.words.subscribe();
        match fate.as_str() {
            "fails" => Err(made_to_fail("before it was done")),
            "hangs" => hang(step, words).await,
            "answers with an error" => {
                self.drivers.run(step, progress).await?;
                Err(made_to_fail("after it was done"))
            }
            "never answers" => {
                self.drivers.run(step, progress).await?;
                hang(step, words).await
            }
            _ => {
                let output = self.drivers.run(step, progress).await?;
                if let Step::Destroy(guest) = step {
                    // Nobody may be waiting.
                    let _ = self.words.send(Word::Pulled(*guest));
                }
                Ok(output)
            }
        }
    }

    async fn call_off(&self, step: &Step) {
        self.drivers.call_off(step).await;
        if let Step::Migrate { instance, .. } = step {
            let _ = self.words.send(Word::CalledOff(*instance));
        }
    }

    async fn look(&self, what: &Look) -> Result<Found, DriverError> {
        self.drivers.look(what).await
    }

    fn export(&self, volumes: Vec<Export>) {
        self.drivers.export(volumes);
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Command::parse().options;
    let dir = options.dir.clone();
    let words = broadcast::Sender::new(WORDS_MAX);
    options.run(|drivers| Arc::new(Clumsy { drivers, dir, words })).await
}
