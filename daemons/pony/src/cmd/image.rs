//! `pony image add`

use super::common::{made, merge, path, pool, progress, tell_created};
use crate::browse::Browser;
use crate::cli::ImageAddArgs;
use crate::overview;
use crate::session::{Session, now_unix_s};
use crate::wait::{self, Limit, Look};
use anyhow::Context;
use pony_core::document::TEXT_CHARS_MAX;
use serde_json::{Value as Json, json};

/// What stands for the new image's UUID.
const IMAGE: &str = "$image";

pub(super) async fn add(session: &Session, args: &ImageAddArgs) -> anyhow::Result<()> {
    let (tenant, operations) = plan(&mut session.browser(), args).await?;
    let uuids = session.client.patch(&operations).await?;
    let uuid = made(&uuids, IMAGE).context("Sparkle did not tell the new image's UUID")?;
    tell_created(session, "image", &args.name, &uuid)?;
    if args.wait.wait {
        let place = tenant.as_deref().map_or_else(Vec::new, |tenant| vec!["tenant", tenant]);
        let path = path(&[&place[..], &["image", IMAGE]].concat(), &uuids);
        let look = async |browser: &mut Browser<'_>| {
            let row = browser.entity(&path).await?;
            let (status, why) = overview::image(browser, &row, now_unix_s()).await?;
            Ok(Look { done: status == "ready", progress: progress(&status, &why) })
        };
        wait::until(session, Limit::of(args.wait), &format!("image {}", args.name), look).await?;
    }
    Ok(())
}

/// Whose it will be; and the image with a backing volume in each pool, as one patch.
pub(super) async fn plan(
    browser: &mut Browser<'_>,
    args: &ImageAddArgs,
) -> anyhow::Result<(Option<String>, Vec<Json>)> {
    let tenant = match &args.tenant {
        Some(word) => Some(browser.one_of("tenant", word).await?.key),
        None => None,
    };
    let mut pools = Vec::new();
    for word in &args.pool {
        pools.push(pool(browser, Some(word), &[]).await?);
    }
    if pools.is_empty() {
        pools.push(pool(browser, None, &[]).await?);
    }
    let mut path = tenant.as_deref().map_or_else(Vec::new, |tenant| vec!["tenant", tenant, "children"]);
    path.extend(["image", IMAGE]);
    let mut operations = vec![merge(&path, &json!({"name": args.name, "source_uri": args.uri}))];
    for (index, pool) in pools.iter().enumerate() {
        let placeholder = format!("$volume-{index}");
        let volume = [&path[..], &["children", "volume", &placeholder]].concat();
        let mut desired = json!({"storage_pool": pool});
        // Another name than that of an instance's volume, which is often called as its image is.
        let name = format!("image-{}", args.name);
        if name.chars().count() <= TEXT_CHARS_MAX {
            desired["name"] = Json::from(name);
        }
        if let Some(tenant) = &tenant {
            desired["tenant"] = Json::from(tenant.as_str());
        }
        operations.push(merge(&volume, &desired));
    }
    Ok((tenant, operations))
}
