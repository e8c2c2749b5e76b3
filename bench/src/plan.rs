//! What is run: tools, proxies, sets of backends and concurrencies, in rounds of a different order each.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// What sends the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tool {
    /// ApacheBench, a connection a request.
    #[serde(rename = "ab")]
    Ab,
    /// ApacheBench with `-k`: connections are kept.
    #[serde(rename = "ab-k")]
    AbKeepAlive,
    /// wrk: connections are kept, for a time instead of a number of requests.
    #[serde(rename = "wrk")]
    Wrk,
    /// oha at a fixed rate, delays counted from the moment a request was due.
    #[serde(rename = "oha")]
    Oha,
    /// The same, delays counted from the moment a request was sent: what coordinated omission hides.
    #[serde(rename = "oha-uncorrected")]
    OhaUncorrected,
}

impl Tool {
    /// The closed-loop tools of the experiment: a client sends its next request when it has its answer.
    pub const CLOSED: [Self; 3] = [Self::Ab, Self::AbKeepAlive, Self::Wrk];
    /// The open-loop pair: requests leave when they are due, whatever became of those before.
    pub const OPEN: [Self; 2] = [Self::Oha, Self::OhaUncorrected];
    /// Both.
    pub const ALL: [Self; 5] = [Self::Ab, Self::AbKeepAlive, Self::Wrk, Self::Oha, Self::OhaUncorrected];

    /// Its name in keys, files and `--tools`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ab => "ab",
            Self::AbKeepAlive => "ab-k",
            Self::Wrk => "wrk",
            Self::Oha => "oha",
            Self::OhaUncorrected => "oha-uncorrected",
        }
    }

    /// How a reader types it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::AbKeepAlive => "ab -k",
            Self::OhaUncorrected => "oha, uncorrected",
            other => other.name(),
        }
    }

    /// Whether requests leave at a fixed rate.
    #[must_use]
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }
}

/// Whether there is a proxy, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No proxy: the client talks to the first backend.
    Direct,
    /// Ringway on one of its runtimes.
    Runtime,
    /// Another proxy.
    Peer,
}

/// The runtimes in the order of tables and legends; one that is not here comes behind, by name.
pub(crate) const RUNTIMES: [&str; 5] = ["ring", "monoio", "monoio-epoll", "tokio-uring", "threads"];
/// The same for the peers.
const PEERS: [&str; 3] = ["nginx", "haproxy", "envoy"];

/// A subject's place in tables and legends, and among the colours; no place for one that is not known.
pub(crate) fn place(name: &str) -> Option<usize> {
    RUNTIMES.iter().chain(&PEERS).position(|known| *known == name)
}

/// What is measured: a runtime, a peer, or no proxy at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// What it is.
    pub kind: Kind,
    /// `direct`, the runtime's name, or the peer's.
    pub name: String,
}

impl Ord for Subject {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank =
            |subject: &Self| (subject.kind, place(&subject.name).unwrap_or(usize::MAX), subject.name.clone());
        rank(self).cmp(&rank(other))
    }
}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Subject {
    /// No proxy.
    #[must_use]
    pub fn direct() -> Self {
        Self { kind: Kind::Direct, name: "direct".to_owned() }
    }

    /// Ringway on this runtime.
    #[must_use]
    pub fn runtime(name: &str) -> Self {
        Self { kind: Kind::Runtime, name: name.to_owned() }
    }

    /// Another proxy.
    #[must_use]
    pub fn peer(name: &str) -> Self {
        Self { kind: Kind::Peer, name: name.to_owned() }
    }
}

/// What subjects are compared in: everything about a cell but its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Setting {
    /// What sends the requests.
    pub tool: Tool,
    /// Backends that the proxy knows.
    pub configured: usize,
    /// How many of them, the first ones, answer; the others refuse connections.
    pub alive: usize,
    /// Requests under way at once: connections of the client.
    pub concurrency: u32,
}

