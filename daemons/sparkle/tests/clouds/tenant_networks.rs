//! Networks of tenants on the real thing: orders through the API, real agents with the real network driver, each host in a
//! network namespace of its own. Only the hypervisors are simulated: the test plugs guests of its own into the taps.

use crate::lab::{Fabric, Guest, arp, hex, icmp6, udp, untagged};
use crate::servers::eventually;
use pony_host::{SimHost, SimOptions};
use serde_json::{Value as Json, json};
use sparkle::{Config, Sparkle};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use twilight::{Drivers, Twilight};

/// A cloud whose hosts are those of a fabric.
struct Cloud {
    api: SocketAddr,
    auth: String,
    sparkle: Sparkle,
    hosts: Vec<SimHost>,
    twilights: Vec<Option<Twilight>>,
    uuids: Vec<String>,
    dir: tempfile::TempDir,
}

impl Cloud {
    async fn start(fabric: &Fabric) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { enroll: true, ..crate::client::config(dir.path()) };
        let sparkle = Sparkle::start(config).await.unwrap();
        let host = |n: u8| {
            let address = Ipv4Addr::new(192, 0, 2, n).into();
            SimHost::new(SimOptions { address, ..SimOptions::numbered(1, n.into()) })
        };
        let hosts: Vec<SimHost> = (1..).take(fabric.hosts.len()).map(host).collect();
        let uuids = hosts.iter().map(|host| host.uuid().to_string()).collect();
        let (api, auth) = (sparkle.api(), crate::client::operator(&sparkle));
        let mut cloud = Self { api, auth, sparkle, hosts, twilights: Vec::new(), uuids, dir };
        for n in 0..fabric.hosts.len() {
            let twilight = cloud.twilight(fabric, n);
            cloud.twilights.push(Some(twilight));
        }
        for n in 0..fabric.hosts.len() {
            cloud.is_present(n).await;
        }
        cloud
    }

    /// Starts that of a host.
    fn twilight(&self, fabric: &Fabric, n: usize) -> Twilight {
        let host = &self.hosts[n];
        let config = twilight::Config {
            stop_grace: Duration::from_secs(1),
            ..twilight::Config::new(
                self.dir.path().join(format!("host{n}")),
                host.uuid(),
                self.sparkle.zmq().into(),
                self.sparkle.key(),
            )
        };
        let network = Arc::new(fabric.hosts[n].driver(host.uuid()));
        let drivers = Drivers { network, ..Drivers::all(Arc::new(host.clone())) };
        Twilight::start(&config, drivers).unwrap()
    }

    async fn is_present(&self, n: usize) {
        let path = format!("/host/{}", self.uuids[n]);
        eventually("a host", async || self.get(&path).await["current"]["status"] == "present").await;
    }

    async fn get(&self, path: &str) -> Json {
        let answer = crate::client::send(self.api, "GET", &format!("/v1{path}"), &self.auth, "").await;
        if answer.status == 200 { answer.json() } else { Json::Null }
    }

    async fn post(&self, path: &str, desired: Json) -> String {
        let body = json!({"desired": desired}).to_string();
        let answer = crate::client::send(self.api, "POST", &format!("/v1{path}"), &self.auth, &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()["uuids"]["POST"].as_str().unwrap_or_default().to_owned()
    }

    async fn delete(&self, path: &str) {
        let answer = crate::client::send(self.api, "DELETE", &format!("/v1{path}"), &self.auth, "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }

    /// A tenant, with a group whose instances are on hosts of their own.
    async fn tenant(&self, name: &str) -> (String, String) {
        let tenant = self.post("/tenant/", json!({"name": name, "approved": true})).await;
        let group = json!({"name": "apart", "type": "anti-affinity"});
        let group = self.post(&format!("/tenant/{tenant}/affinity-group/"), group).await;
        (tenant, group)
    }

    async fn switch(&self, tenant: &str, ranges: &[&str]) -> (String, Vec<String>) {
        let path = format!("/tenant/{tenant}/switch/");
        let name = ranges.first().unwrap_or(&"free");
        let switch = self.post(&path, json!({"name": name, "type": "vxlan"})).await;
        let mut networks = Vec::new();
        for range in ranges {
            let network = self.post(&format!("{path}{switch}/network/"), json!({"range": range})).await;
            if *range == "10.0.0.0/24" {
                let route = json!({"route": "0.0.0.0/0", "via": "10.0.0.254"});
                self.post(&format!("{path}{switch}/network/{network}/route/"), route).await;
            }
            networks.push(network);
        }
        (switch, networks)
    }

    /// A running instance of a tenant; gives its path.
    async fn instance(&self, (tenant, group): &(String, String), name: &str) -> String {
        let order = json!({"name": name, "vcpu": 1, "rcpu": 0.1, "mem": 16, "ns": ["10.0.0.53"], "user_data": format!("#!/bin/sh\n# {name}\n")});
        let path = format!("/tenant/{tenant}/instance/");
        let instance = self.post(&path, order).await;
        let member = format!("/tenant/{tenant}/affinity-group/{group}/instance/");
        self.post(&member, json!({"instance": instance})).await;
        let running = json!([{"op": "replace", "path": "/desired/state", "value": "running"}]).to_string();
        let path = format!("{path}{instance}");
        let answer =
            crate::client::send(self.api, "PATCH", &format!("/v1{path}"), &self.auth, &running).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        path
    }

    /// A card of an instance in a switch, with an address of each network; gives it as the guest has it.
    async fn card(&self, instance: &str, index: u8, switch: &str, networks: &[String]) -> Card {
        let path = format!("{instance}/vnic/");
        let vnic = self.post(&path, json!({"switch": switch, "index": index})).await;
        let mac = self.get(&format!("{path}{vnic}")).await["desired"]["macaddr"].as_str().unwrap().to_owned();
        let mut ips = Vec::new();
        for network in networks {
            let path = format!("{path}{vnic}/address/");
            let address = self.post(&path, json!({"network": network})).await;
            let ip =
                self.get(&format!("{path}{address}")).await["desired"]["ip"].as_str().unwrap().to_owned();
            ips.push(ip);
        }
        Card { instance: instance.to_owned(), vnic, mac, ips }
    }

    /// The host that an instance is placed on.
    async fn place(&self, card: &Card) -> Option<usize> {
        let host = self.get(&card.instance).await["current"]["host"].as_str()?.to_owned();
        self.uuids.iter().position(|uuid| *uuid == host)
    }

    /// The guest that has a card, once the card is plugged in, with its addresses.
    async fn guest(&self, fabric: &Fabric, card: &Card) -> (usize, Guest) {
        let mut found = None;
        let is_plugged = async || {
            let Some(place) = self.place(card).await else { return false };
            found = fabric.hosts[place].tap(&card.vnic).map(|tap| (place, tap));
            found.is_some()
        };
        eventually("a tap", is_plugged).await;
        let (place, tap) = found.unwrap();
        let guest = Guest::new(&fabric.hosts[place], &tap, &card.mac);
        for ip in &card.ips {
            let prefix = if ip.contains(':') { "64 nodad" } else { "24" };
            guest.ip(&format!("address add {ip}/{prefix} dev eth0"));
        }
        (place, guest)
    }

    async fn shutdown(self) {
        for twilight in self.twilights.into_iter().flatten() {
            twilight.shutdown().await;
        }
        self.sparkle.shutdown().await;
    }
}

struct Card {
    instance: String,
    vnic: String,
    mac: String,
    ips: Vec<String>,
}

impl Card {
    /// Its hardware address, and an IPv4 address, as frames have them.
    fn hex(&self) -> (String, String) {
        (self.mac.replace(':', ""), hex(&self.ips[0]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_reach_their_own_and_what_is_shared_and_nobody_sends_as_somebody_else() {
    if let Some(why) = crate::lab::obstacle() {
        return println!("skipped: tenant networks: {why}");
    }
    if !crate::lab::has_namespaces() {
        return println!("skipped: tenant networks: no network namespaces");
    }
    let fabric = Fabric::new(3);
    let before: Vec<String> = fabric.hosts.iter().map(crate::lab::Space::traces).collect();
    let mut cloud = Cloud::start(&fabric).await;
    let (ours, theirs) = (cloud.tenant("ours").await, cloud.tenant("theirs").await);
    let (private, networks) = cloud.switch(&ours.0, &["10.0.0.0/24", "fd00::/64"]).await;
    let (separate, separate_networks) = cloud.switch(&theirs.0, &["10.0.0.0/24"]).await;
    let (shared, shared_networks) = cloud.switch(&ours.0, &["10.9.0.0/24"]).await;
    let share = format!("/tenant/{}/switch/{shared}/tenant/", ours.0);
    cloud.post(&share, json!({"tenant": theirs.0})).await;
    let (first, second) = (cloud.instance(&ours, "first").await, cloud.instance(&ours, "second").await);
    let other = cloud.instance(&theirs, "other").await;

    let one = cloud.card(&first, 0, &private, &networks).await;
    let two = cloud.card(&second, 0, &private, &networks).await;
    let strange = cloud.card(&other, 0, &separate, &separate_networks).await;
    let one_shared = cloud.card(&first, 1, &shared, &shared_networks).await;
    let two_shared = cloud.card(&second, 1, &shared, &shared_networks).await;
    let strange_shared = cloud.card(&other, 1, &shared, &shared_networks).await;
    assert_eq!(
        (&one.ips, &two.ips[0]),
        (&vec!["10.0.0.1".to_owned(), "fd00::1".to_owned()], &"10.0.0.2".to_owned())
    );
    assert_eq!(strange.ips, ["10.0.0.1"], "each switch has addresses of its own");

    let ((here, a), (there, b)) = (cloud.guest(&fabric, &one).await, cloud.guest(&fabric, &two).await);
    let (_, x) = cloud.guest(&fabric, &strange).await;
    let (elsewhere, x_shared) = cloud.guest(&fabric, &strange_shared).await;
    // Of the two, one that is on another host.
    let ours_shared = if here == elsewhere { two_shared } else { one_shared };
    let (_, a_shared) = cloud.guest(&fabric, &ours_shared).await;
    assert_ne!(here, there);
    assert!(a.reaches("10.0.0.2") && b.reaches("10.0.0.1") && b.reaches("fd00::1"), "one tenant, two hosts");
    assert!(x_shared.reaches(&ours_shared.ips[0]) && a_shared.reaches(&strange_shared.ips[0]), "shared");
    assert!(x.never_reaches("10.0.0.2"), "a switch of somebody else's was reached");
    // The largest packet that fits; one that does not is not cut by anybody on the way.
    assert!(
        a.run("busybox ping -c 3 -W 1 -s 1422 10.0.0.2").0,
        "1450 bytes must fit: the hosts' links carry 1500"
    );

    guests_learn_who_they_are(&a, &one, &b, &two);
    nobody_sends_as_somebody_else(&a, &b, &one, &two);
    neighbours_are_answered_for(&fabric, &a, &two);
    guests_go_on_without_twilight(&mut cloud, &fabric, here, (&a, &one), (&b, &two)).await;
    b_moves_to_another_address(&cloud, &a, &b, &two, &networks).await;

    for guest in [a, b, x, a_shared, x_shared] {
        drop(guest);
    }
    for instance in [first, second, other] {
        cloud.delete(&instance).await;
    }
    for (host, before) in fabric.hosts.iter().zip(&before) {
        eventually("a host as it was before", async || host.traces() == *before).await;
    }
    cloud.shutdown().await;
}

/// As an image does it at its first start: DHCP, and then what cloud-init reads, from the address of all clouds.
fn guests_learn_who_they_are(a: &Guest, one: &Card, b: &Guest, two: &Card) {
    for (guest, card, name) in [(a, one, "first"), (b, two, "second")] {
        let lease = guest.lease();
        let ip = &card.ips[0];
        let wanted = [
            format!("ip={ip}\n"),
            "subnet=255.255.255.0\n".to_owned(),
            "router=10.0.0.254\n".to_owned(),
            "dns=10.0.0.53\n".to_owned(),
            format!("hostname={name}\n"),
            "mtu=1450\n".to_owned(),
            // Whatever is down meanwhile.
            "lease=604800\n".to_owned(),
            "staticroutes=0.0.0.0/0 10.0.0.254 169.254.169.254/32 0.0.0.0\n".to_owned(),
        ];
        wanted.iter().for_each(|it| assert!(lease.contains(it.as_str()), "{it:?} is not in {lease}"));
        // As its disc has it.
        guest.ip("address replace 169.254.169.253/30 dev eth0");
        let read = |file: &str| guest.run(&format!("busybox wget -q -O - http://169.254.169.254/{file}"));
        let meta: Json = serde_json::from_str(&read("meta-data").1).unwrap();
        let uuid = card.instance.rsplit('/').next().unwrap();
        assert_eq!(meta, json!({"instance-id": uuid, "local-hostname": name}));
        assert_eq!(read("user-data"), (true, format!("#!/bin/sh\n# {name}\n")));
        let network: Json = serde_json::from_str(&read("network-config").1).unwrap();
        let card0 = &network["ethernets"]["card0"];
        assert_eq!(card0["match"]["macaddress"], json!(card.mac));
        let link = "169.254.169.253/30";
        assert_eq!(card0["addresses"], json!([format!("{ip}/24"), format!("{}/64", card.ips[1]), link]));
        assert!(!read("latest").0 && !read("../first").0);
    }
}

/// Raw frames, each of which is wrong in one way, and one that is right.
fn nobody_sends_as_somebody_else(a: &Guest, b: &Guest, one: &Card, two: &Card) {
    let ((mac, ip), (other_mac, other_ip)) = (one.hex(), two.hex());
    let (nobody, local) = (hex("10.0.0.77"), "fe80000000000000_5054_00ff_fe".replace('_', ""));
    let local = format!("{local}{}", &mac[6..]);
    let right = arp(&mac, &mac, &ip, &nobody);
    let wrong = [
        ("another's hardware address", arp(&other_mac, &other_mac, &other_ip, &nobody)),
        ("another sender within ARP", arp(&mac, &other_mac, &ip, &nobody)),
        ("another address within ARP", arp(&mac, &mac, &other_ip, &nobody)),
        ("another IPv4 address", udp(&mac, "", "10.0.0.99", 4096, "aaaaaaaaaaaaaaaa")),
        ("an answer of DHCP", udp(&mac, "", &one.ips[0], 67, "bbbbbbbbbbbbbbbb")),
        ("another IPv6 address", icmp6(&mac, "", "fd000000000000000000000000000099", "80", "cccccccc")),
        ("a router of IPv6", icmp6(&mac, "", &local, "86", "40000708000000000000000000000000")),
        ("a neighbour of IPv6", icmp6(&mac, "", &local, "88", "20000000fd000000000000000000000000000002")),
        ("a tagged frame", udp(&mac, "81000005", &one.ips[0], 4096, "eeeeeeeeeeeeeeee")),
    ];
    let right_udp = udp(&mac, "", &one.ips[0], 4096, "dddddddddddddddd");
    let mut frames: Vec<&str> = wrong.iter().map(|(_, frame)| frame.as_str()).collect();
    frames.extend([right.as_str(), &right_udp]);
    let heard = b.hears("3", || a.send(&frames));
    // The kernel takes a tag off before it shows a frame.
    let came = |frame: &str| heard.iter().any(|it| untagged(it).starts_with(&untagged(frame)));
    assert!(came(&right_udp), "what is right must pass: {heard:?}");
    for (what, frame) in &wrong {
        assert!(!came(frame), "{what} passed");
    }
    assert!(b.reaches("10.0.0.1"), "the guest itself was not harmed");
}

/// While the hosts do not see each other, who asks for a guest elsewhere is answered still: by its own host.
fn neighbours_are_answered_for(fabric: &Fabric, a: &Guest, two: &Card) {
    fabric.join(false);
    a.ip("neighbour flush dev eth0");
    assert!(a.never_reaches("10.0.0.2"));
    a.run("busybox ping6 -c 1 -W 1 fd00::2");
    for ip in &two.ips {
        let known = a.ip(&format!("neighbour show {ip} dev eth0"));
        assert!(known.contains(&two.mac), "nobody answered for {ip}: {known}");
    }
    fabric.join(true);
    assert!(a.reaches("10.0.0.2"));
}

/// While nobody looks after their host, guests reach each other, keep their addresses, and still send as themselves only;
/// nobody tells them of themselves. A Twilight that starts finds all as it left it, and answers again.
async fn guests_go_on_without_twilight(
    cloud: &mut Cloud,
    fabric: &Fabric,
    here: usize,
    (a, one): (&Guest, &Card),
    (b, two): (&Guest, &Card),
) {
    // With their numbers, which only links have that were never removed. The one to what tells guests of themselves goes.
    let links = || {
        let all = fabric.hosts[here].ip("-o link");
        let lasting = all.lines().filter(|line| !line.contains(": pm"));
        lasting.map(|line| line.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (before, told) =
        (links(), || a.run("timeout 2 busybox wget -q -O - http://169.254.169.254/meta-data"));
    assert!(told().0);
    let pings = a.pings("10.0.0.2");
    cloud.twilights[here].take().unwrap().shutdown().await;
    assert!(!told().0, "there is nobody to answer");
    let ((mac, ip), (_, other)) = (one.hex(), two.hex());
    let wrong = arp(&mac, &mac, &other, &ip);
    let heard = b.hears("1", || a.send(&[&wrong]));
    assert!(!heard.iter().any(|it| it.starts_with(&wrong)), "somebody else's address passed");
    assert_eq!(links(), before);

    cloud.twilights[here] = Some(cloud.twilight(fabric, here));
    cloud.is_present(here).await;
    eventually("somebody answers again", async || told().0).await;
    assert!(a.lease().contains("ip=10.0.0.1\n"), "the same address again");
    assert_eq!(links(), before);
    let (sent, answered) = pings.end();
    // The last ones are on their way when it ends.
    assert!(sent > 10 && sent - answered <= 2, "{answered} of {sent} were answered");
}

/// An address that is ordered takes effect on a guest that runs, and one that is taken away has no effect any more.
async fn b_moves_to_another_address(cloud: &Cloud, a: &Guest, b: &Guest, two: &Card, networks: &[String]) {
    let path = format!("{}/vnic/{}/address/", two.instance, two.vnic);
    let addresses = cloud.get(&path).await;
    let is_old = |(_, row): &(&String, &Json)| row["desired"]["ip"] == "10.0.0.2";
    let old = addresses.as_object().unwrap().iter().find(is_old).unwrap().0.clone();
    cloud.post(&path, json!({"network": networks[0], "ip": "10.0.0.50"})).await;
    cloud.delete(&format!("{path}{old}")).await;
    b.ip("address add 10.0.0.50/24 dev eth0");
    eventually("the new address", async || a.reaches("10.0.0.50")).await;
    let is_gone = async || !a.run("busybox ping -c 1 -W 1 10.0.0.2").0;
    eventually("the end of the old address", is_gone).await;
}
