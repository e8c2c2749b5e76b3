//! The answers that `since` may name: what was measured when they were given, as long as a reader may ask for more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accept_wait::{AcceptWait, Waited};
use crate::telemetry::{Distribution, Meter, Phase};

/// Snapshots that are kept at the most.
const MOST: usize = 1024;
/// Those that are kept however large they are: the two of a reader that asks often and the two of one that seldom does.
const LEAST: usize = 4;
/// Bytes that they may take together, beyond the latest one and [`LEAST`].
const MOST_BYTES: usize = 64 << 20;
/// How long an answer is expected to be named. A reader that is slower than that waits longer than others are held up for.
const EXPECTED: Duration = Duration::from_secs(120);

/// All distributions at a moment.
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) at: Instant,
    pub(super) waited: Waited,
    number: u64,
    /// For each series those of all phases.
    distributions: Box<[Distribution]>,
}

/// The snapshots that are kept.
pub(super) struct Snapshots {
    /// Tells the ids of this process from those of one before it.
    started_us: u64,
    next: u64,
    /// In the order in which they were taken.
    kept: Vec<Kept>,
    /// What all of them take.
    bytes: usize,
    most_bytes: usize,
    accept_wait: Arc<AcceptWait>,
}

/// A snapshot that `since` may name.
struct Kept {
    snapshot: Arc<Snapshot>,
    bytes: usize,
    /// The number of the one that its reader named, as long as it may do so again: this answer may have been lost.
    after: Option<u64>,
    /// How often it was named.
    named: u32,
    /// When it was taken or named last.
    used: Instant,
}

impl Snapshots {
    pub(super) fn new(started_us: u64, accept_wait: Arc<AcceptWait>) -> Self {
        Self { started_us, next: 1, kept: Vec::new(), bytes: 0, most_bytes: MOST_BYTES, accept_wait }
    }

    /// Reads everything, and keeps it for later. Whoever names an answer has it, and will not name the one before it again:
    /// that one is forgotten, and beyond the bounds others are, those that no reader is known to wait for first.
    pub(super) fn take(&mut self, meter: &Meter, since: Option<&Snapshot>) -> Arc<Snapshot> {
        let snapshot = Arc::new(self.read(meter));
        self.next += 1;
        let after = since.map(|since| since.number);
        if let Some(after) = after {
            self.name(after, snapshot.at);
        }
        let (bytes, used) = (snapshot.bytes(), snapshot.at);
        self.bytes += bytes;
        self.kept.push(Kept { snapshot: Arc::clone(&snapshot), bytes, after, named: 0, used });
        self.keep_to_bounds(used);
        snapshot
    }