impl Setting {
    /// `3 backends`, or `3 of 5 alive`.
    #[must_use]
    pub fn backends(&self) -> String {
        match (self.configured == self.alive, self.alive) {
            (true, 1) => "1 backend".to_owned(),
            (true, alive) => format!("{alive} backends"),
            (false, alive) => format!("{alive} of {} alive", self.configured),
        }
    }
}

/// One point of the experiment, run once a round.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Who is measured.
    pub subject: Subject,
    /// In what.
    pub setting: Setting,
    /// The second one of an A/A pair: the same cell again, for the noise floor.
    pub is_twin: bool,
}

impl Cell {
    /// Names its run in a round: `2/wrk/ring/3of5/c10`, and `/again` behind it for a twin.
    #[must_use]
    pub fn key(&self, round: u32) -> String {
        let Setting { tool, configured, alive, concurrency } = self.setting;
        let again = if self.is_twin { "/again" } else { "" };
        let (tool, subject) = (tool.name(), &self.subject.name);
        format!("{round}/{tool}/{subject}/{alive}of{configured}/c{concurrency}{again}")
    }
}

/// The experiment as it was asked for: kept in the run's folder, so that a resumed run does the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The closed-loop tools.
    pub tools: Vec<Tool>,
    /// The runtimes, then the peers.
    pub subjects: Vec<Subject>,
    /// `(configured, alive)`, in the order of the table.
    pub sets: Vec<(usize, usize)>,
    /// Requests under way at once.
    pub concurrency: Vec<u32>,
    /// Requests a run of ab.
    pub requests: u32,
    /// How long a run of wrk lasts, in seconds.
    pub wrk_seconds: u32,
    /// How often every cell is run.
    pub rounds: u32,
    /// The open-loop part, where oha is there.
    pub open: Option<OpenLoop>,
    /// Whether the tools also talk to a backend without a proxy between.
    pub has_direct: bool,
    /// The rounds' orders follow from it: see [`seed`]. 0 in runs before it was kept.
    #[serde(default)]
    pub seed: u32,
}

/// How the open-loop runs are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLoop {
    /// Requests a second.
    pub rate: u32,
    /// How long, in seconds.
    pub seconds: u32,
    /// Connections that the requests are sent on.
    pub connections: u32,
}

/// A number that two runs have in common only by chance: FNV-1a of a run's name and its beginning.
#[must_use]
pub fn seed(name: &str, started: &str) -> u32 {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().chain(started.bytes()).fold(0x811c_9dc5, fold)
}

/// The sets of backends of the experiment: N of N, then N of the largest N.
#[must_use]
pub fn sets(counts: &[usize]) -> Vec<(usize, usize)> {
    let largest = counts.iter().copied().max().unwrap_or(1);
    let all_alive = counts.iter().map(|count| (*count, *count));
    let some_dead = counts.iter().filter(|count| **count < largest).map(|count| (largest, *count));
    all_alive.chain(some_dead).collect()
}

impl Plan {
    /// The most backends of any set, all alive.
    #[must_use]
    pub fn largest_set(&self) -> usize {
        self.sets.iter().map(|(configured, _)| *configured).max().unwrap_or(1)
    }

