//! Calls into libvirt that hang, because an emulator does.

use crate::bench::Bench;
use pony_core::host::GuestState;
use pony_host::Hypervisor as _;
use std::time::Duration;

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
