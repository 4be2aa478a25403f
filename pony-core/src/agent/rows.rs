//! From the replicated desired rows to [`Orders`]. The only place in the agent that reads tables.

mod uplinks;

use uplinks::Core;

use super::orders::{
    DiskData, DiskOrder, Grant, Hardware, Hold, ImageOrder, InstanceOrder, Moving, NicOrder, Orders,
    Placement, PoolOrder, Target, VolumeOrder, VolumeWish,
};
use crate::host::{
    Boot, CpuSpec, Destination, Export, Firmware, GuestAddress, GuestCard, GuestConfig, GuestRoute, Overlay,
    PoolBackend, PoolSpec, RemoteVolume, Seed, SwitchKind, VolumeFormat,
};
use crate::tables::{
    Address, CpuProfile, HostImage, HostInstance, HostVolume, Image, Instance, Network, Route, StoragePool,
    Switch, SwitchPort, Vdisk, Vnic, Volume,
};
use crate::{pool, tables};
use pony_state::Read;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// Everything that the rows order of the host.
pub(super) fn orders(rows: &impl Read, host: Uuid) -> Orders {
    let mut orders = uplinks::orders(rows, host);
    let core = uplinks::core(rows, host);
    for row in rows.table::<Switch>().iter() {
        switch(rows, host, row, &core, &mut orders);
    }
    Orders {
        pools: rows.table::<StoragePool>().iter().filter_map(|row| pool_order(row, host)).collect(),
        volumes: rows.table::<Volume>().iter().filter_map(|row| volume(rows, host, row)).collect(),
        images: rows.table::<Image>().iter().filter_map(|row| image(rows, host, row)).collect(),
        exports: exports(rows, host),
        instances: instances(rows, host),
        cpus: rows
            .table::<CpuProfile>()
            .iter()
            .filter_map(|row| Some((row.uuid, cpu(rows, row.uuid)?)))
            .collect(),
        ..orders
    }
}

fn pool_order(row: &StoragePool, host: Uuid) -> Option<(Uuid, PoolOrder)> {
    let order = row.desired.as_ref()?;
    let name = order.kind.as_str();
    let beyond = || PoolBackend::Unsupported(name.to_owned());
    let (backend, fault) = match (order.host, pool::backend(order.kind, &order.config)) {
        (Some(owner), _) if owner != host => (beyond(), Some(format!("it belongs to host {owner}"))),
        (_, Ok(backend @ PoolBackend::Unsupported(_))) => {
            (backend, Some(format!("this host has no driver for pools of type {name}")))
        }
        (None, Ok(backend)) if !backend.can_be_shared() => {
            (beyond(), Some(format!("a pool of type {name} belongs to one host, which it must name")))
        }
        (_, Ok(backend)) => (backend, None),
        // It is mended by another config, and there may be volumes in it: not `unsupported`.
        (_, Err(why)) => (PoolBackend::Dir { path: PathBuf::new() }, Some(format!("config: {why}"))),
    };
    let spec = PoolSpec { pool: row.uuid, backend };
    Some((row.uuid, PoolOrder { spec, shareable: order.shareable, fault }))
}

fn volume(rows: &impl Read, host: Uuid, row: &Volume) -> Option<(Uuid, VolumeOrder)> {
    let order = row.desired.as_ref()?;
    if let Some(copy) = copy(rows, host, row.uuid, order) {
        return Some((row.uuid, copy));
    }
    let grant = grant(rows, host, row.uuid, order.storage_pool);
    let wish = match order.state {
        tables::VolumeState::Present => VolumeWish::Present,
        // Sparkle, which knows who has need of it, has said that it is to be made.
        tables::VolumeState::Optional if grant != Grant::Own && grant.is_whole() => VolumeWish::Present,
        tables::VolumeState::Optional => VolumeWish::Optional,
        tables::VolumeState::Deleted => VolumeWish::Deleted,
    };
    let format = format(order);
    let (base_image, base_volume, image) = (order.base_image, order.base_volume, order.image);
    let (pool, size_mib) = (order.storage_pool, order.size);
    Some((row.uuid, VolumeOrder { wish, pool, format, size_mib, base_image, base_volume, image, grant }))
}

fn format(order: &tables::VolumeDesired) -> Option<VolumeFormat> {
    order.format.map(|format| match format {
        tables::VolumeFormat::Raw => VolumeFormat::Raw,
        tables::VolumeFormat::Qcow2 => VolumeFormat::Qcow2,
    })
}

