//! Every metric there is: its name, kind, unit and meaning, and where its samples come from. `exposition.rs` writes them.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Counter, Distribution, FailureCounts, Meter, OTHERS, Phase};

/// One metric.
pub struct Metric {
    /// Its name, with the unit last.
    pub name: &'static str,
    /// What may be done with it.
    pub kind: Kind,
    /// What it is counted in.
    pub unit: &'static str,
    /// Names of the labels of a sample.
    pub labels: &'static [&'static str],
    /// What it means, for people.
    pub about: &'static str,
    pub(super) read: fn(&Reading) -> Vec<Sample>,
}

/// What may be done with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It counts values by how large they are.
    Histogram,
    /// It counts values and sums them.
    Summary,
}

/// What a process looks like at a moment: all that the samples are taken from.
#[derive(Debug)]
pub struct Reading {
    /// The name of the runtime.
    pub runtime: &'static str,
    /// Why it is this one, and why the better ones are not used.
    pub reason: String,
    /// Since the start.
    pub uptime_s: f64,
    /// Nothing new is accepted.
    pub is_draining: bool,
    /// Client connections that are open.
    pub connections: usize,
    /// Client connections that were accepted.
    pub accepted: u64,
    /// For each listener, connections that wait to be accepted.
    pub waiting: Vec<(String, usize)>,
    /// How long connections have waited to be accepted, all of them together, as far as samples tell.
    pub accept_wait_s: f64,
    /// How many connections were accepted up to the last sample.
    pub accept_wait_count: u64,
    /// Client connections that each worker serves.
    pub loads: Vec<usize>,
    /// How many of them the most loaded worker serves above the mean.
    pub skew: f64,
    /// Client connections that were handed from one worker to another.
    pub handed_over: u64,
    /// Connections of the admin API that were closed at once, since all places were taken.
    pub admin_refused: u64,
    /// Lines of the access log that found the queue full.
    pub log_dropped: u64,
    /// CPU time and resident memory of the process, where /proc tells.
    pub usage: Option<Usage>,
    /// The backends of all upstreams.
    pub backends: Vec<BackendReading>,
    /// What the workers have counted.
    pub meter: Arc<Meter>,
}

/// What the process has used.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system time.
    pub cpu_s: f64,
    /// Resident memory.
    pub resident_bytes: u64,
}

/// A backend at a moment.
#[derive(Debug)]
pub struct BackendReading {
    /// Name of the upstream.
    pub upstream: String,
    /// Its configured address.
    pub backend: String,
    /// Its share.
    pub weight: u32,
    /// Exchanges in flight.
    pub in_flight: usize,
    /// It takes part in the cycle.
    pub is_eligible: bool,
    /// How often it was left alone.
    pub ejections: u64,
}

pub(super) struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: Value,
}

pub(super) enum Value {
    Number(f64),
    Distribution(Distribution),
    Sum { sum: f64, count: u64 },
}

const OF_BACKEND: &[&str] = &["upstream", "backend"];

