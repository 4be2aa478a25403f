//! The management path survives every change, on the real thing: in a guest with Debian's full kernel, a host is a network
//! namespace whose one card leads to Sparkle. Twilight has the real network driver, and reaches Sparkle over the very links
//! that are ordered.

use crate::lab::Space;
use crate::namespace::{in_guest, is_inside, run};
use crate::servers::eventually;
use nix::sched::{CloneFlags, setns};
use pony_core::host::NicFact;
use pony_host::{SimHost, SimOptions};
use serde_json::{Value as Json, json};
use sparkle::{Config, Sparkle};
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use twilight::{Drivers, Twilight};

const MODULES: &str = "bonding 8021q veth bridge nf_tables";
const MAC: &str = "02:00:00:00:00:01";

/// How long Sparkle may be out of reach; a machine may be busy.
const PROVE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "takes minutes where guests are emulated: make test-long runs it"]
fn a_change_that_cuts_the_management_link_is_rolled_back() {
    in_guest("uplinks::uplinks_inside", MODULES, "", 560);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in a guest"]
async fn uplinks_inside() {
    if !is_inside() {
        return;
    }
    let mut cloud = Cloud::start().await;
    cloud.takes_the_card_that_leads_to_sparkle().await;
    cloud.rolls_back_what_cuts_it_off().await;
    cloud.rolls_back_when_it_is_restarted().await;
    cloud.goes_back_to_what_it_was().await;
}

/// A Sparkle, and a host that is joined with it by one cable.
struct Cloud {
    sparkle: Sparkle,
    auth: String,
    space: Space,
    host: SimHost,
    twilight: Option<Twilight>,
    dir: tempfile::TempDir,
    bond: String,
    role: String,
}

impl Cloud {
    async fn start() -> Self {
        let space = Space::new();
        let ip = |line: &str| run("ip", &line.split_whitespace().collect::<Vec<_>>());
        ip("link set lo up");
        ip(&format!("link add sparkle0 type veth peer name up0 address {MAC} netns {}", space.path()));
        ip("address add 192.0.2.254/24 dev sparkle0");
        ip("link set sparkle0 up");
        space.ip("link set up0 up");
        space.ip("address add 192.0.2.1/24 dev up0");
        space.ip("route add 198.51.100.0/24 via 192.0.2.254");
        let dir = tempfile::tempdir().unwrap();
        let zmq: SocketAddr = "192.0.2.254:0".parse().unwrap();
        let config = Config { enroll: true, zmq, ..crate::client::config(dir.path()) };
        let sparkle = Sparkle::start(config).await.unwrap();
        let auth = crate::client::operator(&sparkle);
        let card = NicFact {
            hwaddr: MAC.into(),
            link_name: "up0".into(),
            up: true,
            carrier: true,
            ..NicFact::default()
        };
        let host = SimHost::new(SimOptions { nics: vec![card], ..SimOptions::numbered(1, 1) });
        let (twilight, bond, role) = (None, String::new(), String::new());
        let mut cloud = Self { sparkle, auth, space, host, twilight, dir, bond, role };
        cloud.start_twilight();
        cloud.is_present().await;
        cloud
    }

    /// Its sockets belong to the host's namespace, as those of the thread that makes them do.
    fn start_twilight(&mut self) {
        let config = twilight::Config {
            stop_grace: Duration::from_secs(1),
            prove: PROVE,
            ..twilight::Config::new(
                self.state(),
                self.host.uuid(),
                self.sparkle.zmq().into(),
                self.sparkle.key(),
            )
        };
        let network = Arc::new(self.space.driver(self.host.uuid()));
        let drivers = Drivers { network, ..Drivers::all(Arc::new(self.host.clone())) };
        let (file, runtime) = (File::open(self.space.path()).unwrap(), tokio::runtime::Handle::current());
        let start = move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            let _runtime = runtime.enter();
            Twilight::start(&config, drivers).unwrap()
        };
        self.twilight = Some(std::thread::spawn(start).join().unwrap());
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("host")
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Json {
        let path = format!("/v1/host/{}{path}", self.host.uuid());
        let answer = crate::client::send(self.sparkle.api(), method, &path, &self.auth, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        answer.json()
    }

    async fn current(&self, path: &str) -> Json {
        self.send("GET", path, "").await["current"].clone()
    }

    async fn post(&self, path: &str, desired: Json) -> String {
        let answer = self.send("POST", path, &json!({ "desired": desired }).to_string()).await;
        answer["uuids"]["POST"].as_str().unwrap_or_default().to_owned()
    }

    /// Orders another value of the role.
    async fn order(&self, column: &str, value: Json) {
        let patch = json!([{ "op": "add", "path": format!("/desired/{column}"), "value": value }]);
        self.send("PATCH", &self.role_path(), &patch.to_string()).await;
    }

    fn role_path(&self) -> String {
        format!("/bond/{}/role/{}", self.bond, self.role)
    }

    async fn is_present(&self) {
        eventually("the host", async || self.current("").await["status"] == "present").await;
    }

    /// Waits until the role is so, which only a host that is reached can tell.
    async fn role_is(&self, status: &str, error: &str) {
        let is_so = async || {
            let told = self.current(&self.role_path()).await;
            told["status"] == status && told["error"].as_str().unwrap_or_default().starts_with(error)
        };
        let waited = tokio::time::timeout(Duration::from_secs(150), async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        if waited.await.is_err() {
            let told = self.current(&self.role_path()).await;
            let found = [self.space.ip("address"), self.space.ip("route"), self.record()];
            panic!("the role is not {status}: {told}\n{}", found.join("\n"));
        }
    }

    fn record(&self) -> String {
        std::fs::read_to_string(self.state().join("uplinks.json")).unwrap_or_default()
    }

    async fn is_proven(&self) {
        eventually("a proof", async || self.record().contains("\"trial\":null")).await;
    }

    async fn is_rolled_back(&self) {
        eventually("a trial ends", async || self.record().contains("\"refused\":{")).await;
        self.role_is("broken", "rolled back").await;
    }

    async fn takes_the_card_that_leads_to_sparkle(&mut self) {
        self.bond = self.post("/bond/", json!({ "mode": "active-backup" })).await;
        self.post("/nic/", json!({ "hwaddr": MAC, "bond": self.bond })).await;
        let role = json!({ "role": "management", "address": "192.0.2.2/24" });
        self.role = self.post(&format!("/bond/{}/role/", self.bond), role).await;
        self.role_is("active", "").await;
        let told = self.current(&self.role_path()).await;
        let bridge = told["bridge_name"].as_str().unwrap().to_owned();
        let found = self.space.ip(&format!("-o -4 address show dev {bridge}"));
        assert!(found.contains("192.0.2.1/24") && found.contains("192.0.2.2/24"), "{found}");
        assert!(self.space.ip("route").contains(&format!("198.51.100.0/24 via 192.0.2.254 dev {bridge}")));
        self.is_proven().await;
        // From here on the host has only what is ordered.
        self.space.ip(&format!("address del 192.0.2.1/24 dev {bridge}"));
    }

    async fn rolls_back_what_cuts_it_off(&self) {
        for (column, wrong, right) in
            [("vlan_id", json!(5), Json::Null), ("address", json!("192.0.2.254/24"), json!("192.0.2.2/24"))]
        {
            self.order(column, wrong).await;
            eventually("a trial", async || !self.record().contains("\"trial\":null")).await;
            self.is_rolled_back().await;
            let told = self.current(&self.role_path()).await;
            assert!(told["next_retry"].is_i64() && told["attempts"] == 1, "{told}");
            assert!(self.space.ip("-4 address").contains("192.0.2.2/24"));
            self.order(column, right).await;
            self.role_is("active", "").await;
        }
        self.is_proven().await;
    }

    async fn rolls_back_when_it_is_restarted(&mut self) {
        self.order("vlan_id", json!(6)).await;
        eventually("a cut", async || self.space.ip("-d link").contains("vlan protocol 802.1Q id 6")).await;
        self.twilight.take().unwrap().shutdown().await;
        assert!(!self.record().contains("\"trial\":null"), "{}", self.record());
        self.start_twilight();
        self.is_rolled_back().await;
        self.order("vlan_id", Json::Null).await;
        self.role_is("active", "").await;
        self.is_proven().await;
    }

    /// What is no longer ordered goes, and what the card had comes back.
    async fn goes_back_to_what_it_was(mut self) {
        let bridge = self.current(&self.role_path()).await["bridge_name"].as_str().unwrap().to_owned();
        self.space.ip(&format!("address add 192.0.2.1/24 dev {bridge}"));
        self.send("DELETE", &format!("/bond/{}", self.bond), "").await;
        let is_back = async || {
            let found = self.space.ip("-o -4 address show dev up0");
            found.contains("192.0.2.1/24") && !self.space.ip("-d link").contains("alias pony:")
        };
        eventually("the card has its address", is_back).await;
        self.is_present().await;
        self.twilight.take().unwrap().shutdown().await;
        self.sparkle.shutdown().await;
    }
}
