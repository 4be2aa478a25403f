//! Lists for people: per table, the columns that matter, desired and current side by side, and why.

use crate::browse::{BrowseError, Browser, Located};
use crate::catalog::Table;
use crate::names::Names;
use crate::plain;
use crate::row::Row;
use crate::text::{Grid, percent, short, size_mib, span};
use crate::why::{self, HostState, VolumeState};
use serde_json::Value as Json;

/// Instances of one list whose volumes are looked at to say what they wait for.
const EXPLAINED_MAX: usize = 50;
/// Characters of an event's key that tell it from others, and that commands take for all of it.
const EVENT_KEY_CHARS: usize = 8;

/// The list of a table's rows.
///
/// # Errors
/// See [`BrowseError`].
pub async fn list(
    browser: &mut Browser<'_>,
    table: &Table,
    rows: &[Located],
    now_unix_s: i64,
) -> Result<Grid, BrowseError> {
    match table.name.as_str() {
        "instance" => instances(browser, rows, now_unix_s).await,
        "volume" => volumes(browser, rows, now_unix_s).await,
        "image" => images(browser, rows, now_unix_s).await,
        "storage_pool" => pools(browser, rows, now_unix_s).await,
        "host" => Ok(hosts(rows)),
        "event" => events(browser, rows, now_unix_s).await,
        _ => plain::list(browser, table, rows, now_unix_s).await,
    }
}

/// Where an instance is and why it is not as ordered.
#[derive(Debug, Clone)]
pub struct InstanceView {
    /// Its host, if it has one.
    pub host: Option<HostState>,
    /// Why it is not as ordered; empty when it is.
    pub why: String,
}

/// Where an instance is and why it is not as ordered.
///
/// # Errors
/// See [`BrowseError`].
pub async fn instance(
    browser: &mut Browser<'_>,
    instance: &Located,
    now_unix_s: i64,
) -> Result<InstanceView, BrowseError> {
    let hosts = browser.rows_if_visible("host").await?;
    explain(browser, &hosts, instance, now_unix_s, true).await
}

async fn explain(
    browser: &mut Browser<'_>,
    hosts: &[Located],
    instance: &Located,
    now_unix_s: i64,
    thoroughly: bool,
) -> Result<InstanceView, BrowseError> {
    let host = instance.row.current_text("host").map(|key| {
        let row = hosts.iter().find(|host| host.key == key);
        let status = row.and_then(|host| host.row.current_text("status"));
        HostState { label: why::label(hosts, key), status: status.map(str::to_owned) }
    });
    let (desired, status) = (instance.row.desired_text("state"), instance.row.current_text("status"));
    let waits = status != desired && !matches!(desired, None | Some("stopped"));
    let volumes = if waits && thoroughly { instance_volumes(browser, instance).await? } else { Vec::new() };
    let why = why::instance(&instance.row, host.as_ref(), &volumes, now_unix_s);
    Ok(InstanceView { host, why })
}

/// The volumes of an instance and how far they are.
async fn instance_volumes(
    browser: &mut Browser<'_>,
    instance: &Located,
) -> Result<Vec<VolumeState>, BrowseError> {
    let mut states = Vec::new();
    for vdisk in browser.children(instance, "vdisk").await? {
        let Some(key) = vdisk.row.desired_text("volume") else { continue };
        // Where its owner's volumes are; one that is nobody's would have to be looked for everywhere.
        let path = [&instance.path[..2], &["volume".to_owned(), key.to_owned()]].concat();
        if let Some(volume) = browser.entity_if_visible(&path).await? {
            let label = volume.label().to_owned();
            states.push(VolumeState { key: volume.key, label, row: volume.row });
        }
    }
    Ok(states)
}

async fn instances(
    browser: &mut Browser<'_>,
    rows: &[Located],
    now_unix_s: i64,
) -> Result<Grid, BrowseError> {
    let mut grid = Grid::new(&["NAME", "UUID", "TENANT", "DESIRED", "CURRENT", "HOST", "WHY"]);
    let hosts = browser.rows_if_visible("host").await?;
    let tenants = browser.rows_if_visible("tenant").await?;
    let (mut explained, mut names) = (0, Names::default());
    for row in rows {
        let mut view = explain(browser, &hosts, row, now_unix_s, explained < EXPLAINED_MAX).await?;
        view.why = names.say(browser, &view.why).await?;
        explained += usize::from(row.row.current("status") != row.row.desired("state"));
        let tenant = row.row.desired_text("tenant").filter(|_| tenants.len() > 1);
        grid.push(vec![
            row.label().to_owned(),
            short(&row.key).to_owned(),
            tenant.map_or_else(String::new, |tenant| why::label(&tenants, tenant)),
            text(row.row.desired("state")),
            status(&row.row).to_owned(),
            view.host.map_or_else(String::new, |host| host.label),
            if view.why.is_empty() { why::under_way(&row.row).to_owned() } else { view.why },
        ]);
    }
    Ok(grid)
}