/// All metrics, in the order of the documentation.
pub static METRICS: &[Metric] = &[
    Metric {
        name: "ringway_build_info",
        kind: Kind::Gauge,
        unit: "1",
        labels: &["version"],
        about: "The version that runs.",
        read: |_| vec![Sample::labelled([env!("CARGO_PKG_VERSION")], 1.0)],
    },
    Metric {
        name: "ringway_runtime_info",
        kind: Kind::Gauge,
        unit: "1",
        labels: &["runtime", "reason"],
        about: "The runtime that runs, why it is this one, and why the better ones do not.",
        read: |reading| vec![Sample::labelled([reading.runtime, &reading.reason], 1.0)],
    },
    Metric {
        name: "ringway_uptime_seconds",
        kind: Kind::Gauge,
        unit: "seconds",
        labels: &[],
        about: "Time since the start.",
        read: |reading| vec![Sample::plain(reading.uptime_s)],
    },
    Metric {
        name: "ringway_draining",
        kind: Kind::Gauge,
        unit: "0 or 1",
        labels: &[],
        about: "1 while a drain lets running exchanges finish.",
        read: |reading| vec![Sample::plain(f64::from(u8::from(reading.is_draining)))],
    },
    Metric {
        name: "ringway_connections",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &[],
        about: "Client connections that are open.",
        read: |reading| vec![Sample::plain(reading.connections as f64)],
    },
    Metric {
        name: "ringway_connections_accepted_total",
        kind: Kind::Counter,
        unit: "connections",
        labels: &[],
        about: "Client connections that were accepted.",
        read: |reading| vec![Sample::plain(reading.accepted as f64)],
    },
    Metric {
        name: "ringway_connections_waiting",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &["listener"],
        about: "Connections that the kernel has taken for a listener and no worker has accepted yet, at the moment of reading.",
        read: |reading| {
            let sample = |(listener, count): &(String, usize)| Sample::labelled([&**listener], *count as f64);
            reading.waiting.iter().map(sample).collect()
        },
    },
    Metric {
        name: "ringway_accept_wait_seconds",
        kind: Kind::Summary,
        unit: "seconds",
        labels: &[],
        about: "How long connections have waited to be accepted, estimated from samples of how many wait. The rate of the sum over that of the count is the mean.",
        read: |reading| {
            let (sum, count) = (reading.accept_wait_s, reading.accept_wait_count);
            vec![Sample { labels: Vec::new(), value: Value::Sum { sum, count } }]
        },
    },
    Metric {
        name: "ringway_worker_connections",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &["worker"],
        about: "Client connections that each worker serves.",
        read: |reading| {
            let loads = reading.loads.iter().enumerate();
            loads.map(|(worker, load)| Sample::labelled([&*worker.to_string()], *load as f64)).collect()
        },
    },
    Metric {
        name: "ringway_connections_skew",
        kind: Kind::Gauge,
        unit: "connections",
        labels: &[],
        about: "How many client connections the most loaded worker serves above the mean of all.",
        read: |reading| vec![Sample::plain(reading.skew)],
    },
    Metric {
        name: "ringway_connections_handed_over_total",
        kind: Kind::Counter,
        unit: "connections",
        labels: &[],
        about: "Client connections that were handed from one worker to a less loaded one.",
        read: |reading| vec![Sample::plain(reading.handed_over as f64)],
    },
    Metric {
        name: "ringway_requests_total",
        kind: Kind::Counter,
        unit: "exchanges",
        labels: &["upstream", "backend", "code"],
        about: "Exchanges that are over, by the class of their status (`none`: without an answer). Without an upstream: those that found no route, or no head.",
        read: requests,
    },
    Metric {
        name: "ringway_failures_total",
        kind: Kind::Counter,
        unit: "exchanges",
        labels: &["upstream", "backend", "failure"],
        about: "Exchanges in which something went wrong, by the label that the access log shows as `end=`; `(others)`: those of any upstream for which a worker had no room, having seen 512 other ones.",
        read: failures,
    },
    Metric {
        name: "ringway_attempts_total",
        kind: Kind::Counter,
        unit: "attempts",
        labels: OF_BACKEND,
        about: "Attempts to have a request answered by the backend, over reused connections included: one an exchange, and one more for each that failed and was followed by another, here or at another backend.",
        read: |reading| counted(reading, Counter::Attempts),
    },
    Metric {
        name: "ringway_attempt_failures_total",
        kind: Kind::Counter,
        unit: "attempts",
        labels: &["upstream", "backend", "failure"],
        about: "Attempts that the backend failed, also where another one followed and the client had its answer, by the label of the failure. Each backend has its own name here; `(others)`: those of any backend for which a worker had no room, having seen 512 other pairs of backend and label.",
        read: attempt_failures,
    },
    Metric {
        name: "ringway_reused_total",
        kind: Kind::Counter,
        unit: "exchanges",
        labels: OF_BACKEND,
        about: "Exchanges whose last attempt went over a connection that had served before.",
        read: |reading| counted(reading, Counter::Reused),
    },
    Metric {
        name: "ringway_request_body_bytes_total",
        kind: Kind::Counter,
        unit: "bytes",
        labels: OF_BACKEND,
        about: "Bytes of request bodies that went to the backend, framing included.",
        read: |reading| counted(reading, Counter::RequestBytes),
    },
    Metric {
        name: "ringway_response_body_bytes_total",
        kind: Kind::Counter,
        unit: "bytes",
        labels: OF_BACKEND,
        about: "Bytes of response bodies that went to clients, framing included.",
        read: |reading| counted(reading, Counter::ResponseBytes),
    },
    Metric {
        name: "ringway_phase_duration_seconds",
        kind: Kind::Histogram,
        unit: "seconds",
        labels: &["upstream", "backend", "phase"],
        about: "How long each phase of an exchange took, the total, and the time added by the proxy. For percentiles ask `/latency`, which knows values to one part in a thousand.",
        read: durations,
    },
    Metric {
        name: "ringway_backend_in_flight",
        kind: Kind::Gauge,
        unit: "exchanges",
        labels: OF_BACKEND,
        about: "Exchanges in flight at the backend.",
        read: |reading| of_backends(reading, |backend| backend.in_flight as f64),
    },
    Metric {
        name: "ringway_backend_eligible",
        kind: Kind::Gauge,
        unit: "0 or 1",
        labels: OF_BACKEND,
        about: "1 while the backend takes part in the cycle, 0 while it is left alone. 1 does not say that it is alive: once `fail-for` is over a dead backend takes part again, until it is tried.",
        read: |reading| of_backends(reading, |backend| f64::from(u8::from(backend.is_eligible))),
    },
    Metric {
        name: "ringway_backend_ejections_total",
        kind: Kind::Counter,
        unit: "ejections",
        labels: OF_BACKEND,
        about: "How often the backend was left alone for `fail-for`, since a connection to it could not be made.",
        read: |reading| of_backends(reading, |backend| backend.ejections as f64),
    },
    Metric {
        name: "ringway_backend_weight",
        kind: Kind::Gauge,
        unit: "1",
        labels: OF_BACKEND,
        about: "The configured share of the backend.",
        read: |reading| of_backends(reading, |backend| f64::from(backend.weight)),
    },
    Metric {
        name: "ringway_backends_without_series",
        kind: Kind::Gauge,
        unit: "backends",
        labels: &[],
        about: "Backends that are counted together, with `(others)` as their name, since the bound on series was reached.",
        read: |reading| vec![Sample::plain(reading.meter.series().beyond() as f64)],
    },
    Metric {
        name: "ringway_admin_connections_refused_total",
        kind: Kind::Counter,
        unit: "connections",
        labels: &[],
        about: "Connections of the admin API that were closed at once, since it had as many as it may have and none of them was idle.",
        read: |reading| vec![Sample::plain(reading.admin_refused as f64)],
    },
    Metric {
        name: "ringway_log_lines_dropped_total",
        kind: Kind::Counter,
        unit: "lines",
        labels: &[],
        about: "Lines of the access log that found its queue full, or could not be written.",
        read: |reading| vec![Sample::plain(reading.log_dropped as f64)],
    },
    Metric {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        unit: "seconds",
        labels: &[],
        about: "User and system CPU time of the process.",
        read: |reading| reading.usage.map(|usage| Sample::plain(usage.cpu_s)).into_iter().collect(),
    },
    Metric {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        unit: "bytes",
        labels: &[],
        about: "Resident memory of the process.",
        read: |reading| {
            reading.usage.map(|usage| Sample::plain(usage.resident_bytes as f64)).into_iter().collect()
        },
    },
];