/// A copy of a volume in another pool than its own, which comes here with an instance, or is to go.
fn copy(rows: &impl Read, host: Uuid, volume: Uuid, order: &tables::VolumeDesired) -> Option<VolumeOrder> {
    let given = rows.get::<HostVolume>(&(host, volume))?.desired.as_ref()?;
    // Where the volume lies there now it is no copy any more, whatever is heard of that first.
    let pool = given.storage_pool.filter(|it| *it != order.storage_pool)?;
    let comes = given.hold == tables::VolumeHold::Incoming && order.state != tables::VolumeState::Deleted;
    let (wish, hold) = match comes {
        true => (VolumeWish::Present, Hold::Copy),
        false => (VolumeWish::Deleted, Hold::Whole),
    };
    Some(VolumeOrder {
        wish,
        pool,
        format: format(order),
        size_mib: order.size,
        base_image: None,
        base_volume: None,
        image: None,
        grant: Grant::Given { hold, serial: given.serial, made: false },
    })
}

/// What this host may do with a volume. Nothing, as long as it does not know whose pool it is in.
fn grant(rows: &impl Read, host: Uuid, volume: Uuid, pool: Uuid) -> Grant {
    let pool = rows.get::<StoragePool>(&pool).and_then(|row| row.desired.as_ref());
    let given = rows.get::<HostVolume>(&(host, volume)).and_then(|row| row.desired.as_ref());
    match (pool, given) {
        (None, _) | (Some(tables::StoragePoolDesired { host: None, .. }), None) => Grant::None,
        (Some(tables::StoragePoolDesired { host: Some(_), .. }), _) => Grant::Own,
        (Some(_), Some(given)) => {
            let hold = match given.hold {
                tables::VolumeHold::Whole => Hold::Whole,
                tables::VolumeHold::Use => Hold::Use,
                tables::VolumeHold::Incoming => Hold::Incoming,
                tables::VolumeHold::Released => Hold::Released,
                tables::VolumeHold::Look => Hold::Look,
            };
            Grant::Given { hold, serial: given.serial, made: given.made }
        }
    }
}

fn image(rows: &impl Read, host: Uuid, row: &Image) -> Option<(Uuid, ImageOrder)> {
    let order = row.desired.as_ref()?;
    let source_uri = order.source_uri.as_deref().map(str::to_owned);
    let told = rows.get::<HostImage>(&(host, row.uuid)).and_then(|it| it.desired.as_ref());
    let remote = told.map(|it| RemoteVolume { host: it.source, volume: it.volume, way: it.way.to_string() });
    Some((row.uuid, ImageOrder { source_uri, remote }))
}

/// What others may read here: copies of images, and nothing else, whatever they are told.
fn exports(rows: &impl Read, host: Uuid) -> Vec<Export> {
    let export = |row: &HostImage| {
        let told = row.desired.as_ref()?;
        let volume = rows.get::<Volume>(&told.volume)?.desired.as_ref()?;
        let backs = volume.image == Some(row.image) && volume.state != tables::VolumeState::Deleted;
        let pool = rows.get::<StoragePool>(&volume.storage_pool).filter(|_| backs)?;
        let (_, PoolOrder { spec, fault: None, .. }) = pool_order(pool, host)? else { return None };
        Some(Export { volume: told.volume, pool: spec, to: told.origin.to_string() })
    };
    let mut exports: Vec<Export> =
        rows.table::<HostImage>().find("source", host).filter_map(export).collect();
    exports.sort_by(|a, b| (a.volume, &a.to).cmp(&(b.volume, &b.to)));
    exports
}

/// Nothing for one that joins hosts, as long as Sparkle has not said where this host's end is.
fn switch(rows: &impl Read, host: Uuid, row: &Switch, core: &Core, orders: &mut Orders) {
    let Some(order) = row.desired.as_ref() else { return };
    let kind = match (order.kind, order.tag) {
        (tables::SwitchType::Bridge, None) => SwitchKind::Bridge,
        (tables::SwitchType::Bridge, Some(tag)) => core.segment(tag, &orders.uplinks),
        (tables::SwitchType::Vxlan, Some(tag)) => {
            let Ok(vni) = u32::try_from(tag) else { return };
            let Some((overlay, left_out)) = overlay(rows, vni, host, row.uuid) else { return };
            orders.left_out.extend(left_out.map(|why| (row.uuid, why)));
            SwitchKind::Vxlan(overlay)
        }
        (tables::SwitchType::Vxlan, None) => {
            SwitchKind::Unsupported("it has no VXLAN network identifier: order a tag".to_owned())
        }
    };
    orders.switches.insert(row.uuid, kind);
}

