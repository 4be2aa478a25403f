//! The typed door by the name of a table: what only a Rust type can call.

use crate::model::Parts;
use pony_state::{Entity, Key, PartKind, PartValues, Read, Row, Transaction, Value};

/// Calls a function with the row type of a table.
macro_rules! by_table {
    ($name:expr, $function:ident($($argument:expr),*)) => {
        match $name {
            "host" => $function::<crate::cloud::Host>($($argument),*),
            "nic" => $function::<crate::cloud::Nic>($($argument),*),
            "instance" => $function::<crate::cloud::Instance>($($argument),*),
            "volume" => $function::<crate::cloud::Volume>($($argument),*),
            "vdisk" => $function::<crate::cloud::Vdisk>($($argument),*),
            other => unreachable!("no table `{other}`"),
        }
    };
}
pub(crate) use by_table;

fn desired<R: Row>(part: &[Value]) -> R::Desired {
    R::Desired::from_values(part).unwrap()
}

fn current<R: Row>(part: &[Value]) -> R::Current {
    R::Current::from_values(part).unwrap()
}

pub(crate) fn put<R: Entity>(tx: &mut Transaction<'_>, key: &Key, parts: &Parts) -> bool {
    let mut row = R::new(R::typed_key(key).unwrap());
    row.set_desired(parts[0].as_deref().map(desired::<R>));
    row.set_current(parts[1].as_deref().map(current::<R>));
    tx.put(row)
}

pub(crate) fn set<R: Entity>(tx: &mut Transaction<'_>, key: &Key, kind: PartKind, part: &[Value]) -> bool {
    let key = R::typed_key(key).unwrap();
    match kind {
        PartKind::Desired => tx.set_desired::<R>(&key, desired::<R>(part)),
        PartKind::Current => tx.set_current::<R>(&key, current::<R>(part)),
    }
}

pub(crate) fn update<R: Entity>(tx: &mut Transaction<'_>, key: &Key, kind: PartKind, part: &[Value]) -> bool {
    let key = R::typed_key(key).unwrap();
    match kind {
        PartKind::Desired => tx.update_desired::<R>(&key, |it| *it = desired::<R>(part)),
        PartKind::Current => tx.update_current::<R>(&key, |it| *it = current::<R>(part)),
    }
}

pub(crate) fn remove_part<R: Entity>(tx: &mut Transaction<'_>, key: &Key, kind: PartKind) -> bool {
    let key = R::typed_key(key).unwrap();
    match kind {
        PartKind::Desired => tx.remove_desired::<R>(&key),
        PartKind::Current => tx.remove_current::<R>(&key),
    }
}

pub(crate) fn remove<R: Entity>(tx: &mut Transaction<'_>, key: &Key) -> bool {
    tx.remove::<R>(&R::typed_key(key).unwrap())
}

/// A row, taken apart.
fn row<R: Row>(row: &R, columns: [usize; 2]) -> (Key, Parts) {
    let desired = row.desired().map(|part| (0..columns[0]).map(|place| part.value(place)).collect());
    let current = row.current().map(|part| (0..columns[1]).map(|place| part.value(place)).collect());
    (R::untyped_key(&row.key()), [desired, current])
}

/// All rows in order, by the typed door, each found by its key as well.
pub(crate) fn rows<R: Entity>(read: &impl Read) -> Vec<(Key, Parts)> {
    let table = read.table::<R>();
    let columns = PartKind::BOTH.map(|kind| table.def().schema().part(kind).len());
    let rows: Vec<_> = table.ordered().collect();
    for (place, it) in rows.iter().enumerate() {
        assert_eq!((table.get(&it.key()), read.get::<R>(&it.key())), (Some(*it), Some(*it)));
        assert!(table.contains(&it.key()));
        assert!(table.after(&it.key()).eq(rows[place + 1..].iter().copied()));
        assert_eq!(it.cmp_key(&it.key()), std::cmp::Ordering::Equal);
    }
    assert_eq!((table.len(), table.is_empty()), (rows.len(), rows.is_empty()));
    assert_eq!(table.iter().count(), rows.len());
    rows.into_iter().map(|it| row(it, columns)).collect()
}

/// The keys of the rows for which all filters hold, by the typed door.
pub(crate) fn filter<R: Entity>(read: &impl Read, filters: &[(&str, Value)]) -> Vec<Key> {
    let table = read.table::<R>();
    let mut keys: Vec<Key> = table.filter(filters).map(|row| R::untyped_key(&row.key())).collect();
    keys.sort_unstable();
    let page = |after: Option<&R::Key>, limit| {
        let rows = table.select(filters, after).take(limit);
        rows.map(|row| R::untyped_key(&row.key())).collect::<Vec<_>>()
    };
    let middle = keys.get(keys.len() / 2).map(|key| R::typed_key(key).unwrap());
    assert_eq!((&page(None, usize::MAX), page(None, 1)), (&keys, keys[..keys.len().min(1)].to_vec()));
    if let Some(middle) = middle {
        assert_eq!(page(Some(&middle), usize::MAX), keys[keys.len() / 2 + 1..]);
    }
    if let [(column, value)] = filters {
        let mut found: Vec<Key> =
            table.find(column, value.clone()).map(|row| R::untyped_key(&row.key())).collect();
        found.sort_unstable();
        assert_eq!(found, keys);
    }
    keys
}