    /// The names of all subjects of a kind.
    #[must_use]
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let of_kind = self.subjects.iter().filter(|subject| subject.kind == kind);
        of_kind.map(|subject| subject.name.clone()).collect()
    }

    /// Every cell of a round, in the order of the table.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for tool in &self.tools {
            for concurrency in &self.concurrency {
                self.add_setting(*tool, *concurrency, &mut cells);
            }
        }
        self.add_open(&mut cells);
        cells
    }

    fn add_setting(&self, tool: Tool, concurrency: u32, cells: &mut Vec<Cell>) {
        let setting = |(configured, alive)| Setting { tool, configured, alive, concurrency };
        let cell = |subject: Subject, set| Cell { subject, setting: setting(set), is_twin: false };
        if self.has_direct {
            cells.push(cell(Subject::direct(), (1, 1)));
        }
        for set in &self.sets {
            cells.extend(self.subjects.iter().map(|subject| cell(subject.clone(), *set)));
        }
        for (subject, set) in self.twinned() {
            cells.push(Cell { is_twin: true, ..cell(subject, set) });
        }
    }

    /// Who is run a second time in which set, for the noise floor: subjects of different kinds in different sets, so
    /// that it is not the noise of one cell. At most three, to take little time.
    fn twinned(&self) -> Vec<(Subject, (usize, usize))> {
        let largest = self.largest_set();
        let broken = self.sets.iter().filter(|(configured, alive)| alive < configured);
        let fewest = broken.min_by_key(|(_, alive)| *alive).or(self.sets.last());
        let fewest = fewest.copied().unwrap_or((largest, largest));
        let third = self.sets.get(self.sets.len() / 3).copied().unwrap_or(fewest);
        let of_kind = |kind| self.subjects.iter().filter(move |subject| subject.kind == kind);
        // What runs one thread a connection is the most unlike the first.
        let other = of_kind(Kind::Runtime).find(|subject| subject.name == "threads");
        let other = other.or_else(|| self.subjects.iter().rfind(|subject| subject.kind == Kind::Runtime));
        let picked = [
            (self.subjects.first(), (largest, largest)),
            (other.or(self.subjects.first()), fewest),
            (of_kind(Kind::Peer).next(), third),
        ];
        let mut twinned: Vec<(Subject, (usize, usize))> =
            picked.into_iter().filter_map(|(subject, set)| Some((subject?.clone(), set))).collect();
        twinned.dedup();
        twinned
    }

    fn add_open(&self, cells: &mut Vec<Cell>) {
        let Some(open) = self.open else { return };
        let largest = self.largest_set();
        for tool in Tool::OPEN {
            let concurrency = open.connections;
            let set = Setting { tool, configured: largest, alive: largest, concurrency };
            let direct =
                self.has_direct.then(|| (Subject::direct(), Setting { configured: 1, alive: 1, ..set }));
            let proxied = self.subjects.iter().map(|subject| (subject.clone(), set));
            cells.extend(direct.into_iter().chain(proxied).map(|(subject, setting)| Cell {
                subject,
                setting,
                is_twin: false,
            }));
        }
    }

    /// The cells of a round (the first is 1) in its own order, the same whenever it is asked for.
    ///
    /// Neighbours differ from round to round and from run to run, so that whatever disturbs the machine for a while does
    /// not always meet the same cells. Of an open-loop pair each comes first in every second round.
    #[must_use]
    pub fn round(&self, round: u32) -> Vec<Cell> {
        let mut cells = self.cells();
        let number = u64::from(self.seed) << 32 | u64::from(round);
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for last in (1..cells.len()).rev() {
            cells.swap(last, random(&mut state) as usize % (last + 1));
        }
        alternate(Tool::OPEN[round as usize % 2], &mut cells);
        cells
    }
}

/// Puts this tool before the other one of the open-loop pair, for each subject.
fn alternate(first: Tool, cells: &mut [Cell]) {
    for at in 0..cells.len() {
        let here = cells[at].clone();
        if !here.setting.tool.is_open() || here.setting.tool == first {
            continue;
        }
        let partner = Cell { setting: Setting { tool: first, ..here.setting }, ..here };
        if let Some(later) = cells[at..].iter().position(|cell| *cell == partner) {
            cells.swap(at, at + later);
        }
    }
}