/// What this host must know of a VXLAN switch with these ports, and why some are left out. Where two claim one address,
/// the one with the greater key has it: every host decides alike.
fn overlay(rows: &impl Read, vni: u32, host: Uuid, switch: Uuid) -> Option<(Overlay, Option<String>)> {
    let ports = rows.table::<SwitchPort>().find("switch", switch);
    let mut ports: Vec<_> = ports.filter_map(|port| Some((port.vnic, port.desired.as_ref()?))).collect();
    ports.sort_by_key(|(vnic, _)| *vnic);
    let own = ports.iter().rev().find(|(_, port)| port.host == host).map(|(_, port)| port.address);
    // A host that has no card there yet, but whose first is on its way.
    let local = own.or_else(|| tables::overlay_address(rows, host))?.addr();
    let mut overlay = Overlay { vni, local, stations: BTreeMap::new(), neighbours: BTreeMap::new() };
    let mut left_out = None;
    for (_, port) in ports.into_iter().filter(|(_, port)| port.host != host) {
        let (mac, via) = (port.macaddr.to_string(), port.address.addr());
        if via.is_ipv4() != local.is_ipv4() {
            left_out = Some(format!(
                "host {} cannot be reached in it: tunnels lead to addresses of one family only, its end is {via}, and \
                 this host's is {local}; give both a role `virtual` with addresses of one family",
                port.host
            ));
        } else if via != local {
            overlay.neighbours.extend(port.ips.iter().map(|ip| (ip.addr(), mac.clone())));
            overlay.stations.insert(mac, via);
        }
    }
    Some((overlay, left_out))
}

/// Those that are placed here, and those that move here.
fn instances(rows: &impl Read, host: Uuid) -> BTreeMap<Uuid, InstanceOrder> {
    let table = rows.table::<HostInstance>();
    let placed = table.find("target", host).chain(table.find("host", host));
    placed.filter_map(|row| Some((row.instance, instance(rows, host, row, row.desired.as_ref()?)?))).collect()
}

/// `None` for one that is neither placed on this host nor to come here.
fn instance(
    rows: &impl Read,
    host: Uuid,
    row: &HostInstance,
    placement: &tables::HostInstanceDesired,
) -> Option<InstanceOrder> {
    let moving = match placement.target {
        Some(to) if row.host == host => Some(away(placement, to)),
        _ if row.host == host => None,
        Some(to) if to == host => Some(Moving::Here { origin: placement.origin.as_deref()?.to_owned() }),
        _ => return None,
    };
    let is_coming = matches!(moving, Some(Moving::Here { .. }));
    let order = rows.get::<Instance>(&row.instance).and_then(|it| it.desired.as_ref());
    let target = match order.map(|o| o.state).filter(|_| !placement.released) {
        Some(tables::InstanceState::Running | tables::InstanceState::Paused) if is_coming => Target::Incoming,
        Some(tables::InstanceState::Running) => Target::Running,
        Some(tables::InstanceState::Paused) => Target::Paused,
        Some(tables::InstanceState::Stopped) => Target::Stopped,
        None => Target::Released,
    };
    let placement = Placement { serial: placement.serial, released: placement.released, moving };
    let hardware = order.map(|order| hardware(rows, row.instance, order));
    Some(InstanceOrder { target, placement, hardware })
}

fn away(placement: &tables::HostInstanceDesired, host: Uuid) -> Moving {
    let way = placement.way.as_deref().map(str::to_owned);
    let to = way.map(|way| Destination { host, way });
    Moving::Away { to: to.filter(|_| !placement.cancelled), stays: placement.cancelled }
}

fn hardware(rows: &impl Read, uuid: Uuid, order: &tables::InstanceDesired) -> Hardware {
    let mut disks: Vec<DiskOrder> = rows.table::<Vdisk>().find("instance", uuid).filter_map(disk).collect();
    disks.sort_by_key(|disk| disk.index);
    let mut nics: Vec<NicOrder> =
        rows.table::<Vnic>().find("instance", uuid).filter_map(|row| nic(rows, row)).collect();
    nics.sort_by_key(|nic| nic.index);
    let config = Arc::new(guest_config(rows, uuid, order, &nics));
    let managed = nics.iter_mut().filter(|nic| nic.addresses.is_some());
    managed.for_each(|nic| nic.config = Some(Arc::clone(&config)));
    let boot = match order.boot {
        tables::BootDevice::Disk => Boot::Disk,
        tables::BootDevice::Network => Boot::Network,
    };
    let firmware = match order.firmware {
        tables::Firmware::Bios => Firmware::Bios,
        tables::Firmware::Uefi => Firmware::Uefi,
    };
    Hardware {
        name: order.name.to_string(),
        vcpu: u32::try_from(order.vcpu).unwrap_or(1).max(1),
        cpu_percent: percent(order.rcpu),
        mem_mib: order.mem,
        boot,
        firmware,
        cpu: order.cpu_profile.and_then(|profile| cpu(rows, profile)),
        disks,
        nics,
        seed: Some(Seed::new(config)),
    }
}

