//! Sparkle on PostgreSQL: what it does while the database is away, in every way in which it can be; who leads; what is
//! carried from one database to another. On private servers; without the package the tests say so and skip.

use crate::servers::{Daemon, cluster, config, create, eventually, names, operator, timed};
use pony_store::conformance::{Cluster, Proxy, Stop, Way};
use serde_json::json;
use sparkle::{Command, Role, Sparkle};
use std::path::Path;
use std::time::{Duration, Instant};

/// A write that is refused is refused within a second.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Steps on the way there and back that a busy machine may each be late with.
const STEPS: u32 = 3;

/// A write of a name that is told in time that the database is away.
async fn is_refused(sparkle: &Sparkle, auth: &str, name: &str) {
    let (refused, took, late) = timed(create(sparkle.api(), auth, name)).await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (503, Some("database-unavailable")),
        "{}",
        refused.body
    );
    assert!(took <= REFUSED_WITHIN + late * STEPS, "it took {took:?}, of which {late:?} were the machine's");
    assert!(refused.header("retry-after").is_some());
}

/// Writes are refused in words, in time, as often as one tries; reads go on.
async fn writes_are_refused(sparkle: &Sparkle, auth: &str, expected: &[&str]) {
    for _ in 0..3 {
        is_refused(sparkle, auth, "refused").await;
        assert_eq!(names(sparkle.api(), auth).await, expected);
    }
}

async fn writes_go_on(sparkle: &Sparkle, auth: &str, name: &str) {
    eventually("a write", async || create(sparkle.api(), auth, name).await.status == 200).await;
}

async fn follows(sparkle: &Sparkle, auth: &str, expected: &[&str]) {
    eventually("the database's rows", async || names(sparkle.api(), auth).await == expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_outlives_its_database() {
    let Some(cluster) = cluster(&["fsync = off", "wal_level = replica"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(Way::To(cluster.port())).await;
    let address =
        cluster.tcp_address("cloud").replace(&cluster.port().to_string(), &proxy.port().to_string());
    let config = config(dir.path(), &address);
    let early = Sparkle::start(config.clone()).await.err().expect("nothing was prepared");
    assert!(format!("{early:#}").contains("sparkle migrate"), "{early:#}");
    assert!(Command::Migrate { check: true }.run(&config).await.is_err());
    assert_eq!(Command::Migrate { check: false }.run(&config).await.unwrap(), "the database was created");
    Command::Migrate { check: true }.run(&config).await.unwrap();
    let sparkle = Sparkle::start(config).await.unwrap();
    let auth = operator(dir.path());
    writes_go_on(&sparkle, &auth, "a").await;
    let sql = "INSERT INTO tenant (uuid, name) VALUES (gen_random_uuid(), 'by-hand')";
    cluster.psql("cloud", sql).unwrap();
    follows(&sparkle, &auth, &["a", "by-hand"]).await;

    // A network that swallows everything.
    proxy.lead(Way::Nowhere);
    writes_are_refused(&sparkle, &auth, &["a", "by-hand"]).await;
    cluster.psql("cloud", "DELETE FROM tenant WHERE name = 'by-hand'").unwrap();
    proxy.lead(Way::To(cluster.port()));
    writes_go_on(&sparkle, &auth, "b").await;
    follows(&sparkle, &auth, &["a", "b"]).await;

    // A server that was stopped; connections are refused meanwhile.
    cluster.stop(Stop::Fast);
    writes_are_refused(&sparkle, &auth, &["a", "b"]).await;
    let ready = crate::client::send(sparkle.api(), "GET", "/readyz", "", "").await;
    assert_eq!((ready.status, ready.json()["database"].as_str()), (503, Some("unavailable")));
    cluster.restart();
    writes_go_on(&sparkle, &auth, "c").await;

    // One that was killed.
    cluster.stop(Stop::Kill);
    writes_are_refused(&sparkle, &auth, &["a", "b", "c"]).await;
    cluster.restart();
    writes_go_on(&sparkle, &auth, "d").await;
    follows(&sparkle, &auth, &["a", "b", "c", "d"]).await;
    eventually("readiness", async || {
        crate::client::send(sparkle.api(), "GET", "/readyz", "", "").await.status == 200
    })
    .await;
    sparkle.shutdown().await;
}

/// A small file system for the rows of a database, until it is dropped. (The log of the server is elsewhere.)
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// Nothing, where this machine does not let us mount one.
    fn new(cluster: &Cluster) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let path = cluster.dir().join("small");
        std::fs::create_dir(&path).unwrap();
        let owner = std::fs::metadata(cluster.dir()).unwrap();
        let options = format!("size=48m,mode=0700,uid={},gid={}", owner.uid(), owner.gid());
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(path))
    }

    /// Takes all the room that is left, until the file is dropped.
    fn fill(&self) -> tempfile::NamedTempFile {
        use std::io::Write;
        let mut file = tempfile::NamedTempFile::new_in(&self.0).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// No space is left for rows: writes are refused in time and in words, reads go on, and so do writes once there is some.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_outage_that_ends() {
    let Some(cluster) = cluster(&["fsync = off"]) else { return };
    let Some(disk) = SmallDisk::new(&cluster) else {
        println!("skipped: a_full_disk_is_an_outage_that_ends: no file system can be mounted");
        return;
    };
    let place = format!("CREATE TABLESPACE small LOCATION '{}'", disk.0.display());
    cluster.psql("postgres", &place).unwrap();
    cluster.psql("postgres", "CREATE DATABASE small TABLESPACE small").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &cluster.address("small"));
    Command::Migrate { check: false }.run(&config).await.unwrap();
    let sparkle = Sparkle::start(config).await.unwrap();
    let auth = operator(dir.path());
    writes_go_on(&sparkle, &auth, "a").await;
    let filler = disk.fill();
    // The pages that are there have room for some more rows.
    let mut expected = vec!["a".to_owned()];
    loop {
        let name = format!("b-{:04}", expected.len());
        if create(sparkle.api(), &auth, &name).await.status != 200 {
            break;
        }
        expected.push(name);
        assert!(expected.len() < 5_000, "the disk is never full");
    }
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    writes_are_refused(&sparkle, &auth, &expected).await;
    drop(filler);
    writes_go_on(&sparkle, &auth, "c").await;
    let mut expected = expected.clone();
    expected.push("c");
    follows(&sparkle, &auth, &expected).await;
    sparkle.shutdown().await;
}

/// The primary goes, and takes its last transaction along; a standby is there, first as such, then as the new primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_lost_something_is_noticed() {
    let Some(primary) = cluster(&["wal_level = replica", "max_wal_senders = 4", "hot_standby = on"]) else {
        return;
    };
    let Ok(standby) = primary.standby() else { panic!("a standby of a server that works") };
    let dir = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(Way::To(primary.port())).await;
    let address =
        primary.tcp_address("cloud").replace(&primary.port().to_string(), &proxy.port().to_string());
    let config = config(dir.path(), &address);
    Command::Migrate { check: false }.run(&config).await.unwrap();
    let sparkle = Sparkle::start(config).await.unwrap();
    let auth = operator(dir.path());
    writes_go_on(&sparkle, &auth, "kept").await;
    eventually("replication", async || {
        standby.psql("cloud", "SELECT count(*) FROM tenant").is_ok_and(|count| count == "1")
    })
    .await;
    // The standby hears nothing of what is written now.
    standby.forget_primary();
    writes_go_on(&sparkle, &auth, "lost").await;
    primary.stop(Stop::Kill);

    proxy.lead(Way::To(standby.port()));
    writes_are_refused(&sparkle, &auth, &["kept", "lost"]).await;
    standby.promote();
    writes_go_on(&sparkle, &auth, "new").await;
    follows(&sparkle, &auth, &["kept", "new"]).await;
    sparkle.shutdown().await;
}

