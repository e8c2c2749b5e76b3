//! Percentiles: of all time or since an earlier answer, by backend, by upstream or of everything.

use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde::{Deserialize, Serialize};

use super::accept_wait::{AcceptWaitView, Waited};
use super::snapshots::Snapshot;
use crate::telemetry::{Distribution, Meter, Phase};

/// What is asked for. What is misspelt is refused: it would be taken for everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The id of an earlier answer.
    pub(super) since: Option<String>,
    pub(super) by: Option<By>,
    pub(super) upstream: Option<String>,
    pub(super) backend: Option<String>,
    pub(super) phase: Option<String>,
}

/// What is put together in one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// Each backend has its rows.
    #[default]
    Backend,
    /// Each upstream.
    Upstream,
    /// Everything together.
    All,
    /// Each upstream, and then each backend.
    Both,
}

/// What an answer has rows of.
pub(super) struct Wanted {
    groups: Vec<Group>,
    phases: Vec<Phase>,
}

/// The answer of `/latency`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What `since` may name later.
    pub id: String,
    /// The id that `since` named.
    pub since: Option<String>,
    /// How long it was measured, in seconds; absent: since the start.
    pub seconds: Option<f64>,
    /// Always `us`.
    pub unit: String,
    /// One for each phase of each backend, upstream, or of everything.
    pub series: Vec<Row>,
    /// What no phase has: the wait of connections before they were accepted.
    #[serde(default)]
    pub accept_wait: AcceptWaitView,
}

/// Percentiles of one phase, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Absent: all upstreams together.
    pub upstream: Option<String>,
    /// Absent: all backends of the upstream together.
    pub backend: Option<String>,
    /// A name of [`Phase::name`].
    pub phase: String,
    /// Exchanges.
    pub count: u64,
    /// Exact if no exchange ended while it was read, or else to three digits.
    pub mean: f64,
    /// To three digits, as all percentiles.
    pub p50: u64,
    /// As `p50`.
    pub p75: u64,
    /// As `p50`.
    pub p90: u64,
    /// As `p50`.
    pub p99: u64,
    /// As `p50`.
    #[serde(rename = "p99.9")]
    pub p99_9: u64,
    /// As `p50`.
    #[serde(rename = "p99.99")]
    pub p99_99: u64,
    /// As exact as the mean; since an earlier answer, to three digits.
    pub max: u64,
}

impl Wanted {
    /// # Errors
    /// What is named and does not exist, or is not told apart.
    pub(super) fn new(meter: &Meter, asked: &Asked) -> Result<Self, String> {
        let phases = match &asked.phase {
            Some(name) => vec![phase_named(name)?],
            None => Phase::ALL.to_vec(),
        };
        let members = meter.series().named(asked.upstream.as_deref(), asked.backend.as_deref())?;
        let by: &[By] = match asked.by.unwrap_or_default() {
            By::Both => &[By::Upstream, By::Backend],
            By::Backend => &[By::Backend],
            By::Upstream => &[By::Upstream],
            By::All => &[By::All],
        };
        let groups = by.iter().flat_map(|by| groups(meter, &members, *by)).collect();
        Ok(Self { groups, phases })
    }

    /// Each phase of each group.
    fn rows(&self) -> impl Iterator<Item = (&Group, Phase)> {
        self.groups.iter().flat_map(|group| self.phases.iter().map(move |phase| (group, *phase)))
    }
}

/// The answer of `/latency`.
pub(super) fn answer(wanted: &Wanted, now: &Snapshot, earlier: Option<&Snapshot>) -> Answer {
    let row = |(group, phase): (&Group, Phase)| {
        let distribution = now.over(earlier, &group.members, phase);
        Row::new((group.upstream.clone(), group.backend.clone()), phase, &distribution)
    };
    Answer {
        id: now.id.clone(),
        since: earlier.map(|earlier| earlier.id.clone()),
        seconds: earlier.map(|earlier| now.at.duration_since(earlier.at).as_secs_f64()),
        unit: "us".to_owned(),
        series: wanted.rows().map(row).collect(),
        accept_wait: now.waited.since(earlier.map_or(Waited::default(), |earlier| earlier.waited)).view(),
    }
}

/// The series that make up the rows of one backend, one upstream, or of everything.
struct Group {
    upstream: Option<String>,
    backend: Option<String>,
    members: Vec<usize>,
}

/// In the order of the configuration. Exchanges without an upstream have no distribution.
fn groups(meter: &Meter, members: &[usize], by: By) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for index in members.iter().copied() {
        let series = &meter.series().all()[index];
        let upstream = (by != By::All).then(|| series.upstream.clone()).flatten();
        let backend = (by == By::Backend).then(|| series.backend.clone()).flatten();
        match groups.iter_mut().find(|group| group.upstream == upstream && group.backend == backend) {
            Some(group) => group.members.push(index),
            None => groups.push(Group { upstream, backend, members: vec![index] }),
        }
    }
    groups
}

