//! Signing in, showing, deleting; and what goes wrong.

use crate::cloud::{Cloud, OPERATOR, finish, signal, stderr};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

#[test]
fn login_is_checked_and_stored_for_later_commands() {
    let cloud = Cloud::start();
    let login = |password: &str| {
        let mut command = cloud.command(&["login", "--email", "root@example.org", "--password-stdin"]);
        let mut pony = command.env_remove("PONY_AUTH").stdin(Stdio::piped()).spawn().unwrap();
        writeln!(pony.stdin.take().unwrap(), "{password}").unwrap();
        finish(pony)
    };
    let file = cloud.config().join("pony/login.json");
    let output = login("wrong");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("wrong e-mail or password") && !file.exists(), "{}", stderr(&output));
    let output = login("secret");
    assert!(output.status.success(), "{}", stderr(&output));
    // What the command line says goes before what the environment says.
    let mut command = cloud.command(&["login", "--email", "root@example.org", "--password-stdin"]);
    let mut pony = command.env("PONY_AUTH", "me@example.org:wrong").stdin(Stdio::piped()).spawn().unwrap();
    writeln!(pony.stdin.take().unwrap(), "secret").unwrap();
    let output = finish(pony);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let get = |url: Option<&str>| {
        let mut command = cloud.command(&["get", "hosts"]);
        command.env_remove("PONY_AUTH").env_remove("PONY_URL");
        finish(
            url.into_iter().fold(&mut command, |command, url| command.env("PONY_URL", url)).spawn().unwrap(),
        )
    };
    assert!(get(None).status.success());
    // Another place does not get the password, even where it is the same machine.
    let elsewhere = cloud.url().replace("127.0.0.1", "localhost");
    assert_eq!(get(Some(&elsewhere)).status.code(), Some(1));
}

