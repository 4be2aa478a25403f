//! The first operator: made once, when the database knows no operator at all.

use crate::auth;
use anyhow::Context;
use pony_core::controller::Controller;
use pony_core::tables::User;
use pony_state::{Read, RowOp};
use pony_store::DesiredStore;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Makes sure that there is an operator; answers with the file that holds the first one's credentials. An operator
/// who was removed or changed later stays so: this acts only where there is none, and where this
/// Sparkle leads.
///
/// # Errors
/// When the file or the database cannot be written.
pub(crate) async fn ensure(
    dir: &Path,
    store: &dyn DesiredStore,
    controller: &Controller,
    leads: bool,
) -> anyhow::Result<PathBuf> {
    let is_operator = |user: &User| user.desired.as_ref().is_some_and(|it| it.alicorn);
    if !leads || controller.snapshot().table::<User>().iter().any(is_operator) {
        return Ok(dir.join(auth::CREDENTIALS_FILE));
    }
    let (path, email, password) = auth::operator_credentials(dir)?;
    let hash = tokio::task::spawn_blocking(move || auth::hash_password(&password)).await??;
    let row = json!({"email": email, "alicorn": true, "data": {"method": "password", "hash": hash}});
    let serde_json::Value::Object(row) = row else { anyhow::bail!("a user is an object") };
    let insert = RowOp::Insert { table: "user".to_owned(), row };
    store.commit(vec![insert]).await.context("making the first operator")?;
    Ok(path)
}
