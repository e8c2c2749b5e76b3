//! One line of an access log, in either format, as far as an audit reads it.

use serde::Deserialize;

/// What a line says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Line<'a> {
    time: Option<&'a str>,
    duration_us: Option<u64>,
    pub(super) upstream: Option<&'a str>,
    pub(super) pick: Option<u64>,
    pub(super) cycle: Option<u64>,
    /// The backend that was tried last.
    pub(super) backend: Option<&'a str>,
    /// The backend whose turn it was, if that is another one.
    picked: Option<&'a str>,
    #[serde(default)]
    attempts: u32,
    end: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` if it is of neither format, or was cut.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        if line.starts_with('{') { serde_json::from_str(line).ok() } else { Self::read_text(line) }
    }

    /// Reads what comes behind the last line's end of a log. Only an object of JSON tells that it is whole: a line of text
    /// that ends too early reads as one that says less.
    pub(super) fn read_rest(rest: &'a str) -> Option<Self> {
        if rest.starts_with('{') { Self::read(rest) } else { None }
    }

    fn read_text(line: &'a str) -> Option<Self> {
        let (before, quoted) = line.split_once('"')?;
        let mut is_escaped = false;
        let end = quoted.bytes().position(|byte| {
            let is_end = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            is_end
        })?;
        if line.ends_with('~') {
            return None;
        }
        let mut read = Self { time: before.split(' ').next(), ..Self::default() };
        let mut has_status = false;
        for (key, value) in quoted[end + 1..].split(' ').filter_map(|word| word.split_once('=')) {
            match key {
                "status" => has_status = true,
                "time" => read.duration_us = us(value),
                "upstream" => read.upstream = Some(value),
                "pick" => read.pick = Some(value.parse().ok()?),
                "cycle" => read.cycle = Some(value.parse().ok()?),
                "backend" => read.backend = Some(value).filter(|backend| *backend != "-"),
                "picked" => read.picked = Some(value),
                "attempts" => read.attempts = value.parse().ok()?,
                "end" => read.end = Some(value),
                _ => {}
            }
        }
        has_status.then_some(read)
    }

    /// The backend whose turn it was.
    pub(super) fn picked(&self) -> &'a str {
        self.picked.or(self.backend).unwrap_or("-")
    }

    /// The backends that could not be connected to, as far as the line tells.
    pub(super) fn failed(&self) -> impl Iterator<Item = &'a str> {
        let first = self.picked.filter(|_| self.attempts > 1);
        let last = self.backend.filter(|_| self.end.is_some_and(|end| end.starts_with("backend.connect.")));
        first.into_iter().chain(last)
    }

    /// Whether there may be more of them, which it does not name.
    pub(super) fn hides_failures(&self) -> bool {
        self.attempts > 2
    }

    /// When the first byte of the exchange came, and when it was over, in microseconds after 1970.
    pub(super) fn times_us(&self) -> Option<(i64, i64)> {
        let ended_us = self.time?.parse::<jiff::Timestamp>().ok()?.as_microsecond();
        Some((ended_us.checked_sub_unsigned(self.duration_us?)?, ended_us))
    }
}

/// Microseconds of a time such as `1.412ms`.
fn us(time: &str) -> Option<u64> {
    let (whole, thousandths) = time.strip_suffix("ms")?.split_once('.')?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "2026-11-23T21:53:51.476Z 127.0.0.1:5 \"GET /\\\" upstream=x pick=9\" host=h backend=b \
                        status=200 bytes=1 time=1.412ms attempts=2 upstream=u pick=4 cycle=17 picked=a \
                        end=backend.connect.refused";

    #[test]
    fn both_formats_say_the_same() {
        let json = "{\"time\":\"2026-11-23T21:53:51.476Z\",\"backend\":\"b\",\"status\":200,\"attempts\":2,\
                    \"duration_us\":1412,\"upstream\":\"u\",\"pick\":4,\"cycle\":17,\"picked\":\"a\",\
                    \"end\":\"backend.connect.refused\"}";
        for line in [TEXT, json] {
            let read = Line::read(line).unwrap();
            assert_eq!((read.upstream, read.pick, read.cycle), (Some("u"), Some(4), Some(17)));
            assert_eq!((read.picked(), read.failed().collect::<Vec<_>>()), ("a", vec!["a", "b"]));
            assert_eq!(read.times_us(), Some((1_795_470_831_474_588, 1_795_470_831_476_000)));
            assert!(!read.hides_failures());
        }
    }

    #[test]
    fn a_line_that_was_cut_is_none() {
        for cut in [
            TEXT.split_once("GET").unwrap().0.to_owned(),
            TEXT.split_once("7 picked").unwrap().0.to_owned() + "~",
            TEXT.split_once(" upstream=u").unwrap().0.to_owned() + "~",
            "{\"upstream\":\"u\",\"pick\":4~".to_owned(),
        ] {
            assert!(Line::read(&cut).is_none(), "{cut}");
        }
    }
}
