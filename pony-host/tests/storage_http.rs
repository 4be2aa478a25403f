//! Downloads from servers that are slow, wrong, gone, or not servers of images at all.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(all(feature = "storage", feature = "sim"))]

mod storage_bench;
mod suite;
mod web;

use pony_core::host::DriverErrorKind::{self, Order, Transient};
use pony_host::Storage;
use std::time::{Duration, Instant};
use storage_bench::{Bench, MIB, assert_holds, disk, qcow2_of};
use suite::{assert_refused, eventually};
use web::{Page, Web};

const CUT: usize = 2 * MIB + 4321;

fn cut(body: &[u8]) -> Page {
    Page { cut_after: Some(CUT), ..Page::new(body) }
}

#[tokio::test]
async fn a_download_that_was_cut_off_is_resumed() {
    for converted in [false, true] {
        let (bench, web) = (Bench::new(), Web::start().await);
        let bytes = disk(5 * MIB, 1);
        let body = if converted { qcow2_of(&bytes) } else { bytes.clone() };
        let uri = web.put("image", cut(&body));
        let spec = bench.raw(6);
        let message = assert_refused(bench.fetch(&spec, &uri).await, Transient);
        assert!(message.contains("cut off") && message.contains(&CUT.to_string()), "{message}");
        assert_eq!(bench.finished(), [""; 0]);

        web.put("image", Page::new(body));
        assert_holds(&bench.fetch(&spec, &uri).await.unwrap(), &bytes);
        let requests = web.requests("image");
        assert_eq!((requests.len(), requests[0].range.as_deref()), (2, None));
        assert_eq!(requests[1].range, Some(format!("bytes={}-", CUT - 1)));
        assert_eq!(requests[1].if_range.as_deref(), Some("\"one\""));
        eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
    }
}

/// Whatever cannot be resumed with certainty is started again; never is an image made of two.
#[tokio::test]
async fn a_download_that_cannot_be_resumed_begins_again() {
    let (old, new) = (disk(5 * MIB, 1), disk(5 * MIB, 2));
    let page = Page::new(new.clone());
    let with = |headers: &[&str]| headers.iter().map(ToString::to_string).collect::<Vec<_>>();
    let dated =
        with(&["Last-Modified: Sat, 21 Nov 2026 07:00:00 GMT", "Date: Sat, 21 Nov 2026 07:00:00 GMT"]);
    let cases = [
        ("changed", cut(&old), Page { headers: with(&["ETag: \"two\""]), ..page.clone() }, true),
        ("no ranges", cut(&old), Page { ranges: false, ..page.clone() }, true),
        ("wrong range", cut(&old), Page { wrong_range: true, ..page.clone() }, true),
        ("weak tag", Page { headers: with(&["ETag: W/\"one\""]), ..cut(&old) }, page.clone(), false),
        ("no validator", Page { headers: vec![], ..cut(&old) }, page.clone(), false),
        ("just modified", Page { headers: dated, ..cut(&old) }, page.clone(), false),
    ];
    for (name, first, second, asks) in cases {
        let (bench, web) = (Bench::new(), Web::start().await);
        let uri = web.put("image", first);
        let spec = bench.raw(5);
        assert_refused(bench.fetch(&spec, &uri).await, Transient);
        web.put("image", second);
        let fact = bench.fetch(&spec, &uri).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_holds(&fact, &new);
        assert_eq!(web.requests("image")[1].range.is_some(), asks, "{name}");
    }
}

#[tokio::test]
async fn a_modification_date_resumes_too_and_another_address_does_not() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(5 * MIB, 3);
    let headers = vec![
        "Last-Modified: Sat, 21 Nov 2026 07:00:00 GMT".to_owned(),
        "Date: Sat, 21 Nov 2026 08:00:00 GMT".into(),
    ];
    let uri = web.put("image", Page { headers: headers.clone(), ..cut(&bytes) });
    let spec = bench.raw(5);
    assert_refused(bench.fetch(&spec, &uri).await, Transient);
    web.put("image", Page { headers, ..Page::new(bytes.clone()) });
    assert_holds(&bench.fetch(&spec, &uri).await.unwrap(), &bytes);
    assert!(web.requests("image")[1].range.is_some());

    let other = bench.raw(5);
    web.put("image", cut(&bytes));
    assert_refused(bench.fetch(&other, &uri).await, Transient);
    let mirror = web.put("mirror", Page::new(disk(5 * MIB, 4)));
    assert_holds(&bench.fetch(&other, &mirror).await.unwrap(), &disk(5 * MIB, 4));
    assert_eq!(web.requests("mirror")[0].range, None);
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up_and_what_came_is_kept() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(5 * MIB, 5);
    let mute = web.put("mute", Page { mute: true, ..Page::new("") });
    let stalls = web.put("stalls", Page { stall_after: Some(CUT), ..Page::new(bytes.clone()) });
    let spec = bench.raw(5);
    for uri in [mute, stalls.clone()] {
        let began = Instant::now();
        let message = assert_refused(bench.fetch(&spec, &uri).await, Transient);
        assert!(message.contains("not moved for 1 s"), "{message}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    web.put("stalls", Page::new(bytes.clone()));
    assert_holds(&bench.fetch(&spec, &stalls).await.unwrap(), &bytes);
    assert_eq!(web.requests("stalls")[1].range, Some(format!("bytes={}-", CUT - 1)));
}

/// Slow is not stalled: there is no limit to a download as a whole.
#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(MIB, 6);
    let uri = web.put("slow", Page { pace: Duration::from_millis(120), ..Page::new(bytes.clone()) });
    let began = Instant::now();
    assert_holds(&bench.fetch(&bench.raw(1), &uri).await.unwrap(), &bytes);
    assert!(began.elapsed() > Duration::from_secs(1), "it took longer than a stall may");
}

