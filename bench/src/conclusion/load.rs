//! What a request costs the proxy where all have the same load: CPU time depends on how busy a proxy is.

use super::{Finding, base, of_kind};
use crate::chance::ranges_apart;
use crate::plan::{Kind, OpenLoop, Subject};
use crate::row::Row;
use crate::stats::Spread;
use crate::summary::{Metric, Series, busy_pct};
use crate::words::{counted, list, percent, short, whole};

/// Who got less of the rate than this had another load.
const REACHED: f64 = 0.95;

/// The runs of one subject at the fixed rate, however the client counted its delays.
struct Cost<'a> {
    subject: Subject,
    rows: Vec<&'a Row>,
    cpu_us: Spread,
    busy_pct: Spread,
}

impl<'a> Cost<'a> {
    fn new(series: &Series<'a>, subject: Subject, open: OpenLoop) -> Option<Self> {
        let is_reached = |row: &&Row| row.answers.requests_per_second >= REACHED * f64::from(open.rate);
        let cells = series.cells().filter(|cell| cell.setting.tool.is_open() && cell.subject == subject);
        let rows = cells.flat_map(|cell| series.rows(&subject, cell.setting, cell.is_twin));
        let rows: Vec<&Row> = rows.copied().filter(is_reached).collect();
        let spread = |figure: fn(&Row) -> Option<f64>| Spread::of(rows.iter().filter_map(|row| figure(row)));
        let (cpu_us, busy_pct) = (spread(|row| Metric::CpuPerRequest.of(row))?, spread(busy_pct)?);
        Some(Self { subject, rows, cpu_us, busy_pct })
    }

    fn in_words(&self, base: Option<&Self>) -> String {
        let Spread { low, median, high } = self.cpu_us;
        let against = base.filter(|base| base.subject != self.subject).map(|base| self.against(base));
        format!(
            "`{}`: {} µs a request ({} to {} in {}), {:.0} % of a core{}.",
            self.subject.name,
            short(median),
            short(low),
            short(high),
            counted(self.rows.len(), "run"),
            self.busy_pct.median,
            against.unwrap_or_default()
        )
    }

    fn against(&self, base: &Self) -> String {
        let change = self.cpu_us.median / base.cpu_us.median - 1.0;
        let direction = if change < 0.0 { "less" } else { "more" };
        let is_apart = self.cpu_us.low > base.cpu_us.high || self.cpu_us.high < base.cpu_us.low;
        let ranges = if is_apart { "apart" } else { "that overlap" };
        let (by, name) = (percent(change.abs()), &base.subject.name);
        format!("; {by} {direction} than `{name}`, with ranges {ranges}")
    }
}

/// What a request costs each, the cheapest first.
fn costs<'a>(open: OpenLoop, series: &Series<'a>) -> Vec<Cost<'a>> {
    let proxies = series.proxies().into_iter();
    let mut costs: Vec<Cost<'a>> = proxies.filter_map(|subject| Cost::new(series, subject, open)).collect();
    costs.sort_by(|a, b| a.cpu_us.median.total_cmp(&b.cpu_us.median));
    costs
}

/// The medians alone, in one sentence.
pub(super) fn in_short(open: OpenLoop, series: &Series<'_>) -> Option<String> {
    let cost = |cost: &Cost<'_>| {
        let Spread { low, median, high } = cost.cpu_us;
        format!("{} µs ({} to {}) with `{}`", short(median), short(low), short(high), cost.subject.name)
    };
    let costs: Vec<String> = costs(open, series).iter().map(cost).collect();
    (!costs.is_empty()).then(|| {
        let rate = whole(f64::from(open.rate));
        format!(
            "At {rate} requests a second, the same for all, the CPU time of a request was {}.",
            list(&costs)
        )
    })
}

