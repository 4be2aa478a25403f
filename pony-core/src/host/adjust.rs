//! What a guest that is up can be made without a restart: a pure rule, which the agent and all hypervisors share.
//!
//! It does not say how: a hypervisor plugs, unplugs and sets whatever differs.

use super::{DiskSpec, InstanceSpec, NicSpec, Room};

/// What a guest that is up as `live` can be made of `next`, what is ordered, while it runs. The rest (where it boots
/// from, its firmware and CPU, CD-ROM drives, memory and CPUs beyond `room`) takes a stop and a start.
#[must_use]
pub fn adjusted(live: &InstanceSpec, next: &InstanceSpec, room: &Room) -> InstanceSpec {
    let vcpu_fits = (room.vcpu_min..=room.vcpu_max).contains(&next.vcpu);
    InstanceSpec {
        instance: live.instance,
        name: next.name.clone(),
        vcpu: if vcpu_fits { next.vcpu } else { live.vcpu },
        cpu_percent: next.cpu_percent,
        mem_mib: if next.mem_mib <= room.mem_max_mib { next.mem_mib } else { live.mem_mib },
        boot: live.boot,
        firmware: live.firmware,
        cpu: live.cpu.clone(),
        disks: disks(&live.disks, &next.disks),
        nics: nics(&live.nics, &next.nics),
        // There is another disc for a drive that is there.
        seed: live.seed.as_ref().and(next.seed.as_ref().or(live.seed.as_ref())).cloned(),
    }
}

/// CD-ROM drives cannot be plugged. A disk that only moved on the bus stays where it is: a guest would lose it
/// for nothing.
fn disks(live: &[DiskSpec], next: &[DiskSpec]) -> Vec<DiskSpec> {
    let ordered = |disk: &DiskSpec| next.iter().find(|it| it.vdisk == disk.vdisk);
    let mut disks: Vec<DiskSpec> = Vec::new();
    for disk in live {
        match ordered(disk) {
            None if disk.read_only => disks.push(disk.clone()),
            None => {}
            Some(new) if disk.read_only || new.read_only || shows_the_same(disk, new) => {
                disks.push(disk.clone());
            }
            Some(new) => disks.push(DiskSpec { index: disk.index, ..new.clone() }),
        }
    }
    for disk in next.iter().filter(|disk| !disk.read_only) {
        let known = live.iter().any(|it| it.vdisk == disk.vdisk);
        let taken = disks.iter().any(|it| !it.read_only && it.index == disk.index);
        if !known && !taken {
            disks.push(disk.clone());
        }
    }
    disks.sort_by_key(|disk| disk.index);
    disks
}

fn shows_the_same(disk: &DiskSpec, other: &DiskSpec) -> bool {
    DiskSpec { index: other.index, ..disk.clone() } == *other
}

/// The order of cards counts where the guest names them: one that only moved stays where it is. So does one that is to
/// carry other frames: what does not fit into them is not worth its connections.
fn nics(live: &[NicSpec], next: &[NicSpec]) -> Vec<NicSpec> {
    let place = |nic: &NicSpec| {
        let was = live.iter().find(|it| it.vnic == nic.vnic);
        let (index, mtu) = was.map_or((nic.index, nic.mtu), |was| (was.index, was.mtu));
        NicSpec { index, mtu, ..nic.clone() }
    };
    let mut nics: Vec<NicSpec> = next.iter().map(place).collect();
    nics.sort_by_key(|nic| nic.index);
    nics
}

#[cfg(test)]
mod tests {
    use super::super::{Boot, Firmware, Place, Seed, VolumeFormat};
    use super::*;
    use uuid::Uuid;

    const ROOM: Room = Room { vcpu_min: 2, vcpu_max: 4, mem_max_mib: 512 };

    fn disk(n: u8, index: u32, read_only: bool) -> DiskSpec {
        let (vdisk, place) = (Uuid::from_u128(n.into()), Place::File(format!("/{n}").into()));
        DiskSpec { vdisk, index, place, format: VolumeFormat::Raw, read_only, shared: false }
    }

    fn nic(n: u8, index: u32) -> NicSpec {
        NicSpec {
            vnic: Uuid::from_u128(n.into()),
            index,
            mac: format!("52:54:00:00:00:{n:02x}"),
            tap: format!("t{n}"),
            mtu: None,
        }
    }

    fn spec() -> InstanceSpec {
        InstanceSpec {
            instance: Uuid::nil(),
            name: "a".to_owned(),
            vcpu: 2,
            cpu_percent: 100,
            mem_mib: 256,
            boot: Boot::Disk,
            firmware: Firmware::Bios,
            cpu: None,
            disks: vec![disk(1, 0, false), disk(2, 1, true)],
            nics: vec![nic(1, 0)],
            seed: Some(Seed::from(1)),
        }
    }

    fn made_of(next: &InstanceSpec) -> InstanceSpec {
        adjusted(&spec(), next, &ROOM)
    }

    #[test]
    fn what_is_as_ordered_stays_and_what_is_within_room_is_taken() {
        assert_eq!(made_of(&spec()), spec());
        let next = InstanceSpec { vcpu: 4, mem_mib: 512, cpu_percent: 50, name: "b".to_owned(), ..spec() };
        assert_eq!(made_of(&next), next);
        let next = InstanceSpec { seed: Some(Seed::from(2)), ..spec() };
        assert_eq!(made_of(&next), next, "another disc");
    }

    #[test]
    fn what_takes_a_restart_waits_for_it() {
        for next in [
            InstanceSpec { vcpu: 5, ..spec() },
            InstanceSpec { vcpu: 1, ..spec() },
            InstanceSpec { mem_mib: 513, ..spec() },
            InstanceSpec { boot: Boot::Network, ..spec() },
            InstanceSpec { firmware: Firmware::Uefi, ..spec() },
            InstanceSpec { disks: vec![disk(1, 0, false)], ..spec() },
            InstanceSpec { disks: vec![disk(1, 0, false), disk(2, 1, true), disk(3, 2, true)], ..spec() },
            InstanceSpec { disks: vec![disk(1, 7, false), disk(2, 1, true)], ..spec() },
            InstanceSpec { nics: vec![nic(1, 5)], ..spec() },
            InstanceSpec { nics: vec![NicSpec { mtu: Some(1_450), ..nic(1, 0) }], ..spec() },
            InstanceSpec { seed: None, ..spec() },
        ] {
            assert_eq!(made_of(&next), spec(), "{next:?}");
        }
        let without = InstanceSpec { seed: None, ..spec() };
        assert_eq!(adjusted(&without, &spec(), &ROOM), without, "a drive that is not there");
    }

    #[test]
    fn disks_and_cards_come_go_and_are_exchanged() {
        let more = vec![disk(1, 0, false), disk(2, 1, true), disk(3, 2, false)];
        let next = InstanceSpec { disks: more, nics: vec![nic(1, 0), nic(2, 1)], ..spec() };
        assert_eq!(made_of(&next), next);
        let none = InstanceSpec { disks: vec![disk(2, 1, true)], nics: vec![], ..spec() };
        assert_eq!(made_of(&none), none);
        let other = DiskSpec { place: Place::File("/other".into()), ..disk(1, 0, false) };
        let next = InstanceSpec { disks: vec![other, disk(2, 1, true)], ..spec() };
        assert_eq!(made_of(&next), next);
        let taken =
            InstanceSpec { disks: vec![disk(3, 0, false), disk(1, 1, false), disk(2, 1, true)], ..spec() };
        assert_eq!(made_of(&taken), spec(), "its place is taken until the other one is where it is ordered");
    }
}
