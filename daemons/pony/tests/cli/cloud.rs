//! A Sparkle in memory: the real document over the real tables behind a small HTTP server, without database or hosts.
//! What hosts would report, tests report. And the real `pony`, run against it.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use base64::Engine;
use pony_core::document::{
    Caller, DocumentError, PlaceKind, Query, Reader, Tree, UrlPath, Write, evaluate, parse_body,
};
use pony_core::tables::{MemberRole, new_state};
use pony_state::{Key, PartError, PartKind, Read, State, Transaction, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

pub const OPERATOR: &str = "root@example.org:secret";
pub const TENANT_USER: &str = "user@example.org:secret";

/// Seconds that a command may take on a busy machine.
const COMMAND_S_MAX: u64 = 60;

pub struct Cloud {
    document: Arc<Mutex<Document>>,
    address: SocketAddr,
    config: tempfile::TempDir,
    /// Serves until it goes.
    _runtime: tokio::runtime::Runtime,
}

struct Document {
    state: State,
    tree: Tree,
    /// What the user who is no operator is a member of.
    membership: Option<Uuid>,
    patches: usize,
}

impl Cloud {
    pub fn start() -> Self {
        let state = new_state().unwrap();
        let tree = Tree::new(Arc::clone(state.schema())).unwrap();
        let document = Arc::new(Mutex::new(Document { state, tree, membership: None, patches: 0 }));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(document.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { document, address, config: tempfile::tempdir().unwrap(), _runtime: runtime }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn config(&self) -> &std::path::Path {
        self.config.path()
    }

    pub fn patches(&self) -> usize {
        self.document.lock().unwrap().patches
    }

    /// Makes a row as an operator would; its UUID.
    pub fn post(&self, url: &str, desired: Json) -> String {
        let document = &mut *self.document.lock().unwrap();
        let write = Write::Create(json!({"desired": desired}));
        let uuids = document.write(&operator(), &UrlPath::parse(url).unwrap(), &write).unwrap();
        uuids.get("POST").map(Uuid::to_string).unwrap_or_default()
    }

    /// What is, as hosts report it and Sparkle composes it.
    pub fn report(&self, table: &str, key: &[&str], current: Json) {
        self.write(key, |tx, key| tx.set_json(table, key, PartKind::Current, &current));
    }

    /// What hosts no longer report.
    pub fn unreport(&self, table: &str, key: &[&str]) {
        self.write(key, |tx, key| tx.remove_part(table, key, PartKind::Current));
    }

    /// A row that nothing is left of.
    pub fn remove(&self, table: &str, key: &[&str]) {
        self.write(key, |tx, key| tx.remove_row(table, key));
    }

    /// Writes to the row of a key of UUIDs.
    fn write(&self, key: &[&str], write: impl FnOnce(&mut Transaction<'_>, &Key) -> Result<bool, PartError>) {
        let document = &mut *self.document.lock().unwrap();
        let key = Key(key.iter().map(|part| Value::Uuid(part.parse().unwrap())).collect());
        let mut tx = document.state.transaction();
        write(&mut tx, &key).unwrap();
        tx.commit();
    }

    /// An entry of the log, which nobody writes but Sparkle.
    pub fn happened(&self, hash: &str, desired: &Json) {
        let document = &mut *self.document.lock().unwrap();
        let key = Key(std::iter::once(Value::Text(hash.into())).collect());
        let mut tx = document.state.transaction();
        tx.set_json("event", &key, PartKind::Desired, desired).unwrap();
        tx.commit();
    }

    /// Makes the other user an owner of a tenant.
    pub fn join(&self, tenant: &str) {
        self.document.lock().unwrap().membership = Some(tenant.parse().unwrap());
    }

    /// The rows of a collection, by key.
    pub fn rows(&self, url: &str) -> Map<String, Json> {
        let document = self.document.lock().unwrap();
        let caller = operator();
        let reader = Reader::new(&document.tree, &document.state, &caller);
        let query = Query::parse([]).unwrap();
        let text = reader.list(&UrlPath::parse(url).unwrap(), &query).unwrap().into_text();
        serde_json::from_slice(&text).unwrap()
    }

    /// The one row of a collection.
    pub fn row(&self, url: &str) -> (String, Json) {
        let rows = self.rows(url);
        assert_eq!(rows.len(), 1, "{url}: {rows:?}");
        rows.into_iter().next().unwrap()
    }

    /// A host that is there, with a pool; their UUIDs.
    pub fn host(&self, name: &str) -> (String, String) {
        let host = Uuid::new_v4().to_string();
        self.post("/host/", json!({"uuid": host, "state": "present", "name": name}));
        self.report("host", &[&host], json!({"status": "present", "hostname": name, "cpus": 4, "mem": 8192}));
        let config = json!({"path": "/srv"});
        let pool = json!({"name": format!("{name}-pool"), "type": "dir", "host": host, "config": config});
        let pool = self.post("/storage-pool/", pool);
        self.report(
            "host_storage_pool",
            &[&host, &pool],
            json!({"status": "ready", "capacity": 10240, "allocated": 512}),
        );
        (host, pool)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pony"));
        command.args(arguments).env_clear();
        command
            .env("XDG_CONFIG_HOME", self.config.path())
            .env("PONY_URL", self.url())
            .env("PONY_AUTH", OPERATOR);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `pony`; what it says, if it succeeds.
    pub fn pony(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "pony {line}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `pony`, which fails with this exit code; what it says about it.
    pub fn refused(&self, line: &str, code: i32) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "pony {line}: {}", stderr(&output));
        stderr(&output)
    }

    pub fn run(&self, line: &str) -> Output {
        finish(self.command(&line.split(' ').collect::<Vec<_>>()).spawn().unwrap())
    }

    /// Starts `pony` and leaves it running.
    pub fn spawn(&self, line: &str) -> Child {
        self.command(&line.split(' ').collect::<Vec<_>>()).spawn().unwrap()
    }
}

pub fn finish(child: Child) -> Output {
    let id = child.id();
    let (done, overdue) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let limit = std::time::Duration::from_secs(COMMAND_S_MAX);
        if overdue.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            signal(id, "KILL");
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    output
}

pub fn signal(process: u32, name: &str) {
    // The shell's own: a small system has no program for it.
    let sent = Command::new("sh").args(["-c", "kill -$1 $2", "sh", name, &process.to_string()]).status();
    assert!(sent.unwrap().success(), "no {name} for {process}");
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn operator() -> Caller {
    Caller::alicorn("root@example.org")
}

impl Document {
    fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let Some(header) = headers.get("authorization") else { return Some(Caller::Nobody) };
        let encoded = header.to_str().ok()?.strip_prefix("Basic ")?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
        match std::str::from_utf8(&decoded).ok()? {
            OPERATOR => Some(operator()),
            TENANT_USER => Some(Caller::User {
                email: "user@example.org".into(),
                alicorn: false,
                memberships: self.membership.iter().map(|tenant| (*tenant, MemberRole::Owner)).collect(),
            }),
            _ => None,
        }
    }

    fn write(
        &mut self,
        caller: &Caller,
        url: &UrlPath,
        write: &Write,
    ) -> Result<BTreeMap<String, Uuid>, DocumentError> {
        let effect = evaluate(&self.tree, &self.state, caller, url, write, &mut Uuid::new_v4)?;
        let mut tx = self.state.transaction();
        for op in &effect.ops {
            tx.apply_op(op).unwrap();
        }
        tx.commit();
        Ok(effect.uuids)
    }

    fn answer(
        &mut self,
        method: &Method,
        path: &str,
        caller: &Caller,
        body: &[u8],
    ) -> Result<Json, DocumentError> {
        if path == "/schema" {
            return Ok(self.tree.describe());
        }
        let url = UrlPath::parse(path)?;
        match *method {
            Method::GET => {
                let reader = Reader::new(&self.tree, &self.state, caller);
                let text = match self.tree.place(&url)?.0 {
                    PlaceKind::Collection => reader.list(&url, &Query::parse([])?)?.into_text(),
                    _ => reader.entity(&url)?,
                };
                Ok(serde_json::from_slice(&text).unwrap())
            }
            _ => {
                self.patches += 1;
                let write =
                    if *method == Method::DELETE { Write::Delete } else { Write::Patch(parse_body(body)?) };
                let uuids = self.write(caller, &url, &write)?;
                Ok(json!({"uuids": uuids}))
            }
        }
    }
}

async fn answer(
    Shared(document): Shared<Arc<Mutex<Document>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let document = &mut *document.lock().unwrap();
    let refuse = |status: u16, code: &str, message: &str, path: Option<String>| {
        let problem = json!({"error": code, "message": message, "path": path});
        (StatusCode::from_u16(status).unwrap(), problem.to_string())
    };
    let Some(caller) = document.caller(&headers) else {
        return refuse(401, "unauthenticated", "wrong e-mail or password", None);
    };
    let path = uri.path().strip_prefix("/v1").unwrap_or_default();
    match document.answer(&method, path, &caller, &body) {
        Ok(answer) => (StatusCode::OK, answer.to_string()),
        Err(error) => {
            let path = error.path.as_ref().map(ToString::to_string);
            refuse(error.code().status(), error.code().as_str(), &error.to_string(), path)
        }
    }
}
