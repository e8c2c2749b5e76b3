//! Whether the picks of one cycle went round: each place of it belongs to one backend.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::findings::Findings;
use super::told::Told;

/// Backends without a line that are reckoned with where no configuration says which there are.
const UNNAMED: usize = 64;
/// Backends of the configuration without a line up to which all sets of them are reckoned with.
const ALL_SETS: usize = 8;

/// The backends of an upstream: those that lines name and those of the configuration.
#[derive(Debug, Default, Clone)]
pub(super) struct Backends {
    pub(super) names: Vec<String>,
    ids: HashMap<String, usize>,
    /// The weight of each, where the configuration says it.
    pub(super) weights: Vec<Option<u32>>,
    /// Whether there is a configuration.
    pub(super) are_known: bool,
}

/// The turns of a cycle, taken to be of one length.
///
/// Each backend has as many places as its weight says. So over any picks that follow each other the counts of two equal
/// ones differ by 1 at the most. Where a pick stands in the cycle follows from its number alone, whatever is missing
/// around it.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    length: u64,
    /// What weights are divided by.
    divisor: u64,
    /// The first pick that was seen at a place, and whose it was.
    pub(super) places: HashMap<u64, (u64, usize)>,
    /// Places that each backend has.
    held: HashMap<usize, u64>,
    findings: Findings,
}

/// What can be said of a cycle before its turns are checked.
#[derive(Debug, Default, Clone)]
pub(super) struct Assumed {
    /// One for each length that the cycle may have.
    pub(super) turns: Vec<Turns>,
    /// Backends of the configuration that took no part in it.
    pub(super) absent: Vec<usize>,
}

impl Backends {
    /// The number of a backend, which is given one if it has none.
    pub(super) fn id(&mut self, name: &str) -> usize {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.names.len();
        self.names.push(name.to_owned());
        self.weights.push(None);
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// The number of a backend that has one.
    pub(super) fn known(&self, name: &str) -> Option<usize> {
        self.ids.get(name).copied()
    }

    /// The weight of a backend; 1 where nobody says.
    pub(super) fn weight(&self, id: usize) -> u64 {
        u64::from(self.weights[id].unwrap_or(1).max(1))
    }

    /// Those whose weight is known, with it.
    pub(super) fn weighted(&self) -> Vec<(String, u32)> {
        let all = self.names.iter().zip(&self.weights);
        let mut weighted: Vec<_> =
            all.filter_map(|(name, weight)| Some((name.clone(), (*weight)?))).collect();
        weighted.sort();
        weighted
    }

    /// Those that may belong to a cycle though none of its lines names them, in all sets that come into question. The
    /// first one is empty.
    fn unseen(&self, members: &BTreeMap<usize, u64>) -> Vec<Vec<Option<usize>>> {
        if !self.are_known {
            return (0..=UNNAMED).map(|count| vec![None; count]).collect();
        }
        let ids = (0..self.names.len()).filter(|id| self.weights[*id].is_some() && !members.contains_key(id));
        let ids: Vec<_> = ids.map(Some).collect();
        if ids.len() <= ALL_SETS {
            let set =
                |bits: u32| (0..).zip(&ids).filter(move |(bit, _)| bits >> bit & 1 == 1).map(|(_, id)| *id);
            return (0..1 << ids.len()).map(|bits| set(bits).collect()).collect();
        }
        // All sets would be too many: none, each alone, and all.
        let alone = ids.iter().map(|id| vec![*id]);
        std::iter::once(Vec::new()).chain(alone).chain(std::iter::once(ids.clone())).collect()
    }
}

impl Assumed {
    /// A backend without a line may belong to the cycle if there are places for it where no line tells of a pick.
    pub(super) fn of(told: &Told, members: &BTreeMap<usize, u64>, backends: &Backends) -> Self {
        let mut assumed = Self::default();
        let mut possible = BTreeSet::new();
        let is_short = |turns: &Turns| told.gaps().next().is_none() && told.count() <= turns.length;
        for unseen in backends.unseen(members) {
            let weight = |id: &Option<usize>| id.map_or(1, |id| backends.weight(id));
            let weights = || members.keys().map(|id| backends.weight(*id)).chain(unseen.iter().map(weight));
            let divisor = weights().fold(0, gcd).max(1);
            let length = (weights().sum::<u64>() / divisor).max(1);
            let needed = unseen.iter().map(weight).sum::<u64>() / divisor;
            if needed > 0 && told.free_places(length) < needed {
                continue;
            }
            possible.extend(unseen.iter().flatten().copied());
            if !assumed.turns.iter().any(|other| (other.length, other.divisor) == (length, divisor)) {
                assumed.turns.push(Turns::new(length, divisor));
            }
            // In less than one turn without a gap no longer one is needed to explain anything.
            if !backends.are_known && assumed.turns.iter().any(is_short) {
                break;
            }
        }
        let is_absent = |id: &usize| {
            backends.weights[*id].is_some() && !members.contains_key(id) && !possible.contains(id)
        };
        assumed.absent = (0..backends.names.len()).filter(is_absent).collect();
        assumed
    }

    /// Keeps of the cycle only what was found: all its picks were taken.
    pub(super) fn close(&mut self) {
        let best = std::mem::take(&mut self.turns).into_iter().min_by_key(|turns| turns.findings.count());
        self.turns.extend(
            best.map(|best| Turns { findings: best.findings, ..Turns::new(best.length, best.divisor) }),
        );
    }

    /// What was found if the cycle is taken to be what explains its picks best.
    pub(super) fn findings(&self) -> Option<&Findings> {
        self.turns.iter().map(|turns| &turns.findings).min_by_key(|findings| findings.count())
    }
}

impl Turns {
    fn new(length: u64, divisor: u64) -> Self {
        let (places, held, findings) = (HashMap::new(), HashMap::new(), Findings::default());
        Self { length, divisor, places, held, findings }
    }

    /// Takes a pick of the cycle.
    pub(super) fn take(&mut self, cycle: u64, number: u64, id: usize, backends: &Backends) {
        let length = self.length;
        let name = |id: usize| &backends.names[id];
        match self.places.get(&(number % length)).copied() {
            Some((_, other)) if other == id => {}
            Some((seen, other)) => {
                let ((earlier, one), (later, another)) =
                    if seen < number { ((seen, other), (number, id)) } else { ((number, id), (seen, other)) };
                self.findings.push(format_args!(
                    "cycle {cycle}: pick {later} went to {}, though pick {earlier}, {} before it, went to {}",
                    name(another),
                    later - earlier,
                    name(one)
                ));
            }
            None => {
                self.places.insert(number % length, (number, id));
                let held = self.held.entry(id).or_default();
                *held += 1;
                if *held > backends.weight(id) / self.divisor {
                    self.findings.push(format_args!(
                        "cycle {cycle}: {} has {held} of {length} turns, more than its share, with pick {number}",
                        name(id)
                    ));
                }
            }
        }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
