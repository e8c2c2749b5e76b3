//! Two saved distributions side by side, with no more digits than are known.

use std::fmt::Write as _;

use super::curve::{Curve, Span, rank};
use crate::control::admin::{PERCENTILES, duration};

/// Columns of a value: of `100 ms - 999 ms`, and a name's.
const WIDTH: usize = 19;
/// Each of two values is known to one part in a thousand.
const RESOLUTION: f64 = 0.002;

/// The table and what has to be known to read it.
pub(super) fn compare(before: &Curve, after: &Curve) -> String {
    let mut out = line("", [&end_of(&before.name), &end_of(&after.name)], "change");
    out += &line("count", [before, after].map(|curve| curve.count().to_string()).each_ref(), "");
    let max = ("max", 1.0);
    for (name, quantile) in PERCENTILES.into_iter().chain([max]) {
        let at = |curve: &Curve| match quantile < 1.0 {
            true => curve.at(name, quantile),
            false => Span::exact(curve.max()),
        };
        let (old, new) = (at(before), at(after));
        out += &line(name, [old, new].map(shown).each_ref(), &change(old, new));
    }
    out + &notes(before, after)
}

fn line(name: &str, [before, after]: [&String; 2], change: &str) -> String {
    format!("{name:<8}  {before:>WIDTH$}  {after:>WIDTH$}  {change:>16}").trim_end().to_owned() + "\n"
}

fn shown(span: Span) -> String {
    let Span { low, high } = span;
    let [low, high] = [low, high].map(|ms| duration(ms * 1000.0));
    if low == high { high } else { format!("{low} - {high}") }
}

fn change(old: Span, new: Span) -> String {
    if old.low <= 0.0 {
        return String::from("-");
    }
    let (least, most) = (new.low / old.high - 1.0, new.high / old.low - 1.0);
    if least.abs() <= RESOLUTION && most.abs() <= RESOLUTION {
        return String::from("none");
    }
    match (old.is_exact() && new.is_exact(), least <= 0.0 && most >= 0.0) {
        (true, _) => format!("{} %", percent(most)),
        (false, true) => String::from("cannot be told"),
        (false, false) if percent(least) == percent(most) => format!("{} %", percent(most)),
        (false, false) => format!("{} to {} %", percent(least), percent(most)),
    }
}

/// With a decimal where it is small.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 9.95 { format!("{percent:+.1}") } else { format!("{percent:+.0}") }
}

fn notes(before: &Curve, after: &Curve) -> String {
    let mut out = String::from("\nValues are known to three digits: a change of up to 0.2 % is none.\n");
    let curves = [before, after];
    let is_range = |curve: &&Curve| PERCENTILES.iter().any(|(name, at)| !curve.at(name, *at).is_exact());
    if let Some(curve) = curves.into_iter().find(is_range) {
        let name = &curve.name;
        // A String takes everything.
        let _ =
            writeln!(out, "A range lies between two lines of {name}, which has none for that percentile.");
    }
    let whole: Vec<_> =
        curves.iter().filter(|curve| !curve.is_interval).map(|curve| curve.name.as_str()).collect();
    if !whole.is_empty() {
        let (names, hold) = (whole.join(" and "), if whole.len() == 1 { "holds" } else { "hold" });
        let _ = writeln!(
            out,
            "{names} {hold} everything since the start, if saved without --for: of one process the later file holds the\n\
             earlier one, too, and so a change looks smaller than it is."
        );
    }
    let count = before.count().min(after.count());
    let is_max = |quantile: f64| rank(quantile, count) >= count;
    if let Some((name, _)) = PERCENTILES.into_iter().find(|(_, quantile)| is_max(*quantile)) {
        let _ = writeln!(out, "From {name} on, the percentiles of so few values are their max.");
    }
    out
}

/// The end of a name, where names differ.
fn end_of(name: &str) -> String {
    let length = name.chars().count();
    name.chars().skip(length.saturating_sub(WIDTH)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::curve::tests::SAVED;
    use super::*;

    fn curve(name: &str, more: &str) -> Curve {
        Curve::read(name.to_owned(), &format!("{SAVED}{more}")).unwrap()
    }

    const NAMED: &str = "#[p75     =        4.000]\n#[p90     =        5.000]\n#[p99     =        9.000]\n\
                         #[p99.9   =       10.000]\n#[p99.99  =       10.000]\n";

    #[test]
    fn what_is_known_exactly_is_compared_exactly() {
        let after = NAMED.replace("5.000", "5.150").replace("4.000", "4.004").replace("9.000", "18.005");
        let text = compare(&curve("before", NAMED), &curve("after", &after));
        let expected = "                       before                after            change\n\
                        count                     100                  100\n\
                        p50                   2.00 ms              2.00 ms              none\n\
                        p75                   4.00 ms              4.00 ms              none\n\
                        p90                   5.00 ms              5.15 ms            +3.0 %\n\
                        p99                   9.00 ms              18.0 ms            +100 %\n\
                        p99.9                 10.0 ms              10.0 ms              none\n\
                        p99.99                10.0 ms              10.0 ms              none\n\
                        max                   10.0 ms              10.0 ms              none\n\
                        \n\
                        Values are known to three digits: a change of up to 0.2 % is none.\n\
                        before and after hold everything since the start, if saved without --for: of one process the later file holds the\n\
                        earlier one, too, and so a change looks smaller than it is.\n\
                        From p99.9 on, the percentiles of so few values are their max.\n";
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn files_that_may_hold_each_other_are_named() {
        let interval = format!("{NAMED}#[Interval = 30.001 s]\n");
        let (of_all, part) = (curve("all", NAMED), curve("part", &interval));
        assert!(!compare(&part, &part).contains("since the start"));
        let text = compare(&of_all, &part);
        assert!(text.contains("\nall holds everything since the start"), "{text}");
    }

    #[test]
    fn what_lies_between_two_lines_is_a_range() {
        let slower = Curve::read(
            "slower".to_owned(),
            &SAVED.replace("8.000 0", "20.00 0").replace("9.000 0", "30.00 0"),
        );
        let text = compare(&curve("before", ""), &slower.unwrap());
        let of = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(of("p75").ends_with("2.00 ms - 8.00 ms    2.00 ms - 20.0 ms    cannot be told"), "{text}");
        assert!(of("p99 ").ends_with("8.00 ms - 9.00 ms    20.0 ms - 30.0 ms    +122 to +275 %"), "{text}");
        assert!(text.contains("A range lies between two lines of before"), "{text}");
    }
}
