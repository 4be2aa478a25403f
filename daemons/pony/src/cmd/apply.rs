//! `pony apply`

use crate::apply;
use crate::cli::ApplyArgs;
use crate::escape;
use crate::session::{Session, say, say_json};
use crate::yaml;
use anyhow::Context;
use serde_json::{Value as Json, json};
use std::fs::File;
use std::io::{self, Read};

/// MiB of documents that are read: more does not fit into a request.
const DOCUMENTS_MIB_MAX: u64 = 16;

pub(super) async fn run(session: &Session, args: &ApplyArgs) -> anyhow::Result<()> {
    let name = args.file.display().to_string();
    let text = read(args).with_context(|| format!("cannot read {name}"))?;
    let documents = yaml::read(&text).with_context(|| name.clone())?;
    let plan = apply::plan(&mut session.browser(), &documents).await.with_context(|| name.clone())?;
    if args.dry_run {
        return Ok(say_json(&Json::from(plan.operations))?);
    }
    if plan.operations.is_empty() {
        return Ok(session.tell("nothing to do", &json!({"applied": [], "uuids": {}}))?);
    }
    let uuids = session.client.patch(&plan.operations).await.with_context(|| name.clone())?;
    if session.answers_json() {
        return Ok(session.tell("", &json!({"applied": plan.summary, "uuids": uuids}))?);
    }
    let summary: Vec<_> = plan.summary.iter().map(|line| escape::text(line)).collect();
    Ok(say(&summary.join("\n"))?)
}

fn read(args: &ApplyArgs) -> io::Result<String> {
    let source: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&args.file)?)
    };
    let mut text = String::new();
    source.take((DOCUMENTS_MIB_MAX << 20) + 1).read_to_string(&mut text)?;
    if text.len() as u64 > DOCUMENTS_MIB_MAX << 20 {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("more than {DOCUMENTS_MIB_MAX} MiB"),
        ));
    }
    Ok(text)
}