#[tokio::test]
async fn what_is_no_image_is_refused_with_words() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let html = "<!DOCTYPE html>\n<html><body>Please log in</body></html>".repeat(100);
    let mut tar = vec![0; 10240];
    tar[257..262].copy_from_slice(b"ustar");
    let gzip = [b"\x1f\x8b\x08\0".as_slice(), &[7; 2044]].concat();
    let cases: [(&str, Page, DriverErrorKind, &str); 17] = [
        ("login", Page::new(html.clone()), Order, "starts with `<!DOCTYPE html`"),
        ("typed", Page::typed("text/html; charset=utf-8", disk(MIB, 1)), Order, "text/html"),
        ("text", Page::new("just some words\n"), Order, "16 bytes of text"),
        ("odd", Page::new(disk(1000, 2)), Order, "1000 bytes of data"),
        ("empty", Page::new(""), Order, "empty"),
        ("gzip", Page::new(gzip), Order, "gzip"),
        ("tar", Page::new(tar), Order, "tar"),
        ("gone", Page::status("404 Not Found", "X: y"), Order, "404: there is nothing"),
        ("private", Page::status("403 Forbidden", "X: y"), Order, "403: it may not be read"),
        ("broken", Page::status("500 Oops", "X: y"), Transient, "500: the server has a problem"),
        ("busy", Page::status("429 Slow down", "X: y"), Transient, "429"),
        ("coded", Page::typed("x/y\r\nContent-Encoding: gzip", disk(MIB, 1)), Transient, "content encoding"),
        ("unknown", Page { length: None, ..Page::new(disk(MIB, 1)) }, Order, "how long it is"),
        ("loop", Page::status("302 Found", "Location: /loop"), Order, "more than 8 redirects"),
        ("astray", Page::status("302 Found", "Location: ftp://127.0.0.1/x"), Order, "ftp"),
        ("large", Page::new(disk(3 * MIB, 1)), Order, "3 MiB, the volume is ordered with 2 MiB"),
        (
            "more",
            Page { length: Some(2 * MIB), ..Page::new(disk(MIB, 1)) },
            Transient,
            "cut off after 1048576",
        ),
    ];
    for (name, page, kind, words) in cases {
        let uri = web.put(name, page);
        let spec = bench.raw(2);
        let message = assert_refused(bench.fetch(&spec, &uri).await, kind);
        assert!(message.contains(words), "{name}: {message}");
        bench.storage.delete_volume(&spec).await.unwrap();
    }
    assert_eq!(bench.finished(), [""; 0]);
    eventually("nothing is kept", || async { bench.unfinished().is_empty() }).await;
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let bench = Bench::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri = format!("http://127.0.0.1:{port}/image?token=secret");
    let message = assert_refused(bench.fetch(&bench.raw(2), &uri).await, Transient);
    assert!(message.contains("refused") && !message.contains("secret"), "{message}");
}

#[tokio::test]
async fn passwords_in_addresses_are_neither_used_nor_told() {
    let bench = Bench::new();
    for uri in ["http://user:secret@127.0.0.1/image?token=secret", "http://user:secret@127.0.0.1:x/image"] {
        let message = assert_refused(bench.fetch(&bench.raw(2), uri).await, Order);
        assert!(message.contains("before @") && !message.contains("secret"), "{message}");
    }
}

#[tokio::test]
async fn redirects_are_followed_and_too_long_bodies_are_not() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(2 * MIB, 7);
    web.put("there", Page::new(bytes.clone()));
    let uri = web.put("here", Page::status("301 Moved Permanently", "Location: /there"));
    assert_holds(&bench.fetch(&bench.raw(2), &uri).await.unwrap(), &bytes);

    let long = web.put("long", Page { length: Some(MIB), ..Page::new(bytes.clone()) });
    assert_holds(&bench.fetch(&bench.raw(2), &long).await.unwrap(), &bytes[..MIB]);

    let endless = web.put("endless", Page { endless: true, ..Page::new(bytes) });
    let message = assert_refused(bench.fetch(&bench.raw(2), &endless).await, Order);
    assert!(message.contains("more than the volume can hold"), "{message}");
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
}

/// An image that is not what it should be becomes no volume, and what was downloaded of it does not stay.
#[tokio::test]
async fn what_has_another_checksum_is_refused() {
    let (bench, web) = (Bench::new(), Web::start().await);
    let bytes = disk(3 * MIB, 1);
    let uri = web.put("image", Page::new(bytes.clone()));
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("image");
    std::fs::write(&file, &bytes).unwrap();
    let sum = |tool: &str| {
        let output = std::process::Command::new(tool).arg(&file).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
    };
    let (sha256, sha512) = (sum("sha256sum"), sum("sha512sum"));
    for right in [format!("sha256={sha256}"), format!("sha512={}", sha512.to_uppercase())] {
        assert_holds(&bench.fetch(&bench.raw(3), &format!("{uri}#{right}")).await.unwrap(), &bytes);
        let local = format!("file://{}#{right}", file.display());
        assert_holds(&bench.fetch(&bench.raw(3), &local).await.unwrap(), &bytes);
    }
    let spec = bench.raw(3);
    let wrong = format!("{uri}#sha256={}", "0".repeat(64));
    let words = assert_refused(bench.fetch(&spec, &wrong).await, Order);
    assert!(words.contains(&sha256), "{words}");
    let words = assert_refused(bench.fetch(&spec, &format!("{uri}#md5=0")).await, Order);
    assert!(words.contains("sha256="), "{words}");
    assert_eq!(bench.finished().len(), 4);
    eventually("cleared away", || async { bench.unfinished().is_empty() }).await;
}
