//! `pony instance create|start|stop|pause|delete`

use super::common::{made, merge, note_first_tenant, path, pool, progress, size_mib, tell_created, tenant};
use super::delete::remove;
use crate::browse::{Browser, Located};
use crate::cli::{CreateArgs, DeleteInstancesArgs, InstancesArgs};
use crate::fallout::Item;
use crate::overview;
use crate::session::{Session, note, now_unix_s};
use crate::wait::{self, Limit, Look};
use anyhow::Context;
use serde_json::{Value as Json, json};
use std::collections::HashSet;

/// What stands for the new instance's UUID.
const INSTANCE: &str = "$instance";
/// What stands for the UUID of its new volume.
const VOLUME: &str = "$volume";

pub(super) async fn create(session: &Session, args: &CreateArgs) -> anyhow::Result<()> {
    let (tenant, operations) = plan(&mut session.browser(), args).await?;
    let uuids = session.client.patch(&operations).await?;
    note_first_tenant(&uuids);
    let uuid = made(&uuids, INSTANCE).context("Sparkle did not tell the new instance's UUID")?;
    tell_created(session, "instance", &args.name, &uuid)?;
    if args.wait.wait {
        let state = if args.stopped { "stopped" } else { "running" };
        let path = path(&["tenant", &tenant, "instance", INSTANCE], &uuids);
        arrive(session, Limit::of(args.wait), &path, &args.name, state).await?;
    }
    Ok(())
}

/// Whose it will be, and everything that a new instance needs, as one patch.
pub(super) async fn plan(
    browser: &mut Browser<'_>,
    args: &CreateArgs,
) -> anyhow::Result<(String, Vec<Json>)> {
    let (tenant, making_tenant) = tenant(browser, args.tenant.as_deref()).await?;
    let mut operations: Vec<Json> = making_tenant.into_iter().collect();
    let state = if args.stopped { "stopped" } else { "running" };
    let mut volumes = Vec::new();
    if let Some(word) = &args.image {
        let (key, operation) = boot_volume(browser, args, &tenant, word).await?;
        operations.push(operation);
        volumes.push(key);
    }
    for word in &args.volume {
        volumes.push(browser.one_of("volume", word).await?.key);
    }
    let mut switches = Vec::new();
    for word in &args.switch {
        switches.push(browser.one_of("switch", word).await?.key);
    }
    let instance = ["tenant", &tenant, "children", "instance", INSTANCE];
    let desired = json!({"name": args.name, "state": state, "vcpu": args.vcpu, "rcpu": args.vcpu as f64, "mem": args.mem});
    operations.push(merge(&instance, &desired));
    operations.extend(parts(&instance, "vdisk", "volume", &volumes));
    operations.extend(parts(&instance, "vnic", "switch", &switches));
    Ok((tenant, operations))
}

async fn boot_volume(
    browser: &mut Browser<'_>,
    args: &CreateArgs,
    tenant: &str,
    image: &str,
) -> anyhow::Result<(String, Json)> {
    let image = browser.one_of("image", image).await?;
    let backing = overview::backing(browser, &image).await?.unwrap_or_default();
    let pool = pool(browser, args.pool.as_deref(), &backing).await?;
    let size = size_mib(browser, args.size, &image, &backing).await?;
    let desired = json!({"name": args.name, "size": size, "storage_pool": pool, "base_image": image.key});
    Ok((VOLUME.to_owned(), merge(&["tenant", tenant, "children", "volume", VOLUME], &desired)))
}

/// Disks or cards: one entity each, in order.
fn parts(instance: &[&str], mount: &str, column: &str, targets: &[String]) -> Vec<Json> {
    let part = |(index, target): (usize, &String)| {
        let placeholder = format!("${mount}-{index}");
        let path = [instance, &["children", mount, &placeholder]].concat();
        let mut desired = json!({"index": index});
        desired[column] = Json::from(target.as_str());
        merge(&path, &desired)
    };
    targets.iter().enumerate().map(part).collect()
}

pub(super) async fn order(session: &Session, args: &InstancesArgs, state: &str) -> anyhow::Result<()> {
    let instances = chosen(&mut session.browser(), &args.instances).await?;
    let operation = |row: &Located| json!({"op": "x-merge", "path": row.pointer(), "value": {"desired": {"state": state}}});
    session.client.patch(&instances.iter().map(operation).collect::<Vec<_>>()).await?;
    for instance in &instances {
        let fact =
            json!({"ordered": "instance", "name": instance.label(), "key": instance.key, "state": state});
        session.tell(&format!("ordered instance {} to be {state}", instance.label()), &fact)?;
    }
    if args.wait.wait {
        let limit = Limit::of(args.wait);
        for instance in &instances {
            arrive(session, limit, &instance.path, instance.label(), state).await?;
        }
    }
    Ok(())
}

async fn chosen(browser: &mut Browser<'_>, words: &[String]) -> anyhow::Result<Vec<Located>> {
    let mut rows: Vec<Located> = Vec::new();
    for word in words {
        let row = browser.one_of("instance", word).await?;
        if !rows.iter().any(|known| known.key == row.key) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Waits until an instance is as ordered.
async fn arrive(
    session: &Session,
    limit: Limit,
    path: &[String],
    name: &str,
    state: &str,
) -> anyhow::Result<()> {
    let what = format!("instance {name}");
    let look = async |browser: &mut Browser<'_>| {
        let row = browser.entity(path).await?;
        let view = overview::instance(browser, &row, now_unix_s()).await?;
        let status = row.row.current_text("status").unwrap_or("-");
        Ok(Look { done: status == state, progress: progress(status, &view.why) })
    };
    Ok(wait::until(session, limit, &what, look).await?)
}

pub(super) async fn delete(session: &Session, args: &DeleteInstancesArgs) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let instances = chosen(&mut browser, &args.instances).await?;
    let volumes = if args.volumes { own_volumes(&mut browser, &instances).await? } else { Vec::new() };
    let items = |table: &str, rows: Vec<Located>| {
        rows.into_iter().map(|row| Item { table: table.to_owned(), row }).collect::<Vec<_>>()
    };
    let doomed = [items("instance", instances), items("volume", volumes)].concat();
    remove(session, doomed, args.removal).await
}

/// The volumes of instances that no other instance uses.
async fn own_volumes(browser: &mut Browser<'_>, instances: &[Located]) -> anyhow::Result<Vec<Located>> {
    let vdisks = browser.rows(browser.catalog().find("vdisk")?).await?;
    let volumes = browser.rows(browser.catalog().find("volume")?).await?;
    let goes: HashSet<&str> = instances.iter().map(|row| row.key.as_str()).collect();
    let owner = |vdisk: &Located| {
        vdisk.row.text("instance").or_else(|| vdisk.ancestor("instance").map(str::to_owned))
    };
    let users = |volume: &Located, going: bool| {
        let uses = |vdisk: &&Located| {
            vdisk.row.desired_text("volume") == Some(&volume.key)
                && owner(vdisk).is_some_and(|owner| goes.contains(owner.as_str()) == going)
        };
        vdisks.iter().filter(uses).count()
    };
    let mut own = Vec::new();
    for volume in volumes.into_iter().filter(|volume| users(volume, true) > 0) {
        if users(&volume, false) > 0 {
            note(&format!("volume {} stays: another instance uses it", volume.label()));
        } else {
            own.push(volume);
        }
    }
    Ok(own)
}
