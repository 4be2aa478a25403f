//! `pony user`, `tenant`, `member`, `quota`: who may use the cloud, and how much of it.

use super::common::{made, merge, tell_created};
use super::delete::{removal, tell_deleted};
use crate::browse::{Browser, Located};
use crate::cli::{
    MemberArgs, MemberCommand, MemberSetArgs, QuotaArgs, QuotaCommand, QuotaSetArgs, TenantAddArgs,
    TenantCommand, TenantsArgs, UserAddArgs, UserCommand, UserPasswordArgs,
};
use crate::session::Session;
use crate::terminal;
use anyhow::{Context, ensure};
use serde_json::{Value as Json, json};

/// What stands for the UUID of something new.
const NEW: &str = "$new";

pub(super) async fn user(session: &Session, command: &UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Add(args) => add_user(session, args).await,
        UserCommand::Password(args) => change_password(session, args).await,
    }
}

async fn add_user(session: &Session, args: &UserAddArgs) -> anyhow::Result<()> {
    let data = json!({"password": new_password(args.password_stdin)?});
    let value = json!({"desired": {"alicorn": args.alicorn, "data": data}});
    // Unlike a merge, this is refused where there is such a user already.
    session.client.patch(&[json!({"op": "add", "path": ["user", args.email], "value": value})]).await?;
    Ok(tell_created(session, "user", &args.email, &args.email)?)
}

async fn change_password(session: &Session, args: &UserPasswordArgs) -> anyhow::Result<()> {
    let data = json!({"password": new_password(args.password_stdin)?});
    let change = json!({"op": "replace", "path": ["user", args.email, "desired", "data"], "value": data});
    session.client.patch(&[change]).await?;
    let sentence = format!("changed the password of {}; tokens had with the old one are ended", args.email);
    Ok(session.tell(&sentence, &json!({"changed": "user", "key": args.email}))?)
}

/// A new password, asked for twice where somebody types it.
fn new_password(stdin: bool) -> anyhow::Result<String> {
    let password = terminal::ask("New password", true)?;
    if !stdin {
        ensure!(terminal::ask("Once more", true)? == password, "the two are not the same");
    }
    ensure!(!password.is_empty(), "a password is needed");
    Ok(password)
}

pub(super) async fn tenant(session: &Session, command: &TenantCommand) -> anyhow::Result<()> {
    match command {
        TenantCommand::Add(args) => add_tenant(session, args).await,
        TenantCommand::Approve(args) => approve(session, args, true).await,
        TenantCommand::Suspend(args) => approve(session, args, false).await,
    }
}

async fn add_tenant(session: &Session, args: &TenantAddArgs) -> anyhow::Result<()> {
    let mut operations = vec![merge(&["tenant", NEW], &json!({"name": args.name, "approved": true}))];
    for (index, email) in args.owner.iter().enumerate() {
        let member = format!("$member-{index}");
        let path = ["tenant", NEW, "children", "member", &member];
        operations.push(merge(&path, &json!({"user": email, "role": "owner"})));
    }
    let uuids = session.client.patch(&operations).await?;
    let uuid = made(&uuids, NEW).context("Sparkle did not tell the new tenant's UUID")?;
    Ok(tell_created(session, "tenant", &args.name, &uuid)?)
}

async fn approve(session: &Session, args: &TenantsArgs, approved: bool) -> anyhow::Result<()> {
    let mut browser = session.browser();
    let mut tenants = Vec::new();
    for word in &args.tenants {
        tenants.push(browser.one_of("tenant", word).await?);
    }
    let operations: Vec<Json> =
        tenants.iter().map(|row| merge(&["tenant", &row.key], &json!({"approved": approved}))).collect();
    session.client.patch(&operations).await?;
    for row in tenants {
        let done = if approved { "approved" } else { "suspended" };
        session.tell(&format!("{done} tenant {}", row.label()), &json!({done: "tenant", "key": row.key}))?;
    }
    Ok(())
}

pub(super) async fn member(session: &Session, command: &MemberCommand) -> anyhow::Result<()> {
    match command {
        MemberCommand::Set(args) => set_member(session, args).await,
        MemberCommand::Remove(args) => remove_member(session, args).await,
    }
}

