//! Percentiles as a table for people.

use super::latency::Row;

/// The rows as a table, durations with their unit. Rows without exchanges are left out; `None` if none is left.
pub fn table(rows: &[Row]) -> Option<String> {
    let rows: Vec<[String; 11]> = rows.iter().filter(|row| row.count > 0).map(cells).collect();
    if rows.is_empty() {
        return None;
    }
    let header =
        ["upstream", "backend", "phase", "count", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    let lines: Vec<_> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            // Names are read from their beginning, numbers from their end.
            0..=2 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        out += cells.collect::<Vec<_>>().join("  ").trim_end();
        out.push('\n');
    }
    Some(out)
}

fn cells(row: &Row) -> [String; 11] {
    let name = |name: &Option<String>| name.as_deref().unwrap_or("all").to_owned();
    let [p50, p90, p99, p99_9, p99_99, max] =
        [row.p50, row.p90, row.p99, row.p99_9, row.p99_99, row.max].map(|us| duration(us as f64));
    let (upstream, backend) = (name(&row.upstream), name(&row.backend));
    let (phase, count, mean) = (row.phase.clone(), row.count.to_string(), duration(row.mean));
    [upstream, backend, phase, count, mean, p50, p90, p99, p99_9, p99_99, max]
}

/// Three digits or a little more, with the unit that fits.
pub fn duration(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Distribution, Phase};

    #[test]
    fn rows_with_exchanges_are_a_table() {
        let row = |count| Row {
            count,
            mean: 1_500.4,
            p50: 12,
            max: 2_000_000,
            ..Row::new((Some("site".to_owned()), None), Phase::Total, &Distribution::default())
        };
        let expected = "upstream  backend  phase  count     mean    p50   p90   p99  p99.9  p99.99     max\n\
                        site      all      total      3  1.50 ms  12 µs  0 µs  0 µs   0 µs    0 µs  2.00 s\n";
        assert_eq!(table(&[row(3), row(0)]).as_deref(), Some(expected));
        assert_eq!(table(&[row(0)]), None);
    }
}
