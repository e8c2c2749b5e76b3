//! Checks the promise of round robin from the lines of an access log, in either of its formats.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Deserialize;

/// Findings of one upstream that are told; more are only counted.
const TOLD: usize = 20;

/// The picks that a log tells of, by upstream.
#[derive(Debug, Default)]
pub struct Audit {
    upstreams: BTreeMap<String, Picks>,
    /// Lines that are none of an access log.
    strange: u64,
}

/// What the log says of one upstream.
#[derive(Debug, Default)]
struct Picks {
    cycles: BTreeMap<u64, Cycle>,
    names: Vec<String>,
    ids: HashMap<String, usize>,
    doubled: Vec<(u64, u64)>,
}

/// The picks of one cycle, by their number.
type Cycle = BTreeMap<u64, usize>;

/// What was found of one upstream.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the upstream.
    pub upstream: String,
    /// Cycles that the log tells of.
    pub cycles: usize,
    /// How often each backend was picked.
    pub counts: Vec<(String, u64)>,
    /// How the promise was broken, or why that cannot be told.
    pub findings: Vec<String>,
}

/// One line's pick.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    upstream: Option<&'a str>,
    pick: Option<u64>,
    cycle: Option<u64>,
    backend: Option<&'a str>,
    picked: Option<&'a str>,
}

impl Audit {
    /// Takes one line of the log.
    pub fn take(&mut self, line: &str) {
        let Some(line) = Line::read(line) else {
            self.strange += 1;
            return;
        };
        let Line { upstream: Some(upstream), pick: Some(number), cycle: Some(cycle), .. } = line else {
            return;
        };
        let picked = line.picked.or(line.backend).unwrap_or("-");
        if !self.upstreams.contains_key(upstream) {
            self.upstreams.insert(upstream.to_owned(), Picks::default());
        }
        if let Some(picks) = self.upstreams.get_mut(upstream) {
            picks.take(cycle, number, picked);
        }
    }

    /// Lines that are none of an access log.
    pub fn strange(&self) -> u64 {
        self.strange
    }

    /// What was found, with the weights of the backends, which no log tells.
    pub fn verdicts(&self, weight: impl Fn(&str, &str) -> u32) -> Vec<Verdict> {
        let verdict = |(name, picks): (&String, &Picks)| picks.verdict(name, |backend| weight(name, backend));
        self.upstreams.iter().map(verdict).collect()
    }
}