    /// Reads everything for an answer that tells no id.
    pub(super) fn read(&self, meter: &Meter) -> Snapshot {
        let of = |series| Phase::ALL.map(|phase| meter.distribution(series, phase));
        Snapshot {
            id: format!("{}-{}", self.started_us, self.next),
            at: Instant::now(),
            waited: self.accept_wait.so_far(),
            number: self.next,
            distributions: (0..meter.series().all().len()).flat_map(of).collect(),
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Snapshot>> {
        self.kept.iter().find(|kept| kept.snapshot.id == id).map(|kept| Arc::clone(&kept.snapshot))
    }

    /// The snapshot was named. What followed it before, and was never named, may have been lost on the way. The one before it
    /// goes, unless it was named more than once: another reader may stand there still.
    fn name(&mut self, number: u64, now: Instant) {
        let mut before = None;
        for kept in &mut self.kept {
            if kept.snapshot.number == number {
                before = kept.after.take();
                kept.named += 1;
                kept.used = now;
            } else if kept.after == Some(number) {
                kept.after = None;
            }
        }
        let is_over = |kept: &Kept| Some(kept.snapshot.number) == before && kept.named == 1;
        if let Some(place) = self.kept.iter().position(is_over) {
            self.forget(place);
        }
    }

    fn keep_to_bounds(&mut self, now: Instant) {
        while let Some((latest, earlier)) = self.kept.split_last() {
            let is_large = self.bytes - latest.bytes > self.most_bytes && self.kept.len() > LEAST;
            if !is_large && self.kept.len() <= MOST {
                return;
            }
            let first = earlier.iter().enumerate().min_by_key(|(_, kept)| (kept.is_expected(now), kept.used));
            let Some((place, _)) = first else { return };
            self.forget(place);
        }
    }

    fn forget(&mut self, place: usize) {
        self.bytes -= self.kept.remove(place).bytes;
    }
}

impl Kept {
    /// Whether there is a reader that may be about to name it: one that has named it or the one before it not long ago.
    fn is_expected(&self, now: Instant) -> bool {
        let is_followed = self.named > 0 || self.after.is_some();
        is_followed && now.saturating_duration_since(self.used) < EXPECTED
    }
}

impl Snapshot {
    /// The distribution of a phase over several series.
    pub(super) fn over(&self, earlier: Option<&Self>, series: &[usize], phase: Phase) -> Distribution {
        let all = series.iter().map(|series| self.since(earlier, *series, phase));
        all.fold(Distribution::default(), |all, one| all.merged(&one))
    }

    fn since(&self, earlier: Option<&Self>, series: usize, phase: Phase) -> Distribution {
        let now = self.of(series, phase);
        earlier.map_or_else(|| now.clone(), |earlier| now.since(earlier.of(series, phase)))
    }

    fn of(&self, series: usize, phase: Phase) -> &Distribution {
        &self.distributions[series * Phase::ALL.len() + phase as usize]
    }

    /// What keeping it costs.
    fn bytes(&self) -> usize {
        let distributions: usize = self.distributions.iter().map(Distribution::bytes).sum();
        size_of::<Kept>() + size_of::<Self>() + self.id.capacity() + distributions
    }
}

#[cfg(test)]
mod tests {
    use super::super::latency::tests::{meter, record};
    use super::*;
    use crate::telemetry::Recorder;

    struct Scene {
        snapshots: Snapshots,
        meter: Arc<Meter>,
        recorder: Recorder,
    }

    impl Scene {
        /// With room for so many bytes.
        fn new(most_bytes: usize) -> Self {
            let (meter, recorder) = meter();
            let snapshots = Snapshots { most_bytes, ..Snapshots::new(7, Arc::default()) };
            Self { snapshots, meter, recorder }
        }

        fn take(&mut self) -> String {
            self.snapshots.take(&self.meter, None).id.clone()
        }

        /// The id and the exchanges of the answer to `since`; `None` if that is not known any more.
        fn since(&mut self, id: &str) -> Option<(String, u64)> {
            let earlier = self.snapshots.find(id)?;
            let now = self.snapshots.take(&self.meter, Some(&earlier));
            let count = now.over(Some(&earlier), &[1], Phase::Total).count();
            Some((now.id.clone(), count))
        }

        /// A reader's next answer.
        fn follow(&mut self, id: &mut String, seen: &mut u64) {
            let (next, count) = self.since(id).unwrap();
            *id = next;
            *seen += count;
        }
    }

    #[test]
    fn two_readers_do_not_steal_from_each_other() {
        let mut scene = Scene::new(MOST_BYTES);
        let mut ids = [scene.take(), scene.take()];
        let mut seen = [0, 0];
        for round in 0_usize..20 {
            record(&mut scene.recorder, 0, 100);
            // The second reader reads every third time only.
            for reader in (0..2).filter(|reader| *reader == 0 || round % 3 == 2) {
                scene.follow(&mut ids[reader], &mut seen[reader]);
            }
        }
        assert_eq!(seen, [20, 18]);
        assert_eq!(scene.snapshots.kept.len(), 4, "two of each");
    }

    /// No two snapshots fit into the bound.
    #[test]
    fn a_reader_of_every_second_and_one_of_every_fifteenth_do_not_steal_however_large_it_is() {
        let mut scene = Scene::new(1);
        let (mut often, mut seldom) = (scene.take(), scene.take());
        let (mut of_often, mut of_seldom) = (0, 0);
        for second in 1..=60_u64 {
            record(&mut scene.recorder, 0, second * 1_000);
            scene.follow(&mut often, &mut of_often);
            if second % 15 == 0 {
                scene.follow(&mut seldom, &mut of_seldom);
            }
            // Somebody who follows nothing, now and then.
            if second > 15 && second % 7 == 0 {
                scene.take();
            }
        }
        assert_eq!((of_often, of_seldom), (60, 60));
        assert!(scene.snapshots.kept.len() <= LEAST + 1, "{}", scene.snapshots.kept.len());
    }

    #[test]
    fn an_answer_that_was_lost_can_be_asked_for_again_and_one_that_arrived_ends_the_one_before() {
        let mut scene = Scene::new(MOST_BYTES);
        let first = scene.take();
        let (lost, _) = scene.since(&first).unwrap();
        let (second, _) = scene.since(&first).unwrap();
        assert!(scene.since(&lost).is_some(), "two may have asked for the same");
        let (third, _) = scene.since(&second).unwrap();
        assert!(scene.snapshots.find(&first).is_some(), "it was named twice: somebody may stand there still");
        let (fourth, _) = scene.since(&third).unwrap();
        assert!(scene.snapshots.find(&second).is_none());
        assert!(scene.since(&third).is_some() && scene.since(&fourth).is_some());
    }

    #[test]
    fn those_that_nobody_follows_go_first_in_their_order() {
        let mut scene = Scene::new(MOST_BYTES);
        let base = scene.take();
        let (next, _) = scene.since(&base).unwrap();
        let ids: Vec<_> = (0..=MOST).map(|_| scene.take()).collect();
        let is_known = |id: &str| scene.snapshots.find(id).is_some();
        assert!(is_known(&base) && is_known(&next) && is_known(&ids[3]) && !is_known(&ids[2]));
        assert!(!is_known("6-1"));
        let later = Instant::now() + EXPECTED;
        assert!(scene.snapshots.kept[..2].iter().all(|kept| !kept.is_expected(later)), "not for ever");
    }

    #[test]
    fn what_they_take_is_counted_as_they_come_and_go() {
        let mut scene = Scene::new(64 << 10);
        let mut id = scene.take();
        for round in 0..400 {
            record(&mut scene.recorder, round % 3, round as u64 * 37);
            scene.take();
            scene.follow(&mut id, &mut 0);
            let kept = &scene.snapshots.kept;
            let bytes: usize = kept.iter().map(|kept| kept.snapshot.bytes()).sum();
            assert_eq!(scene.snapshots.bytes, bytes);
            let latest = kept.last().unwrap().bytes;
            assert!(bytes - latest <= 64 << 10 || kept.len() <= LEAST, "{bytes} in {}", kept.len());
        }
    }

    #[test]
    fn an_empty_snapshot_is_not_free() {
        let mut scene = Scene::new(MOST_BYTES);
        scene.take();
        assert!(scene.snapshots.bytes >= 4 * Phase::ALL.len() * size_of::<Distribution>());
    }
}