fn phase_named(name: &str) -> Result<Phase, String> {
    let known = || Phase::ALL.map(Phase::name).join(", ");
    Phase::named(name).ok_or_else(|| format!("there is no phase \"{name}\": {}", known()))
}

/// The one distribution that is asked for: all upstreams and the total, where nothing else is said.
///
/// # Errors
/// What is named and does not exist, or is not told apart.
pub(super) fn pick(
    meter: &Meter,
    now: &Snapshot,
    earlier: Option<&Snapshot>,
    asked: &Asked,
) -> Result<Distribution, String> {
    let phase = phase_named(asked.phase.as_deref().unwrap_or(Phase::Total.name()))?;
    let members = meter.series().named(asked.upstream.as_deref(), asked.backend.as_deref())?;
    Ok(now.over(earlier, &members, phase))
}

/// What is asked for as an HdrHistogram interval log in microseconds, each group and phase with its tag, if there were
/// exchanges. `begun` is when the process began, in both clocks.
pub(super) fn interval_log(
    wanted: &Wanted,
    now: &Snapshot,
    earlier: Option<&Snapshot>,
    (begun, begun_s): (Instant, u64),
) -> Result<String, String> {
    let (mut out, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let from = earlier.map_or(begun, |earlier| earlier.at);
    let (start, duration) = (from.saturating_duration_since(begun), now.at.saturating_duration_since(from));
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Ringway: values in microseconds, the interval's maximum in milliseconds]");
    builder
        .with_start_time(SystemTime::UNIX_EPOCH + Duration::from_secs(begun_s))
        .with_max_value_divisor(1000.0);
    let mut log = builder.begin_log_with(&mut out, &mut serializer).map_err(|error| error.to_string())?;
    for (group, phase) in wanted.rows() {
        let distribution = now.over(earlier, &group.members, phase);
        if distribution.count() > 0 {
            let name = |name: &Option<String>| name.as_deref().unwrap_or("-").to_owned();
            let tag = format!("{}/{}/{}", name(&group.upstream), name(&group.backend), phase.name());
            log.write_histogram(&distribution.histogram(), start, duration, Tag::new(&tag))
                .map_err(|error| error.to_string())?;
        }
    }
    String::from_utf8(out).map_err(|error| error.to_string())
}

impl Row {
    pub(in crate::control) fn new(
        (upstream, backend): (Option<String>, Option<String>),
        phase: Phase,
        distribution: &Distribution,
    ) -> Self {
        Self {
            upstream,
            backend,
            phase: phase.name().to_owned(),
            count: distribution.count(),
            mean: (distribution.mean_us() * 1000.0).round() / 1000.0,
            p50: distribution.value_at(5_000),
            p75: distribution.value_at(7_500),
            p90: distribution.value_at(9_000),
            p99: distribution.value_at(9_900),
            p99_9: distribution.value_at(9_990),
            p99_99: distribution.value_at(9_999),
            max: distribution.max_us(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::snapshots::Snapshots;
    use super::*;
    use crate::config::{Config, Environment};
    use crate::telemetry::record::tests::record as fixture;
    use crate::telemetry::{Log, Record, Recorder};
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::interval_log::IntervalLogIterator;
    use std::sync::Arc;

    const CONFIG: &str = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[route]]\nupstream = \"u\"\n[[route]]\npath = \"/v\"\n\
                          upstream = \"v\"\n[[upstream]]\nname = \"u\"\nbackends = [\"127.0.0.1:2\", \"127.0.0.1:3\"]\n\
                          [[upstream]]\nname = \"v\"\nbackends = [\"127.0.0.1:4\"]\n";

    pub(in crate::control::admin) fn meter() -> (Arc<Meter>, Recorder) {
        let environment = Environment { cores: 1, descriptors: 1024 };
        let meter = Arc::new(Meter::new(&Config::parse(CONFIG, "test", &environment).unwrap().0));
        let recorder = meter.recorder(&Log::off());
        (meter, recorder)
    }

    pub(in crate::control::admin) fn record(recorder: &mut Recorder, place: usize, total_us: u64) {
        recorder.take(&Record { place: Some(place), ..fixture(total_us) });
    }

    fn now(meter: &Meter) -> Snapshot {
        Snapshots::new(7, Arc::default()).read(meter)
    }

    fn totals(answer: &Answer) -> Vec<(Option<&str>, Option<&str>, u64, u64)> {
        let totals = answer.series.iter().filter(|row| row.phase == "total");
        totals.map(|row| (row.upstream.as_deref(), row.backend.as_deref(), row.count, row.max)).collect()
    }

    #[test]
    fn rows_are_by_backend_by_upstream_or_of_all() {
        let (meter, mut recorder) = meter();
        [(0, 10), (1, 20), (1, 30), (2, 40)]
            .iter()
            .for_each(|(place, us)| record(&mut recorder, *place, *us));
        let now = now(&meter);
        let answer = |by| {
            let asked = Asked { by: Some(by), ..Asked::default() };
            answer(&Wanted::new(&meter, &asked).unwrap(), &now, None)
        };
        let (two, three, four) = (Some("127.0.0.1:2"), Some("127.0.0.1:3"), Some("127.0.0.1:4"));
        let rows = [(Some("u"), two, 1, 10), (Some("u"), three, 2, 30), (Some("v"), four, 1, 40)];
        assert_eq!(totals(&answer(By::Backend)), rows);
        assert_eq!(totals(&answer(By::Upstream)), [(Some("u"), None, 3, 30), (Some("v"), None, 1, 40)]);
        assert_eq!(totals(&answer(By::All)), [(None, None, 4, 40)]);
        let both = answer(By::Both);
        assert_eq!(totals(&both)[..2], totals(&answer(By::Upstream)));
        assert_eq!(totals(&both)[2..], totals(&answer(By::Backend)));
        assert_eq!(answer(By::All).series.len(), Phase::ALL.len());
        let json = serde_json::to_value(answer(By::All)).unwrap();
        let row =
            json["series"].as_array().unwrap().iter().find(|row| row["phase"] == "total").unwrap().clone();
        assert_eq!((&json["id"], &json["unit"]), (&"7-1".into(), &"us".into()));
        assert_eq!((&row["mean"], &row["p50"], &row["p99.99"]), (&25.0.into(), &20.into(), &40.into()));
    }

    #[test]
    fn one_distribution_is_picked_and_what_does_not_exist_is_told() {
        let (meter, mut recorder) = meter();
        [(0, 10), (1, 20), (2, 40)].iter().for_each(|(place, us)| record(&mut recorder, *place, *us));
        let now = now(&meter);
        let pick = |asked: Asked| pick(&meter, &now, None, &asked).map(|distribution| distribution.sum_us());
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(pick(Asked::default()), Ok(70));
        assert_eq!(pick(Asked { upstream: some("u"), ..Asked::default() }), Ok(30));
        assert_eq!(
            pick(Asked { backend: some("127.0.0.1:3"), phase: some("request"), ..Asked::default() }),
            Ok(20)
        );
        assert!(pick(Asked { upstream: some("w"), ..Asked::default() }).is_err());
        assert!(pick(Asked { phase: some("w"), ..Asked::default() }).unwrap_err().contains("first-byte"));
    }

    #[test]
    fn rows_are_those_that_are_asked_for() {
        let (meter, mut recorder) = meter();
        [(0, 10), (1, 20), (2, 40)].iter().for_each(|(place, us)| record(&mut recorder, *place, *us));
        let now = now(&meter);
        let some = |name: &str| Some(name.to_owned());
        let by = Some(By::Upstream);
        let asked = Asked { upstream: some("u"), phase: some("total"), by, ..Asked::default() };
        let of_one = answer(&Wanted::new(&meter, &asked).unwrap(), &now, None);
        assert_eq!((of_one.series.len(), totals(&of_one)), (1, vec![(Some("u"), None, 2, 20)]));
        for asked in [
            Asked { upstream: some("w"), ..Asked::default() },
            Asked { phase: some("w"), ..Asked::default() },
        ] {
            assert!(Wanted::new(&meter, &asked).is_err(), "{asked:?}");
        }
    }

    #[test]
    fn the_interval_log_is_read_by_the_crate() {
        let (meter, mut recorder) = meter();
        record(&mut recorder, 2, 4_000);
        let now = now(&meter);
        let of = |asked: &Asked| {
            let wanted = Wanted::new(&meter, asked).unwrap();
            interval_log(&wanted, &now, None, (now.at, 1_795_000_000)).unwrap()
        };
        let log = of(&Asked::default());
        let entries: Vec<_> = IntervalLogIterator::new(log.as_bytes()).filter_map(Result::ok).collect();
        assert!(log.contains("#[StartTime: 1795000000.000"), "{log}");
        let tags = |log: &str| -> Vec<String> {
            let tags = log.lines().filter_map(|line| line.strip_prefix("Tag=")?.split(',').next());
            tags.map(str::to_owned).collect()
        };
        assert_eq!(tags(&log).len(), Phase::ALL.len(), "of what has had exchanges");
        assert!(tags(&log).contains(&"v/127.0.0.1:4/total".to_owned()) && entries.len() >= Phase::ALL.len());
        let some = |name: &str| Some(name.to_owned());
        let of_one = of(&Asked { upstream: some("v"), phase: some("added"), ..Asked::default() });
        assert_eq!(tags(&of_one), ["v/127.0.0.1:4/added"]);
        assert!(tags(&of(&Asked { upstream: some("u"), ..Asked::default() })).is_empty());
        let encoded = log.lines().find(|line| line.starts_with("Tag=v/127.0.0.1:4/total,")).unwrap();
        let bytes = data_encoding::BASE64.decode(encoded.rsplit(',').next().unwrap().as_bytes()).unwrap();
        let read: Histogram<u64> =
            hdrhistogram::serialization::Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!((read.len(), read.max()), (1, read.highest_equivalent(4_000)));
    }
}
