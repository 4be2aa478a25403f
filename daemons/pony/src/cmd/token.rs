//! `pony token`

use crate::cli::TokenArgs;
use crate::session::Session;
use anyhow::Context;
use serde_json::{Value as Json, json};

pub(super) async fn run(session: &Session, args: &TokenArgs) -> anyhow::Result<()> {
    let answer = match &args.tenant {
        None => session.client.get(&["token"]).await?,
        Some(word) => {
            let tenant = session.browser().one_of("tenant", word).await?.key;
            session.client.get(&["tenant", tenant.as_str(), "token"]).await?
        }
    };
    let token = answer.get("token").and_then(Json::as_str).context("Sparkle gave no token")?;
    Ok(session.tell(token, &json!(answer))?)
}
