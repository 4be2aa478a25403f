//! Tests that need what a machine has only once: run again in a mount namespace of their own, or in a guest that runs
//! this machine's programs under Debian's full kernel.

#![allow(dead_code, unreachable_pub)]

use super::suite;
use std::path::Path;
use std::process::{Command, Output};

/// Says to a test that it is where it belongs.
const INSIDE: &str = "PONY_TEST_NAMESPACE";

/// How `examples/guest/within` ends where there is no guest.
const NO_GUEST: i32 = 125;

/// Runs an ignored test of this program in a mount namespace of its own.
pub fn in_namespace(test: &str) {
    in_namespaces(test, &[], &[]);
}

/// The same, with more namespaces, and with this in the environment.
pub fn in_namespaces(test: &str, more: &[&str], with: &[(&str, String)]) {
    let unshare = [&["--mount", "--propagation", "private"], more].concat();
    let allowed = Command::new("unshare").args(&unshare).args(["mount", "-t", "tmpfs", "x", "/mnt"]).output();
    if !allowed.as_ref().is_ok_and(|output| output.status.success()) {
        suite::skipped(format!("this machine allows no mount namespaces ({allowed:?})"));
        return;
    }
    let mut inner = Command::new("unshare");
    inner.args(&unshare).arg(std::env::current_exe().unwrap());
    let with = with.iter().map(|(name, value)| (name, value));
    passed(&inner.args(one(test)).env(INSIDE, "1").envs(with).output().unwrap());
}

/// Runs an ignored test of this program in a guest, with these modules and packages, for so long at most.
pub fn in_guest(test: &str, modules: &str, packages: &str, seconds_max: u32) {
    let seconds_max = seconds_max.to_string();
    let wishes = [("GUEST_PACKAGES", packages), ("GUEST_MODULES", modules), ("GUEST_SECONDS", &seconds_max)];
    in_guest_with(test, &wishes);
}

/// The same, with all that `examples/guest/within` can be told.
pub fn in_guest_with(test: &str, wishes: &[(&str, &str)]) {
    if let Some(output) = output_in_guest(test, wishes, &[]) {
        passed(&output);
    }
}

/// The same, with this in the environment there. Returns what came of it, where there is a guest.
pub fn output_in_guest(test: &str, wishes: &[(&str, &str)], told: &[(&str, &str)]) -> Option<Output> {
    let own = std::env::current_exe().unwrap();
    let kept = own.ancestors().nth(3).unwrap().join("guest");
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let within = above.map(|dir| dir.join("examples/guest/within")).find(|it| it.exists()).unwrap();
    let mut guest = Command::new(within);
    guest.arg(kept).args(["env", &format!("{INSIDE}=1")]);
    guest.args(told.iter().map(|(name, value)| format!("{name}={value}"))).arg(own).args(one(test));
    let output = guest.envs(wishes.iter().copied()).output().unwrap();
    if output.status.code() == Some(NO_GUEST) {
        suite::skipped(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        return None;
    }
    Some(output)
}

fn one(test: &str) -> [&str; 4] {
    ["--exact", test, "--ignored", "--nocapture"]
}

/// Sees that a test passed.
#[track_caller]
pub fn passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Whether this is the inside of one of these.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs a tool that has to succeed.
#[track_caller]
pub fn run(tool: &str, args: &[&str]) -> String {
    let output = Command::new(tool).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{tool} {args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

pub fn mount(args: &[&str], dir: &Path) {
    assert!(Command::new("mount").args(args).arg(dir).status().unwrap().success());
}

pub fn unmount(dir: &Path) {
    assert!(Command::new("umount").arg(dir).status().unwrap().success());
}