impl<'a> Line<'a> {
    /// Reads a line of either format; `None` if it is of neither.
    fn read(line: &'a str) -> Option<Self> {
        if line.starts_with('{') {
            return serde_json::from_str(line).ok();
        }
        let (_, quoted) = line.split_once('"')?;
        let mut is_escaped = false;
        let end = quoted.bytes().position(|byte| {
            let is_end = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            is_end
        })?;
        let word = |name: &str| {
            let words = quoted[end + 1..].split(' ');
            words
                .filter_map(|word| word.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        word("status")?;
        let number = |name| word(name).and_then(|value| value.parse().ok());
        Some(Self {
            upstream: word("upstream"),
            pick: number("pick"),
            cycle: number("cycle"),
            backend: word("backend"),
            picked: word("picked"),
        })
    }
}

impl Picks {
    fn take(&mut self, cycle: u64, number: u64, backend: &str) {
        let id = self.ids.get(backend).copied().unwrap_or_else(|| {
            self.names.push(backend.to_owned());
            self.ids.insert(backend.to_owned(), self.names.len() - 1);
            self.names.len() - 1
        });
        if self.cycles.entry(cycle).or_default().insert(number, id).is_some() {
            self.doubled.push((cycle, number));
        }
    }

    fn verdict(&self, upstream: &str, weight: impl Fn(&str) -> u32) -> Verdict {
        let weights: Vec<u64> = self.names.iter().map(|name| u64::from(weight(name).max(1))).collect();
        let mut findings = Findings::default();
        for (cycle, number) in &self.doubled {
            findings.push(format_args!("pick {number} of cycle {cycle} was made twice"));
        }
        for (nth, (cycle, picks)) in self.cycles.iter().enumerate() {
            // The log may have been begun in the middle of its first cycle.
            let begins = if nth == 0 { picks.keys().next().copied() } else { Some(0) };
            let gaps = missing(picks, begins.unwrap_or(0));
            for (from, to) in &gaps {
                findings.push(format_args!("cycle {cycle} lacks picks {from} to {to}"));
            }
            if gaps.is_empty() {
                self.check_turns(*cycle, picks, &weights, &mut findings);
            }
        }
        let mut counts: Vec<_> = self.names.iter().map(|name| (name.clone(), 0)).collect();
        self.cycles.values().flat_map(Cycle::values).for_each(|id| counts[*id].1 += 1);
        counts.sort();
        let (upstream, cycles) = (upstream.to_owned(), self.cycles.len());
        Verdict { upstream, cycles, counts, findings: findings.told() }
    }

    /// Each place of the cycle belongs to one backend, and each backend has as many of them as its weight says. So over
    /// any picks that follow each other the counts of two equal ones differ by 1 at the most.
    fn check_turns(&self, cycle: u64, picks: &Cycle, weights: &[u64], findings: &mut Findings) {
        let mut members: Vec<usize> = picks.values().copied().collect();
        members.sort_unstable();
        members.dedup();
        let divisor = members.iter().fold(0, |divisor, id| gcd(divisor, weights[*id])).max(1);
        let length = members.iter().map(|id| weights[*id] / divisor).sum::<u64>().max(1);
        let mut places: BTreeMap<u64, (u64, usize)> = BTreeMap::new();
        let mut held = vec![0; self.names.len()];
        for (number, id) in picks {
            match places.get(&(number % length)) {
                Some((_, other)) if other == id => {}
                Some((earlier, other)) => findings.push(format_args!(
                    "cycle {cycle}: pick {number} went to {}, though pick {earlier}, {} before it, went to {}",
                    self.names[*id],
                    number - earlier,
                    self.names[*other]
                )),
                None => {
                    places.insert(number % length, (*number, *id));
                    held[*id] += 1;
                    if held[*id] > weights[*id] / divisor {
                        findings.push(format_args!(
                            "cycle {cycle}: {} was picked {} times in {length} picks up to {number}, more than its share",
                            self.names[*id], held[*id]
                        ));
                    }
                }
            }
        }
    }
}

/// Runs of numbers that are missing, from `begins` to the last.
fn missing(picks: &Cycle, begins: u64) -> Vec<(u64, u64)> {
    let mut next = begins;
    let mut gaps = Vec::new();
    for number in picks.keys() {
        if *number > next {
            gaps.push((next, number - 1));
        }
        next = number + 1;
    }
    gaps
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The first findings, and how many there were.
#[derive(Default)]
struct Findings {
    told: Vec<String>,
    count: usize,
}

impl Findings {
    fn push(&mut self, finding: fmt::Arguments<'_>) {
        self.count += 1;
        if self.told.len() < TOLD {
            self.told.push(finding.to_string());
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.count > self.told.len() {
            self.told.push(format!("and {} more of the kind", self.count - self.told.len()));
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cycle: u64, number: u64, backend: &str) -> String {
        format!(
            "2026-11-23T21:53:51.476Z 127.0.0.1:5 \"GET /\\\" upstream=x pick=9\" host=h backend={backend} status=200 \
             bytes=1 time=0.663ms upstream=u pick={number} cycle={cycle}"
        )
    }

    fn findings(lines: &[String], weight: impl Fn(&str, &str) -> u32) -> Vec<String> {
        let mut audit = Audit::default();
        lines.iter().for_each(|line| audit.take(line));
        assert_eq!(audit.strange(), 0);
        audit.verdicts(weight).into_iter().flat_map(|verdict| verdict.findings).collect()
    }

    fn turns(cycle: u64, order: &str) -> Vec<String> {
        (0..)
            .zip(order.split(""))
            .filter(|(_, b)| !b.is_empty())
            .map(|(n, b)| text(cycle, n - 1, b))
            .collect()
    }

    const EQUAL: fn(&str, &str) -> u32 = |_, _| 1;

    #[test]
    fn turns_in_order_keep_the_promise_whatever_the_order_of_the_lines() {
        let mut lines = turns(0, "abcabcabca");
        lines.reverse();
        lines.extend(turns(1, "acacac"));
        assert_eq!(findings(&lines, EQUAL), [""; 0]);
        let mut audit = Audit::default();
        lines.iter().for_each(|line| audit.take(line));
        let verdict = &audit.verdicts(EQUAL)[0];
        assert_eq!(verdict.cycles, 2);
        assert_eq!(
            verdict.counts,
            [("a", 7), ("b", 3), ("c", 6)].map(|(name, count)| (name.to_owned(), count))
        );
    }

    #[test]
    fn gaps_and_doubles_are_found() {
        let mut lines = turns(3, "abcabcabc");
        lines.remove(4);
        assert_eq!(findings(&lines, EQUAL), ["cycle 3 lacks picks 4 to 4"]);
        lines = turns(3, "abcabcabc");
        lines.push(text(3, 4, "b"));
        assert_eq!(findings(&lines, EQUAL), ["pick 4 of cycle 3 was made twice"]);
        let later = turns(4, "abc").split_off(1);
        lines.extend(later);
        assert_eq!(findings(&lines, EQUAL)[1..], ["cycle 4 lacks picks 0 to 0"]);
    }

    #[test]
    fn shares_that_are_not_equal_are_found() {
        assert_eq!(
            findings(&turns(0, "abcabac"), EQUAL),
            [
                "cycle 0: pick 5 went to a, though pick 2, 3 before it, went to c",
                "cycle 0: pick 6 went to c, though pick 0, 6 before it, went to a"
            ]
        );
        assert_eq!(findings(&turns(0, "aab"), EQUAL).len(), 2);
        let twice_a = |_: &str, backend: &str| if backend == "a" { 2 } else { 1 };
        assert_eq!(findings(&turns(0, "abaabaaba"), twice_a), [""; 0]);
        assert!(!findings(&turns(0, "ababab"), twice_a).is_empty());
    }

    #[test]
    fn a_log_may_begin_in_the_middle_of_a_cycle() {
        let mut lines = turns(7, "abab").split_off(2);
        lines.extend(turns(8, "bb"));
        assert_eq!(findings(&lines, EQUAL), [""; 0]);
    }

    #[test]
    fn a_failover_counts_for_the_backend_that_was_picked() {
        let line = |number: u64, picked: &str| {
            format!(
                "{{\"status\":200,\"backend\":\"z\",\"picked\":\"{picked}\",\"upstream\":\"u\",\"pick\":{number},\"cycle\":0}}"
            )
        };
        assert_eq!(findings(&[line(0, "a"), line(1, "b"), line(2, "a")], EQUAL), [""; 0]);
        let mut audit = Audit::default();
        audit.take("not a log");
        assert_eq!(audit.strange(), 1);
    }
}