/// Two processes with one database. The active one is frozen, and the other takes over; thawed, the first writes nothing,
/// and stands by from then on.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_sparkle_is_replaced_and_writes_nothing_when_it_thaws() {
    let Some(cluster) = cluster(&["fsync = off"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let address = cluster.address("cloud");
    Command::Migrate { check: false }.run(&config(dir.path(), &address)).await.unwrap();
    let active = Daemon::start(&dir.path().join("one"), &address);
    let auth = active.operator().await;
    eventually("a write", async || create(active.api, &auth, "a").await.status == 200).await;

    let second = dir.path().join("two");
    let standby = Sparkle::start(config(&second, &address)).await.unwrap();
    assert!(
        matches!(&*standby.role().borrow(), Role::StandsBy { leader } if *leader == active.api.to_string())
    );
    follows(&standby, &auth, &["a"]).await;
    let refused = create(standby.api(), &auth, "b").await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("stands by"), "{}", refused.body);
    assert_eq!(create(active.api, &auth, "b").await.status, 200);
    follows(&standby, &auth, &["a", "b"]).await;

    active.signal("STOP");
    eventually("the lead", async || *standby.role().borrow() == Role::Leads).await;
    assert_eq!(create(standby.api(), &auth, "c").await.status, 200);
    let late = tokio::spawn({
        let (api, auth) = (active.api, auth.clone());
        async move { create(api, &auth, "late").await.status }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    active.signal("CONT");
    assert_eq!(late.await.unwrap(), 503);
    eventually("the old one standing by", async || {
        let answer = crate::client::try_send(active.api, "GET", "/readyz", "", "").await;
        answer.is_some_and(|it| it.body.contains("stands-by"))
    })
    .await;
    assert_eq!(create(active.api, &auth, "later").await.status, 503);
    assert_eq!(
        cluster.psql("cloud", "SELECT string_agg(name, ' ' ORDER BY name) FROM tenant").unwrap(),
        "a b c"
    );
    eventually("the copy", async || names(active.api, &auth).await == ["a", "b", "c"]).await;
    standby.shutdown().await;
    drop(active);
}

/// From SQLite to PostgreSQL and back: the same rows.
#[tokio::test(flavor = "multi_thread")]
async fn desired_state_moves_from_one_database_to_another() {
    let Some(cluster) = cluster(&["fsync = off"]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let embedded = config(&path("state"), &format!("sqlite:{}", path("one.db").display()));
    let sparkle = Sparkle::start(embedded.clone()).await.unwrap();
    let auth = operator(&path("state"));
    let patch = json!([{"op": "x-merge", "path": "/tenant/$t", "value": {
    "desired": {"name": "acme", "approved": true},
    "children": {
        "quota": {"$q": {"desired": {"type": "vcpu", "limit": 2.5}}},
        "instance": {"$i": {"desired": {"name": "web", "vcpu": 2, "rcpu": 0.1, "mem": 64, "ns": ["10.0.0.1", "::1"]},
            "children": {"vnic": {"$v": {"desired": {"switch": "$s", "index": 0},
                "children": {"address": {"$a": {"desired": {"network": "$n", "ip": "10.0.0.9"}}}}}}}}},
        "switch": {"$s": {"desired": {"name": "net", "type": "vxlan", "tag": 7},
            "children": {"network": {"$n": {"desired": {"range": "10.0.0.0/24"}}}}}},
    }}}]);
    let ordered = crate::client::send(sparkle.api(), "PATCH", "/v1/", &auth, &patch.to_string()).await;
    assert_eq!(ordered.status, 200, "{}", ordered.body);
    // The instance (by four types), its switch and its address are metered in a moment.
    let metering = format!("/v1/tenant/{}/metering/", ordered.json()["uuids"]["$t"].as_str().unwrap());
    let began = Instant::now();
    while crate::client::send(sparkle.api(), "GET", &metering, &auth, "")
        .await
        .json()
        .as_object()
        .unwrap()
        .len()
        < 6
    {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing is metered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sparkle.shutdown().await;

    let server = config(&path("other"), &cluster.address("cloud"));
    let back = config(&path("state"), &format!("sqlite:{}", path("two.db").display()));
    let (first, second, third) = (path("1.json"), path("2.json"), path("3.json"));
    let export = |file: &Path| Command::Export { file: Some(file.to_owned()) };
    let import = |file: &Path| Command::Import { file: Some(file.to_owned()) };
    export(&first).run(&embedded).await.unwrap();
    Command::Migrate { check: false }.run(&server).await.unwrap();
    import(&first).run(&server).await.unwrap();
    export(&second).run(&server).await.unwrap();
    import(&second).run(&back).await.unwrap();
    export(&third).run(&back).await.unwrap();
    let read = |file: &Path| -> serde_json::Value {
        let mut document: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        // Rows are in no order.
        for rows in document["tables"].as_object_mut().unwrap().values_mut() {
            rows.as_array_mut().unwrap().sort_by_key(ToString::to_string);
        }
        document
    };
    assert_eq!(read(&first)["tables"].as_object().unwrap().len(), 9, "{}", read(&first));
    assert_eq!(read(&second), read(&first));
    assert_eq!(read(&third), read(&first));
    // A row that is refused, however late, takes all others along.
    let mut wrong = read(&first);
    wrong["tables"]["address"][0]["ip"] = json!("10.9.0.9");
    std::fs::write(path("wrong.json"), wrong.to_string()).unwrap();
    let fresh = config(&path("state"), &format!("sqlite:{}", path("three.db").display()));
    cluster.create("fresh");
    let others = [fresh, config(&path("fresh"), &cluster.address("fresh"))];
    for (fresh, empty) in others.iter().zip([path("empty-1.json"), path("empty-2.json")]) {
        Command::Migrate { check: false }.run(fresh).await.unwrap();
        let refused = import(&path("wrong.json")).run(fresh).await.unwrap_err();
        assert!(format!("{refused:#}").contains("lies outside"), "{refused:#}");
        export(&empty).run(fresh).await.unwrap();
        assert_eq!(read(&empty)["tables"], json!({}));
        import(&first).run(fresh).await.unwrap();
    }
    let again = import(&first).run(&server).await.unwrap_err();
    assert!(format!("{again:#}").contains("not empty"), "{again:#}");
    let sparkle = Sparkle::start(server).await.unwrap();
    assert_eq!(names(sparkle.api(), &auth).await, ["acme"], "the same operator, too");
    sparkle.shutdown().await;
}
