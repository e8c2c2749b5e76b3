//! Figures as the report writes them.

/// What stands where there is no figure.
pub const NONE: &str = "–";

/// A whole number with commas: `12,345`.
#[must_use]
pub fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < -0.5 { format!("-{out}") } else { out }
}

/// Three figures that mean something: `0.187`, `18.7`, `187`, `12,345`.
#[must_use]
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => whole(value),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A fraction in per cent: `8.3 %`, `12 %`.
#[must_use]
pub fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent.abs() < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// A figure, or the sign that there is none.
#[must_use]
pub fn or_none(value: Option<f64>, form: fn(f64) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), form)
}

/// `one`, `one and two`, `one, two and three`.
#[must_use]
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A count with its noun: `1 run`, `2 runs`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", whole(count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(whole(1_234_567.4), "1,234,567");
        assert_eq!(whole(999.0), "999");
        assert_eq!(whole(-1000.0), "-1,000");
        assert_eq!(
            [short(0.1874), short(1.874), short(18.74), short(18740.0)],
            ["0.187", "1.87", "18.7", "18,740"]
        );
        assert_eq!([percent(0.083), percent(0.0996), percent(0.4)], ["8.3 %", "10 %", "40 %"]);
        assert_eq!(or_none(None, short), NONE);
        assert_eq!(list(&["a".to_owned(), "b".to_owned(), "c".to_owned()]), "a, b and c");
        assert_eq!([counted(1, "run"), counted(0, "run")], ["1 run", "0 runs"]);
    }
}