async fn volumes(browser: &mut Browser<'_>, rows: &[Located], now_unix_s: i64) -> Result<Grid, BrowseError> {
    let mut grid = Grid::new(&["NAME", "UUID", "DESIRED", "CURRENT", "SIZE", "POOL", "FOR", "WHY"]);
    let pools = browser.rows_if_visible("storage_pool").await?;
    let images = browser.rows_if_visible("image").await?;
    let mut names = Names::default();
    for row in rows {
        let pool = row.row.desired_text("storage_pool").unwrap_or_default();
        let image =
            row.row.desired_text("image").map(|image| format!("image {}", why::label(&images, image)));
        grid.push(vec![
            row.row.name().unwrap_or_default().to_owned(),
            short(&row.key).to_owned(),
            text(row.row.desired("state")),
            status(&row.row).to_owned(),
            mib(row.row.desired("size")),
            why::label(&pools, pool),
            image.unwrap_or_default(),
            names.say(browser, &why::volume(&row.row, now_unix_s)).await?,
        ]);
    }
    Ok(grid)
}

/// The volumes that back an image; none when that is not for the caller to see.
///
/// # Errors
/// See [`BrowseError`].
pub async fn backing(
    browser: &mut Browser<'_>,
    image: &Located,
) -> Result<Option<Vec<Located>>, BrowseError> {
    match browser.children(image, "volume").await {
        Err(BrowseError::Client(error)) if error.is_out_of_sight() => Ok(None),
        result => result.map(Some),
    }
}

/// How far an image is, by the volume that is furthest: a status, and why it is not ready.
///
/// # Errors
/// See [`BrowseError`].
pub async fn image(
    browser: &mut Browser<'_>,
    image: &Located,
    now_unix_s: i64,
) -> Result<(String, String), BrowseError> {
    let Some(volumes) = backing(browser, image).await? else { return Ok(("-".to_owned(), String::new())) };
    let volumes: Vec<Row> = volumes.into_iter().map(|volume| volume.row).collect();
    let best = why::best(&volumes);
    let why = best.map_or_else(|| "no volume backs it".to_owned(), |volume| why::volume(volume, now_unix_s));
    Ok((best.map_or("-", status).to_owned(), why))
}

async fn images(browser: &mut Browser<'_>, rows: &[Located], now_unix_s: i64) -> Result<Grid, BrowseError> {
    let mut grid = Grid::new(&["NAME", "UUID", "TENANT", "CURRENT", "FROM", "WHY"]);
    let tenants = browser.rows_if_visible("tenant").await?;
    let mut names = Names::default();
    for row in rows {
        let (status, why) = image(browser, row, now_unix_s).await?;
        let why = names.say(browser, &why).await?;
        grid.push(vec![
            row.label().to_owned(),
            short(&row.key).to_owned(),
            row.row.desired_text("tenant").map_or_else(String::new, |tenant| why::label(&tenants, tenant)),
            status,
            text(row.row.desired("source_uri")),
            why,
        ]);
    }
    Ok(grid)
}

fn status(row: &Row) -> &str {
    row.current_text("status").unwrap_or("-")
}

async fn pools(browser: &mut Browser<'_>, rows: &[Located], now_unix_s: i64) -> Result<Grid, BrowseError> {
    let mut grid = Grid::new(&["NAME", "UUID", "TYPE", "HOST", "CURRENT", "SIZE", "USED", "WHY"]);
    let hosts = browser.rows_if_visible("host").await?;
    let all = browser.all_views("host_storage_pool", "storage_pool").await?;
    for row in rows {
        let views: Vec<Row> =
            all.iter().filter(|view| view.of == row.key).map(|view| view.row.clone()).collect();
        let best = why::best(&views);
        let figure = |column| best.and_then(|view| view.current(column)).and_then(Json::as_i64);
        let used = figure("allocated").zip(figure("capacity").filter(|capacity| *capacity > 0));
        grid.push(vec![
            row.label().to_owned(),
            short(&row.key).to_owned(),
            text(row.row.desired("type")),
            row.row.desired_text("host").map_or_else(|| "shared".to_owned(), |host| why::label(&hosts, host)),
            best.and_then(|view| view.current_text("status")).unwrap_or("-").to_owned(),
            figure("capacity").map_or_else(String::new, size_mib),
            used.map_or_else(String::new, |(used, of)| percent(used as f64 / of as f64)),
            best.map_or_else(String::new, |view| why::trouble(view, now_unix_s)),
        ]);
    }
    Ok(grid)
}

