//! A later order always wins, of the links of a host too: bonds and what they are used for, in the real kernel. The rest of the
//! matrix is in `daemons/pony/tests/e2e/matrix/`; this part runs in a guest with Debian's full kernel, since not every one has
//! bonds and VLANs.
//!
//! Each change of bonds and roles meets each fault, and one of the later orders: that has to be taken at once, to be in force
//! within its bound, with nothing left of the abandoned one, and without cutting the host off, which would roll it back.
//! `make test-long` runs all cells, and writes the end of `docs/later-order-real.md`; a run that was broken off goes on with
//! those that `target/later-order-links` does not have. `PONY_SEED=n` runs the n-th alone.

mod agent;
mod cell;
mod ground;
mod seen;
mod states;
mod table;

use crate::namespace::{is_inside, output_in_guest, passed};
use cell::Cell;
use futures::FutureExt as _;
use ground::Ground;
use std::panic::AssertUnwindSafe;
use table::Rows;

const MODULES: &str = "bonding 8021q veth bridge nft_meta_bridge nf_tables";

/// The cell that is to be run alone.
const SEED: &str = "PONY_SEED";

/// Tells the test inside which cells are to be run.
const CELLS: &str = "PONY_CELLS";

/// How long the guest may take, seconds.
const SECONDS_MAX: &str = "3500";

/// Beyond so many failures it is not the cells that are wrong.
const FAILED_MAX: usize = 10;

#[test]
#[ignore = "takes half an hour where guests are emulated: make test-long runs it"]
fn a_later_order_wins_over_bonds_and_roles() {
    let mut rows = Rows::kept();
    let seed: Option<usize> = std::env::var(SEED).ok().and_then(|it| it.parse().ok());
    let cells = seed.map_or_else(|| rows.missing(), |seed| vec![seed]);
    let cells = cells.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let wishes = [("GUEST_MODULES", MODULES), ("GUEST_SECONDS", SECONDS_MAX)];
    let output = output_in_guest("link_matrix::cells_inside", &wishes, &[(CELLS, &cells)]);
    let Some(output) = output else { return };
    if seed.is_none() {
        rows.keep(&String::from_utf8_lossy(&output.stdout));
    }
    passed(&output);
    if seed.is_none() {
        rows.publish();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by another test, in a guest"]
async fn cells_inside() {
    let (true, Ok(wanted)) = (is_inside(), std::env::var(CELLS)) else { return };
    let (all, mut failed) = (Cell::all(), Vec::new());
    let mut ground = Ground::lay().await;
    for n in wanted.split(',').filter_map(|it| it.parse::<usize>().ok()) {
        let Some(cell) = all.get(n) else { continue };
        match AssertUnwindSafe(cell.run(&mut ground)).catch_unwind().await {
            Ok(took) => println!("{}", table::line(cell, took)),
            Err(_) => {
                println!("failed: {}; {}", cell.name().join("; "), replay(n));
                failed.push(n);
                drop(ground);
                ground = Ground::lay().await;
            }
        }
        assert!(failed.len() < FAILED_MAX, "cells that failed: {failed:?}");
    }
    assert!(failed.is_empty(), "cells that failed: {failed:?}");
}

/// The command that runs one cell.
fn replay(n: usize) -> String {
    let test = "link_matrix::a_later_order_wins_over_bonds_and_roles";
    format!("{SEED}={n} cargo test --workspace --test clouds -- --ignored --nocapture {test}")
}