/// The table of the documentation, in Markdown.
pub fn reference() -> String {
    // A String takes everything.
    let mut out = "| Metric | Kind | Unit | Labels | Meaning |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for Metric { name, kind, unit, labels, about, .. } in METRICS {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format_args!("| `{name}` | {} | {unit} | {} | {about} |\n", kind.name(), labels.join(", "));
        let _ = out.write_fmt(row);
    }
    out
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

impl Sample {
    fn plain(number: f64) -> Self {
        Self { labels: Vec::new(), value: Value::Number(number) }
    }

    fn labelled<const N: usize>(labels: [&str; N], number: f64) -> Self {
        Self { labels: labels.map(str::to_owned).to_vec(), value: Value::Number(number) }
    }
}

/// Upstream and backend of each series, with its index.
fn series(reading: &Reading) -> impl Iterator<Item = (usize, [&str; 2])> {
    reading.meter.series().all().iter().enumerate().map(|(index, series)| {
        let names = [&series.upstream, &series.backend];
        (index, names.map(|name| name.as_deref().unwrap_or_default()))
    })
}

fn counted(reading: &Reading, counter: Counter) -> Vec<Sample> {
    let sample = |(index, labels)| Sample::labelled(labels, reading.meter.counter(index, counter) as f64);
    series(reading).skip(1).map(sample).collect()
}

fn requests(reading: &Reading) -> Vec<Sample> {
    let classes = [
        (Counter::Status1xx, "1xx"),
        (Counter::Status2xx, "2xx"),
        (Counter::Status3xx, "3xx"),
        (Counter::Status4xx, "4xx"),
        (Counter::Status5xx, "5xx"),
        (Counter::Unanswered, "none"),
    ];
    let of = |(index, [upstream, backend]): (usize, [&str; 2])| {
        classes.map(|(counter, code)| {
            Sample::labelled([upstream, backend, code], reading.meter.counter(index, counter) as f64)
        })
    };
    series(reading).flat_map(of).collect()
}

fn failures(reading: &Reading) -> Vec<Sample> {
    let names: Vec<_> = series(reading).map(|(_, names)| names).collect();
    failed(reading.meter.failures(), |series| names[series])
}

fn attempt_failures(reading: &Reading) -> Vec<Sample> {
    let names = reading.meter.series().names();
    failed(reading.meter.attempt_failures(), |place| names[place].each_ref().map(String::as_str))
}

fn failed<'a>(counts: FailureCounts, names: impl Fn(usize) -> [&'a str; 2]) -> Vec<Sample> {
    let counts = counts.into_iter().map(|((index, label), count)| {
        let [upstream, backend] = index.map_or([OTHERS; 2], &names);
        Sample::labelled([upstream, backend, &label.to_string()], count as f64)
    });
    counts.collect()
}

