//! What of a look is news: what got worse since the look before. Compares facts; remembers nothing.

use super::news::{Notification, Thing};
use crate::host::{DiskFact, NicFact, PoolFact};
use serde_json::json;
use uuid::Uuid;

/// How full a pool has to be to be news, percent; each of these once.
const FULL_PERCENT: [i64; 3] = [90, 95, 99];

/// How far it has to empty for the same to be news again, percent.
const EMPTIED_PERCENT: i64 = 5;

/// How many errors of a disk are news: so many, and then each time that there are twice as many. Healthy disks have some,
/// from questions that they do not understand.
const ERRORS_MIN: u64 = 8;

/// Something that happened to a thing.
pub(super) type Alarm = (Thing, Notification);

/// Cards that lost the other end of their cable, or are gone.
pub(super) fn nics(before: &[NicFact], now: &[NicFact]) -> Vec<Alarm> {
    let worked = before.iter().filter(|nic| nic.up && nic.carrier);
    let news = |nic: &NicFact| {
        let kind = match now.iter().find(|it| it.hwaddr == nic.hwaddr) {
            None => "nic-gone",
            Some(it) if !it.carrier && it.up => "link-down",
            Some(_) => return None,
        };
        let data = json!({ "nic": nic.hwaddr, "link_name": nic.link_name });
        Some((Thing::Nic(nic.hwaddr.clone()), Notification { instance: None, kind, data }))
    };
    worked.filter_map(news).collect()
}

/// Disks that are gone, or not to be relied on any more.
pub(super) fn disks(before: &[DiskFact], now: &[DiskFact]) -> Vec<Alarm> {
    let known = |disk: &DiskFact, in_: &[DiskFact]| in_.iter().find(|it| it.id == disk.id).cloned();
    let alarm = |kind, disk: &DiskFact| {
        let data = json!({ "disk": disk.id, "link_name": disk.link_name, "error": disk.fault });
        (Thing::Disk(disk.id.clone()), Notification { instance: None, kind, data })
    };
    let gone = before.iter().filter(|disk| known(disk, now).is_none());
    let erring = now.iter().filter(|disk| {
        let was = known(disk, before).map(|it| it.errors.unwrap_or_default());
        was.is_some_and(|was| errors_level(disk.errors.unwrap_or_default()) > errors_level(was))
    });
    let erring = erring.map(|disk| {
        let data = json!({ "disk": disk.id, "link_name": disk.link_name, "errors": disk.errors });
        (Thing::Disk(disk.id.clone()), Notification { instance: None, kind: "disk-errors", data })
    });
    let was_well = |disk: &DiskFact| known(disk, before).is_none_or(|it| it.fault.is_none());
    let failing = now.iter().filter(|disk| disk.fault.is_some() && was_well(disk));
    let failing = failing.map(|disk| alarm("disk-failing", disk));
    gone.map(|disk| alarm("disk-gone", disk)).chain(failing).chain(erring).collect()
}

/// How often a count of errors has doubled, from the first that is news.
fn errors_level(errors: u64) -> u32 {
    (errors / ERRORS_MIN).checked_ilog2().map_or(0, |level| level + 1)
}

/// A pool whose use rose above a level. The level that was told last is kept in `told`, percent.
pub(super) fn filling(told: &mut i64, fact: &PoolFact) -> Option<Alarm> {
    let percent = fact.allocated_mib.saturating_mul(100).checked_div(fact.capacity_mib)?;
    let level = FULL_PERCENT.into_iter().rev().find(|level| percent >= *level).unwrap_or_default();
    if level > *told {
        *told = level;
        let data = json!({ "storage_pool": fact.pool, "percent": level, "capacity": fact.capacity_mib });
        return Some((Thing::Pool(fact.pool), Notification { instance: None, kind: "pool-filling", data }));
    }
    if percent < *told - EMPTIED_PERCENT {
        *told = level;
    }
    None
}

/// A pool that cannot be used any more.
pub(super) fn broken(pool: Uuid, error: &str) -> Alarm {
    let data = json!({ "storage_pool": pool, "error": error });
    (Thing::Pool(pool), Notification { instance: None, kind: "pool-broken", data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(alarms: &[Alarm]) -> Vec<&'static str> {
        alarms.iter().map(|(_, news)| news.kind).collect()
    }

    fn nic(hwaddr: &str, up: bool, carrier: bool) -> NicFact {
        NicFact { hwaddr: hwaddr.into(), up, carrier, ..NicFact::default() }
    }

    #[test]
    fn only_cards_that_worked_go_down() {
        let before =
            [nic("a", true, true), nic("b", true, true), nic("c", false, false), nic("d", true, true)];
        let now = [nic("a", true, false), nic("c", true, false), nic("d", false, false)];
        let alarms = nics(&before, &now);
        // Somebody switched d off: that is no accident.
        assert_eq!(kinds(&alarms), ["link-down", "nic-gone"]);
        assert_eq!(alarms[0].1.data["nic"], "a");
        assert!(nics(&now, &now).is_empty() && nics(&[], &now).is_empty());
    }

    #[test]
    fn a_disk_fails_once() {
        let disk = |id: &str, fault: Option<&str>| DiskFact {
            id: id.into(),
            fault: fault.map(str::to_owned),
            ..DiskFact::default()
        };
        let (well, ill) = ([disk("a", None), disk("b", None)], [disk("a", Some("offline"))]);
        assert_eq!(kinds(&disks(&well, &ill)), ["disk-gone", "disk-failing"]);
        assert_eq!(kinds(&disks(&ill, &ill)), [""; 0]);
        assert_eq!(kinds(&disks(&[], &ill)), ["disk-failing"], "it was so when the agent started");
    }

    #[test]
    fn errors_are_news_each_time_that_they_double() {
        let disk = |errors| [DiskFact { id: "a".into(), errors, ..DiskFact::default() }];
        let mut before = disk(None);
        let counts = [0, 7, 8, 9, 15, 16, 100, 101].map(|count| {
            let now = disk(Some(count));
            let alarms = disks(&before, &now);
            before = now;
            alarms.first().map(|(_, news)| news.data["errors"].as_u64().unwrap())
        });
        assert_eq!(counts, [None, None, Some(8), None, None, Some(16), Some(100), None]);
        assert!(disks(&[], &disk(Some(1_000))).is_empty(), "they were before the agent started");
        assert!(disks(&disk(Some(1_000)), &disk(Some(8))).is_empty(), "another machine start");
    }

    #[test]
    fn a_pool_fills_level_by_level() {
        let mut told = 0;
        let mut at = |allocated_mib| {
            let fact = PoolFact { pool: Uuid::nil(), capacity_mib: 1_000, allocated_mib, granule_mib: 1 };
            filling(&mut told, &fact).map(|(_, news)| news.data["percent"].clone())
        };
        let levels = [899, 900, 940, 989, 990, 960, 990, 870, 940, 0, 900].map(&mut at);
        let (n, some) = (None, |level: i64| Some(json!(level)));
        assert_eq!(
            levels,
            [
                n.clone(),
                some(90),
                n.clone(),
                some(95),
                some(99),
                n.clone(),
                n.clone(),
                n.clone(),
                some(90),
                n,
                some(90)
            ]
        );
        let unknown = PoolFact { pool: Uuid::nil(), capacity_mib: 0, allocated_mib: 0, granule_mib: 1 };
        assert!(filling(&mut 0, &unknown).is_none());
    }
}
