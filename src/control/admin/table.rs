//! Percentiles as a table for people.

use super::latency::Row;
use crate::telemetry::OTHERS;

/// The table fits into a terminal of so many columns, where it can.
const USUAL_WIDTH: usize = 80;
const HEADER: [&str; 9] = ["", "count", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];

type Line = [String; HEADER.len()];

/// The rows as a table, durations with their unit: the phases of an upstream or backend under its name, or the names alone
/// where there is but one phase. Rows without exchanges are left out; `None` if none is left.
pub fn table(rows: &[Row]) -> Option<String> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.count > 0).collect();
    let first = rows.first()?;
    let mut header = HEADER.map(str::to_owned);
    let is_one_phase = rows.iter().all(|row| row.phase == first.phase);
    let lines: Vec<Line> = if is_one_phase {
        header[0].clone_from(&first.phase);
        rows.iter().map(|row| cells(whose(row), row)).collect()
    } else {
        rows.chunk_by(|a, b| whose(a) == whose(b)).flat_map(group).collect()
    };
    Some(aligned(&[vec![header], lines].concat()))
}

/// A name, and its phases below it.
fn group(rows: &[&Row]) -> Vec<Line> {
    let mut name = Line::default();
    rows.iter().take(1).for_each(|row| name[0] = whose(row));
    let phases = rows.iter().map(|row| cells(format!("  {}", row.phase), row));
    std::iter::once(name).chain(phases).collect()
}

/// Whose exchanges are in a row.
fn whose(row: &Row) -> String {
    let upstream = row.upstream.as_deref().unwrap_or("all upstreams");
    // Those of upstreams that are counted together have no backends either.
    let backend = row.backend.as_ref().filter(|_| upstream != OTHERS);
    backend.map_or_else(|| upstream.to_owned(), |backend| format!("{upstream} {backend}"))
}

fn cells(name: String, row: &Row) -> Line {
    let [p50, p90, p99, p99_9, p99_99, max] =
        [row.p50, row.p90, row.p99, row.p99_9, row.p99_99, row.max].map(|us| duration(us as f64));
    [name, row.count.to_string(), duration(row.mean), p50, p90, p99, p99_9, p99_99, max]
}

/// Names are read from their beginning, numbers from their end. A name with nothing beside it may be as long as it is.
fn aligned(lines: &[Line]) -> String {
    let width = |column: usize| {
        let beside = lines.iter().filter(|line| !line[1].is_empty());
        beside.map(|line| line[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..HEADER.len()).map(width).collect();
    let is_narrow = widths.iter().sum::<usize>() + 2 * (widths.len() - 1) > USUAL_WIDTH;
    let between = if is_narrow { " " } else { "  " };
    let mut out = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        out += cells.collect::<Vec<_>>().join(between).trim_end();
        out.push('\n');
    }
    out
}

/// Microseconds as a duration of three significant digits, which is what is known of it, with the unit that fits: at most
/// seven characters.
pub fn duration(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 999.5 => return format!("{us:.0} µs"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Distribution, Phase};

    fn row(upstream: &str, phase: Phase, count: u64) -> Row {
        let name = Some(upstream.to_owned());
        Row {
            count,
            mean: 1_500.4,
            p50: 12,
            max: 2_000_000,
            ..Row::new((name, None), phase, &Distribution::default())
        }
    }

    #[test]
    fn phases_stand_below_the_name_that_they_belong_to() {
        let rows = [
            row("a-site-with-a-long-name", Phase::Total, 3),
            row("a-site-with-a-long-name", Phase::Added, 3),
            row("idle", Phase::Total, 0),
        ];
        let expected = "         count     mean    p50   p90   p99  p99.9  p99.99     max\n\
                        a-site-with-a-long-name\n\
                        \x20 total      3  1.50 ms  12 µs  0 µs  0 µs   0 µs    0 µs  2.00 s\n\
                        \x20 added      3  1.50 ms  12 µs  0 µs  0 µs   0 µs    0 µs  2.00 s\n";
        assert_eq!(table(&rows).as_deref(), Some(expected));
        assert_eq!(table(&rows[2..]), None);
    }

    #[test]
    fn of_one_phase_each_name_is_a_row() {
        let backend = Row { backend: Some("127.0.0.1:1".to_owned()), ..row("site", Phase::Total, 17) };
        let others = |upstream| Row { backend: Some(OTHERS.to_owned()), ..row(upstream, Phase::Total, 4) };
        let expected = "total             count     mean    p50   p90   p99  p99.9  p99.99     max\n\
                        site                  3  1.50 ms  12 µs  0 µs  0 µs   0 µs    0 µs  2.00 s\n\
                        site 127.0.0.1:1     17  1.50 ms  12 µs  0 µs  0 µs   0 µs    0 µs  2.00 s\n\
                        site (others)         4  1.50 ms  12 µs  0 µs  0 µs   0 µs    0 µs  2.00 s\n\
                        (others)              4  1.50 ms  12 µs  0 µs  0 µs   0 µs    0 µs  2.00 s\n";
        let rows = [row("site", Phase::Total, 3), backend, others("site"), others(OTHERS)];
        assert_eq!(table(&rows).as_deref(), Some(expected));
    }

    #[test]
    fn the_widest_figures_fit_into_eighty_columns() {
        let wide = |phase| {
            let [p50, p90, p99, p99_9, p99_99, max] = [99_949; 6];
            Row { mean: 99_949.0, p50, p90, p99, p99_9, p99_99, max, ..row("site", phase, 1_000_000) }
        };
        let text = table(&[wide(Phase::FirstByte), wide(Phase::Total)]).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= USUAL_WIDTH), "{text}");
    }

    #[test]
    fn a_duration_has_three_digits_and_the_unit_that_fits() {
        let cases = [
            (0.0, "0 µs"),
            (999.4, "999 µs"),
            (999.5, "1.00 ms"),
            (9_994.0, "9.99 ms"),
            (9_995.0, "10.0 ms"),
            (99_949.0, "99.9 ms"),
            (99_950.0, "100 ms"),
            (999_499.0, "999 ms"),
            (999_500.0, "1.00 s"),
            (3_600_000_000.0, "3600 s"),
        ];
        for (us, text) in cases {
            assert_eq!(duration(us), text);
        }
    }
}