fn cpu(rows: &impl Read, profile: Uuid) -> Option<CpuSpec> {
    let order = rows.get::<CpuProfile>(&profile)?.desired.as_ref()?;
    let features = order.features.iter().map(ToString::to_string).collect();
    Some(CpuSpec { model: order.model.to_string(), features })
}

/// CPUs as hundredths of one, at least one hundredth.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn percent(rcpu: f64) -> u32 {
    // Saturates, also for what is not a number.
    (rcpu * 100.0).round().clamp(1.0, f64::from(u32::MAX)) as u32
}

fn disk(row: &Vdisk) -> Option<DiskOrder> {
    let order = row.desired.as_ref()?;
    let data = match (order.volume, order.image) {
        (Some(volume), _) => DiskData::Volume(volume),
        (None, Some(image)) => DiskData::Image(image),
        (None, None) => DiskData::Template,
    };
    Some(DiskOrder { vdisk: row.uuid, index: index(order.index), data })
}

/// What the guest is told of itself.
fn guest_config(
    rows: &impl Read,
    uuid: Uuid,
    order: &tables::InstanceDesired,
    nics: &[NicOrder],
) -> GuestConfig {
    let metadata = nics.iter().find(|nic| nic.addresses.is_some()).map(|nic| nic.vnic);
    let card = |nic: &NicOrder| GuestCard {
        mac: nic.mac.clone(),
        metadata: metadata == Some(nic.vnic),
        addresses: guest_addresses(rows, nic.vnic),
    };
    GuestConfig {
        instance: uuid,
        hostname: order.name.to_string(),
        user_data: order.user_data.as_deref().map(str::to_owned),
        name_servers: order.ns.iter().map(|ip| ip.addr()).collect(),
        cards: nics.iter().map(card).collect(),
    }
}

/// The addresses of a card with the ways out of their networks, always in the same order.
fn guest_addresses(rows: &impl Read, vnic: Uuid) -> Vec<GuestAddress> {
    let address = |row: &Address| {
        let order = row.desired.as_ref()?;
        let network = rows.get::<Network>(&order.network)?.desired.as_ref()?;
        let mut routes: Vec<_> = rows
            .table::<Route>()
            .find("network", order.network)
            .filter_map(|it| it.desired.as_ref())
            .collect();
        routes.sort_by_key(|it| (it.route, it.via));
        let route = |it: &&tables::RouteDesired| GuestRoute {
            to: it.route.addr(),
            prefix: it.route.prefix(),
            via: it.via.addr(),
        };
        let routes = routes.iter().map(route).collect();
        let (tag, prefix) = (tag_of(network), network.range.prefix());
        Some(GuestAddress { tag, ip: order.ip?.addr(), prefix, routes })
    };
    let mut addresses: Vec<_> = rows.table::<Address>().find("vnic", vnic).filter_map(address).collect();
    addresses.sort_by_key(|it| it.ip);
    addresses
}

fn nic(rows: &impl Read, row: &Vnic) -> Option<NicOrder> {
    let order = row.desired.as_ref()?;
    let managed = rows.table::<Network>().find("switch", order.switch).any(|it| it.desired.is_some());
    // Of a network that is not known yet it is not known where its addresses are used.
    let address = |row: &Address| {
        let order = row.desired.as_ref()?;
        let network = rows.get::<Network>(&order.network)?.desired.as_ref()?;
        Some((tag_of(network), order.ip?.addr()))
    };
    let addresses = rows.table::<Address>().find("vnic", row.uuid);
    let addresses = managed.then(|| addresses.filter_map(address).collect());
    let mac = tables::mac_of(row.uuid, order).to_string();
    Some(NicOrder {
        vnic: row.uuid,
        index: index(order.index),
        switch: order.switch,
        mac,
        addresses,
        config: None,
    })
}

/// The VLAN of a network on its switch; 0 for what has no tag.
fn tag_of(network: &tables::NetworkDesired) -> u16 {
    network.vlan_tag.and_then(|tag| u16::try_from(tag).ok()).unwrap_or(0)
}

fn index(index: i64) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
