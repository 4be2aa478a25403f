//! Calls into libvirt that hang, because an emulator does, or libvirtd itself.

use crate::bench::Bench;
use crate::daemon::Daemon;
use crate::suite;
use pony_core::host::GuestState;
use pony_host::{Hypervisor as _, Libvirt, LibvirtOptions};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an agent waits for a step before a later order has it given up; no emulator that is well takes longer.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// A look does not ask emulators.
const LOOK: Duration = Duration::from_secs(10);

/// libvirt kills an emulator 10 s after it asked it to end; this machine has other things to do as well.
const PLUG: Duration = Duration::from_secs(25);

/// What comes after the plug does not wait for what came before it.
const SOON: Duration = Duration::from_secs(10);

/// Whatever was asked of its emulator, a guest is switched off and forgotten in bounded time, and others notice nothing.
#[tokio::test]
async fn an_emulator_that_hangs_holds_up_neither_a_later_order_nor_others() {
    let Some(bench) = Bench::new().await else { return };
    let (hangs, other) = (bench.spec("hangs"), bench.spec("goes on"));
    bench.run(&hangs).await;
    bench.run(&other).await;
    bench.hang_emulator(&hangs);
    let paused = tokio::time::timeout(GIVEN_UP, bench.libvirt.pause(hangs.instance)).await;
    assert!(paused.is_err(), "the call hangs: {paused:?}");
    let resumed = tokio::time::timeout(GIVEN_UP, bench.libvirt.resume(hangs.instance)).await;
    assert!(resumed.is_err(), "the turn is not its own yet: {resumed:?}");

    let fact = tokio::time::timeout(LOOK, bench.fact(&hangs)).await.expect("a look is held up").unwrap();
    assert!(matches!(fact.state, GuestState::Running | GuestState::Paused), "{:?}", fact.state);
    let others = async {
        bench.libvirt.pause(other.instance).await?;
        bench.libvirt.resume(other.instance).await
    };
    let (pulled, others) = tokio::join!(
        tokio::time::timeout(PLUG, bench.libvirt.destroy(hangs.instance)),
        tokio::time::timeout(SOON, others),
    );
    assert_eq!((pulled, others), (Ok(Ok(())), Ok(Ok(()))));
    let forgotten = tokio::time::timeout(SOON, bench.libvirt.undefine(hangs.instance)).await;
    assert_eq!(forgotten, Ok(Ok(())));
    assert_eq!(bench.fact(&hangs).await, None);
}

/// How long it takes until libvirtd is seen to hang, and is ended: its silence is noticed after 60 s, it is asked once more for
/// 10 s; and a busy machine.
const ENDED: Duration = Duration::from_secs(120);

/// libvirtd stood still in the middle of a start, before there was an emulator. Nothing was told of any guest any more, no plug
/// could be pulled, and a later order waited until somebody came and killed libvirtd by hand.
#[tokio::test]
async fn a_libvirtd_that_stands_still_in_a_start_is_ended_and_a_later_order_wins() {
    a_later_order_wins_over(Daemon::freeze).await;
}

/// The same where it goes on, but for the guest that it starts, in a hook that does not end: it holds that guest's lock, and
/// whoever asks for all guests waits for it.
#[tokio::test]
#[ignore = "takes more than a minute: make test-long runs it"]
async fn a_start_that_hangs_in_libvirtd_is_ended_and_a_later_order_wins() {
    a_later_order_wins_over(|_| {}).await;
}

async fn a_later_order_wins_over(and_then: impl Fn(&Daemon)) {
    let daemon = match Daemon::new() {
        Ok(daemon) => Arc::new(daemon),
        Err(why) => return suite::skipped(why),
    };
    let bench = Bench::on(Arc::clone(&daemon)).await;
    let options = LibvirtOptions { ends_hung_daemon: true, ..bench.options() };
    let libvirt = Libvirt::connect(&daemon.uri(), options).await.unwrap();
    let (stuck, up) = (bench.spec("is stuck"), bench.spec("goes on"));
    bench.run(&up).await;
    libvirt.define(&stuck).await.unwrap();
    daemon.hold_starts(true);
    let start = libvirt.start(stuck.instance);
    // As an agent does it: it looks all the time, and pulls the plug as it is ordered.
    let later = async {
        tokio::time::sleep(GIVEN_UP).await;
        and_then(&daemon);
        let began = Instant::now();
        while let Err(silence) = libvirt.list().await {
            println!("after {:?}: {silence}", began.elapsed());
            // Whoever watches over libvirtd starts another one.
            if daemon.is_gone() {
                daemon.hold_starts(false);
                daemon.start();
            }
            tokio::time::sleep(GIVEN_UP).await;
            assert!(began.elapsed() < ENDED, "libvirtd hangs, and nobody minds");
        }
        println!("all guests are told of after {:?}", began.elapsed());
        libvirt.destroy(stuck.instance).await?;
        libvirt.undefine(stuck.instance).await
    };
    let (started, later) = tokio::join!(start, later);
    suite::assert_fails(started);
    assert_eq!(later, Ok(()));
    assert_eq!(bench.fact(&stuck).await, None);
    assert_eq!(bench.fact(&up).await.map(|it| it.state), Some(GuestState::Running), "others notice nothing");
}
