//! The triggers that check addresses, written in SQL, agree with the types that are written in Rust.

use pony_state::{Cidr, Inet};
use pony_store::conformance::tables;
use proptest::prelude::*;
use rusqlite::Connection;
use std::net::{Ipv4Addr, Ipv6Addr};

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&pony_store::ddl::sqlite(&tables()).unwrap()).unwrap();
    connection
}

/// Whether the database takes the value; any error but the refusal is a defect.
fn takes(connection: &Connection, view: &str, values: &[&str]) -> bool {
    let marks = if values.len() == 1 { "?1" } else { "?1, ?2" };
    let sql = format!("INSERT INTO \"{view}\" VALUES ({marks})");
    match connection.prepare_cached(&sql).unwrap().execute(rusqlite::params_from_iter(values)) {
        Ok(_) => true,
        Err(error) => {
            let tag = format!("[{}]", view.trim_start_matches('_'));
            assert!(error.to_string().ends_with(&tag), "{values:?}: {error}");
            false
        }
    }
}

/// Addresses with many zeros, so that runs of them occur everywhere.
fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    let group = prop_oneof![3 => Just(0u16), 1 => Just(0xffffu16), 1 => 0u16..32, 1 => any::<u16>()];
    prop::array::uniform8(group).prop_map(Ipv6Addr::from)
}

fn mapped() -> impl Strategy<Value = Ipv6Addr> {
    any::<Ipv4Addr>().prop_map(|v4| v4.to_ipv6_mapped())
}

fn address() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<Ipv4Addr>().prop_map(|it| it.to_string()),
        ipv6().prop_map(|it| it.to_string()),
        mapped().prop_map(|it| it.to_string()),
    ]
}

fn prefix() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (0u32..140).prop_map(|it| format!("/{it}")),
        (0u32..34).prop_map(|it| format!("/{it}")),
        Just("/08".to_owned()),
        Just("/".to_owned()),
        Just("/x".to_owned()),
        Just("/-1".to_owned()),
    ]
}

/// An address, perhaps with one character changed, removed or added.
fn nearly() -> impl Strategy<Value = String> {
    let edit = (0u8..4, any::<prop::sample::Index>(), "[0-9a-fA-F:./,\"\\[ *]");
    (address(), prefix(), edit).prop_map(|(address, prefix, (kind, place, character))| {
        let mut text: Vec<char> = format!("{address}{prefix}").chars().collect();
        let place = place.index(text.len());
        let character = character.chars().next().unwrap();
        match kind {
            0 => {}
            1 => text[place] = character,
            2 => drop(text.remove(place)),
            _ => text.insert(place, character),
        }
        text.into_iter().collect()
    })
}

fn is_inet(text: &str) -> bool {
    text.parse::<Inet>().is_ok_and(|it| it.to_string() == text)
}

fn is_cidr(text: &str) -> bool {
    text.parse::<Cidr>().is_ok_and(|it| it.to_string() == text)
}

#[test]
fn addresses_are_told_from_other_texts() {
    let connection = database();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(4000));
    runner
        .run(&nearly(), |text| {
            prop_assert_eq!(takes(&connection, "_inet", &[&text]), is_inet(&text), "inet {}", text);
            prop_assert_eq!(takes(&connection, "_cidr", &[&text]), is_cidr(&text), "cidr {}", text);
            // What was meant, in its right form, is taken.
            if let Ok(inet) = text.parse::<Inet>() {
                prop_assert!(takes(&connection, "_inet", &[&inet.to_string()]));
                prop_assert!(takes(&connection, "_cidr", &[&inet.network().to_string()]));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn addresses_are_inside_of_the_ranges_that_contain_them() {
    let connection = database();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(4000));
    // One address, and a range around it or around one that differs in one bit.
    let strategy = (address(), 0u8..=128, prop::option::of(0u32..128), address());
    runner
        .run(&strategy, |(text, prefix, flipped, other)| {
            let inet: Inet = text.parse().unwrap();
            let around = match (inet.addr(), flipped) {
                (addr, None) => addr,
                (std::net::IpAddr::V4(it), Some(bit)) => {
                    Ipv4Addr::from_bits(it.to_bits() ^ 1 << (bit % 32)).into()
                }
                (std::net::IpAddr::V6(it), Some(bit)) => Ipv6Addr::from_bits(it.to_bits() ^ 1 << bit).into(),
            };
            let longest = if around.is_ipv4() { 32 } else { 128 };
            let range = Inet::new(around, prefix % (longest + 1)).unwrap().network();
            for address in [inet, other.parse().unwrap()] {
                let inside = takes(&connection, "_inside", &[&address.to_string(), &range.to_string()]);
                prop_assert_eq!(inside, range.contains(address.addr()), "{} in {}", address, range);
            }
            Ok(())
        })
        .unwrap();
}
