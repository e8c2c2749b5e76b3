//! Which exchanges are counted together: one series for each backend, as far as the bound on them allows.

use super::shard;
use crate::config::Config;

/// Bytes that the series of all shards may take together, in the worst case: values of every size in every phase.
const BUDGET_BYTES: usize = 512 << 20;
/// Series that there is room for in any case. Many workers mean many shards, and a large machine.
const LEAST: usize = 24;

/// How many series there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Of single backends. Those beyond are counted under their upstream alone.
    backends: usize,
    /// Of whole upstreams, for backends that have none of their own. Those beyond share one.
    upstreams: usize,
}

/// What one series counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The upstream; absent for exchanges that found none, and for those of upstreams beyond the bound.
    pub upstream: Option<String>,
    /// The backend, by its configured address; absent where the backends of the upstream are counted together.
    pub backend: Option<String>,
}

/// All series of a process, and which backend counts into which.
#[derive(Debug)]
pub struct SeriesTable {
    all: Vec<Series>,
    /// For each backend of the configuration, in its order, its series.
    of_place: Vec<usize>,
    room: Room,
    /// Backends without a series of their own.
    beyond: usize,
}

/// The series of exchanges without an upstream.
pub(super) const UNROUTED: usize = 0;

impl SeriesTable {
    /// The series that a configuration asks for, as far as there is room for them in so many shards.
    pub fn new(config: &Config, shards: usize) -> Self {
        let upstreams = config.upstreams.iter().map(|upstream| {
            let backends = upstream.backends.iter().map(|backend| backend.address.to_string());
            (upstream.name.clone(), backends.collect())
        });
        Self::of(upstreams.collect(), Room::in_shards(shards))
    }

    fn of(upstreams: Vec<(String, Vec<String>)>, room: Room) -> Self {
        let all = vec![Series { upstream: None, backend: None }];
        let mut table = Self { all, of_place: Vec::new(), room, beyond: 0 };
        let Room { backends: mut own_left, upstreams: mut whole_left } = room;
        let mut shared = None;
        for (upstream, backends) in upstreams {
            let mut whole = None;
            for backend in backends {
                let series = if own_left > 0 {
                    own_left -= 1;
                    table.add(Some(&upstream), Some(backend))
                } else if let Some(whole) = whole {
                    whole
                } else if whole_left > 0 {
                    whole_left -= 1;
                    *whole.insert(table.add(Some(&upstream), None))
                } else {
                    *shared.get_or_insert_with(|| table.add(None, None))
                };
                table.beyond += usize::from(table.all[series].backend.is_none());
                table.of_place.push(series);
            }
        }
        table
    }

    fn add(&mut self, upstream: Option<&String>, backend: Option<String>) -> usize {
        self.all.push(Series { upstream: upstream.cloned(), backend });
        self.all.len() - 1
    }

    /// Every series; the first is that of exchanges which found no upstream.
    pub fn all(&self) -> &[Series] {
        &self.all
    }

    /// How many backends can have a series of their own.
    pub fn room(&self) -> usize {
        self.room.backends
    }

    /// Backends that have no series of their own, since the bound was reached.
    pub fn beyond(&self) -> usize {
        self.beyond
    }

    /// The series of a backend, by its place among all backends of the configuration.
    pub(super) fn of_place(&self, place: Option<usize>) -> usize {
        place.and_then(|place| self.of_place.get(place)).copied().unwrap_or(UNROUTED)
    }
}

impl Room {
    /// What the budget allows, three quarters of it for backends; a series of exchanges without an upstream has no
    /// distribution, and takes none of it.
    fn in_shards(shards: usize) -> Self {
        let all = (BUDGET_BYTES / (shard::SERIES_BYTES * shards)).max(LEAST);
        // One is for all upstreams beyond.
        Self { backends: all - all / 4, upstreams: all / 4 - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { backends: 128, upstreams: 32 };

    fn table(upstreams: usize, backends: usize) -> SeriesTable {
        let backends = |u: usize| (0..backends).map(|b| format!("b{u}.{b}")).collect();
        SeriesTable::of((0..upstreams).map(|u| (format!("u{u}"), backends(u))).collect(), ROOM)
    }

    #[test]
    fn the_worst_case_over_all_shards_keeps_to_the_budget_or_to_a_little_a_shard() {
        for shards in 1..=1026 {
            let Room { backends, upstreams } = Room::in_shards(shards);
            let most = (backends + upstreams + 1) * shards * shard::SERIES_BYTES;
            assert!(most <= BUDGET_BYTES.max(shards * (35 << 20)), "{shards} shards: {most} bytes");
            assert!(backends >= 18 && upstreams >= 5, "{shards} shards: {backends}, {upstreams}");
        }
        let backends = [3, 4, 6, 10, 18, 66].map(|shards| Room::in_shards(shards).backends);
        assert_eq!(backends, [90, 68, 45, 27, 18, 18], "as docs/metrics.md says");
    }

    #[test]
    fn each_backend_has_a_series_of_its_own() {
        let table = table(2, 3);
        assert_eq!((table.all().len(), table.beyond()), (1 + 6, 0));
        assert_eq!([0, 3, 5].map(|place| table.of_place(Some(place))), [1, 4, 6]);
        let series = &table.all()[4];
        assert_eq!((series.upstream.as_deref(), series.backend.as_deref()), (Some("u1"), Some("b1.0")));
        assert_eq!(table.of_place(None), UNROUTED);
    }

    #[test]
    fn backends_beyond_the_bound_share_the_series_of_their_upstream() {
        let table = table(3, 100);
        assert_eq!((table.all().len(), table.beyond()), (1 + ROOM.backends + 2, 172));
        assert_eq!(table.of_place(Some(128)), table.of_place(Some(199)));
        assert_ne!(table.of_place(Some(199)), table.of_place(Some(200)));
        let series = &table.all()[table.of_place(Some(299))];
        assert_eq!((series.upstream.as_deref(), series.backend.as_deref()), (Some("u2"), None));
    }

    #[test]
    fn upstreams_beyond_the_bound_share_one_series() {
        let table = table(200, 1);
        assert_eq!(table.all().len(), 1 + ROOM.backends + ROOM.upstreams + 1);
        assert_eq!(table.of_place(Some(198)), table.of_place(Some(199)));
    }
}