/// The cheapest first.
pub(super) fn at_equal_load(open: Option<OpenLoop>, series: &Series<'_>) -> Finding {
    let question = "What does a request cost where all have the same load?";
    let Some(open) = open else { return Finding::new(question, Vec::new()) };
    let costs = costs(open, series);
    let Some(fewest) = costs.iter().map(|cost| cost.rows.len()).min() else {
        return Finding::new(question, Vec::new());
    };
    let runtimes = of_kind(series, Kind::Runtime);
    let base = base(&runtimes).and_then(|base| costs.iter().find(|cost| cost.subject == *base));
    let mut answers = vec![introduction(open)];
    answers.extend(costs.iter().map(|cost| cost.in_words(base)));
    let is_run = |subject: &Subject| {
        series.cells().any(|cell| cell.setting.tool.is_open() && cell.subject == *subject)
    };
    let is_missing =
        |subject: &&Subject| is_run(subject) && !costs.iter().any(|cost| cost.subject == **subject);
    let missing: Vec<String> =
        series.proxies().iter().filter(is_missing).map(|subject| format!("`{}`", subject.name)).collect();
    if !missing.is_empty() {
        answers.push(format!("Left out, since the rate was not reached: {}.", list(&missing)));
    }
    answers.push(format!(
        "No cell was run twice at the fixed rate, so there is no noise floor here and nothing is ranked. With {} each the \
         ranges of two equal subjects lie apart in {} of all comparisons.",
        counted(fewest, "run"),
        percent(ranges_apart(fewest))
    ));
    Finding::new(question, answers)
}

fn introduction(open: OpenLoop) -> String {
    format!(
        "CPU time a request falls as a proxy gets busier: one that has caught up falls asleep and is woken for the next \
         request, one that has not finds several at once. In the closed-loop runs a faster proxy gets more requests, so there its \
         cost and its speed are mixed. At {} requests a second on {} all have the same to do; this is the cost of a proxy that is \
         mostly idle.",
        whole(f64::from(open.rate)),
        counted(open.connections as usize, "connection")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Tool;
    use crate::testing::row;

    const OPEN: OpenLoop = OpenLoop { rate: 2000, seconds: 5, connections: 10 };

    fn open_row(round: u32, runtime: &str, tool: Tool, cpu_us: f64) -> Row {
        let mut row = row(round, runtime, 2000.0);
        row.cell.setting.tool = tool;
        row.cpu.proxy_us_per_request = Some(cpu_us);
        row
    }

    #[test]
    fn all_runs_at_the_rate_are_taken_together() {
        let of_round = |round| {
            let more = f64::from(round);
            [
                open_row(round, "threads", Tool::Oha, 90.0 + more),
                open_row(round, "threads", Tool::OhaUncorrected, 90.0 - more),
                open_row(round, "ring", Tool::Oha, 60.0 + more),
                open_row(round, "ring", Tool::OhaUncorrected, 60.0 - more),
            ]
        };
        let rows: Vec<Row> = (1..=3).flat_map(of_round).collect();
        let said = at_equal_load(Some(OPEN), &Series::new(&rows)).answers;
        assert_eq!(said[1], "`ring`: 60.0 µs a request (57.0 to 63.0 in 6 runs), 12 % of a core.");
        assert_eq!(
            in_short(OPEN, &Series::new(&rows)).unwrap(),
            "At 2,000 requests a second, the same for all, the CPU time of a request was 60.0 µs (57.0 to 63.0) with \
             `ring` and 90.0 µs (87.0 to 93.0) with `threads`."
        );
        let expected = "`threads`: 90.0 µs a request (87.0 to 93.0 in 6 runs), 18 % of a core; 50 % more than `ring`, with \
                        ranges apart.";
        assert_eq!(said[2], expected);
        assert!(
            said[3].contains("With 6 runs each the ranges of two equal subjects lie apart in 0.2 %"),
            "{said:?}"
        );
    }

    #[test]
    fn who_did_not_reach_the_rate_had_another_load() {
        let mut slow = open_row(1, "threads", Tool::Oha, 90.0);
        slow.answers.requests_per_second = 1800.0;
        // Of monoio the run at the fixed rate has not been made yet.
        let rows = [open_row(1, "ring", Tool::Oha, 60.0), slow, row(1, "monoio", 100.0)];
        let said = at_equal_load(Some(OPEN), &Series::new(&rows)).answers.join("\n");
        assert!(said.contains("since the rate was not reached: `threads`."), "{said}");
        assert!(at_equal_load(None, &Series::new(&rows)).answers.is_empty());
        assert_eq!(in_short(OPEN, &Series::new(&[])), None);
    }
}