fn durations(reading: &Reading) -> Vec<Sample> {
    let of = |(index, [upstream, backend]): (usize, [&str; 2])| {
        Phase::ALL.map(|phase| Sample {
            labels: [upstream, backend, phase.name()].map(str::to_owned).to_vec(),
            value: Value::Distribution(reading.meter.distribution(index, phase)),
        })
    };
    series(reading).skip(1).flat_map(of).collect()
}

fn of_backends(reading: &Reading, value: impl Fn(&BackendReading) -> f64) -> Vec<Sample> {
    let sample =
        |backend: &BackendReading| Sample::labelled([&*backend.upstream, &*backend.backend], value(backend));
    reading.backends.iter().map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::super::exposition::exposition;
    use super::super::record::tests::record;
    use super::super::{Label, Log, Record};
    use super::*;
    use crate::config::{Config, Environment};

    fn reading() -> Reading {
        let text = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[route]]\nupstream = \"u\"\n[[upstream]]\n\
                    name = \"u\"\nbackends = [\"127.0.0.1:2\"]\n";
        reading_of(text, 1)
    }

    fn reading_of(text: &str, cores: usize) -> Reading {
        let config = Config::parse(text, "test", &Environment { cores, descriptors: 1024 }).unwrap().0;
        Reading {
            runtime: "ring",
            reason: "a \"quoted\"\nreason".to_owned(),
            uptime_s: 1.5,
            is_draining: false,
            connections: 3,
            accepted: 7,
            waiting: vec![("web".to_owned(), 2)],
            accept_wait_s: 0.25,
            accept_wait_count: 6,
            loads: vec![1, 2],
            skew: 0.5,
            handed_over: 1,
            admin_refused: 0,
            log_dropped: 0,
            usage: Some(Usage { cpu_s: 0.25, resident_bytes: 4096 }),
            backends: vec![],
            meter: Arc::new(Meter::new(&config)),
        }
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.about.ends_with('.') && !metric.about.contains('\n'), "{}", metric.name);
            assert!(METRICS[..index].iter().all(|other| other.name != metric.name), "{}", metric.name);
        }
    }

    #[test]
    fn samples_are_written_with_their_labels() {
        let text = exposition(&reading());
        for line in [
            "# TYPE ringway_connections_accepted_total counter",
            "ringway_connections_accepted_total 7",
            "ringway_connections_waiting{listener=\"web\"} 2",
            "ringway_accept_wait_seconds_sum 0.25",
            "ringway_accept_wait_seconds_count 6",
            "ringway_runtime_info{runtime=\"ring\",reason=\"a \\\"quoted\\\"\\nreason\"} 1",
            "ringway_requests_total{upstream=\"\",backend=\"\",code=\"4xx\"} 0",
            "ringway_phase_duration_seconds_bucket{upstream=\"u\",backend=\"127.0.0.1:2\",phase=\"first-byte\",le=\"+Inf\"} 0",
            "process_cpu_seconds_total 0.25",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }

    /// With so many workers there is room for fewer series than there are upstreams.
    #[test]
    fn no_two_samples_have_the_same_name_and_labels() {
        let mut text = "[[listener]]\naddress = \"127.0.0.1:1\"\n".to_owned();
        for number in 0..30 {
            text += &format!(
                "[[route]]\npath = \"/{number}/\"\nupstream = \"u{number}\"\n\
                 [[upstream]]\nname = \"u{number}\"\nbackends = [\"127.0.0.1:{}\"]\n",
                1_000 + number
            );
        }
        let reading = reading_of(&text, 16);
        let mut recorder = reading.meter.recorder(&Log::off());
        let label = Label { side: "backend", stage: "connect", cause: "refused" };
        for place in [None, Some(0), Some(20), Some(29)] {
            recorder.take(&Record { place, failure: Some(label), ..record(7) });
            place.into_iter().for_each(|place| recorder.attempt_failed(place, label));
        }
        let text = exposition(&reading);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let mut names: Vec<_> = samples.map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for line in [
            "ringway_requests_total{upstream=\"\",backend=\"\",code=\"2xx\"} 1",
            "ringway_requests_total{upstream=\"u20\",backend=\"(others)\",code=\"2xx\"} 1",
            "ringway_requests_total{upstream=\"(others)\",backend=\"(others)\",code=\"2xx\"} 1",
            "ringway_failures_total{upstream=\"(others)\",backend=\"(others)\",failure=\"backend.connect.refused\"} 1",
            "ringway_attempt_failures_total{upstream=\"u29\",backend=\"127.0.0.1:1029\",failure=\"backend.connect.refused\"} 1",
            "ringway_backends_without_series 12",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
