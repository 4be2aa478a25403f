//! The host's agent, as a process of its own that can be killed: Twilight with the real driver of links, which misbehaves as a
//! file tells it.

use super::ground::{CARDS, PROVE};
use async_trait::async_trait;
use pony_core::host::{
    DriverError, DriverErrorKind, NicFact, SwitchFact, SwitchSpec, TapFact, TapSpec, UplinkFact, UplinkId,
    UplinkSpec,
};
use pony_host::{Netlink, Network, Result, SimHost, SimOptions};
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use twilight::{Drivers, Twilight};
use uuid::Uuid;

/// Where it keeps what it has; where Sparkle is, and its key.
pub(super) const TOLD: [&str; 3] = ["PONY_LINKS_DIR", "PONY_LINKS_SPARKLE", "PONY_LINKS_KEY"];

/// What hangs, hangs so long: no call of the driver takes longer.
pub(super) const SILENCE: Duration = Duration::from_secs(15);

/// How often is looked whether what stands still may go on.
const PERIOD: Duration = Duration::from_millis(50);

/// The host, of which all but the links is simulated.
pub(super) fn host() -> SimHost {
    let card = |(n, mac): (usize, &&str)| NicFact {
        hwaddr: (*mac).to_owned(),
        link_name: format!("up{n}"),
        up: true,
        carrier: true,
        ..NicFact::default()
    };
    let nics = CARDS.iter().enumerate().map(card).collect();
    SimHost::new(SimOptions { nics, ..SimOptions::numbered(1, 1) })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, as the process of a host"]
async fn twilight_alone() {
    let Some([dir, sparkle, key]) = told() else { return };
    let host = host();
    let network = Clumsy { inner: Netlink::new(host.uuid()).unwrap(), dir: dir.clone().into() };
    let config = twilight::Config {
        stop_grace: Duration::from_secs(1),
        prove: PROVE,
        ..twilight::Config::new(dir.into(), host.uuid(), sparkle.parse().unwrap(), key.parse().unwrap())
    };
    let drivers = Drivers { network: Arc::new(network), ..Drivers::all(Arc::new(host)) };
    let _twilight = Twilight::start(&config, drivers).unwrap();
    std::future::pending::<()>().await;
}

fn told() -> Option<[String; 3]> {
    let [dir, sparkle, key] = TOLD.map(|name| std::env::var(name).ok());
    Some([dir?, sparkle?, key?])
}

/// A driver whose steps go wrong: the file `fault` in its directory names the step, what becomes of it, and after how many
/// turns of its work; the file `begun` is made when that comes.
struct Clumsy {
    inner: Netlink,
    dir: PathBuf,
}

/// How a step goes wrong.
pub(super) const FAILS: &str = "fails";
pub(super) const FAILS_LATE: &str = "fails in the middle";
pub(super) const HANGS: &str = "hangs";
pub(super) const LIES: &str = "answers with an error";
pub(super) const STANDS: &str = "stands still in the middle";

fn made_to_fail() -> DriverError {
    DriverError { kind: DriverErrorKind::Transient, message: "made to fail".to_owned() }
}

impl Clumsy {
    fn fault(&self) -> String {
        std::fs::read_to_string(self.dir.join("fault")).unwrap_or_default()
    }

    /// Does the step, as well as it is to be done.
    async fn step<T>(&self, verb: &str, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let fault = self.fault();
        let mut words = fault.split(": ");
        if words.next() != Some(verb) {
            return work.await;
        }
        std::fs::write(self.dir.join("begun"), verb).unwrap();
        let how = words.next().unwrap_or_default();
        let turns = words.next().and_then(|it| it.parse().ok()).unwrap_or_default();
        let mut work = pin!(work);
        match how {
            FAILS_LATE => match some_turns(turns, work.as_mut()).await {
                Some(done) => done,
                None => Err(made_to_fail()),
            },
            HANGS => {
                tokio::time::sleep(SILENCE).await;
                Err(made_to_fail())
            }
            LIES => work.await.and_then(|_| Err(made_to_fail())),
            STANDS => {
                if let Some(done) = some_turns(turns, work.as_mut()).await {
                    return done;
                }
                while self.fault() == fault {
                    tokio::time::sleep(PERIOD).await;
                }
                work.await
            }
            _ => Err(made_to_fail()),
        }
    }
}

/// Lets it go on so often.
async fn some_turns<F: Future>(turns: usize, mut work: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut polled = 0;
    std::future::poll_fn(move |context| {
        if polled == turns {
            return Poll::Ready(None);
        }
        polled += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[async_trait]
impl Network for Clumsy {
    async fn ensure_uplink(&self, spec: &UplinkSpec) -> Result<UplinkFact> {
        self.step(super::states::MAKE, self.inner.ensure_uplink(spec)).await
    }

    async fn remove_uplink(&self, uplink: UplinkId) -> Result<()> {
        self.step(super::states::REMOVE, self.inner.remove_uplink(uplink)).await
    }

    async fn list_uplinks(&self) -> Result<Vec<UplinkFact>> {
        self.inner.list_uplinks().await
    }

    async fn ensure_switch(&self, spec: &SwitchSpec) -> Result<SwitchFact> {
        self.inner.ensure_switch(spec).await
    }

    async fn remove_switch(&self, switch: Uuid) -> Result<()> {
        self.inner.remove_switch(switch).await
    }

    async fn list_switches(&self) -> Result<Vec<SwitchFact>> {
        self.inner.list_switches().await
    }

    async fn ensure_tap(&self, spec: &TapSpec) -> Result<TapFact> {
        self.inner.ensure_tap(spec).await
    }

    async fn remove_tap(&self, vnic: Uuid) -> Result<()> {
        self.inner.remove_tap(vnic).await
    }

    async fn list_taps(&self) -> Result<Vec<TapFact>> {
        self.inner.list_taps().await
    }
}
