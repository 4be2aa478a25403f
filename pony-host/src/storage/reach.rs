//! Which web servers are asked. A host reaches more than whoever orders an image: services that listen for this machine
//! alone, and what a machine is told on its link (metadata of a cloud below, for one), take a request from here for one of
//! their own. Other private addresses are asked: many a site keeps its images there.

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Whether an address is this very machine's, or means whoever is on its link.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let is_this_network = ip.octets()[0] == 0;
            is_this_network
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip == Ipv4Addr::BROADCAST
        }
        IpAddr::V6(ip) => {
            ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local() || ip.is_multicast()
        }
    }
}

fn refusal(what: &str, ip: IpAddr) -> String {
    format!(
        "{what} is {ip}: this very host, or its link; images come from there with `twilight --near-sources` only"
    )
}

/// Why a server that is named by its address is not asked. Names are looked at when they are resolved.
pub(super) fn refused(uri: &Url) -> Option<String> {
    let host = uri.host_str()?;
    let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
    is_near(ip).then(|| refusal("the server", ip))
}

/// Resolves names as the system does, and gives only addresses that may be asked: what is asked is what was looked at,
/// whatever a name means a moment later.
pub(super) struct Elsewhere;

impl Resolve for Elsewhere {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let far: Vec<SocketAddr> = all.iter().copied().filter(|it| !is_near(it.ip())).collect();
            match (far.is_empty(), all.first()) {
                (true, Some(near)) => Err(refusal(&format!("`{}`", name.as_str()), near.ip()).into()),
                _ => Ok(Box::new(far.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_refused() {
        let near = [
            "http://127.0.0.1/",
            "http://127.9.9.9:9860/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0.0.0.0/",
            "http://0.1.2.3/",
            "http://169.254.169.254/latest",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fe80::1]/",
            "http://[ff02::1]/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
        ];
        let is_refused = |uri: &str| refused(&Url::parse(uri).unwrap()).is_some();
        assert_eq!(near.into_iter().filter(|uri| !is_refused(uri)).collect::<Vec<_>>(), [""; 0]);
        let far = [
            "http://10.0.0.5/",
            "http://192.168.1.1/",
            "http://[fd00::1]/",
            "https://9.9.9.9/",
            "http://localhost/",
        ];
        assert_eq!(far.into_iter().filter(|uri| is_refused(uri)).collect::<Vec<_>>(), [""; 0]);
    }

    #[tokio::test]
    async fn a_name_of_this_machine_leads_nowhere() {
        let Err(error) = Elsewhere.resolve("localhost".parse().unwrap()).await else {
            panic!("localhost was resolved");
        };
        assert!(error.to_string().starts_with("`localhost` is "), "{error}");
    }
}
