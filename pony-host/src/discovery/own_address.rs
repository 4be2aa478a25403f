//! The addresses that network cards were made with, whatever was set since: the kernel tells them by netlink only.

use futures::TryStreamExt as _;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use std::collections::HashMap;
use std::io;

/// Most links that are taken in.
const LINKS_MAX: usize = 16_384;

/// By the name of the link: the address that it shows, and its own.
#[derive(Debug, Default)]
pub(super) struct OwnAddresses(HashMap<String, (String, String)>);

impl OwnAddresses {
    /// Asks the kernel about the links of this network namespace.
    pub(super) async fn ask() -> io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        let task = tokio::spawn(connection);
        let found = collect(&handle).await;
        task.abort();
        found.map(Self)
    }

    /// The own address of the link that has this name and shows this address, where it is another one.
    pub(super) fn of(&self, name: &str, shown: &str) -> Option<String> {
        let (address, own) = self.0.get(name)?;
        // Not the same link: `/sys` may show another network namespace.
        (address == shown).then(|| own.clone())
    }
}

async fn collect(handle: &rtnetlink::Handle) -> io::Result<HashMap<String, (String, String)>> {
    let mut links = handle.link().get().execute();
    let mut found = HashMap::new();
    while let Some(link) = links.try_next().await.map_err(io::Error::other)? {
        if found.len() < LINKS_MAX {
            found.extend(addresses(&link));
        }
    }
    Ok(found)
}

fn addresses(link: &LinkMessage) -> Option<(String, (String, String))> {
    let (mut name, mut shown, mut own) = (None, None, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(it) => name = Some(it.clone()),
            LinkAttribute::Address(it) => shown = ethernet(it),
            LinkAttribute::PermAddress(it) => own = ethernet(it),
            _ => {}
        }
    }
    Some((name?, (shown?, own?)))
}

/// Six bytes, not all of them zero.
fn ethernet(bytes: &[u8]) -> Option<String> {
    let bytes = <[u8; 6]>::try_from(bytes).ok().filter(|bytes| *bytes != [0; 6])?;
    Some(bytes.map(|byte| format!("{byte:02x}")).join(":"))
}
