//! Writes the workload `cloud` as JSON, for benches in other languages: for each thousand instances a line of each table, its
//! name, a tab, and its rows by their keys, in the form in which the API lists them.
//!
//!     cloud-json INSTANCES SEED >FILE

use pony_benches::workload::{Instance, Member, Members, Placement, Vdisk, Vnic, Volume};
use pony_state::{AnyTable, PartKind, Read, State};
use std::io::{self, BufWriter, Write};

/// Instances of which the rows stand in one line.
const BATCH: usize = 1000;

type Failure = Box<dyn std::error::Error>;

fn state(members: &[Member]) -> Result<State, Failure> {
    let tables = State::builder().table::<Instance>().table::<Volume>().table::<Vdisk>();
    let mut state = tables.table::<Vnic>().table::<Placement>().build()?;
    let mut tx = state.transaction();
    for member in members {
        tx.put(member.instance.clone());
        tx.put(member.placement.clone());
        for index in 0..member.volumes.len() {
            tx.put(member.volumes[index].clone());
            tx.put(member.vdisks[index].clone());
            tx.put(member.vnics[index].clone());
        }
    }
    tx.commit();
    Ok(state)
}

fn line(table: AnyTable<'_>) -> Vec<u8> {
    let mut text = format!("{}\t{{", table.def().name()).into_bytes();
    for (number, row) in table.iter().enumerate() {
        text.extend_from_slice(if number == 0 { b"\"" } else { b",\"" });
        text.extend_from_slice(row.key().to_string().as_bytes());
        text.extend_from_slice(b"\":{");
        let mut comma: &[u8] = b"";
        for kind in PartKind::BOTH.into_iter().filter(|kind| row.has(*kind)) {
            text.extend_from_slice(comma);
            text.extend_from_slice(format!("\"{kind}\":").as_bytes());
            table.def().write_part(row, kind, |_| true, &mut text);
            comma = b",";
        }
        text.push(b'}');
    }
    text.extend_from_slice(b"}\n");
    text
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let mut number = || -> Result<u64, Failure> { Ok(arguments.next().ok_or("INSTANCES SEED")?.parse()?) };
    let mut members = Members::new(number()?.try_into()?, number()?);
    let mut out = BufWriter::new(io::stdout().lock());
    loop {
        let batch: Vec<Member> = members.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(out.flush()?);
        }
        for table in state(&batch)?.view().tables() {
            out.write_all(&line(table))?;
        }
    }
}
