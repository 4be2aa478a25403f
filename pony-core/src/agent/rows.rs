//! From the replicated desired rows to [`Orders`]. The only place in the agent that reads tables.

mod sources;
mod uplinks;

pub(super) use sources::Sources;

#[cfg(test)]
use super::orders::Orders;
use super::orders::{
    DiskData, DiskOrder, Grant, Hardware, Hold, ImageOrder, InstanceOrder, Moving, NicOrder, Order, OrderId,
    Placement, PoolOrder, SwitchOrder, Target, VolumeOrder, VolumeWish,
};
use crate::host::{
    Boot, CpuSpec, Destination, Export, Extent, Firmware, GuestAddress, GuestCard, GuestConfig, GuestRoute,
    Overlay, PlvmPool, PoolBackend, PoolSpec, RemoteVolume, Seed, SwitchKind, VolumeFormat,
};
use crate::lookup::Lookup;
use crate::tables::{
    Address, CpuProfile, Disk, HostImage, HostInstance, HostVolume, Image, Instance, Network, Route,
    StoragePool, Switch, SwitchPort, Vdisk, Vnic, Volume,
};
use crate::{pool, tables};
#[cfg(test)]
use pony_state::Read;
use pony_state::{Entity, Key, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// What the rows order of the host under a name.
fn order(rows: &impl Lookup, host: Uuid, id: OrderId) -> Order {
    match id {
        OrderId::Links => Order::Links(uplinks::links(rows, host)),
        OrderId::Exports => Order::Exports(exports(rows, host)),
        OrderId::Pool(uuid) => Order::Pool(uuid, pool_order(rows, host, uuid)),
        OrderId::Volume(uuid) => Order::Volume(uuid, volume(rows, host, uuid)),
        OrderId::Image(uuid) => Order::Image(uuid, image(rows, host, uuid)),
        OrderId::Switch(uuid) => Order::Switch(uuid, switch(rows, host, uuid)),
        OrderId::Instance(uuid) => Order::Instance(uuid, instance(rows, host, uuid)),
        OrderId::Cpu(uuid) => Order::Cpu(uuid, cpu(rows, uuid)),
    }
}

/// The order that there is because of a row. Whatever else it is made of is found out when it is made.
fn named_by(table: &str, key: &Key) -> Option<OrderId> {
    let name = match table {
        StoragePool::TABLE => OrderId::Pool,
        Volume::TABLE => OrderId::Volume,
        Image::TABLE => OrderId::Image,
        Switch::TABLE => OrderId::Switch,
        HostInstance::TABLE => OrderId::Instance,
        CpuProfile::TABLE => OrderId::Cpu,
        _ => return None,
    };
    // What is placed on a host is the last column of the key of its placement.
    key.values().last().and_then(Value::as_uuid).map(name)
}

/// Everything that the rows order of the host, made at once.
#[cfg(test)]
pub(super) fn orders(rows: &impl Read, host: Uuid) -> Orders {
    let all = rows.view().tables().flat_map(pony_state::AnyTable::iter);
    let named = all.filter_map(|row| named_by(row.def().name(), &row.key()));
    let mut orders = Orders::default();
    for id in named.chain(OrderId::WHOLE) {
        orders.put(order(rows, host, id));
    }
    orders
}

fn pool_order(rows: &impl Lookup, host: Uuid, pool: Uuid) -> Option<PoolOrder> {
    let order = rows.desired::<StoragePool>(&pool)?;
    let name = order.kind.as_str();
    let beyond = || PoolBackend::Unsupported(name.to_owned());
    let (backend, fault) = match (order.host, pool::backend(order.kind, &order.config)) {
        (Some(owner), _) if owner != host => (beyond(), Some(format!("it belongs to host {owner}"))),
        (_, Ok(backend @ PoolBackend::Unsupported(_))) => {
            (backend, Some(format!("this host has no driver for pools of type {name}")))
        }
        (Some(_), Ok(PoolBackend::Plvm(_))) => (
            beyond(),
            Some("a pool of type plvm belongs to every host that sees its disks: it must name none".into()),
        ),
        (None, Ok(PoolBackend::Plvm(_))) => plvm(rows, pool),
        (None, Ok(backend)) if !backend.can_be_shared() => {
            (beyond(), Some(format!("a pool of type {name} belongs to one host, which it must name")))
        }
        (_, Ok(backend)) => (backend, None),
        // It is mended by another config, and there may be volumes in it: not `unsupported`.
        (_, Err(why)) => (PoolBackend::Dir { path: PathBuf::new() }, Some(format!("config: {why}"))),
    };
    Some(PoolOrder { spec: PoolSpec { pool, backend }, shareable: order.shareable, fault })
}

/// A pool of all disks that name it.
fn plvm(rows: &impl Lookup, pool: Uuid) -> (PoolBackend, Option<String>) {
    let disks = rows.desired_with::<Disk>("storage_pool", pool);
    let disks: Vec<String> = disks.into_iter().map(|(id, _)| id.to_string()).collect();
    let fault = disks.is_empty().then(|| "it has no disk: order a disk with this `storage_pool`".to_owned());
    (PoolBackend::Plvm(PlvmPool { disks }), fault)
}

fn volume(rows: &impl Lookup, host: Uuid, uuid: Uuid) -> Option<VolumeOrder> {
    let order = rows.desired::<Volume>(&uuid)?;
    if let Some(copy) = copy(rows, host, uuid, order) {
        return Some(copy);
    }
    let grant = grant(rows, host, uuid, order.storage_pool);
    let wish = match order.state {
        tables::VolumeState::Present => VolumeWish::Present,
        // Sparkle, which knows who has need of it, has said that it is to be made.
        tables::VolumeState::Optional if grant != Grant::Own && grant.is_whole() => VolumeWish::Present,
        tables::VolumeState::Optional => VolumeWish::Optional,
        tables::VolumeState::Deleted => VolumeWish::Deleted,
    };
    let format = format(order);
    let (base_image, base_volume, image) = (order.base_image, order.base_volume, order.image);
    let (pool, size_mib, extents) = (order.storage_pool, order.size, extents(rows, uuid));
    Some(VolumeOrder { wish, pool, format, size_mib, base_image, base_volume, image, grant, extents })
}

/// What the volume consists of, in its order.
fn extents(rows: &impl Lookup, volume: Uuid) -> Vec<Extent> {
    let mut rows = rows.desired_with::<tables::Extent>("volume", volume);
    rows.sort_by_key(|(extent, it)| (it.order, *extent));
    let extent = |(extent, it): (Uuid, &tables::ExtentDesired)| Extent {
        extent,
        disk: it.disk.to_string(),
        start_mib: it.range.start(),
        len_mib: it.range.end() - it.range.start(),
        made: it.made,
    };
    rows.into_iter().map(extent).collect()
}

fn format(order: &tables::VolumeDesired) -> Option<VolumeFormat> {
    order.format.map(|format| match format {
        tables::VolumeFormat::Raw => VolumeFormat::Raw,
        tables::VolumeFormat::Qcow2 => VolumeFormat::Qcow2,
    })
}

/// A copy of a volume in another pool than its own, which comes here with an instance, or is to go.
fn copy(rows: &impl Lookup, host: Uuid, volume: Uuid, order: &tables::VolumeDesired) -> Option<VolumeOrder> {
    let given = rows.desired::<HostVolume>(&(host, volume))?;
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
        extents: Vec::new(),
    })
}