/// Marsaglia's xorshift64: orders need to differ, not to be secret.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 16
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn plan() -> Plan {
        Plan {
            tools: Tool::CLOSED.to_vec(),
            subjects: vec![Subject::runtime("ring"), Subject::runtime("threads"), Subject::peer("nginx")],
            sets: sets(&[1, 2, 3, 4, 5]),
            concurrency: vec![2, 5, 10],
            requests: 10_000,
            wrk_seconds: 2,
            rounds: 3,
            open: Some(OpenLoop { rate: 1000, seconds: 2, connections: 20 }),
            has_direct: true,
            seed: 0,
        }
    }

    #[test]
    fn both_readings_of_backends_are_there_and_five_of_five_once() {
        let expected = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (5, 1), (5, 2), (5, 3), (5, 4)];
        assert_eq!(sets(&[1, 2, 3, 4, 5]), expected);
    }

    #[test]
    fn a_round_has_every_cell_once_and_a_a_pairs_for_each_tool_and_concurrency() {
        let cells = plan().cells();
        let closed = 3 * 3 * (9 * 3 + 1 + 3);
        assert_eq!(cells.len(), closed + 2 * 4);
        let keys: BTreeSet<String> = cells.iter().map(|cell| cell.key(1)).collect();
        assert_eq!(keys.len(), cells.len());
        let twins: Vec<_> = cells.iter().filter(|cell| cell.is_twin).collect();
        assert_eq!(twins.len(), 3 * 9);
        let of_one = |twin: &&&Cell| twin.setting.tool == Tool::Wrk && twin.setting.concurrency == 2;
        let of_one: Vec<_> = twins.iter().filter(of_one).collect();
        let names: BTreeSet<&str> = of_one.iter().map(|twin| twin.subject.name.as_str()).collect();
        let sets: BTreeSet<String> = of_one.iter().map(|twin| twin.setting.backends()).collect();
        assert_eq!(names, BTreeSet::from(["nginx", "ring", "threads"]));
        assert_eq!(sets, ["1 of 5 alive", "4 backends", "5 backends"].map(str::to_owned).into());
        assert!(twins.iter().all(|twin| cells.contains(&Cell { is_twin: false, ..(*twin).clone() })));
    }

    #[test]
    fn rounds_have_the_same_cells_in_different_orders_that_do_not_change() {
        let plan = plan();
        let (first, second) = (plan.round(1), plan.round(2));
        assert_ne!(first, second);
        assert_eq!(first, plan.round(1));
        let sorted = |mut cells: Vec<Cell>| {
            cells.sort();
            cells
        };
        assert_eq!(sorted(first.clone()), sorted(second));
        let another = Plan { seed: seed("sweep", "2026-11-25T12:00:00+00:00"), ..plan };
        assert_ne!(another.round(1), first, "another run has other orders");
        assert_ne!(seed("sweep", "2026-11-25T12:00:01+00:00"), another.seed);
    }

    #[test]
    fn due_and_sent_take_turns_in_coming_first() {
        let plan = plan();
        for round in 1..=6 {
            let cells = plan.round(round);
            let open = cells.iter().filter(|cell| cell.setting.tool.is_open());
            let mut names: Vec<(&str, Tool)> =
                open.map(|cell| (cell.subject.name.as_str(), cell.setting.tool)).collect();
            // Stable: the order within each pair stays.
            names.sort_by_key(|(name, _)| *name);
            assert_eq!(names.len(), 8);
            for pair in names.chunks(2) {
                assert_eq!(pair[0].1, Tool::OPEN[round as usize % 2], "{round}: {pair:?}");
            }
        }
    }

    #[test]
    fn a_plan_that_was_kept_without_a_seed_is_read() {
        let mut kept = serde_json::to_value(plan()).unwrap();
        kept.as_object_mut().unwrap().remove("seed");
        assert_eq!(serde_json::from_value::<Plan>(kept).unwrap(), plan());
    }

    #[test]
    fn subjects_have_an_order_of_their_own() {
        let mut subjects = [
            Subject::peer("envoy"),
            Subject::runtime("threads"),
            Subject::runtime("another"),
            Subject::direct(),
            Subject::peer("nginx"),
            Subject::runtime("ring"),
        ];
        subjects.sort();
        let names = subjects.each_ref().map(|subject| subject.name.as_str());
        assert_eq!(names, ["direct", "ring", "threads", "another", "nginx", "envoy"]);
    }

    #[test]
    fn a_key_names_everything() {
        let setting = Setting { tool: Tool::AbKeepAlive, configured: 5, alive: 3, concurrency: 10 };
        let cell = Cell { subject: Subject::runtime("ring"), setting, is_twin: true };
        assert_eq!(cell.key(2), "2/ab-k/ring/3of5/c10/again");
    }
}
