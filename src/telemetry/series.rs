//! Which exchanges are counted together: one series for each backend, as far as the bound on them allows.

use crate::config::Config;

/// Series of single backends that there are at the most: each one may take 1.5 MiB in each shard, in the worst case.
/// Backends beyond that are counted under their upstream alone.
pub const BACKEND_SERIES: usize = 128;
/// Series of whole upstreams that there are at the most, for backends that have none of their own. Beyond that they
/// share one.
pub(super) const UPSTREAM_SERIES: usize = 32;

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
    /// Backends without a series of their own.
    beyond: usize,
}

/// The series of exchanges without an upstream.
pub(super) const UNROUTED: usize = 0;

impl SeriesTable {
    /// The series that a configuration asks for.
    pub fn new(config: &Config) -> Self {
        let upstreams = config.upstreams.iter().map(|upstream| {
            let backends = upstream.backends.iter().map(|backend| backend.address.to_string());
            (upstream.name.clone(), backends.collect())
        });
        Self::of(upstreams.collect())
    }

    fn of(upstreams: Vec<(String, Vec<String>)>) -> Self {
        let mut table =
            Self { all: vec![Series { upstream: None, backend: None }], of_place: Vec::new(), beyond: 0 };
        let (mut own_left, mut whole_left) = (BACKEND_SERIES, UPSTREAM_SERIES);
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

    /// Backends that have no series of their own, since the bound was reached.
    pub fn beyond(&self) -> usize {
        self.beyond
    }

    /// The series of a backend, by its place among all backends of the configuration.
    pub(super) fn of_place(&self, place: Option<usize>) -> usize {
        place.and_then(|place| self.of_place.get(place)).copied().unwrap_or(UNROUTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(upstreams: usize, backends: usize) -> SeriesTable {
        let backends = |u: usize| (0..backends).map(|b| format!("b{u}.{b}")).collect();
        SeriesTable::of((0..upstreams).map(|u| (format!("u{u}"), backends(u))).collect())
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
        assert_eq!((table.all().len(), table.beyond()), (1 + BACKEND_SERIES + 2, 172));
        assert_eq!(table.of_place(Some(128)), table.of_place(Some(199)));
        assert_ne!(table.of_place(Some(199)), table.of_place(Some(200)));
        let series = &table.all()[table.of_place(Some(299))];
        assert_eq!((series.upstream.as_deref(), series.backend.as_deref()), (Some("u2"), None));
    }

    #[test]
    fn upstreams_beyond_the_bound_share_one_series() {
        let table = table(200, 1);
        assert_eq!(table.all().len(), 1 + BACKEND_SERIES + UPSTREAM_SERIES + 1);
        assert_eq!(table.of_place(Some(198)), table.of_place(Some(199)));
    }
}
