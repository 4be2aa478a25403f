//! `pony instance move`, `pony host evacuate|return`

use super::common::{merge, progress};
use super::delete::removal;
use crate::browse::{Browser, Located};
use crate::cli::{HostCommand, HostsArgs, MoveArgs, WaitArgs};
use crate::overview;
use crate::session::{Session, now_unix_s};
use crate::wait::{self, Limit, Look};
use serde_json::json;

/// Says where an instance is to be, or that it may be anywhere.
pub(super) async fn instance(session: &Session, args: &MoveArgs) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let instance = browser.one_of("instance", &args.instance).await?;
    let Some(host) = &args.host else { return free(session, &mut browser, &instance).await };
    let host = browser.one_of("host", host).await?;
    // A wish stands below its host, which cannot be changed: another one takes its place, in the same transaction.
    let before = pin_of(&mut browser, &instance).await?;
    let path = [instance.pointer(), ["children", "pin", "$pin"].map(str::to_owned).to_vec()].concat();
    let mut operations: Vec<_> = before.iter().map(|pin| removal("pin", pin)).collect();
    operations.push(merge(&path, &json!({ "host": host.key })));
    session.client.patch(&operations).await?;
    let sentence = format!("ordered instance {} to be on host {}", instance.label(), host.label());
    session.tell(&sentence, &json!({"ordered": "pin", "key": instance.key, "host": host.key}))?;
    if args.wait.wait { arrive(session, args.wait, &instance, &host.key).await } else { Ok(()) }
}

/// What was wished of it so far.
async fn pin_of(browser: &mut Browser<'_>, instance: &Located) -> anyhow::Result<Option<Located>> {
    Ok(browser.children(instance, "pin").await?.into_iter().next())
}

/// It stays where it is, until there is a reason to leave.
async fn free(session: &Session, browser: &mut Browser<'_>, instance: &Located) -> anyhow::Result<()> {
    if let Some(pin) = pin_of(browser, instance).await? {
        session.client.patch(&[removal("pin", &pin)]).await?;
    }
    let sentence = format!("instance {} may be on any host", instance.label());
    Ok(session.tell(&sentence, &json!({"deleted": "pin", "key": instance.key}))?)
}

async fn arrive(session: &Session, args: WaitArgs, instance: &Located, host: &str) -> anyhow::Result<()> {
    let what = format!("instance {}", instance.label());
    let look = async |browser: &mut Browser<'_>| {
        let row = browser.entity(&instance.path).await?;
        let view = overview::instance(browser, &row, now_unix_s()).await?;
        let status = row.row.current_text("status").unwrap_or("-");
        let is_there = row.row.current_text("host") == Some(host);
        let done = is_there && row.row.desired_text("state") == Some(status);
        Ok(Look { done, progress: progress(status, &view.why) })
    };
    Ok(wait::until(session, Limit::of(args), &what, look).await?)
}

/// Says of hosts whether they may have instances.
pub(super) async fn hosts(session: &Session, command: &HostCommand) -> anyhow::Result<()> {
    let (HostsArgs { hosts }, state, sentence) = match command {
        HostCommand::Evacuate(args) => (args, "evacuated", "is to have no instances"),
        HostCommand::Return(args) => (args, "present", "may have instances"),
    };
    let mut browser = session.browser();
    let mut rows: Vec<Located> = Vec::new();
    for word in hosts {
        rows.push(browser.one_of("host", word).await?);
    }
    let order = |row: &Located| merge(&row.pointer(), &json!({ "state": state }));
    session.client.patch(&rows.iter().map(order).collect::<Vec<_>>()).await?;
    for row in &rows {
        let fact = json!({"ordered": "host", "name": row.label(), "key": row.key, "state": state});
        session.tell(&format!("host {} {sentence}", row.label()), &fact)?;
    }
    Ok(())
}
