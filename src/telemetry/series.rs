//! Which exchanges are counted together: one series for each backend, as far as the bound on them allows.

use super::shard;
use crate::config::Config;

/// Bytes that the series of all shards may take together, in the worst case: values of every size in every phase.
const BUDGET_BYTES: usize = 512 << 20;
/// Series that there is room for in any case. Many workers mean many shards, and a large machine.
const LEAST: usize = 24;

/// The name of what is counted together for want of room, in the place of a backend's and of an upstream's. Neither can
/// have such a name: an upstream's has no parentheses, and a backend's is an address.
pub const OTHERS: &str = "(others)";

/// How many series there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Of single backends. Those beyond are counted together with others of their upstream.
    backends: usize,
    /// Of whole upstreams, for backends that have none of their own. Those beyond share one.
    upstreams: usize,
}

/// What one series counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The upstream, or [`OTHERS`] for those beyond the bound; absent for exchanges that found none.
    pub upstream: Option<String>,
    /// The backend, by its configured address, or [`OTHERS`] for those of the upstream that have no series of their own;
    /// absent for exchanges that found no upstream.
    pub backend: Option<String>,
}

/// All series of a process, and which backend counts into which.
#[derive(Debug)]
pub struct SeriesTable {
    all: Vec<Series>,
    /// For each backend of the configuration, in its order, its series.
    of_place: Vec<usize>,
    /// For each of them the upstream and the backend.
    names: Vec<[String; 2]>,
    room: Room,
}

/// The series of exchanges without an upstream.
const UNROUTED: usize = 0;

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
        let mut table = Self { all, of_place: Vec::new(), names: Vec::new(), room };
        let Room { backends: mut own_left, upstreams: mut whole_left } = room;
        let mut shared = None;
        for (upstream, backends) in upstreams {
            let mut whole = None;
            for backend in backends {
                let series = if own_left > 0 {
                    own_left -= 1;
                    table.add(&upstream, &backend)
                } else if let Some(whole) = whole {
                    whole
                } else if whole_left > 0 {
                    whole_left -= 1;
                    *whole.insert(table.add(&upstream, OTHERS))
                } else {
                    *shared.get_or_insert_with(|| table.add(OTHERS, OTHERS))
                };
                table.of_place.push(series);
                table.names.push([upstream.clone(), backend]);
            }
        }
        table
    }

    fn add(&mut self, upstream: &str, backend: &str) -> usize {
        self.all.push(Series { upstream: Some(upstream.to_owned()), backend: Some(backend.to_owned()) });
        self.all.len() - 1
    }

    /// Every series; the first is that of exchanges which found no upstream.
    pub fn all(&self) -> &[Series] {
        &self.all
    }

    /// Upstream and name of each backend of the configuration, in its order.
    pub(super) fn names(&self) -> &[[String; 2]] {
        &self.names
    }

    /// How many backends can have a series of their own.
    pub fn room(&self) -> usize {
        self.room.backends
    }

    /// Backends that have no series of their own, since the bound was reached.
    pub fn beyond(&self) -> usize {
        self.of_place.iter().filter(|series| self.all[**series].backend.as_deref() == Some(OTHERS)).count()
    }

    /// The series of an upstream, of a backend or of both, by their indices; all that have distributions where nothing is
    /// named. [`OTHERS`] is a name too.
    ///
    /// # Errors
    /// There is no such upstream or backend, or it is counted together with others.
    pub fn named(&self, upstream: Option<&str>, backend: Option<&str>) -> Result<Vec<usize>, String> {
        for (series, [its_upstream, its_backend]) in self.of_place.iter().zip(&self.names) {
            if is_asked(upstream, its_upstream) && is_asked(backend, its_backend) {
                self.is_told_apart(&self.all[*series], upstream, backend)?;
            }
        }
        let is_named = |asked: Option<&str>, name: &Option<String>| {
            name.as_deref().is_some_and(|name| is_asked(asked, name))
        };
        let all =
            self.all.iter().enumerate().filter(|(_, series)| {
                is_named(upstream, &series.upstream) && is_named(backend, &series.backend)
            });
        let all: Vec<usize> = all.map(|(index, _)| index).collect();
        if all.is_empty() { Err("there is no such upstream or backend".to_owned()) } else { Ok(all) }
    }

    /// Whether the series of what is named counts that and nothing else.
    fn is_told_apart(
        &self,
        series: &Series,
        upstream: Option<&str>,
        backend: Option<&str>,
    ) -> Result<(), String> {
        let of_backend = backend.filter(|_| series.backend.as_deref() == Some(OTHERS));
        let of_upstream = upstream.filter(|_| series.upstream.as_deref() == Some(OTHERS));
        let Some(name) = of_backend.or(of_upstream) else { return Ok(()) };
        let counted = match series.upstream.as_deref() {
            Some(upstream) if upstream != OTHERS => format!("{upstream} {OTHERS}"),
            _ => OTHERS.to_owned(),
        };
        let room = self.room.backends;
        Err(format!(
            "{name} has no series of its own: there is room for {room} backends, and it is counted in \"{counted}\""
        ))
    }

    /// The series of a backend, by its place among all backends of the configuration.
    pub(super) fn of_place(&self, place: Option<usize>) -> usize {
        place.and_then(|place| self.of_place.get(place)).copied().unwrap_or(UNROUTED)
    }
}

fn is_asked(asked: Option<&str>, name: &str) -> bool {
    asked.is_none_or(|asked| asked == name)
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
        assert_eq!((series.upstream.as_deref(), series.backend.as_deref()), (Some("u2"), Some(OTHERS)));
    }

    #[test]
    fn what_has_no_series_of_its_own_is_told() {
        let of_one = table(2, 100);
        assert_eq!(of_one.named(None, None).map(|all| all.len()), Ok(128 + 1));
        assert_eq!(of_one.named(Some("u1"), None).map(|all| all.len()), Ok(28 + 1), "all of it");
        assert_eq!(of_one.named(Some("u1"), Some("b1.27")), Ok(vec![128]));
        assert_eq!(
            of_one.named(None, Some("b1.28")).unwrap_err(),
            "b1.28 has no series of its own: there is room for 128 backends, and it is counted in \"u1 (others)\""
        );
        assert_eq!(of_one.named(None, Some(OTHERS)), Ok(vec![129]));
        let single = table(200, 1);
        let of_shared = single.named(Some("u199"), None).unwrap_err();
        assert!(of_shared.starts_with("u199 ") && of_shared.ends_with(" in \"(others)\""), "{of_shared}");
        assert_eq!(
            single.named(Some("u130"), None),
            Ok(vec![131]),
            "an upstream of which nothing is counted elsewhere"
        );
        for nobody in [(Some("w"), None), (None, Some("w")), (Some("u1"), Some("b2.0"))] {
            assert!(single.named(nobody.0, nobody.1).unwrap_err().starts_with("there is no"), "{nobody:?}");
        }
    }

    #[test]
    fn upstreams_beyond_the_bound_share_one_series() {
        let table = table(200, 1);
        assert_eq!(table.all().len(), 1 + ROOM.backends + ROOM.upstreams + 1);
        assert_eq!(table.of_place(Some(198)), table.of_place(Some(199)));
        let names = |series: &Series| (series.upstream.clone(), series.backend.clone());
        let all: std::collections::BTreeSet<_> = table.all().iter().map(names).collect();
        assert_eq!(all.len(), table.all().len(), "no two have the same name");
    }
}
