//! `pony volume add`

use super::common::{made, merge, note_first_tenant, path, pool, progress, size_mib, tell_created, tenant};
use crate::browse::{Browser, Located};
use crate::cli::VolumeAddArgs;
use crate::overview;
use crate::session::{Session, now_unix_s};
use crate::wait::{self, Limit, Look};
use crate::why;
use anyhow::Context;
use serde_json::{Value as Json, json};

/// What stands for the new volume's UUID.
const VOLUME: &str = "$volume";

pub(super) async fn add(session: &Session, args: &VolumeAddArgs) -> anyhow::Result<()> {
    let (tenant, operations) = plan(&mut session.browser(), args).await?;
    let uuids = session.client.patch(&operations).await?;
    note_first_tenant(&uuids);
    let uuid = made(&uuids, VOLUME).context("Sparkle did not tell the new volume's UUID")?;
    tell_created(session, "volume", &args.name, &uuid)?;
    if args.wait.wait {
        let path = path(&["tenant", &tenant, "volume", VOLUME], &uuids);
        let look = async |browser: &mut Browser<'_>| {
            let row = browser.entity(&path).await?.row;
            let status = row.current_text("status").unwrap_or("-");
            Ok(Look { done: status == "ready", progress: progress(status, &why::volume(&row, now_unix_s())) })
        };
        wait::until(session, Limit::of(args.wait), &format!("volume {}", args.name), look).await?;
    }
    Ok(())
}

/// Whose it will be; and the volume, with its tenant where there is none yet, as one patch.
pub(super) async fn plan(
    browser: &mut Browser<'_>,
    args: &VolumeAddArgs,
) -> anyhow::Result<(String, Vec<Json>)> {
    let (tenant, making_tenant) = tenant(browser, args.tenant.as_deref()).await?;
    let image = match &args.image {
        Some(word) => Some(browser.one_of("image", word).await?),
        None => None,
    };
    let sources: Vec<Located> = match &image {
        Some(image) => overview::backing(browser, image).await?.unwrap_or_default(),
        None => Vec::new(),
    };
    let pool = pool(browser, args.pool.as_deref(), &sources).await?;
    let mut desired = json!({"name": args.name, "storage_pool": pool});
    if let Some(image) = &image {
        desired["base_image"] = Json::from(image.key.as_str());
        desired["size"] = Json::from(size_mib(browser, args.size, image, &sources).await?);
    } else {
        desired["size"] = Json::from(args.size);
    }
    if let Some(format) = &args.format {
        desired["format"] = Json::from(format.as_str());
    }
    let merge = merge(&["tenant", &tenant, "children", "volume", VOLUME], &desired);
    Ok((tenant, making_tenant.into_iter().chain([merge]).collect()))
}
