use super::*;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn host(n: u128, mem_mib: i64, mem_used_mib: i64) -> Candidate {
    Candidate {
        host: id(n),
        fitness: Fitness::Fit,
        mem_mib,
        mem_used_mib,
        pools: BTreeSet::from([id(100 + n), id(99)]),
        cpu_profiles: BTreeSet::new(),
    }
}

fn request(mem_mib: i64) -> Request {
    Request { mem_mib, ..Request::default() }
}

#[test]
fn the_host_with_the_most_free_memory_is_chosen_and_the_lower_uuid_among_equals() {
    let hosts = [host(3, 8192, 0), host(2, 8192, 0), host(1, 8192, 1)];
    assert_eq!(choose(&hosts, &request(512)), Ok(id(2)));
}

#[test]
fn a_local_pool_ties_an_instance_to_its_host() {
    let hosts = [host(1, 8192, 0), host(2, 4096, 0)];
    let tied = Request { pools: BTreeSet::from([id(102), id(99)]), ..request(512) };
    assert_eq!(choose(&hosts, &tied), Ok(id(2)));
}

#[test]
fn a_host_keeps_a_reserve() {
    let free = host(1, 1024, 0).mem_free_mib();
    assert_eq!(free, 1024 - HOST_RESERVE_MIN_MIB);
    assert!(choose(&[host(1, 1024, 0)], &request(free)).is_ok());
    assert!(choose(&[host(1, 1024, 0)], &request(free + 1)).is_err());
}

#[test]
fn members_of_a_group_come_together_or_stay_apart() {
    let hosts = [host(1, 8192, 0), host(2, 4096, 0)];
    let near = Request { near: BTreeSet::from([id(2)]), ..request(512) };
    assert_eq!(choose(&hosts, &near), Ok(id(2)));
    let apart = Request { apart: BTreeSet::from([id(1)]), ..request(512) };
    assert_eq!(choose(&hosts, &apart), Ok(id(2)));
}

#[test]
fn a_refusal_counts_each_reason_in_words() {
    let none: [Candidate; 0] = [];
    assert_eq!(choose(&none, &request(1)).unwrap_err().to_string(), "no host fits: there is none yet");
    let missing = Candidate { fitness: Fitness::Missing, ..host(1, 8192, 0) };
    let evacuated = Candidate { fitness: Fitness::Evacuated, ..host(2, 8192, 0) };
    let elsewhere = Candidate { pools: BTreeSet::new(), ..host(3, 8192, 0) };
    let small = host(4, 1024, 0);
    let wanted = Request { pools: BTreeSet::from([id(99)]), ..request(2048) };
    assert_eq!(
        choose(&[missing, evacuated, elsewhere, small.clone(), small], &wanted).unwrap_err().to_string(),
        "no host fits: 1 is missing, 1 is evacuated, 1 does not reach all pools of its volumes, \
         2 have too little free memory (it needs 2048 MiB, the most that is free is 768 MiB)"
    );
}
