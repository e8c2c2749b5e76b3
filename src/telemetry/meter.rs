//! Where records go: counters, distributions and the access log, by one function.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::failures::{Failures, Label};
use super::series::SeriesTable;
use super::shard::{Counter, Phase, Shard, Writers, Writing};
use super::{Distribution, Log, LogWriter, Record};
use crate::config::Config;

/// Shards beside those that have one writer each, for all writers beyond: a thread a connection must not mean a shard a
/// connection.
const SHARED_SHARDS: usize = 2;

/// What is counted in a process. Workers write, each to a shard of its own; readers merge.
#[derive(Debug)]
pub struct Meter {
    series: SeriesTable,
    /// Those with one writer come first.
    shards: Vec<Shard>,
    recorders: AtomicUsize,
}

/// How often what failed, by its index, if it is known, and its label.
pub type FailureCounts = BTreeMap<(Option<usize>, Label), u64>;

/// One worker's way to the meter and the log.
#[derive(Debug)]
pub struct Recorder {
    meter: Arc<Meter>,
    shard: usize,
    writers: Writers,
    log: LogWriter,
}

impl Meter {
    /// With nothing counted. There are as many shards with one writer as event loops.
    pub fn new(config: &Config) -> Self {
        let shards = config.runtime.workers + SHARED_SHARDS;
        let series = SeriesTable::new(config, shards);
        let count = series.all().len();
        let shards = (0..shards).map(|_| Shard::new(count)).collect();
        Self { series, shards, recorders: AtomicUsize::new(0) }
    }

    /// For one worker, or one thread of a crew. The first ones have a shard of their own; the others, of which there may
    /// be one a connection, share a few.
    pub fn recorder(self: &Arc<Self>, log: &Log) -> Recorder {
        let number = self.recorders.fetch_add(1, Ordering::Relaxed);
        let alone = self.shards.len() - SHARED_SHARDS;
        let (shard, writers) = match number.checked_sub(alone) {
            None => (number, Writers::One),
            Some(beyond) => (alone + beyond % SHARED_SHARDS, Writers::Several),
        };
        Recorder { meter: Arc::clone(self), shard, writers, log: log.writer() }
    }

    /// What is counted together.
    pub fn series(&self) -> &SeriesTable {
        &self.series
    }

    /// A counter of a series, by its index in [`SeriesTable::all`].
    pub fn counter(&self, series: usize, counter: Counter) -> u64 {
        self.shards.iter().map(|shard| shard.counter(series, counter)).sum()
    }

    /// The distribution of a phase of a series.
    pub fn distribution(&self, series: usize, phase: Phase) -> Distribution {
        let of = |shard: &Shard| shard.distribution(series, phase);
        self.shards.iter().map(of).fold(Distribution::default(), |all, one| all.merged(&one)).compact()
    }

    /// How many exchanges failed, by series and label; those without a series found the table full.
    pub fn failures(&self) -> FailureCounts {
        self.failed(|shard| &shard.failures)
    }

    /// How many attempts failed, by the place of the backend among all of the configuration and label; those without a
    /// place found the table full.
    pub fn attempt_failures(&self) -> FailureCounts {
        self.failed(|shard| &shard.attempt_failures)
    }

    fn failed(&self, of: impl Fn(&Shard) -> &Failures) -> FailureCounts {
        let mut all = BTreeMap::new();
        for (index, label, count) in self.shards.iter().flat_map(|shard| of(shard).seen()) {
            *all.entry((index, label)).or_default() += count;
        }
        all
    }
}

impl Recorder {
    /// An exchange is over: counts it, adds its phases to their distributions and logs it.
    pub fn take(&mut self, record: &Record<'_>) {
        let series = self.meter.series.of_place(record.place);
        let shard = &self.meter.shards[self.shard];
        let writing = shard.writing(series, self.writers);
        count(&writing, record);
        if let Some(label) = record.failure {
            shard.failures.add(series, label);
        }
        if record.place.is_some() {
            measure(&writing, record);
        }
        self.log.write(record);
    }

    /// An attempt at the backend of this place has failed, whether or not another one follows.
    pub fn attempt_failed(&self, place: usize, label: Label) {
        self.meter.shards[self.shard].attempt_failures.add(place, label);
    }

    /// Another attempt follows the one at the backend of this place. The last one is counted with the record.
    pub fn attempt_followed(&self, place: usize) {
        let series = self.meter.series.of_place(Some(place));
        self.meter.shards[self.shard].writing(series, self.writers).count(Counter::Attempts, 1);
    }
}

fn count(writing: &Writing<'_>, record: &Record<'_>) {
    let traffic = record.traffic;
    writing.count(Counter::Requests, 1);
    writing.count(class(record.status), 1);
    writing.count(Counter::RequestBytes, traffic.request_body);
    writing.count(Counter::ResponseBytes, traffic.response_body);
    // Those before the last one were counted when another one followed, each for its backend.
    writing.count(Counter::Attempts, u64::from(traffic.attempts.min(1)));
    writing.count(Counter::Reused, u64::from(traffic.reused));
}

fn class(status: Option<u16>) -> Counter {
    match status.map(|status| status / 100) {
        None => Counter::Unanswered,
        Some(0 | 1) => Counter::Status1xx,
        Some(2) => Counter::Status2xx,
        Some(3) => Counter::Status3xx,
        Some(4) => Counter::Status4xx,
        Some(_) => Counter::Status5xx,
    }
}

