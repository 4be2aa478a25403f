//! The few operations that are not of the tree.

use super::answers::answers;
use super::operations::patch;
use super::{json_body, schema_ref};
use serde_json::{Map, Value as Json, json};

/// Their paths.
pub(super) fn paths() -> Map<String, Json> {
    let get = |operation: Json| json!({"get": operation});
    let mut root =
        get(read("get_root", "The names of the collections that the caller may look into", &any_object()));
    root["get"]["parameters"] = json!([{
        "name": "children",
        "in": "query",
        "description": "1: name the collections; otherwise the answer is empty",
        "schema": {"type": "string"},
    }]);
    root["patch"] = patch("patch_root", "cloud", &[]);
    let paths = [
        ("/", get(read("get_application", "What this is", &application()))),
        ("/healthz", get(read("get_health", "Whether the process lives", &status()))),
        ("/readyz", get(ready())),
        ("/metrics", get(metrics())),
        ("/v1/", root),
        ("/v1/schema", get(read("get_schema", "The tree of endpoints", &any_object()))),
        ("/v1/openapi.json", get(read("get_openapi", "This document", &any_object()))),
        ("/v1/token", get(read("get_token", "A token for the caller", &token()))),
        ("/v1/tenant/{tenant}/token", tenant_token()),
        (
            "/v1/tenant/{tenant}/instance/{instance}/console",
            console(
                "get_instance_console",
                "The serial port of a guest that is on; begins with what it said last",
            ),
        ),
        (
            "/v1/tenant/{tenant}/instance/{instance}/vnc",
            console(
                "get_instance_vnc",
                "The screen of a guest that is on: RFB (RFC 6143), without a password",
            ),
        ),
        ("/v1/event-stream", get(events())),
        ("/v1/ws", get(socket())),
    ];
    paths.into_iter().map(|(path, item)| (path.to_owned(), item)).collect()
}

fn any_object() -> Json {
    json!({"type": "object"})
}

fn application() -> Json {
    json!({
        "type": "object",
        "required": ["application", "capabilities"],
        "properties": {
            "application": {"type": "string"},
            "capabilities": {"type": "array", "items": {"type": "string"}},
        },
    })
}

fn token() -> Json {
    json!({
        "type": "object",
        "required": ["token", "valid"],
        "additionalProperties": false,
        "properties": {
            "token": {"type": "string"},
            "valid": {"description": "Until when, Unix time in seconds", "type": "integer", "format": "int64"},
        },
    })
}

fn uuid_in_path(name: &str) -> Json {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}})
}

fn tenant_token() -> Json {
    let tenant = uuid_in_path("tenant");
    let get = read("get_tenant_token", "A token for the caller that is good for one tenant", &token());
    json!({"parameters": [tenant], "get": get})
}

fn status() -> Json {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "required": ["status"],
        "properties": {"status": text, "database": text, "role": text},
    })
}

fn read(id: &str, summary: &str, schema: &Json) -> Json {
    let good = json!({"description": summary, "content": json_body(schema)});
    json!({"operationId": id, "tags": ["cloud"], "summary": summary, "responses": answers(&good, &[400])})
}

fn ready() -> Json {
    let mut ready = read("get_readiness", "Whether it is loaded, and the database answers", &status());
    ready["responses"]["503"] =
        json!({"description": "Reads and hosts go on; writes do not", "content": json_body(&status())});
    ready
}

fn metrics() -> Json {
    let mut metrics = read("get_metrics", "Figures for Prometheus; for alicorns", &any_object());
    metrics["responses"]["200"] = json!({
        "description": "OpenMetrics",
        "content": {"application/openmetrics-text": {"schema": {"type": "string"}}},
    });
    metrics
}

fn stream_parameters() -> Json {
    let query = |name: &str, doc: &str, schema: Json| json!({"name": name, "in": "query", "description": doc, "schema": schema});
    let text = || json!({"type": "string"});
    json!([
        query("table", "Only rows of these tables", json!({"type": "array", "items": text()})),
        query("path", "Only rows at or below this place", text()),
        query("after", "Resume after the event with this id", text()),
    ])
}

fn events() -> Json {
    let mut events = read("get_event_stream", "Every change that the caller may see", &any_object());
    events["parameters"] = stream_parameters();
    if let Some(Json::Array(parameters)) = events.get_mut("parameters") {
        parameters.push(json!({
            "name": "Last-Event-ID",
            "in": "header",
            "description": "Resume after the event with this id",
            "schema": {"type": "string"},
        }));
    }
    events["responses"]["200"] = json!({
        "description": "Server-Sent Events, without end",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    });
    events
}

/// A console, for whoever may change the instance.
fn console(id: &str, summary: &str) -> Json {
    let summary = format!("{summary}. Binary messages both ways, for whoever may change the instance");
    let mut get = websocket(id, &summary);
    // The guest is off, or on no host, or there are too many consoles already.
    get["responses"]["409"] = json!({"$ref": "#/components/responses/Conflict"});
    json!({"parameters": [uuid_in_path("tenant"), uuid_in_path("instance")], "get": get})
}

fn socket() -> Json {
    let mut socket = websocket("get_websocket", "The same as messages of a WebSocket");
    socket["parameters"] = stream_parameters();
    socket
}

fn websocket(id: &str, summary: &str) -> Json {
    let mut socket = read(id, summary, &any_object());
    if let Some(answers) = socket["responses"].as_object_mut() {
        answers.remove("200");
        answers.insert("101".to_owned(), json!({"description": "Messages, without end"}));
    }
    socket["responses"]["426"] = json!({
        "description": "This is for WebSockets",
        "content": {"application/problem+json": {"schema": schema_ref("Problem")}},
    });
    socket
}
