//! `pony volume add`

use super::common::{backing, made, merge, pool, size_mib, tenant};
use crate::browse::{Browser, Located};
use crate::cli::VolumeAddArgs;
use crate::escape;
use crate::row::Row;
use crate::session::{Session, now_unix_s, say};
use crate::wait::{self, Look};
use crate::why;
use anyhow::Context;
use serde_json::{Value as Json, json};

/// What stands for the new volume's UUID.
const VOLUME: &str = "$volume";

pub(super) async fn add(session: &Session, args: &VolumeAddArgs) -> anyhow::Result<()> {
    let operations = plan(&mut session.browser(), args).await?;
    let uuids = session.client.patch(&operations).await?;
    let uuid = made(&uuids, VOLUME).context("Sparkle did not tell the new volume's UUID")?;
    say(&escape::text(&format!("created volume {} ({uuid})", args.name)))?;
    if args.wait.wait {
        let look = async |browser: &mut Browser<'_>| {
            let row = browser.one_of("volume", &uuid).await?;
            let views: Vec<Row> =
                browser.views("host_volume", "volume", &row).await?.into_iter().map(|(_, row)| row).collect();
            let status = why::best_view(&views).and_then(|view| view.current_text("status")).unwrap_or("-");
            let why = why::volume(row.row.desired_text("state"), &views, now_unix_s());
            let progress = if why.is_empty() { status.to_owned() } else { format!("{status}: {why}") };
            Ok(Look { done: status == "ready", progress })
        };
        wait::until(session, args.wait, &format!("volume {}", args.name), look).await?;
    }
    Ok(())
}

/// The volume, and its tenant where there is none yet, as one patch.
pub(super) async fn plan(browser: &mut Browser<'_>, args: &VolumeAddArgs) -> anyhow::Result<Vec<Json>> {
    let (tenant, making_tenant) = tenant(browser, args.tenant.as_deref()).await?;
    let image = match &args.image {
        Some(word) => Some(browser.one_of("image", word).await?),
        None => None,
    };
    let sources: Vec<Located> = match &image {
        Some(image) => backing(browser, image).await?,
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
    let path = ["tenant", &tenant, "children", "volume", VOLUME];
    Ok(making_tenant.into_iter().chain([merge(&path, &desired)]).collect())
}
