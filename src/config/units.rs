//! Durations and sizes as strings: `"250ms"`, `"1m30s"`, `"16KiB"`, `"none"`.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `"250ms"`, `"5s"`, `"1m30s"`, `"2h"`: whole numbers, each with its unit, larger units first.
///
/// # Errors
/// What is wrong with the text and how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_duration_ms(text).map(Duration::from_millis)
}

/// Reads `"512B"`, `"16KiB"`, `"1MiB"`, `"2GiB"`, `"1TiB"`: a whole number and a unit of 1024.
///
/// # Errors
/// What is wrong with the text and how to write it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text).ok_or_else(|| not_a_size(text))?;
    let factor = factor_of(unit, &SIZE_UNITS).ok_or_else(|| wrong_size_unit(text, number, unit))?;
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(|| format!("\"{text}\" is too large to be counted"))
}

/// The shortest text with one unit that [`parse_duration`] reads as this number of milliseconds.
pub fn show_duration(duration: Duration) -> String {
    show(duration.as_millis() as u64, &DURATION_UNITS, "0s")
}

/// The shortest text that [`parse_size`] reads as this number of bytes.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS, "0B")
}

pub(super) fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let mut rest = text;
    let mut total_ms = 0_u64;
    let mut last_factor = u64::MAX;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest).ok_or_else(|| not_a_duration(text))?;
        let unit_len = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, next) = tail.split_at(unit_len);
        let factor = factor_of(unit, &DURATION_UNITS)
            .filter(|factor| *factor < last_factor)
            .ok_or_else(|| not_a_duration(text))?;
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
        total_ms = part
            .and_then(|part| total_ms.checked_add(part))
            .ok_or_else(|| format!("\"{text}\" is too long to be counted"))?;
        (rest, last_factor) = (next, factor);
    }
    if text.is_empty() { Err(not_a_duration(text)) } else { Ok(total_ms) }
}

/// Digits, and what follows them; `None` without digits.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| text.split_at(digits))
}

fn factor_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor)
}

fn show(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    units
        .iter()
        .find(|(_, factor)| value > 0 && value.is_multiple_of(*factor))
        .map_or_else(|| zero.to_owned(), |(unit, factor)| format!("{}{unit}", value / factor))
}

fn not_a_duration(text: &str) -> String {
    format!(
        "\"{text}\" is not a duration: write whole numbers with the unit ms, s, m or h, such as \"250ms\", \"5s\" or \"1m30s\""
    )
}

fn not_a_size(text: &str) -> String {
    format!(
        "\"{text}\" is not a size: write a whole number with the unit B, KiB, MiB, GiB or TiB, such as \"16KiB\""
    )
}

/// Names the unit that was probably meant: `16K`, `16kb` and `16 KiB` are all `16KiB`.
fn wrong_size_unit(text: &str, number: &str, unit: &str) -> String {
    let initial = unit.trim().bytes().next().map(|byte| byte.to_ascii_uppercase());
    let is_word = unit.trim().len() <= 3 && unit.trim().bytes().all(|byte| byte.is_ascii_alphabetic());
    let meant = SIZE_UNITS.iter().find(|(name, _)| is_word && name.bytes().next() == initial);
    match meant {
        Some((name, _)) => format!("\"{text}\" is not a size; did you mean \"{number}{name}\"?"),
        None => not_a_size(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("250ms", 250),
            ("5s", 5000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1h1m1s1ms", 3_661_001),
            ("0s", 0),
            ("007s", 7000),
            ("90s", 90_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "", "5", "s", "5 s", " 5s", "5s ", "1.5s", "-1s", "5sec", "5S", "1s1m", "1s1s", "1ms1s", "∞",
            "5µs",
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains("is not a duration: write"), "{text}: {error}");
        }
        for text in ["99999999999999999999s", "18446744073709551615h", "5124095576030h99999999999999999ms"] {
            assert!(parse_duration(text).unwrap_err().contains("too long"), "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("16KiB", 16 << 10),
            ("1MiB", 1 << 20),
            ("2GiB", 2 << 30),
            ("3TiB", 3 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused_and_the_unit_that_was_meant_is_named() {
        for (text, meant) in [
            ("16K", "16KiB"),
            ("16kb", "16KiB"),
            ("16 KiB", "16KiB"),
            ("1m", "1MiB"),
            ("1 GB", "1GiB"),
            ("9b", "9B"),
        ] {
            let error = parse_size(text).unwrap_err();
            assert!(error.ends_with(&format!("did you mean \"{meant}\"?")), "{error}");
        }
        for text in ["", "16", "KiB", "-1KiB", "1.5MiB", "1KiB1B", "12 parsecs", "1é"] {
            assert!(parse_size(text).unwrap_err().contains("is not a size: write"), "{text}");
        }
        assert!(parse_size("99999999TiB").unwrap_err().contains("too large"));
        assert!(parse_size("99999999999999999999B").unwrap_err().contains("too large"));
    }

    #[test]
    fn the_largest_unit_that_divides_is_shown() {
        for (ms, text) in
            [(0, "0s"), (1, "1ms"), (1500, "1500ms"), (75_000, "75s"), (60_000, "1m"), (3_600_000, "1h")]
        {
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
        for (bytes, text) in [(0, "0B"), (1000, "1000B"), (1024, "1KiB"), (1536, "1536B"), (1 << 20, "1MiB")]
        {
            assert_eq!(show_size(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(value in any::<u64>()) {
            prop_assert_eq!(parse_size(&show_size(value)), Ok(value));
            prop_assert_eq!(parse_duration(&show_duration(Duration::from_millis(value))), Ok(Duration::from_millis(value)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,12}") {
            let _ = (parse_size(&text), parse_duration(&text));
        }

        #[test]
        fn parts_add_up(h in 0_u64..99, m in 0_u64..99, s in 0_u64..99, ms in 0_u64..2000) {
            let text = format!("{h}h{m}m{s}s{ms}ms");
            let total_ms = ((h * 60 + m) * 60 + s) * 1000 + ms;
            prop_assert_eq!(parse_duration(&text), Ok(Duration::from_millis(total_ms)));
        }
    }
}
