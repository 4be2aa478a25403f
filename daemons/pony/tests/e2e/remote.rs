//! An image that lies in a pool of one host alone, and a volume of another host that is filled from it: with a cut of the link and
//! a later order in the middle.

use super::*;

/// What the image has, MiB: some seconds of reading over the link, which is made slow.
const IMAGE_MIB: u64 = 32;
/// The link of the first host, as `tc` wants it.
const RATE: &str = "40mbit";

#[test]
fn an_image_is_read_from_another_host() {
    let test = "an_image_is_read_from_another_host";
    if skip::is_real(test) {
        inside_namespaces("moves::remote::an_image_is_read_inside", &[]);
    }
}

/// Bytes of which no two sectors are alike, but for a hole in the middle.
fn bytes() -> Vec<u8> {
    let size = (IMAGE_MIB << 20) as usize;
    let mut bytes: Vec<u8> =
        (0..size as u64 / 8).flat_map(|it| (it.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()).collect();
    bytes[size / 2..size / 2 + (4 << 20)].fill(0);
    bytes
}

/// An image whose only copy is in a pool of the first host.
struct Image {
    uuid: String,
    copy: String,
    bytes: Vec<u8>,
}

impl Image {
    async fn new(lab: &Cloud, pool: &str) -> Self {
        let (file, bytes) = (lab.path("image.raw"), bytes());
        std::fs::write(&file, &bytes).unwrap();
        let image = json!({"name": "golden", "source_uri": format!("file://{}", file.display())});
        let copy = json!({"storage_pool": pool, "image": "$image"});
        let uuids = lab
            .patch(&[merge("/image/$image", &image), merge("/image/$image/children/volume/$copy", &copy)])
            .await;
        let image = Self { uuid: named(&uuids, "$image"), copy: named(&uuids, "$copy"), bytes };
        let kept =
            async |_: &Cloud| lab.get(&["image", &image.uuid]).await["desired"]["source_uri"].is_null();
        lab.wait_until("the image is had, and its source forgotten", SOON, kept).await;
        std::fs::remove_file(file).unwrap();
        image
    }
}

/// A volume of the second host, of which more is known than its row says.
struct Filled {
    uuid: String,
    pool: String,
    path: PathBuf,
}

impl Filled {
    async fn order(lab: &Cloud, image: &Image, (pool, dir): &(String, PathBuf)) -> Self {
        let row = json!({"storage_pool": pool, "size": IMAGE_MIB, "format": "raw", "base_image": image.uuid});
        let uuid = named(
            &lab.patch(&[merge(&format!("/storage-pool/{pool}/children/volume/$volume"), &row)]).await,
            "$volume",
        );
        let path = dir.join("volumes").join(format!("{uuid}.raw"));
        Self { uuid, pool: pool.clone(), path }
    }

    async fn current(&self, lab: &Cloud) -> Json {
        lab.get(&["storage-pool", &self.pool, "volume", &self.uuid]).await["current"].clone()
    }

    async fn comes(&self, lab: &Cloud) {
        let comes = async |_: &Cloud| {
            self.current(lab).await["progress"].as_f64().is_some_and(|it| (0.05..0.9).contains(&it))
        };
        lab.wait_until("it is in the middle", SOON, comes).await;
    }

    async fn is_whole(&self, lab: &Cloud, image: &Image) {
        let ready = async |_: &Cloud| self.current(lab).await["status"] == "ready";
        lab.wait_until("it is filled", SOON, ready).await;
        assert!(std::fs::read(&self.path).unwrap() == image.bytes, "it holds something else");
    }

    async fn delete(&self, lab: &Cloud) {
        let path = format!("/storage-pool/{}/children/volume/{}/desired/state", self.pool, self.uuid);
        lab.patch(&[json!({"op": "replace", "path": path, "value": "deleted"})]).await;
        let began = Instant::now();
        let gone = async |_: &Cloud| self.current(lab).await.is_null();
        lab.wait_until("it is deleted", SOON, gone).await;
        println!("deleted in {:?}", began.elapsed());
    }
}

/// Processes that read volumes for others, of this test: their pools are in its directory.
fn servers(lab: &Cloud) -> usize {
    let dir = lab.path("").to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
    let lines = lines.map(|it| String::from_utf8_lossy(&it).into_owned());
    lines.filter(|it| it.contains("qemu-nbd") && it.contains(&dir)).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in namespaces of its own"]
async fn an_image_is_read_inside() {
    lay_bridge();
    let mut lab = Cloud::start_apart(MOVER, Ground::roomy()).await;
    let pools = [lab.own_pool(0, "own").await, lab.own_pool(1, "other").await];
    let image = Image::new(&lab, &pools[0].0).await;
    lab.slow(RATE);

    let first = Filled::order(&lab, &image, &pools[1]).await;
    first.comes(&lab).await;
    assert_eq!(servers(&lab), 1);
    // The link between the hosts is cut, and comes back.
    ip("link set host0 down");
    let why = async || first.current(&lab).await["error"].to_string();
    lab.wait_until("it is said why", SOON * 2, async |_: &Cloud| {
        let why = why().await;
        why.contains("cannot be read") || why.contains("is silent")
    })
    .await;
    println!("{}", why().await);
    ip("link set host0 up");
    first.is_whole(&lab, &image).await;

    // A later order in the middle; and each Twilight dies in the middle.
    let second = Filled::order(&lab, &image, &pools[1]).await;
    second.comes(&lab).await;
    second.delete(&lab).await;
    lab.wait_until("nothing is read any more", SOON, async |_: &Cloud| servers(&lab) == 0).await;
    assert!(!second.path.exists() && std::fs::read_dir(pools[1].1.join("partial")).unwrap().next().is_none());
    for n in [0, 1] {
        let third = Filled::order(&lab, &image, &pools[1]).await;
        third.comes(&lab).await;
        lab.hosts[n].kill_twilight();
        lab.start_twilight_of(n);
        third.is_whole(&lab, &image).await;
        third.delete(&lab).await;
    }

    // What it is read from goes, in the middle.
    let fourth = Filled::order(&lab, &image, &pools[1]).await;
    fourth.comes(&lab).await;
    let copy = Filled { uuid: image.copy.clone(), pool: pools[0].0.clone(), path: PathBuf::new() };
    copy.delete(&lab).await;
    let waits =
        async |_: &Cloud| fourth.current(&lab).await["error"].to_string().contains("no finished copy here");
    lab.wait_until("it waits for its image", SOON, waits).await;
    fourth.delete(&lab).await;
    lab.wait_until("nothing is read any more", SOON, async |_: &Cloud| servers(&lab) == 0).await;
}
