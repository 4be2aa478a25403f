//! Users, tenants, members, quotas, tokens: the real `pony` against a real Sparkle.

use crate::cloud::{finish, stderr};
use serde_json::Value as Json;
use sparkle::{Config, DatabaseArgs, HttpArgs, Sparkle};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output, Stdio};

struct Cloud {
    sparkle: Option<Sparkle>,
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if let Some(sparkle) = self.sparkle.take() {
            self.runtime.block_on(sparkle.shutdown());
        }
    }
}

impl Cloud {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (database, http) = (DatabaseArgs::default(), HttpArgs::default());
        let config =
            Config { dir: dir.path().join("s"), listen: any, zmq: any, enroll: false, database, http };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let sparkle = runtime.block_on(Sparkle::start(config)).unwrap();
        Self { sparkle: Some(sparkle), runtime, dir }
    }

    fn operator(&self) -> (&'static str, String) {
        let file = self.sparkle.as_ref().unwrap().credentials();
        ("PONY_AUTH", std::fs::read_to_string(file).unwrap().trim().to_owned())
    }

    /// Runs `pony` as somebody, who types `input`.
    fn run(&self, (variable, secret): &(&str, String), line: &str, input: &str) -> Output {
        let url = format!("http://{}", self.sparkle.as_ref().unwrap().api());
        let mut command = Command::new(env!("CARGO_BIN_EXE_pony"));
        command.args(line.split(' ')).env_clear().env("XDG_CONFIG_HOME", self.dir.path());
        command.env("PONY_URL", url).env(variable, secret);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut pony = command.spawn().unwrap();
        // It may not want to hear anything.
        let _ = pony.stdin.take().unwrap().write_all(input.as_bytes());
        finish(pony)
    }

    fn pony(&self, line: &str, input: &str) -> String {
        let output = self.run(&self.operator(), line, input);
        assert!(output.status.success(), "pony {line}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, who: &(&str, String), line: &str) -> String {
        let output = self.run(who, line, "");
        assert_eq!(output.status.code(), Some(1), "pony {line}");
        stderr(&output)
    }
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn an_operator_lets_a_customer_in_and_says_how_much_there_may_be() {
    let cloud = Cloud::start();
    assert!(cloud.pony("user add ann@x --password-stdin", "first\n").contains("created user ann@x"));
    assert!(
        cloud.refused(&cloud.operator(), "user add ann@x").contains("nobody answers"),
        "a password is asked for"
    );
    assert!(
        cloud
            .refused(&cloud.operator(), "user password ann@x --password-stdin")
            .starts_with("pony: nobody answers"),
        "who gives standard input is not asked as well"
    );
    let again = cloud.run(&cloud.operator(), "user add ann@x --password-stdin", "stolen\n");
    assert!(stderr(&again).contains("there is a user `ann@x` already"), "{}", stderr(&again));
    let made = json(&cloud.pony("--json tenant add acme --owner ann@x", ""));
    assert_eq!((&made["created"], &made["name"]), (&Json::from("tenant"), &Json::from("acme")));
    cloud.pony("quota set acme mem 100", "");
    let ann = ("PONY_AUTH", "ann@x:first".to_owned());
    let create = |name: &str, mem: u32| format!("instance create {name} --mem {mem} --stopped");
    assert!(cloud.run(&ann, &create("web", 64), "").status.success());
    let refused = cloud.refused(&ann, &create("db", 64));
    assert!(refused.contains("may have 100 of mem, has 64, and this would be 64 more"), "{refused}");
    assert!(
        cloud.refused(&ann, "quota set acme mem 1000").contains("may not"),
        "customers do not raise limits"
    );
    cloud.pony("quota set acme mem 200", "");
    assert!(cloud.run(&ann, &create("db", 64), "").status.success());
    cloud.pony("quota remove acme mem", "");
    assert!(cloud.refused(&cloud.operator(), "quota remove acme mem").contains("has no such limit"));
    // An owner lets others in, and out again.
    cloud.pony("user add bob@x --password-stdin", "second\n");
    let bob = ("PONY_AUTH", "bob@x:second".to_owned());
    assert!(cloud.run(&ann, "member set acme bob@x operator", "").status.success());
    assert!(cloud.refused(&bob, "instance start web").contains("you may not change this"));
    assert!(cloud.run(&ann, "member set acme bob@x admin", "").status.success());
    assert!(cloud.run(&bob, "instance start web", "").status.success());
    assert!(cloud.run(&ann, "member remove acme bob@x", "").status.success());
    assert_eq!(cloud.run(&bob, "instance stop web", "").status.code(), Some(1));
    // A tenant that is suspended can only look.
    cloud.pony("tenant suspend acme", "");
    assert!(cloud.run(&ann, "get instance web", "").status.success());
    assert!(cloud.refused(&ann, "instance stop web").contains("not approved"));
    cloud.pony("tenant approve acme", "");
    assert!(cloud.run(&ann, "instance stop web", "").status.success());
}

#[test]
fn a_token_does_instead_of_a_password_until_that_changes() {
    let cloud = Cloud::start();
    cloud.pony("user add ann@x --password-stdin", "first\n");
    cloud.pony("tenant add acme --owner ann@x", "");
    let ann = ("PONY_AUTH", "ann@x:first".to_owned());
    let token = |line: &str| {
        let output = cloud.run(&ann, line, "");
        assert!(output.status.success(), "{}", stderr(&output));
        ("PONY_TOKEN", String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let (own, of_tenant) = (token("token"), token("token --tenant acme"));
    for by in [&own, &of_tenant] {
        assert!(cloud.run(by, "get tenant acme", "").status.success());
    }
    assert!(cloud.run(&own, "get user ann@x", "").status.success());
    assert_eq!(cloud.run(&of_tenant, "get user ann@x", "").status.code(), Some(1));
    assert!(json(&cloud.pony("token --json", ""))["valid"].as_u64().is_some());
    assert!(cloud.run(&ann, "user password ann@x --password-stdin", "third\n").status.success());
    assert!(cloud.refused(&own, "get tenant acme").contains("the token was ended"));
    assert!(cloud.run(&("PONY_AUTH", "ann@x:third".to_owned()), "get tenant acme", "").status.success());
}
