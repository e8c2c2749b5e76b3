//! How long a plan takes, roughly, before anything is known of the machine.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::plan::{Cell, Kind, Plan, Tool};

/// Starting, warming up and stopping backends and proxy; Envoy needs longer.
const AROUND: Duration = Duration::from_millis(150);
const AROUND_ENVOY: Duration = Duration::from_millis(700);

/// Requests a second of ab through a proxy with a core of its own, on one virtual core of a server of 2026, from which
/// the estimate comes; at 2, at 5 and at 10 and more requests at a time.
const AB: [f64; 3] = [6_500.0, 8_000.0, 8_500.0];
const AB_KEEP_ALIVE: [f64; 3] = [17_000.0, 23_000.0, 26_000.0];
/// Envoy is slower by so much.
const ENVOY_SLOWER: f64 = 2.5;

impl Plan {
    /// How many runs there are in all rounds.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.cells().len() * self.rounds as usize
    }

    /// How long all of them take.
    #[must_use]
    pub fn estimate(&self) -> Duration {
        let round: Duration = self.cells().iter().map(|cell| self.estimate_run(cell)).sum();
        round * self.rounds
    }

    /// How many runs are not among these keys, and how long they take.
    #[must_use]
    pub fn missing(&self, there: &BTreeSet<String>) -> (usize, Duration) {
        let cells = self.cells();
        let rounds = (1..=self.rounds).flat_map(|round| cells.iter().map(move |cell| (round, cell)));
        let missing = rounds.filter(|(round, cell)| !there.contains(&cell.key(*round)));
        missing
            .fold((0, Duration::ZERO), |(runs, time), (_, cell)| (runs + 1, time + self.estimate_run(cell)))
    }

    fn estimate_run(&self, cell: &Cell) -> Duration {
        let is_envoy = cell.subject.kind == Kind::Peer && cell.subject.name == "envoy";
        let at = match cell.setting.concurrency {
            0..=3 => 0,
            4..=7 => 1,
            _ => 2,
        };
        let slower = if is_envoy { ENVOY_SLOWER } else { 1.0 };
        let of_ab = |rates: [f64; 3]| f64::from(self.requests) / rates[at] * slower;
        let seconds = match cell.setting.tool {
            Tool::Ab => of_ab(AB),
            Tool::AbKeepAlive => of_ab(AB_KEEP_ALIVE),
            Tool::Wrk => f64::from(self.wrk_seconds),
            Tool::Oha | Tool::OhaUncorrected => self.open.map_or(0.0, |open| f64::from(open.seconds)),
        };
        Duration::from_secs_f64(seconds) + if is_envoy { AROUND_ENVOY } else { AROUND }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{OpenLoop, Plan, Subject, Tool, sets};

    fn plan(runtimes: &[&str]) -> Plan {
        let peers = ["nginx", "haproxy", "envoy"].map(Subject::peer);
        Plan {
            tools: Tool::CLOSED.to_vec(),
            subjects: runtimes.iter().map(|name| Subject::runtime(name)).chain(peers).collect(),
            sets: sets(&[1, 2, 3, 4, 5]),
            concurrency: vec![2, 5, 10],
            requests: 10_000,
            wrk_seconds: 1,
            rounds: 3,
            open: Some(OpenLoop { rate: 2000, seconds: 5, connections: 5 }),
            has_direct: true,
            seed: 0,
        }
    }

    /// The promise of bench/README.md.
    #[test]
    fn the_whole_experiment_with_all_runtimes_and_peers_takes_less_than_an_hour_for_three_rounds() {
        let all = plan(&["ring", "monoio", "monoio-epoll", "tokio-uring", "threads"]).estimate();
        let three = plan(&["ring", "monoio", "threads"]).estimate();
        let minutes = |time: std::time::Duration| time.as_secs() / 60;
        assert!((30..60).contains(&minutes(all)), "{all:?}");
        assert!(three < all, "{three:?}");
    }

    #[test]
    fn what_is_there_takes_no_more_time() {
        let plan = plan(&["ring"]);
        let first = plan.round(1).into_iter().map(|cell| cell.key(1));
        assert_eq!(plan.missing(&std::collections::BTreeSet::new()), (plan.runs(), plan.estimate()));
        assert_eq!(plan.missing(&first.collect()), (plan.runs() / 3 * 2, plan.estimate() / 3 * 2));
    }

    #[test]
    fn rounds_and_seconds_add_up() {
        let mut plan = plan(&["ring"]);
        let three = plan.estimate();
        plan.rounds = 6;
        assert_eq!(plan.estimate(), three * 2);
        assert_eq!(plan.runs(), plan.cells().len() * 6);
        let before = plan.estimate();
        plan.wrk_seconds += 1;
        let of_wrk = plan.cells().iter().filter(|cell| cell.setting.tool == Tool::Wrk).count() as u64;
        assert_eq!((plan.estimate() - before).as_secs(), of_wrk * 6);
    }
}