/// How long a tunnel stands says nothing about how fast anything is: its response and its total are left out.
fn measure(writing: &Writing<'_>, record: &Record<'_>) {
    let phases = record.moments.phases();
    let is_tunnel = record.status == Some(101);
    writing.record(Phase::Head, phases.head);
    writing.record(Phase::Queue, phases.queue);
    writing.record(Phase::Connect, phases.connect);
    writing.record(Phase::Request, phases.request);
    writing.record(Phase::FirstByte, phases.first_byte);
    writing.record(Phase::Added, record.moments.added_us());
    if !is_tunnel {
        writing.record(Phase::Response, phases.response);
        writing.record(Phase::Total, record.moments.total_us());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;
    use crate::telemetry::distribution::tests::{reference, some_values};
    use crate::telemetry::record::tests::record;
    use proptest::prelude::*;

    const WORKERS: usize = 2;
    const CONFIG: &str = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[route]]\nupstream = \"u\"\n[[upstream]]\n\
                          name = \"u\"\nbackends = [\"127.0.0.1:2\", \"127.0.0.1:3\"]\n";

    fn meter() -> Arc<Meter> {
        let environment = Environment { cores: WORKERS, descriptors: 1024 };
        Arc::new(Meter::new(&Config::parse(CONFIG, "test", &environment).unwrap().0))
    }

    #[test]
    fn the_record_is_counted_in_its_series() {
        let meter = meter();
        let mut recorder = meter.recorder(&Log::off());
        recorder.take(&record(5));
        let label = Label { side: "backend", stage: "connect", cause: "refused" };
        recorder.take(&Record { status: Some(502), failure: Some(label), ..record(7) });
        recorder.take(&Record { status: Some(404), place: None, ..record(9) });
        recorder.take(&Record { status: Some(101), ..record(9_000_000) });
        let count = |series, counter| meter.counter(series, counter);
        assert_eq!([0, 1, 2].map(|series| count(series, Counter::Requests)), [1, 0, 3]);
        assert_eq!(count(0, Counter::Status4xx), 1);
        let classes = [Counter::Status1xx, Counter::Status2xx, Counter::Status5xx];
        assert_eq!(classes.map(|class| count(2, class)), [1, 1, 1]);
        let sums = [Counter::RequestBytes, Counter::ResponseBytes, Counter::Attempts, Counter::Reused];
        assert_eq!(sums.map(|counter| count(2, counter)), [3, 30, 3, 3]);
        assert_eq!(meter.failures().into_iter().collect::<Vec<_>>(), [((Some(2), label), 1)]);
        let total = meter.distribution(2, Phase::Total);
        assert_eq!((total.count(), total.sum_us(), total.max_us()), (2, 12, 7), "without the tunnel");
        assert_eq!(meter.distribution(2, Phase::Head).count(), 3);
        assert_eq!(meter.distribution(0, Phase::Total).count(), 0, "answers of our own are counted only");
    }

    /// The first backend has failed twice, the second one has answered once after that and failed itself the other time.
    #[test]
    fn each_attempt_is_counted_for_its_own_backend() {
        let meter = meter();
        let label = Label { side: "backend", stage: "connect", cause: "refused" };
        let mut recorders = [meter.recorder(&Log::off()), meter.recorder(&Log::off())];
        for (recorder, failure) in recorders.iter_mut().zip([None, Some(label)]) {
            recorder.attempt_failed(0, label);
            recorder.attempt_followed(0);
            failure.inspect(|label| recorder.attempt_failed(1, *label));
            recorder.take(&Record { failure, ..record(5) });
        }
        assert_eq!([1, 2].map(|series| meter.counter(series, Counter::Attempts)), [2, 2]);
        assert_eq!([1, 2].map(|series| meter.counter(series, Counter::Requests)), [0, 2]);
        let failed: Vec<_> = meter.attempt_failures().into_iter().collect();
        assert_eq!(failed, [((Some(0), label), 2), ((Some(1), label), 1)]);
        assert_eq!(meter.failures().into_iter().collect::<Vec<_>>(), [((Some(2), label), 1)]);
    }

    #[test]
    fn the_first_recorders_have_a_shard_each_and_the_others_share_few() {
        let meter = meter();
        let shards: Vec<_> =
            (0..6).map(|_| meter.recorder(&Log::off())).map(|r| (r.shard, r.writers)).collect();
        let (one, several) = (Writers::One, Writers::Several);
        assert_eq!(shards, [(0, one), (1, one), (2, several), (3, several), (2, several), (3, several)]);
    }

    #[test]
    fn nothing_is_lost_while_many_write_and_one_reads() {
        let (meter, threads, each) = (meter(), 6_u64, 2_000_u64);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let mut recorder = meter.recorder(&Log::off());
                scope.spawn(move || (0..each).for_each(|us| recorder.take(&record(us))));
            }
            let mut before = Distribution::default();
            for _ in 0..50 {
                let now = meter.distribution(2, Phase::Total);
                assert!(
                    now.count() >= before.count()
                        && now.since(&before).count() == now.count() - before.count()
                );
                assert!(now.mean_us() <= now.max_us() as f64, "{now:?}");
                before = now;
            }
        });
        let total = meter.distribution(2, Phase::Total);
        assert_eq!((total.count(), total.max_us()), (threads * each, each - 1));
        assert_eq!(total.sum_us(), threads * (0..each).sum::<u64>());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn what_all_recorders_took_is_one_histogram(values in proptest::collection::vec(some_values(), 1..6)) {
            let meter = meter();
            for values in &values {
                let mut recorder = meter.recorder(&Log::off());
                values.iter().for_each(|us| recorder.take(&record(*us)));
            }
            let all = meter.distribution(2, Phase::Total);
            prop_assert!(all.histogram() == reference(&values.concat()));
        }
    }
}
