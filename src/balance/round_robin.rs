//! Weighted round robin, smooth: the picks of a backend are spread over the cycle as evenly as they can be.

use super::{BackendId, Policy};

/// `balance = "round-robin"`.
pub const POLICY: Policy = Policy {
    name: "round-robin",
    about: "each backend in turn, in proportion to its weight, heavier ones spread out evenly",
    cycle,
};

/// One place for each unit of weight (after dividing by their common divisor).
///
/// R. Tijdeman, "The chairman assignment problem" (1980): of the backends whose next pick may not come earlier, take
/// the one whose next pick may come latest the soonest. After every prefix each backend is within 1 of its share.
fn cycle(eligible: &[(BackendId, u32)]) -> Vec<BackendId> {
    let divisor = eligible.iter().fold(0, |d, (_, weight)| gcd(d, u64::from(*weight)));
    let weights: Vec<u64> = eligible.iter().map(|(_, weight)| u64::from(*weight) / divisor.max(1)).collect();
    let total: u64 = weights.iter().sum();
    let count = eligible.len() as u64;
    let slack = if count > 1 { 2 * count - 2 } else { 1 };
    let mut picked = vec![0; eligible.len()];
    let mut cycle = Vec::with_capacity(total as usize);
    for place in 1..=total {
        let due = (0..eligible.len())
            .filter(|&i| may_come(weights[i], picked[i], place, total, slack))
            .min_by_key(|&i| (latest(weights[i], picked[i], total, slack), i));
        let Some(next) = due else { break };
        picked[next] += 1;
        cycle.push(eligible[next].0);
    }
    cycle
}

/// Whether pick number `picked + 1` keeps the backend below its share at `place` plus 1 - 1/slack.
fn may_come(weight: u64, picked: u64, place: u64, total: u64, slack: u64) -> bool {
    // (picked + 1) - weight * place / total <= 1 - 1 / slack, without fractions.
    slack * picked * total + total <= slack * weight * place
}

/// The last place at which pick number `picked + 1` does not come too late.
fn latest(weight: u64, picked: u64, total: u64, slack: u64) -> u64 {
    // The smallest place with weight * place / total - picked >= 1 - 1 / slack.
    (total * (slack * picked + slack - 1)).div_ceil(slack * weight)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(weights: &[u32]) -> String {
        let eligible: Vec<_> =
            weights.iter().enumerate().map(|(i, weight)| (BackendId(i), *weight)).collect();
        cycle(&eligible).iter().map(|id| char::from(b'a' + id.0 as u8)).collect()
    }

    #[test]
    fn equal_weights_take_turns_in_the_order_of_the_file() {
        assert_eq!(names(&[]), "");
        assert_eq!(names(&[7]), "a");
        assert_eq!(names(&[1, 1, 1, 1, 1]), "abcde");
        assert_eq!(names(&[200, 200]), "ab");
    }

    /// Largest deviation from its share of any backend, over all prefixes and over all windows of the endless cycle.
    fn deviations(weights: &[u32]) -> (f64, f64) {
        let cycle = names(weights);
        let total = cycle.len();
        let (mut prefix_worst, mut window_worst) = (0.0_f64, 0.0_f64);
        for backend in 0..weights.len() {
            let name = b'a' + backend as u8;
            let own = cycle.bytes().filter(|b| *b == name).count();
            let share = own as f64 / total as f64;
            let mut deviation = 0.0_f64;
            let (mut low, mut high) = (0.0_f64, 0.0_f64);
            for byte in cycle.bytes() {
                deviation += f64::from(u8::from(byte == name)) - share;
                (low, high) = (low.min(deviation), high.max(deviation));
                prefix_worst = prefix_worst.max(deviation.abs());
            }
            window_worst = window_worst.max(high - low);
        }
        (prefix_worst, window_worst)
    }

    #[test]
    fn every_prefix_is_within_one_of_its_share_and_every_window_within_two() {
        for a in 1..=9 {
            for b in 1..=9 {
                for c in 1..=9 {
                    for weights in [vec![a, b], vec![a, b, c], vec![a, b, c, 1, 1], vec![a, b, c, 5, 7]] {
                        let (prefix, window) = deviations(&weights);
                        assert!(prefix < 1.0, "{weights:?} {prefix}");
                        assert!(window < 2.0, "{weights:?} {window}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_cycle_holds_each_backend_as_often_as_its_weight_says() {
        for weights in [[5, 1, 1], [256, 255, 1], [2, 4, 6]] {
            let cycle = names(&weights);
            let divisor = weights.iter().copied().fold(0, |d, w| gcd(d, u64::from(w))) as usize;
            for (i, weight) in weights.iter().enumerate() {
                let count = cycle.bytes().filter(|b| *b == b'a' + i as u8).count();
                assert_eq!(count * divisor, *weight as usize, "{weights:?}");
            }
        }
    }
}
