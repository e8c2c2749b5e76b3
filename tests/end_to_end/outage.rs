//! Backends that are down: whoever is left answers everything, and nobody left is said plainly.

use std::net::SocketAddr;
use std::time::Duration;

use ringway_backends::{Addresses, Running, start};

use crate::balance::ab;
use crate::support::curl::curl;
use crate::support::{OneUpstream, free_address, wait_for};

on_each_runtime!(
    one_of_five_is_enough,
    two_of_five_are_enough,
    three_of_five_are_enough,
    four_of_five_are_enough,
    five_of_five_are_enough,
    nobody_left_is_said_plainly,
    a_backend_that_comes_back_is_used_again,
);

/// Starts servers of the cluster on just these addresses.
fn cluster(addresses: &[SocketAddr]) -> Running {
    start(&Addresses { cluster: addresses.to_vec(), ..Addresses::ephemeral(0) }).unwrap()
}

fn one_of_five_is_enough(runtime: &str) {
    serves_all_with(1, runtime);
}

fn two_of_five_are_enough(runtime: &str) {
    serves_all_with(2, runtime);
}

fn three_of_five_are_enough(runtime: &str) {
    serves_all_with(3, runtime);
}

fn four_of_five_are_enough(runtime: &str) {
    serves_all_with(4, runtime);
}

fn five_of_five_are_enough(runtime: &str) {
    serves_all_with(5, runtime);
}

fn serves_all_with(alive: usize, runtime: &str) {
    let addresses: Vec<SocketAddr> = (0..5).map(|_| free_address()).collect();
    // The last ones live, so that a failover has to walk past the dead ones.
    let backends = cluster(&addresses[5 - alive..]);
    let setup = OneUpstream::new(&addresses);
    let _proxy = setup.run(runtime);
    ab(&[], &setup.url("/"));
    assert_eq!(backends.answered().iter().sum::<u64>(), 10_000);
    assert!(backends.answered().iter().all(|count| *count > 0), "{:?}", backends.answered());
}

fn nobody_left_is_said_plainly(runtime: &str) {
    let setup = OneUpstream::new(&[free_address(), free_address()]);
    let _proxy = setup.run(runtime);
    for _ in 0..10 {
        let answer = curl(&[&setup.url("/")]);
        assert!(matches!(answer.status, 502 | 503), "{}", answer.head);
        assert!(answer.text().to_lowercase().contains("backend"), "{}", answer.text());
    }
    assert_eq!(setup.log_lines(10).len(), 10);
}

fn a_backend_that_comes_back_is_used_again(runtime: &str) {
    let addresses = [free_address(), free_address()];
    let first = cluster(&addresses[..1]);
    let setup = OneUpstream::new(&addresses);
    let _proxy = setup.run(runtime);
    let ask = || assert_eq!(curl(&[&setup.url("/")]).status, 200);
    (0..10).for_each(|_| ask());
    assert_eq!(first.answered(), [10]);
    let second = cluster(&addresses[1..]);
    wait_for("the second backend gets requests", Duration::from_secs(20), || {
        ask();
        (second.answered()[0] > 0).then_some(())
    });
    drop(first);
    (0..10).for_each(|_| ask());
}
