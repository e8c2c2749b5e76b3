//! A saved percentile distribution, and what it can say of a percentile.

use std::io;
use std::path::Path;

use super::interval::is_noted;

/// A percentile distribution in the text format of HdrHistogram, in milliseconds.
#[derive(Debug)]
pub(in crate::cli) struct Curve {
    pub(in crate::cli) name: String,
    /// Growing.
    pub(in crate::cli) points: Vec<Point>,
    /// The percentiles that the file names at its end.
    named: Vec<(String, f64)>,
    /// The file tells that it is of an interval.
    pub(super) is_interval: bool,
}

/// A line of it.
#[derive(Debug)]
pub(in crate::cli) struct Point {
    pub(in crate::cli) quantile: f64,
    pub(in crate::cli) ms: f64,
    /// Values up to `ms`.
    count: u64,
}

/// Where a percentile lies, in milliseconds: a file that has no line there has one before it and one behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Curve {
    /// Reads a file that `--hgrm` or any other HdrHistogram has written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        std::fs::read_to_string(path).and_then(|text| Self::read(name, &text)).map_err(told)
    }

    /// Reads the text of such a file.
    pub(in crate::cli) fn read(name: String, text: &str) -> io::Result<Self> {
        let points: Vec<_> = text.lines().filter_map(point).collect();
        if points.is_empty() {
            let what = match (is_log(text), text.contains("#[Max")) {
                (true, _) => "an interval log, of many distributions: save one of them with --hgrm",
                (false, true) => "no values in it",
                (false, false) => "no percentile distribution",
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let named = text.lines().filter_map(named).collect();
        Ok(Self { name, points, named, is_interval: is_noted(text) })
    }

    /// Values in all.
    pub(in crate::cli) fn count(&self) -> u64 {
        self.points.last().map_or(0, |point| point.count)
    }

    /// The largest value, in milliseconds.
    pub(in crate::cli) fn max(&self) -> f64 {
        self.points.last().map_or(0.0, |point| point.ms)
    }

    /// The value of a percentile, by its name where the file names it, or else between two of its lines.
    pub(super) fn at(&self, name: &str, quantile: f64) -> Span {
        if let Some((_, ms)) = self.named.iter().find(|(other, _)| other == name) {
            return Span::exact(*ms);
        }
        let rank = rank(quantile, self.count());
        let reached = self.points.partition_point(|point| point.count < rank);
        let Some(point) = self.points.get(reached) else { return Span::exact(self.max()) };
        let is_asked = |point: &Point| point.count >= rank && (point.quantile - quantile).abs() < 1e-9;
        let before = reached.checked_sub(1).and_then(|before| self.points.get(before));
        match before {
            Some(before) if !self.points[reached..].iter().any(is_asked) => {
                Span { low: before.ms, high: point.ms }
            }
            _ => Span::exact(point.ms),
        }
    }
}

impl Span {
    pub(super) fn exact(ms: f64) -> Self {
        Self { low: ms, high: ms }
    }

    pub(super) fn is_exact(self) -> bool {
        self.low.to_bits() == self.high.to_bits()
    }
}

/// Which of so many values it is, counted from 1 and from the smallest one. In whole ten thousandths: 0.07 times 100 is a
/// little more than 7 where computers multiply.
pub(super) fn rank(quantile: f64, count: u64) -> u64 {
    let ten_thousandths = (quantile * 10_000.0).round() as u64;
    (ten_thousandths * count).div_ceil(10_000)
}

/// Whether it is what `--hlog` or any other HdrHistogram has written.
fn is_log(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("\"StartTimestamp\"") || line.starts_with("#[StartTime"))
}

/// Value, quantile and count. Headings and the notes at the end are no points.
fn point(line: &str) -> Option<Point> {
    let mut words = line.split_whitespace();
    let ms = words.next()?.parse().ok()?;
    let quantile = words.next()?.parse().ok()?;
    let count = words.next()?.parse().ok()?;
    Some(Point { quantile, ms, count })
}

/// A note such as `#[p99.9   =       12.345]`.
fn named(line: &str) -> Option<(String, f64)> {
    let (name, ms) = line.strip_prefix("#[")?.strip_suffix(']')?.split_once('=')?;
    let name = name.trim();
    (name.starts_with('p')).then_some(())?;
    Some((name.to_owned(), ms.trim().parse().ok()?))
}

#[cfg(test)]
pub(in crate::cli) mod tests {
    use super::*;

    /// As another program writes it: without a line for p99.9.
    pub(in crate::cli) const SAVED: &str = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n       1.000 0.000000000000          1           1.00\n\
                                2.000 0.500000000000         50           2.00\n       8.000 0.984375000000         98         64.00\n\
                                9.000 0.990625000000         99         106.67\n      10.000 1.000000000000        100\n\
                                #[Mean    =        2.000, StdDeviation   =        0.000]\n#[Max     =       10.000, Total count    =          100]\n";

    #[test]
    fn a_percentile_is_known_as_exactly_as_the_lines_are() {
        let curve = Curve::read("a".to_owned(), SAVED).unwrap();
        assert_eq!((curve.count(), curve.max(), curve.points.len()), (100, 10.0, 5));
        let at = |quantile| curve.at("?", quantile);
        assert_eq!(at(0.5), Span::exact(2.0));
        assert_eq!(at(0.75), Span { low: 2.0, high: 8.0 });
        assert_eq!(at(0.99), Span { low: 8.0, high: 9.0 });
        assert_eq!(at(0.9999), Span { low: 9.0, high: 10.0 });
        assert_eq!(at(0.01), Span::exact(1.0), "the smallest one");
        assert_eq!(at(1.0).high, 10.0);
    }

    #[test]
    fn ranks_are_exact() {
        assert_eq!(
            [(0.07, 100), (0.99, 700), (0.999, 1_000), (0.5, 3)].map(|(q, n)| rank(q, n)),
            [7, 693, 999, 2]
        );
    }

    #[test]
    fn what_a_file_names_is_exact() {
        let text = format!("{SAVED}#[p99     =        8.500]\n#[pages   = many]\n");
        let curve = Curve::read("a".to_owned(), &text).unwrap();
        assert_eq!((curve.at("p99", 0.99), curve.named.len()), (Span::exact(8.5), 1));
    }

    #[test]
    fn what_is_no_distribution_is_told() {
        let said = |text: &str| Curve::read("a".to_owned(), text).unwrap_err().to_string();
        assert_eq!(said("nothing\n"), "no percentile distribution");
        assert_eq!(said("#[Max     =        0.000, Total count    =            0]\n"), "no values in it");
        let log = "#[StartTime: 1795641392.000 (seconds since epoch)]\n#[Max]\nTag=a,0.1,1.0,5,HISTFAAA\n";
        assert!(said(log).starts_with("an interval log"), "{}", said(log));
        let error = Curve::open(Path::new("/nowhere/a.hgrm")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/a.hgrm: "), "{error}");
    }
}