/// What this host may do with a volume. Nothing, as long as it does not know whose pool it is in.
fn grant(rows: &impl Lookup, host: Uuid, volume: Uuid, pool: Uuid) -> Grant {
    let pool = rows.desired::<StoragePool>(&pool);
    let given = rows.desired::<HostVolume>(&(host, volume));
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

fn image(rows: &impl Lookup, host: Uuid, image: Uuid) -> Option<ImageOrder> {
    let order = rows.desired::<Image>(&image)?;
    let source_uri = order.source_uri.as_deref().map(str::to_owned);
    let told = rows.desired::<HostImage>(&(host, image));
    let remote = told.map(|it| RemoteVolume { host: it.source, volume: it.volume, way: it.way.to_string() });
    Some(ImageOrder { source_uri, remote })
}

/// What others may read here: copies of images, and nothing else, whatever they are told.
fn exports(rows: &impl Lookup, host: Uuid) -> Vec<Export> {
    let export = |((_, image), told): ((Uuid, Uuid), &tables::HostImageDesired)| {
        let volume = rows.desired::<Volume>(&told.volume)?;
        let backs = volume.image == Some(image) && volume.state != tables::VolumeState::Deleted;
        let pool = backs.then(|| pool_order(rows, host, volume.storage_pool))??;
        let spec = pool.fault.is_none().then_some(pool.spec)?;
        Some(Export { volume: told.volume, pool: spec, to: told.origin.to_string() })
    };
    let told = rows.desired_with::<HostImage>("source", host);
    let mut exports: Vec<Export> = told.into_iter().filter_map(export).collect();
    exports.sort_by(|a, b| (a.volume, &a.to).cmp(&(b.volume, &b.to)));
    exports
}

/// Nothing for one that joins hosts, as long as Sparkle has not said where this host's end is.
fn switch(rows: &impl Lookup, host: Uuid, switch: Uuid) -> Option<SwitchOrder> {
    let order = rows.desired::<Switch>(&switch)?;
    let kind = match (order.kind, order.tag) {
        (tables::SwitchType::Bridge, None) => SwitchKind::Bridge,
        (tables::SwitchType::Bridge, Some(tag)) => uplinks::core_segment(rows, host, tag),
        (tables::SwitchType::Vxlan, Some(tag)) => {
            let (overlay, left_out) = overlay(rows, u32::try_from(tag).ok()?, host, switch)?;
            return Some(SwitchOrder { kind: SwitchKind::Vxlan(overlay), left_out });
        }
        (tables::SwitchType::Vxlan, None) => {
            SwitchKind::Unsupported("it has no VXLAN network identifier: order a tag".to_owned())
        }
    };
    Some(kind.into())
}

/// What this host must know of a VXLAN switch with these ports, and why some are left out. Where two claim one address,
/// the one with the greater key has it: every host decides alike.
fn overlay(rows: &impl Lookup, vni: u32, host: Uuid, switch: Uuid) -> Option<(Overlay, Option<String>)> {
    let ports = rows.desired_with::<SwitchPort>("switch", switch);
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

/// `None` for one that is neither placed on this host nor to come here.
fn instance(rows: &impl Lookup, host: Uuid, uuid: Uuid) -> Option<InstanceOrder> {
    let placements = rows.desired_with::<HostInstance>("instance", uuid);
    let own = placements.iter().find(|((at, _), _)| *at == host).map(|(_, it)| *it);
    let coming = || {
        let origin = |it: &tables::HostInstanceDesired| {
            it.origin.as_deref().filter(|_| it.target == Some(host)).map(str::to_owned)
        };
        placements.iter().find_map(|(_, it)| Some((*it, Some(Moving::Here { origin: origin(it)? }))))
    };
    let (placement, moving) = own.map(|it| (it, it.target.map(|to| away(it, to)))).or_else(coming)?;
    let is_coming = matches!(moving, Some(Moving::Here { .. }));
    let order = rows.desired::<Instance>(&uuid);
    let target = match order.map(|o| o.state).filter(|_| !placement.released) {
        Some(tables::InstanceState::Running | tables::InstanceState::Paused) if is_coming => Target::Incoming,
        Some(tables::InstanceState::Running) => Target::Running,
        Some(tables::InstanceState::Paused) => Target::Paused,
        Some(tables::InstanceState::Stopped) => Target::Stopped,
        None => Target::Released,
    };
    let placement = Placement { serial: placement.serial, released: placement.released, moving };
    let hardware = order.map(|order| hardware(rows, uuid, order));
    Some(InstanceOrder { target, placement, hardware })
}

fn away(placement: &tables::HostInstanceDesired, host: Uuid) -> Moving {
    let way = placement.way.as_deref().map(str::to_owned);
    let to = way.map(|way| Destination { host, way });
    Moving::Away { to: to.filter(|_| !placement.cancelled), stays: placement.cancelled }
}

fn hardware(rows: &impl Lookup, uuid: Uuid, order: &tables::InstanceDesired) -> Hardware {
    let mut disks: Vec<DiskOrder> =
        rows.desired_with::<Vdisk>("instance", uuid).into_iter().map(|(vdisk, it)| disk(vdisk, it)).collect();
    disks.sort_by_key(|disk| disk.index);
    let mut nics: Vec<NicOrder> = rows
        .desired_with::<Vnic>("instance", uuid)
        .into_iter()
        .map(|(vnic, it)| nic(rows, vnic, it))
        .collect();
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

fn cpu(rows: &impl Lookup, profile: Uuid) -> Option<CpuSpec> {
    let order = rows.desired::<CpuProfile>(&profile)?;
    let features = order.features.iter().map(ToString::to_string).collect();
    Some(CpuSpec { model: order.model.to_string(), features })
}

/// CPUs as hundredths of one, at least one hundredth.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn percent(rcpu: f64) -> u32 {
    // Saturates, also for what is not a number.
    (rcpu * 100.0).round().clamp(1.0, f64::from(u32::MAX)) as u32
}

fn disk(vdisk: Uuid, order: &tables::VdiskDesired) -> DiskOrder {
    let data = match (order.volume, order.image) {
        (Some(volume), _) => DiskData::Volume(volume),
        (None, Some(image)) => DiskData::Image(image),
        (None, None) => DiskData::Template,
    };
    DiskOrder { vdisk, index: index(order.index), data }
}

/// What the guest is told of itself.
fn guest_config(
    rows: &impl Lookup,
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
fn guest_addresses(rows: &impl Lookup, vnic: Uuid) -> Vec<GuestAddress> {
    let address = |(_, order): (Uuid, &tables::AddressDesired)| {
        let network = rows.desired::<Network>(&order.network)?;
        let mut routes = rows.desired_with::<Route>("network", order.network);
        routes.sort_by_key(|(_, it)| (it.route, it.via));
        let route = |(_, it): &(Uuid, &tables::RouteDesired)| GuestRoute {
            to: it.route.addr(),
            prefix: it.route.prefix(),
            via: it.via.addr(),
        };
        let routes = routes.iter().map(route).collect();
        let (tag, prefix) = (tag_of(network), network.range.prefix());
        Some(GuestAddress { tag, ip: order.ip?.addr(), prefix, routes })
    };
    let mut addresses: Vec<_> =
        rows.desired_with::<Address>("vnic", vnic).into_iter().filter_map(address).collect();
    addresses.sort_by_key(|it| it.ip);
    addresses
}

fn nic(rows: &impl Lookup, vnic: Uuid, order: &tables::VnicDesired) -> NicOrder {
    let managed = !rows.desired_with::<Network>("switch", order.switch).is_empty();
    // Of a network that is not known yet it is not known where its addresses are used.
    let address = |(_, order): (Uuid, &tables::AddressDesired)| {
        Some((tag_of(rows.desired::<Network>(&order.network)?), order.ip?.addr()))
    };
    let addresses = || rows.desired_with::<Address>("vnic", vnic).into_iter().filter_map(address).collect();
    NicOrder {
        vnic,
        index: index(order.index),
        switch: order.switch,
        mac: tables::mac_of(vnic, order).to_string(),
        addresses: managed.then(addresses),
        config: None,
    }
}

/// The VLAN of a network on its switch; 0 for what has no tag.
fn tag_of(network: &tables::NetworkDesired) -> u16 {
    network.vlan_tag.and_then(|tag| u16::try_from(tag).ok()).unwrap_or(0)
}

fn index(index: i64) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