#[test]
fn lists_show_desired_current_and_why() {
    let cloud = Cloud::start();
    let (host, pool) = cloud.host("box-1");
    let tenant = cloud.post("/tenant/", json!({"name": "acme", "approved": true}));
    let instance = |name: &str, state: &str| {
        let desired = json!({"name": name, "state": state, "vcpu": 1, "rcpu": 1.0, "mem": 64});
        cloud.post(&format!("/tenant/{tenant}/instance/"), desired)
    };
    let (web, _off) = (instance("web", "running"), instance("off", "stopped"));
    let volume = json!({"name": "data", "size": 2048, "storage_pool": pool});
    let volume = cloud.post(&format!("/tenant/{tenant}/volume/"), volume);
    cloud.post(&format!("/tenant/{tenant}/instance/{web}/vdisk/"), json!({"volume": volume, "index": 0}));
    cloud.report("instance", &[&web], json!({"host": host, "status": "starting", "attempts": 0}));
    cloud.report("volume", &[&volume], json!({"status": "initializing", "progress": 0.42}));

    let words = |list: &str| -> Vec<String> {
        list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let list = words(&cloud.pony("get instances"));
    assert_eq!(list[0], "NAME UUID DESIRED CURRENT HOST WHY");
    let short = &web[..8];
    assert!(
        list.contains(&format!("web {short} running starting box-1 waiting for volume data: 42 % filled")),
        "{list:?}"
    );
    // Tables without a list of their own go by names, too, and by all of a key of several columns.
    let list = words(&cloud.pony("get vdisk"));
    assert!(list[1].ends_with(" 0 web data"), "{list:?}");
    cloud.report("host_instance", &[&host, &web], json!({"status": "starting", "attempts": 0}));
    let list = words(&cloud.pony("get host-instance"));
    assert!(list[0].starts_with("HOST INSTANCE ") && list[1].starts_with("box-1 web starting"), "{list:?}");
    let list = words(&cloud.pony("get instances"));
    assert!(list.iter().any(|line| line.starts_with("off ") && line.ends_with(" stopped -")), "{list:?}");
    let list = words(&cloud.pony("get volume"));
    assert!(
        list[1].starts_with("data ")
            && list[1].ends_with("present initializing 2 GiB box-1-pool 42 % filled"),
        "{list:?}"
    );
    // Hosts know no names.
    let error = format!("pool {pool} is full");
    cloud.report("volume", &[&volume], json!({"status": "broken", "error": error}));
    let list = words(&cloud.pony("get volume"));
    assert!(list[1].contains("pool box-1-pool is full") && !list[1].contains(&pool), "{list:?}");
    let list = words(&cloud.pony("get storage-pools"));
    assert!(list[1].ends_with("dir box-1 ready 10 GiB 5 %"), "{list:?}");
    let list = words(&cloud.pony("get hosts"));
    assert!(list[1].starts_with("box-1 ") && list[1].contains("present present 4 8 GiB"), "{list:?}");
    for table in ["host_instance", "vdisks", "tenants", "switches", "nic", "addresses", "config"] {
        cloud.pony(&format!("get {table}"));
    }
    let detail = cloud.pony(&format!("get instance {short}"));
    assert!(detail.contains("rcpu") && detail.contains("waiting for volume data"), "{detail}");
}

/// The log was a list of hashes: what had happened, and to which volume, stood nowhere in it.
#[test]
fn the_log_says_what_happened() {
    let cloud = Cloud::start();
    let (host, pool) = cloud.host("box-1");
    let tenant = cloud.post("/tenant/", json!({"name": "acme", "approved": true}));
    let volume = json!({"name": "data", "size": 2048, "storage_pool": pool});
    let volume = cloud.post(&format!("/tenant/{tenant}/volume/"), volume);
    let event = |mtime: i64, data: Json| json!({"ctime": 1, "mtime": mtime, "count": 3, "type": "step-failing", "host": host, "data": data});
    cloud.happened(
        &"a1".repeat(32),
        &event(20, json!({"volume": volume, "step": "fill", "error": "the disk is full"})),
    );
    cloud.happened(&"b2".repeat(32), &event(10, json!({"volume": volume, "size": 7})));
    let list = cloud.pony("get events");
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[1].contains("b2b2b2b2") && lines.len() == 3, "the latest comes last: {list}");
    for word in [" ago ", " 3 ", "step-failing", "box-1", "data", "fill: the disk is full", "a1a1a1a1"] {
        assert!(lines[2].contains(word), "{word}: {list}");
    }
    cloud.pony("get event a1a1a1a1");
}

#[test]
fn documents_are_what_the_api_answers() {
    let cloud = Cloud::start();
    let one = cloud.post("/tenant/", json!({"name": "one", "approved": true}));
    let two = cloud.post("/tenant/", json!({"name": "two: #", "approved": false}));
    let list: Json = serde_json::from_str(&cloud.pony("get tenants -o json")).unwrap();
    assert_eq!(
        (&list[&one]["desired"]["name"], &list[&two]["desired"]["approved"]),
        (&json!("one"), &json!(false))
    );
    let yaml = pony::yaml::read(&cloud.pony("get tenants -o yaml")).unwrap();
    assert_eq!(yaml, std::slice::from_ref(&list));
    let row: Json = serde_json::from_str(&cloud.pony("get tenant one -o json")).unwrap();
    assert_eq!(row, list[&one]);
    let empty: Json = serde_json::from_str(&cloud.pony("get hosts -o json")).unwrap();
    assert_eq!(empty, json!({}));
}

#[test]
fn hostile_names_do_nothing_to_a_terminal() {
    let cloud = Cloud::start();
    let name = "evil\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\n";
    cloud.post("/tenant/", json!({"name": name, "approved": true}));
    for line in [
        "get tenants",
        "get tenants -o json",
        "get tenants -o yaml",
        "get tenant nobody",
        "instance create x",
    ] {
        let output = cloud.run(line);
        for text in [&output.stdout, &output.stderr] {
            let text = std::str::from_utf8(text).unwrap();
            let bad = |char: &char| char.is_control() && *char != '\n' || *char == '\u{202e}';
            assert_eq!(text.chars().find(bad), None, "{line}: {text:?}");
        }
    }
    let list: Json = serde_json::from_str(&cloud.pony("get tenants -o json")).unwrap();
    assert_eq!(list.as_object().unwrap().values().next().unwrap()["desired"]["name"], name);
}

