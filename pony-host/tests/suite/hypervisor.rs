//! What a hypervisor keeps.

use super::{assert_fails, eventually};
use pony_core::host::{ConsoleKind, GuestState, InstanceFact, InstanceSpec};
use pony_host::Hypervisor;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc::Receiver;
use uuid::Uuid;

/// Takes a guest through its life. `spec` is startable: its disks and taps are there. The guest need not heed the
/// power button, nor boot anything.
pub async fn hypervisor(hypervisor: &dyn Hypervisor, spec: &InstanceSpec) {
    let mut events = hypervisor.events();
    unknown(hypervisor).await;
    defined(hypervisor, spec).await;
    started(hypervisor, spec, &mut events).await;
    redefined(hypervisor, spec).await;
    adjusted(hypervisor, spec).await;
    looked_at(hypervisor, spec.instance).await;
    paused(hypervisor, spec.instance).await;
    gone(hypervisor, spec.instance).await;
}

/// A guest that nobody knows cannot be started; it does not run and is not defined, as ordered.
async fn unknown(hypervisor: &dyn Hypervisor) {
    let nobody = Uuid::new_v4();
    assert_fails(hypervisor.start(nobody).await);
    hypervisor.destroy(nobody).await.unwrap();
    hypervisor.undefine(nobody).await.unwrap();
    assert!(find(hypervisor, nobody).await.is_none());
}

async fn defined(hypervisor: &dyn Hypervisor, spec: &InstanceSpec) {
    assert!(find(hypervisor, spec.instance).await.is_none());
    for _ in 0..2 {
        hypervisor.define(spec).await.unwrap();
        let fact = find(hypervisor, spec.instance).await.unwrap();
        assert_eq!((fact.state, fact.spec.as_ref()), (GuestState::Off, Some(spec)));
        assert_eq!(fact.live, None, "it never ran");
    }
}

async fn started(hypervisor: &dyn Hypervisor, spec: &InstanceSpec, events: &mut Receiver<Uuid>) {
    for _ in 0..2 {
        hypervisor.start(spec.instance).await.unwrap();
        let fact = find(hypervisor, spec.instance).await.unwrap();
        assert_eq!((fact.state, fact.live.as_ref()), (GuestState::Running, Some(spec)));
    }
    let told =
        async { while events.recv().await.expect("the stream lives as the driver") != spec.instance {} };
    assert!(tokio::time::timeout(super::EVENTUALLY, told).await.is_ok(), "nobody was told of the start");
}

/// A running guest runs on as it was; the next start uses the new definition.
async fn redefined(hypervisor: &dyn Hypervisor, spec: &InstanceSpec) {
    let other = InstanceSpec { vcpu: spec.vcpu + 1, ..spec.clone() };
    hypervisor.define(&other).await.unwrap();
    let fact = find(hypervisor, spec.instance).await.unwrap();
    assert_eq!((fact.state, fact.spec.as_ref()), (GuestState::Running, Some(&other)));
    assert_eq!(fact.live.as_ref(), Some(spec));
    assert_fails(hypervisor.undefine(spec.instance).await);

    hypervisor.destroy(spec.instance).await.unwrap();
    hypervisor.start(spec.instance).await.unwrap();
    assert_eq!(find(hypervisor, spec.instance).await.unwrap().live, Some(other));
}

/// Its consoles can be opened while it is on, the serial one by several, and end with the emulator.
async fn looked_at(hypervisor: &dyn Hypervisor, instance: Uuid) {
    for kind in [ConsoleKind::Serial, ConsoleKind::Vnc] {
        assert_fails(hypervisor.console(Uuid::new_v4(), kind).await.map(drop));
    }
    let mut screen = hypervisor.console(instance, ConsoleKind::Vnc).await.unwrap();
    let mut greeting = [0; 12];
    screen.read_exact(&mut greeting).await.unwrap();
    assert!(greeting.starts_with(b"RFB 003."), "{greeting:?}");
    let open = || hypervisor.console(instance, ConsoleKind::Serial);
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    hypervisor.destroy(instance).await.unwrap();
    for mut console in [one, two, screen] {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(super::EVENTUALLY, console.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a console outlives its guest");
    }
    assert_fails(open().await.map(drop));
    hypervisor.start(instance).await.unwrap();
}

/// A running guest is changed as far as it can be, and says what it has then.
async fn adjusted(hypervisor: &dyn Hypervisor, spec: &InstanceSpec) {
    let fact = find(hypervisor, spec.instance).await.unwrap();
    let (live, room) = (fact.live.unwrap(), fact.room.unwrap());
    let more = InstanceSpec {
        name: "changed".to_owned(),
        vcpu: live.vcpu + 1,
        cpu_percent: 50,
        mem_mib: room.mem_max_mib + 1,
        ..live.clone()
    };
    let reachable = pony_core::host::adjusted(&live, &more, &room);
    assert_eq!((reachable.vcpu, reachable.mem_mib), (more.vcpu, live.mem_mib));
    for _ in 0..2 {
        hypervisor.adjust(&reachable).await.unwrap();
        let fact = find(hypervisor, spec.instance).await.unwrap();
        assert_eq!(fact.live.as_ref(), Some(&reachable));
    }
    hypervisor.destroy(spec.instance).await.unwrap();
    assert_fails(hypervisor.adjust(&reachable).await);
    hypervisor.start(spec.instance).await.unwrap();
    assert_eq!(
        find(hypervisor, spec.instance).await.unwrap().live,
        Some(live),
        "the definition is as it was"
    );
}

async fn paused(hypervisor: &dyn Hypervisor, instance: Uuid) {
    for _ in 0..2 {
        hypervisor.pause(instance).await.unwrap();
        assert_eq!(find(hypervisor, instance).await.unwrap().state, GuestState::Paused);
    }
    for _ in 0..2 {
        hypervisor.resume(instance).await.unwrap();
        assert_eq!(find(hypervisor, instance).await.unwrap().state, GuestState::Running);
    }
}

/// Shut down (which it may ignore), destroyed (which it cannot), undefined.
async fn gone(hypervisor: &dyn Hypervisor, instance: Uuid) {
    hypervisor.shutdown(instance).await.unwrap();
    for _ in 0..2 {
        hypervisor.destroy(instance).await.unwrap();
        assert_eq!(find(hypervisor, instance).await.unwrap().state, GuestState::Off);
    }
    assert_fails(hypervisor.pause(instance).await);
    for _ in 0..2 {
        hypervisor.undefine(instance).await.unwrap();
    }
    eventually("forgotten", || async { find(hypervisor, instance).await.is_none() }).await;
}

async fn find(hypervisor: &dyn Hypervisor, instance: Uuid) -> Option<InstanceFact> {
    hypervisor.list().await.unwrap().into_iter().find(|fact| fact.instance == instance)
}