async fn set_member(session: &Session, args: &MemberSetArgs) -> anyhow::Result<()> {
    let (tenant, known) = membership(&mut session.browser(), &args.member).await?;
    let role = &args.role;
    let operation = match &known {
        Some(row) => merge(&row.pointer(), &json!({"role": role})),
        None => merge(
            &["tenant", &tenant.key, "children", "member", NEW],
            &json!({"user": args.member.email, "role": role}),
        ),
    };
    session.client.patch(&[operation]).await?;
    let email = &args.member.email;
    let sentence = format!("{email} is {role} of tenant {} now", tenant.label());
    Ok(session.tell(&sentence, &json!({"member": email, "tenant": tenant.key, "role": role}))?)
}

async fn remove_member(session: &Session, args: &MemberArgs) -> anyhow::Result<()> {
    let (tenant, known) = membership(&mut session.browser(), args).await?;
    let row = known.with_context(|| format!("{} is no member of tenant {}", args.email, tenant.label()))?;
    session.client.patch(&[removal("member", &row)]).await?;
    let sentence = format!("{} is no member of tenant {} any more", args.email, tenant.label());
    Ok(session.tell(&sentence, &json!({"deleted": "member", "member": args.email, "tenant": tenant.key}))?)
}

/// The tenant, and the user's place in it, if there is one.
async fn membership(
    browser: &mut Browser<'_>,
    args: &MemberArgs,
) -> anyhow::Result<(Located, Option<Located>)> {
    let tenant = browser.one_of("tenant", &args.tenant).await?;
    let members = browser.children(&tenant, "member").await?;
    let known = members.into_iter().find(|row| row.row.desired_text("user") == Some(&args.email));
    Ok((tenant, known))
}

pub(super) async fn quota(session: &Session, command: &QuotaCommand) -> anyhow::Result<()> {
    match command {
        QuotaCommand::Set(args) => set_quota(session, args).await,
        QuotaCommand::Remove(args) => remove_quota(session, args).await,
    }
}

async fn set_quota(session: &Session, args: &QuotaSetArgs) -> anyhow::Result<()> {
    let (tenant, mut desired, known) = limit(&mut session.browser(), &args.quota).await?;
    let operation = match &known {
        Some(row) => merge(&row.pointer(), &json!({"limit": args.limit})),
        None => {
            desired["limit"] = json!(args.limit);
            merge(&["tenant", &tenant.key, "children", "quota", NEW], &desired)
        }
    };
    session.client.patch(&[operation]).await?;
    let resource = &args.quota.resource;
    let sentence = format!("tenant {} may have {} of {resource} now", tenant.label(), args.limit);
    Ok(session.tell(&sentence, &json!({"quota": resource, "tenant": tenant.key, "limit": args.limit}))?)
}

async fn remove_quota(session: &Session, args: &QuotaArgs) -> anyhow::Result<()> {
    let (tenant, _, known) = limit(&mut session.browser(), args).await?;
    let resource = &args.resource;
    let row = known.with_context(|| format!("tenant {} has no such limit of {resource}", tenant.label()))?;
    session.client.patch(&[removal("quota", &row)]).await?;
    Ok(tell_deleted(session, "quota", &row)?)
}

/// The tenant, a limit as it would be ordered, and the row that is it already.
async fn limit(
    browser: &mut Browser<'_>,
    args: &QuotaArgs,
) -> anyhow::Result<(Located, Json, Option<Located>)> {
    let tenant = browser.one_of("tenant", &args.tenant).await?;
    let mut desired = json!({"type": args.resource});
    for (column, given) in [("storage_pool", &args.pool), ("cpu_profile", &args.cpu_profile)] {
        if let Some(given) = given {
            desired[column] = Json::from(browser.one_of(column, given).await?.key);
        }
    }
    let same = |row: &Located| {
        let fits = |column: &str| row.row.desired(column) == desired.get(column);
        ["type", "storage_pool", "cpu_profile", "network"].into_iter().all(fits)
    };
    let known = browser.children(&tenant, "quota").await?.into_iter().find(same);
    Ok((tenant, desired, known))
}
