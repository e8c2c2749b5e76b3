//! Tables: filled once, written as Markdown, as HTML or in columns for the terminal.

use std::collections::BTreeMap;

use crate::conclusion::{Against, Difference, Ranked};
use crate::plan::{Kind, Setting, Subject};
use crate::stats::Spread;
use crate::summary::{Counts, Line, is_rewritten_by};
use crate::words::{NONE, or_none, percent, short, whole};

/// Titles and cells.
#[derive(Debug)]
pub(super) struct Table {
    /// What it is about.
    pub(super) title: String,
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// How many columns, from the left, are words and not figures.
    words: usize,
}

impl Table {
    pub(super) fn new(title: String, titles: Vec<&'static str>, words: usize) -> Self {
        Self { title, titles, rows: Vec::new(), words }
    }

    pub(super) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let rule = (0..self.titles.len()).map(|at| if at < self.words { "---" } else { "---:" });
        let mut out = line(self.titles.clone()) + &line(rule.collect());
        for row in &self.rows {
            out += &line(row.iter().map(String::as_str).collect());
        }
        out
    }

    pub(super) fn html(&self) -> String {
        let class = |at: usize| if at < self.words { " class=\"word\"" } else { "" };
        let line = |tag: &str, cells: Vec<String>| {
            let cells = cells.iter().enumerate();
            let cells: String =
                cells.map(|(at, cell)| format!("<{tag}{}>{}</{tag}>", class(at), escape(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let head = line("th", self.titles.iter().map(|title| (*title).to_owned()).collect());
        let body: String = self.rows.iter().map(|row| line("td", row.clone())).collect();
        format!(
            "<div class=\"wide\"><table>\n<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
        )
    }

    pub(super) fn terminal(&self) -> String {
        let width = |at: usize| {
            let cells = self.rows.iter().map(|row| row[at].chars().count());
            cells.chain([self.titles[at].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.titles.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let pad = |(at, cell): (usize, &&str)| {
                let space = " ".repeat(widths[at].saturating_sub(cell.chars().count()));
                if at < self.words { format!("{cell}{space}") } else { format!("{space}{cell}") }
            };
            let cells: Vec<String> = cells.iter().enumerate().map(pad).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        let mut out = format!("{}\n\n", self.title) + &line(self.titles.clone());
        for row in &self.rows {
            out += &line(row.iter().map(String::as_str).collect());
        }
        out
    }
}

/// Text for a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Who differs from the base by how much.
pub(super) fn in_short(title: String, against: &[Against]) -> Table {
    let titles = vec![
        "proxy",
        "CPU µs/req",
        "higher in",
        "outside the noise",
        "requests/s",
        "higher in",
        "outside the noise",
        "not compared",
    ];
    let mut table = Table::new(title, titles, 1);
    for Against { subject, cpu, requests } in against {
        let mut cells = vec![subject.clone()];
        cells.extend([cpu, requests].into_iter().flat_map(difference));
        cells.push(whole((requests.settings - requests.compared) as f64));
        table.push(cells);
    }
    table
}

fn difference(of: &Difference) -> [String; 3] {
    let median = of.median.map_or_else(
        || NONE.to_owned(),
        |change| {
            let sign = if change < 0.0 { "−" } else { "+" };
            format!("{sign}{}", percent(change.abs()))
        },
    );
    let ranked = |word: &str, Ranked { count, is_sure }: Ranked| {
        let mark = if is_sure { "" } else { "?" };
        (count > 0).then(|| format!("{count}{mark} {word}"))
    };
    let ranked = [ranked("higher", of.ranked_higher), ranked("lower", of.ranked_lower)];
    let ranked: Vec<String> = ranked.into_iter().flatten().collect();
    let ranked = if ranked.is_empty() { "none".to_owned() } else { ranked.join(", ") };
    [median, format!("{} of {}", of.higher, of.compared), ranked]
}

/// The table of the experiment for one tool.
pub(super) fn experiment(title: String, lines: &[&Line]) -> Table {
    let titles = vec![
        "backends",
        "proxy",
        "conc.",
        "completed",
        "failed",
        "non-2xx",
        "requests/s",
        "(range)",
        "bottleneck",
        "mean ms",
        "p50 µs",
        "p90 µs",
        "p99 µs",
        "p99.9 µs",
        "max µs",
        "CPU µs/req",
        "(range)",
        "busy %",
        "shares %",
    ];
    let mut table = Table::new(title, titles, 2);
    for line in lines {
        table.push(experiment_row(line));
    }
    table
}

fn experiment_row(line: &Line) -> Vec<String> {
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let proxy = &line.proxy;
    let mut cells = vec![
        line.cell.setting.backends(),
        line.cell.subject.name.clone(),
        line.cell.setting.concurrency.to_string(),
        whole(line.counts.completed as f64),
        whole(line.counts.failed as f64),
        whole(line.counts.non_2xx as f64),
        or_none(median(line.requests_per_second), whole),
        range(line.requests_per_second, whole),
        bottleneck(line),
        or_none(median(line.mean_ms), |ms| format!("{ms:.3}")),
    ];
    let percentiles = [proxy.p50_us, proxy.p90_us, proxy.p99_us, proxy.p99_9_us, proxy.max_us];
    cells.extend(percentiles.map(|value| or_none(value, whole)));
    cells.extend([
        or_none(median(line.cpu_us), short),
        range(line.cpu_us, short),
        or_none(median(line.busy_pct), whole),
        shares(&line.shares_pct),
    ]);
    cells
}

fn range(spread: Option<Spread>, form: fn(f64) -> String) -> String {
    spread.map_or_else(|| NONE.to_owned(), |spread| format!("{}–{}", form(spread.low), form(spread.high)))
}

/// `5 × 20.0` where all are equal to the last digit shown.
fn shares(shares_pct: &[f64]) -> String {
    let words: Vec<String> = shares_pct.iter().map(|share| format!("{share:.1}")).collect();
    match words.as_slice() {
        [] => NONE.to_owned(),
        [one] => one.clone(),
        [first, rest @ ..] if rest.iter().all(|share| share == first) => {
            format!("{} × {first}", words.len())
        }
        _ => words.join(" "),
    }
}

fn bottleneck(line: &Line) -> String {
    let (bound, count) = line.bound;
    let mark = if line.disturbed > 0 { format!(" *{}", line.disturbed) } else { String::new() };
    format!("{} {count}/{}{mark}", bound.title(), line.rounds)
}

/// What went wrong before and during the measurements where some backends were dead.
pub(super) fn dead_backends(title: String, lines: &[&Line]) -> Table {
    let titles = vec!["proxy", "backends", "runs", "wrong in the warm-up", "failed", "non-2xx"];
    let mut table = Table::new(title, titles, 2);
    let mut rows: BTreeMap<(&Subject, usize, usize), (usize, Counts)> = BTreeMap::new();
    for line in lines {
        let Setting { configured, alive, .. } = line.cell.setting;
        if alive < configured {
            let (runs, counts) = rows.entry((&line.cell.subject, configured, alive)).or_default();
            *runs += line.rounds;
            *counts = counts.plus(line.counts);
        }
    }
    for ((subject, configured, alive), (runs, counts)) in rows {
        let figures = [counts.warmup_failed, counts.failed, counts.non_2xx];
        let mut cells = vec![subject.name.clone(), format!("{alive} of {configured} alive")];
        cells.push(whole(runs as f64));
        cells.extend(figures.map(|figure| whole(figure as f64)));
        table.push(cells);
    }
    table
}

/// How the clients saw it: the same cells.
pub(super) fn clients(title: String, lines: &[&Line]) -> Table {
    let titles = vec![
        "tool",
        "backends",
        "proxy",
        "conc.",
        "requests/s",
        "p50 µs",
        "p90 µs",
        "p99 µs",
        "p99.9 µs",
        "max µs",
    ];
    let mut table = Table::new(title, titles, 3);
    for line in lines {
        let (client, tool) = (&line.client, line.cell.setting.tool);
        let mut cells = vec![
            if is_rewritten_by(tool) {
                format!("{}, corrected", tool.title())
            } else {
                tool.title().to_owned()
            },
            line.cell.setting.backends(),
            line.cell.subject.name.clone(),
            line.cell.setting.concurrency.to_string(),
            or_none(line.requests_per_second.map(|spread| spread.median), whole),
        ];
        let figures = [client.p50_us, client.p90_us, client.p99_us, client.p99_9_us, client.max_us];
        cells.extend(figures.map(|value| or_none(value, whole)));
        table.push(cells);
    }
    table
}

/// Open loop: what the client saw, counted both ways, and what the proxy saw.
pub(super) fn open_loop(title: String, lines: &[&Line]) -> Table {
    let titles = vec![
        "proxy",
        "latency from",
        "conns",
        "reached req/s",
        "failed",
        "non-2xx",
        "client p50 µs",
        "p90 µs",
        "p99 µs",
        "p99.9 µs",
        "max µs",
        "proxy p99 µs",
        "CPU µs/req",
        "(range)",
        "busy %",
    ];
    let mut table = Table::new(title, titles, 2);
    for line in lines {
        let client = &line.client;
        let from = if line.cell.setting.tool == crate::plan::Tool::Oha { "when due" } else { "when sent" };
        let mut cells = vec![
            line.cell.subject.name.clone(),
            from.to_owned(),
            line.cell.setting.concurrency.to_string(),
            or_none(line.requests_per_second.map(|spread| spread.median), whole),
            whole(line.counts.failed as f64),
            whole(line.counts.non_2xx as f64),
        ];
        let figures = [client.p50_us, client.p90_us, client.p99_us, client.p99_9_us, client.max_us];
        cells.extend(figures.map(|value| or_none(value, whole)));
        let is_direct = line.cell.subject.kind == Kind::Direct;
        let own = if is_direct { None } else { line.proxy.p99_us };
        cells.extend([
            or_none(own, whole),
            or_none(line.cpu_us.map(|spread| spread.median), short),
            range(line.cpu_us, short),
            or_none(line.busy_pct.map(|spread| spread.median), whole),
        ]);
        table.push(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("T".to_owned(), vec!["proxy", "µs"], 1);
        table.push(vec!["a<b".to_owned(), "1,234".to_owned()]);
        table
    }

    #[test]
    fn one_table_three_forms() {
        assert_eq!(table().markdown(), "| proxy | µs |\n| --- | ---: |\n| a<b | 1,234 |\n");
        assert!(table().html().contains("<td class=\"word\">a&lt;b</td><td>1,234</td>"));
        assert_eq!(table().terminal(), "T\n\nproxy     µs\na<b    1,234\n");
    }

    #[test]
    fn equal_shares_are_short() {
        assert_eq!(shares(&[20.01, 19.99, 20.0, 20.0, 20.0]), "5 × 20.0");
        assert_eq!(shares(&[40.0, 60.0]), "40.0 60.0");
        assert_eq!(shares(&[]), NONE);
    }
}
