//! A web server that serves, and misbehaves, as it is told. One request per connection.

#![allow(dead_code, unreachable_pub)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long a stall lasts: longer than any test.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What lies at an address, and how it is served.
#[derive(Clone)]
pub struct Page {
    pub body: Arc<Vec<u8>>,
    /// The status line's end.
    pub status: &'static str,
    /// Header lines, as they are.
    pub headers: Vec<String>,
    /// Whether ranges are served.
    pub ranges: bool,
    /// What is said about the length; `None`: nothing.
    pub length: Option<usize>,
    /// Send in chunks, again and again.
    pub endless: bool,
    /// Close after so many bytes of the answer's body.
    pub cut_after: Option<usize>,
    /// Send nothing any more after so many bytes of the body.
    pub stall_after: Option<usize>,
    /// Say nothing at all.
    pub mute: bool,
    /// Wait before each piece of 64 KiB.
    pub pace: Duration,
    /// A `Content-Range` that is not what was asked for.
    pub wrong_range: bool,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub range: Option<String>,
    pub if_range: Option<String>,
}

pub struct Web {
    pub url: String,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Page {
    /// A page as good servers have it.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        let body: Vec<u8> = body.into();
        Self {
            status: "200 OK",
            headers: vec!["ETag: \"one\"".into(), "Content-Type: application/octet-stream".into()],
            ranges: true,
            length: Some(body.len()),
            body: Arc::new(body),
            endless: false,
            cut_after: None,
            stall_after: None,
            mute: false,
            pace: Duration::ZERO,
            wrong_range: false,
        }
    }

    pub fn status(status: &'static str, header: &str) -> Self {
        Self { status, headers: vec![header.into()], ranges: false, ..Self::new("no image\n") }
    }

    pub fn typed(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { headers: vec![format!("Content-Type: {kind}")], ..Self::new(body) }
    }
}

impl Web {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (pages, requests) =
            (Arc::<Mutex<HashMap<String, Page>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (served, noted) = (pages.clone(), requests.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (pages, requests) = (served.clone(), noted.clone());
                tokio::spawn(async move {
                    // A client that goes away is what many tests are about.
                    let _ = serve(stream, &pages, &requests).await;
                });
            }
        });
        Self { url, pages, requests, serving }
    }

    /// Puts a page at `/name`; answers its address.
    pub fn put(&self, name: &str, page: Page) -> String {
        self.pages.lock().unwrap().insert(format!("/{name}"), page);
        format!("{}/{name}", self.url)
    }

    /// What was asked for at `/name`.
    pub fn requests(&self, name: &str) -> Vec<Request> {
        let path = format!("/{name}");
        self.requests.lock().unwrap().iter().filter(|request| request.path == path).cloned().collect()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    pages: &Mutex<HashMap<String, Page>>,
    requests: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let request = read_request(&mut stream).await?;
    let page = pages.lock().unwrap().get(&request.path).cloned();
    requests.lock().unwrap().push(request.clone());
    let page = page.unwrap_or_else(|| Page::status("404 Not Found", "Content-Type: text/html"));
    if page.mute {
        tokio::time::sleep(FOR_EVER).await;
    }
    let from = page.ranges.then(|| range_start(&request, &page)).flatten();
    stream.write_all(head(&page, from).as_bytes()).await?;
    send(&mut stream, &page, from.unwrap_or(0)).await
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Request> {
    let mut text = String::new();
    let mut piece = [0; 1024];
    while !text.contains("\r\n\r\n") {
        match stream.read(&mut piece).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            size => text.push_str(&String::from_utf8_lossy(&piece[..size])),
        }
    }
    let header = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(Request { path, range: header("range"), if_range: header("if-range") })
}

/// Where a range starts that is to be served: one whose `If-Range` names what the page is now.
fn range_start(request: &Request, page: &Page) -> Option<usize> {
    let start = request.range.as_ref()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
    let validator = request.if_range.as_ref()?;
    page.headers.iter().any(|line| line.ends_with(validator)).then_some(start)
}

fn head(page: &Page, from: Option<usize>) -> String {
    let mut lines = vec![format!("HTTP/1.1 {}", page.status)];
    lines.extend(page.headers.clone());
    lines.push("Connection: close".into());
    if let Some(from) = from {
        let total = page.body.len();
        let said = if page.wrong_range { from + 1 } else { from };
        lines[0] = "HTTP/1.1 206 Partial Content".into();
        lines.push(format!("Content-Range: bytes {said}-{}/{total}", total - 1));
        lines.push(format!("Content-Length: {}", total - from));
    } else if page.endless {
        lines.push("Transfer-Encoding: chunked".into());
    } else if let Some(length) = page.length {
        lines.push(format!("Content-Length: {length}"));
    }
    lines.join("\r\n") + "\r\n\r\n"
}

async fn send(stream: &mut TcpStream, page: &Page, from: usize) -> std::io::Result<()> {
    let mut sent = 0;
    loop {
        for piece in page.body[from..].chunks(64 << 10) {
            let end =
                page.cut_after.or(page.stall_after).map_or(piece.len(), |end| piece.len().min(end - sent));
            tokio::time::sleep(page.pace).await;
            if page.endless {
                stream.write_all(format!("{end:x}\r\n").as_bytes()).await?;
            }
            stream.write_all(&piece[..end]).await?;
            if page.endless {
                stream.write_all(b"\r\n").await?;
            }
            sent += end;
            if page.cut_after == Some(sent) {
                return stream.shutdown().await;
            }
            if page.stall_after == Some(sent) {
                stream.flush().await?;
                tokio::time::sleep(FOR_EVER).await;
            }
        }
        if !page.endless {
            return stream.shutdown().await;
        }
    }
}
