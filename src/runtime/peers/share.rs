//! Who is to serve one more connection: arithmetic on the numbers of connections that the workers serve.

/// A worker may serve this part of the mean more than the least loaded one before it hands a connection over.
const PART: usize = 8;

/// Who is to serve a connection that a worker with `here` connections has accepted: `None` for that worker itself, else
/// the least loaded one of the others and its load. The others come as `(worker, load)`; the first of equals is taken.
///
/// The bound grows with the load: where there are few connections no worker gets a second one more than another, and
/// where there are many the kernel's own spread is good enough and nearly nothing changes hands.
pub(super) fn choose(here: usize, others: impl Iterator<Item = (usize, usize)>) -> Option<(usize, usize)> {
    let (mut total, mut workers, mut least) = (here, 1, None);
    for (worker, load) in others {
        total += load;
        workers += 1;
        if least.is_none_or(|(_, fewest)| load < fewest) {
            least = Some((worker, load));
        }
    }
    let bound = total / workers / PART;
    least.filter(|(_, fewest)| here > fewest + bound)
}

/// How many connections the most loaded worker serves above the mean.
pub(super) fn skew(loads: &[usize]) -> f64 {
    let most = loads.iter().max().copied().unwrap_or_default();
    let total: usize = loads.iter().sum();
    most as f64 - total as f64 / loads.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Accepts a connection on a worker.
    fn accept(loads: &mut [usize], worker: usize) {
        let others = (0..loads.len()).filter(|&other| other != worker);
        let chosen = choose(loads[worker], others.map(|other| (other, loads[other])));
        loads[chosen.map_or(worker, |(chosen, _)| chosen)] += 1;
    }

    #[test]
    fn a_worker_without_others_keeps_everything() {
        assert_eq!(choose(1000, std::iter::empty()), None);
    }

    #[test]
    fn the_first_of_the_least_loaded_is_taken() {
        assert_eq!(choose(1, [(1, 1), (2, 0), (3, 0)].into_iter()), Some((2, 0)));
        assert_eq!(choose(1, [(1, 1), (2, 1)].into_iter()), None);
    }

    #[test]
    fn with_many_connections_little_changes_hands() {
        assert_eq!(choose(270, [(1, 242)].into_iter()), None);
        assert_eq!(choose(280, [(1, 232)].into_iter()), Some((1, 232)));
    }

    #[test]
    fn the_skew_is_counted_from_the_mean() {
        assert_eq!(skew(&[]).to_bits(), 0_f64.to_bits());
        assert_eq!(skew(&[3, 3]).to_bits(), 0_f64.to_bits());
        assert_eq!(skew(&[0, 3, 0, 1]).to_bits(), 2_f64.to_bits());
    }

    proptest! {
        #[test]
        fn a_few_connections_are_spread_evenly(workers in 1_usize..9, accepts in prop::collection::vec(0_usize..8, 0..64)) {
            let mut loads = vec![0; workers];
            for worker in accepts.into_iter().take(8 * workers) {
                accept(&mut loads, worker % workers);
                let (most, least) = (loads.iter().max().unwrap(), loads.iter().min().unwrap());
                prop_assert!(most - least <= 1, "{loads:?}");
            }
        }

        #[test]
        fn many_connections_are_spread_within_the_bound(accepts in prop::collection::vec(0_usize..4, 0..2000)) {
            let mut loads = [0; 4];
            for (count, worker) in accepts.into_iter().enumerate() {
                accept(&mut loads, worker);
                prop_assert!(skew(&loads) <= 1.0 + count as f64 / 32.0, "{loads:?}");
            }
        }

        #[test]
        fn after_connections_have_ended_no_worker_is_given_more_than_it_may_have(
            mut loads in prop::collection::vec(0_usize..40, 2..6), worker in 0_usize..6
        ) {
            let before = loads.clone();
            let worker = worker % loads.len();
            accept(&mut loads, worker);
            let given = loads.iter().zip(&before).position(|(after, before)| after != before).unwrap();
            let bound = before.iter().sum::<usize>() / before.len() / PART;
            prop_assert!(before[given] <= before.iter().min().unwrap() + bound, "{before:?} {loads:?}");
        }
    }
}