fn hosts(rows: &[Located]) -> Grid {
    let mut grid =
        Grid::new(&["NAME", "UUID", "DESIRED", "CURRENT", "CPUS", "MEM", "GUESTS BY", "VERSION", "WHY"]);
    for row in rows {
        let (ordered, status) = (row.row.desired_text("state"), row.row.current_text("status"));
        let why = match (ordered, status) {
            (None, _) => "it has reported itself and is not approved yet",
            (_, None) => "not heard of yet",
            (_, Some("missing")) => "it has fallen silent",
            _ => "",
        };
        grid.push(vec![
            row.row.name().or_else(|| row.row.alias()).unwrap_or(&row.key).to_owned(),
            short(&row.key).to_owned(),
            ordered.unwrap_or("-").to_owned(),
            status.unwrap_or("-").to_owned(),
            text(row.row.current("cpus")),
            mib(row.row.current("mem")),
            text(row.row.current("accel")),
            text(row.row.current("version")),
            why.to_owned(),
        ]);
    }
    grid
}

/// What happened, the latest last.
async fn events(browser: &mut Browser<'_>, rows: &[Located], now_unix_s: i64) -> Result<Grid, BrowseError> {
    let mut grid = Grid::new(&["LAST", "TIMES", "TYPE", "HOST", "INSTANCE", "VOLUME", "WHAT", "KEY"]);
    let hosts = browser.rows_if_visible("host").await?;
    let instances = browser.rows_if_visible("instance").await?;
    let volumes = browser.rows_if_visible("volume").await?;
    let when = |row: &Located| row.row.desired("mtime").and_then(Json::as_i64).unwrap_or_default();
    let mut rows: Vec<&Located> = rows.iter().collect();
    rows.sort_by_key(|row| (when(row), &row.key));
    for row in rows {
        let data = row.row.desired("data");
        let told = |name: &str| data.and_then(|data| data.get(name)).and_then(Json::as_str);
        let label =
            |all: &[Located], key: Option<&str>| key.map_or_else(String::new, |key| why::label(all, key));
        let what: Vec<&str> = ["step", "error"].into_iter().filter_map(told).collect();
        grid.push(vec![
            format!("{} ago", span(now_unix_s - when(row))),
            text(row.row.desired("count")),
            text(row.row.desired("type")),
            label(&hosts, row.row.desired_text("host")),
            label(&instances, row.row.desired_text("instance")),
            label(&volumes, told("volume")),
            what.join(": "),
            row.key.get(..EVENT_KEY_CHARS).unwrap_or(&row.key).to_owned(),
        ]);
    }
    Ok(grid)
}

/// All columns of one row, desired and current side by side.
#[must_use]
pub fn detail(table: &Table, row: &Located) -> Grid {
    let mut grid = Grid::new(&["COLUMN", "DESIRED", "CURRENT"]);
    grid.push(vec![table.key.join("/"), row.key.clone(), String::new()]);
    let parts = [&row.row.desired, &row.row.current];
    let mut names: Vec<&String> =
        parts.iter().filter_map(|part| part.as_ref()).flat_map(serde_json::Map::keys).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| !table.key.contains(name)) {
        grid.push(vec![name.clone(), whole(row.row.desired(name)), whole(row.row.current(name))]);
    }
    grid
}

/// A value as a cell of a list.
pub(crate) fn text(value: Option<&Json>) -> String {
    match value {
        Some(Json::String(text)) => short(text).to_owned(),
        other => whole(other),
    }
}

fn whole(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        // A fraction that is none is a figure like any other.
        Some(Json::Number(number)) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |figure| figure.to_string())
        }
        Some(Json::Array(items)) => items.iter().map(|item| whole(Some(item))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

fn mib(value: Option<&Json>) -> String {
    value.and_then(Json::as_i64).map_or_else(String::new, size_mib)
}