#[test]
fn watching_shows_what_changes() {
    let cloud = Cloud::start();
    cloud.post("/tenant/", json!({"name": "first", "approved": true}));
    let mut pony = cloud.spawn("get tenants --watch");
    let mut lines = BufReader::new(pony.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("first")));
    cloud.post("/tenant/", json!({"name": "second", "approved": true}));
    assert!(lines.any(|line| line.contains("second")));
    signal(pony.id(), "INT");
    assert_eq!(finish(pony).status.code(), Some(0));
}

#[test]
fn rows_are_deleted_all_or_none() {
    let cloud = Cloud::start();
    for name in ["one", "two", "twin", "twin"] {
        cloud.post("/tenant/", json!({"name": name, "approved": true}));
    }
    let said = cloud.refused("delete tenants one twin", 1);
    assert!(said.contains("may mean several rows") && said.contains("(twin)"), "{said}");
    assert_eq!(cloud.rows("/tenant/").len(), 4);
    cloud.pony("delete tenants one two");
    assert_eq!(cloud.rows("/tenant/").len(), 2);
    cloud.refused("delete tenant one", 1);
}

#[test]
fn what_goes_wrong_is_said_and_has_its_exit_code() {
    let cloud = Cloud::start();
    assert!(cloud.refused("get dragons", 1).contains("there is no table `dragons`; there are address,"));
    assert!(cloud.refused("get tenant nobody", 1).contains("there is no tenant `nobody`"));
    cloud.refused("get", 2);
    cloud.refused("fly away", 2);
    assert!(cloud.refused("get hosts --url not-a-url", 1).contains("is no URL of Sparkle"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    assert!(cloud.refused(&format!("get hosts --url http://{closed}"), 1).contains("no answer from"));
    let mut command = cloud.command(&["get", "hosts"]);
    let output = finish(command.env("PONY_AUTH", "no-colon").spawn().unwrap());
    assert!(
        stderr(&output).contains("PONY_AUTH is not usable: expected email:password"),
        "{}",
        stderr(&output)
    );
    let wrong = OPERATOR.replace("secret", "wrong");
    let output = finish(command.env("PONY_AUTH", wrong).spawn().unwrap());
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(1), "pony: wrong e-mail or password\n")
    );
}

#[test]
fn a_server_that_is_not_sparkle_is_told_so() {
    let cloud = Cloud::start();
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while request.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let said = cloud.refused(&format!("get hosts --url http://{address}"), 1);
        assert!(said.contains("something else than Sparkle") || said.contains("status 302"), "{said}");
        server.join().unwrap();
    }
}

/// Somebody who set PONY_URL was told by every usage line that `--url` is needed.
#[test]
fn usage_lines_ask_for_what_is_needed_only() {
    let cloud = Cloud::start();
    let said = cloud.refused("explain", 2);
    assert!(said.contains("Usage: pony explain <PATH> [ROW]") && !said.contains("--url"), "{said}");
    let mut command = cloud.command(&["get", "host"]);
    let output = finish(command.env("PONY_CACERT", "/nonexistent.pem").spawn().unwrap());
    assert!(stderr(&output).contains("/nonexistent.pem"), "it is heeded all the same: {}", stderr(&output));
}

#[test]
fn tls_where_none_is_spoken_is_told_what_would_be_right() {
    let cloud = Cloud::start();
    let mut command = cloud.command(&["get", "host"]);
    let output = finish(command.env("PONY_URL", cloud.url().replace("http:", "https:")).spawn().unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not speak TLS; write http://"), "{}", stderr(&output));
}
