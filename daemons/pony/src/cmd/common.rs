//! What several subcommands decide the same way: whose, where, how large.

use crate::browse::{Browser, Located};
use crate::session::{Session, note};
use crate::text::short;
use anyhow::{Context, bail};
use serde_json::{Map, Value as Json, json};

/// The name of the tenant that is made when a cloud has none.
const FIRST_TENANT: &str = "default";
/// What stands for its UUID in the patch that makes it.
const FIRST_TENANT_PLACEHOLDER: &str = "$tenant";

/// One merge of a patch: an entity's desired part.
pub(super) fn merge(path: &[impl serde::Serialize], desired: &Json) -> Json {
    json!({"op": "x-merge", "path": path, "value": {"desired": desired}})
}

/// Whose something new will be: a tenant's key, and what has to be done first for it to exist.
pub(super) async fn tenant(
    browser: &mut Browser<'_>,
    word: Option<&str>,
) -> anyhow::Result<(String, Option<Json>)> {
    if let Some(word) = word {
        return Ok((browser.one_of("tenant", word).await?.key, None));
    }
    let tenants = browser.rows(browser.catalog().find("tenant")?).await?;
    match tenants.as_slice() {
        [] => {
            let desired = json!({"name": FIRST_TENANT, "approved": true});
            let operation = merge(&["tenant", FIRST_TENANT_PLACEHOLDER], &desired);
            Ok((FIRST_TENANT_PLACEHOLDER.to_owned(), Some(operation)))
        }
        [tenant] => Ok((tenant.key.clone(), None)),
        several => bail!("there are several tenants; say whose it is with --tenant {}", labels(several)),
    }
}

/// The pool for something new: the one that was named, the only one, or one where the image is.
pub(super) async fn pool(
    browser: &mut Browser<'_>,
    word: Option<&str>,
    backing: &[Located],
) -> anyhow::Result<String> {
    if let Some(word) = word {
        return Ok(browser.one_of("storage_pool", word).await?.key);
    }
    let pools = browser.rows(browser.catalog().find("storage_pool")?).await?;
    let holds = |pool: &&Located| {
        backing.iter().any(|volume| volume.row.desired_text("storage_pool") == Some(&pool.key))
    };
    match (pools.as_slice(), pools.iter().find(holds)) {
        ([], _) => bail!("there is no storage pool; an operator has to make one (table storage-pool)"),
        ([pool], _) | (_, Some(pool)) => Ok(pool.key.clone()),
        (several, None) => bail!("there are several storage pools; choose with --pool {}", labels(several)),
    }
}

/// How large a volume that is filled from an image must be, as far as the image's own volumes tell.
pub(super) async fn size_mib(
    browser: &mut Browser<'_>,
    given: Option<i64>,
    image: &Located,
    backing: &[Located],
) -> anyhow::Result<i64> {
    if let Some(size) = given {
        return Ok(size);
    }
    let mut largest = None;
    for volume in backing {
        let views = browser.views("host_volume", "volume", volume).await?;
        let found = views.iter().filter_map(|(_, view)| view.current("size").and_then(Json::as_i64));
        let ordered = volume.row.desired("size").and_then(Json::as_i64);
        largest = found.chain(ordered).chain(largest).max();
    }
    largest.with_context(|| {
        format!("the size of image {} is not known (yet); say how large with --size", image.label())
    })
}

/// Tells what was made.
pub(super) fn made(uuids: &Map<String, Json>, placeholder: &str) -> Option<String> {
    uuids.get(placeholder).and_then(Json::as_str).map(str::to_owned)
}

/// Says so when a tenant had to be made for what is new.
pub(super) fn note_first_tenant(uuids: &Map<String, Json>) {
    if uuids.contains_key(FIRST_TENANT_PLACEHOLDER) {
        note(&format!("there was no tenant yet; made `{FIRST_TENANT}`"));
    }
}

/// Says what was made.
pub(super) fn tell_created(session: &Session, table: &str, name: &str, key: &str) -> std::io::Result<()> {
    session.tell(
        &format!("created {table} {name} ({key})"),
        &json!({"created": table, "name": name, "key": key}),
    )
}

/// Some rows as a message offers them for choice: by name, those whose name others have, too, by UUID.
fn labels(rows: &[Located]) -> String {
    const SHOWN: usize = 8;
    let is_unique = |row: &Located| rows.iter().filter(|it| it.label() == row.label()).count() == 1;
    let word =
        |row: &Located| if is_unique(row) { row.label().to_owned() } else { short(&row.key).to_owned() };
    let mut labels: Vec<String> = rows.iter().map(word).collect();
    labels.sort_unstable();
    labels.truncate(SHOWN);
    let more = if rows.len() > SHOWN { "|…" } else { "" };
    format!("{}{more}", labels.join("|"))
}

/// How far something is, in a line of progress.
pub(super) fn progress(status: &str, why: &str) -> String {
    if why.is_empty() { status.to_owned() } else { format!("{status}: {why}") }
}

/// The path of something new, once it is known what the placeholders became.
pub(super) fn path(segments: &[&str], uuids: &Map<String, Json>) -> Vec<String> {
    segments.iter().map(|segment| made(uuids, segment).unwrap_or_else(|| (*segment).to_owned())).collect()
}
