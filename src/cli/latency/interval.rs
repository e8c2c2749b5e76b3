//! `--for`: the time that a file, a table or a curve is of, where it is not everything since the start.

use std::io;
use std::time::{Duration, Instant};

use super::{Arguments, asked};
use crate::config::units::parse_duration;

/// Begins with an answer of the proxy, which later ones name.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) id: String,
    seconds: f64,
}

impl Interval {
    /// Has the proxy remember this moment, and waits for as long as it is to last.
    pub(super) fn pass(arguments: &Arguments, time: Duration) -> io::Result<Self> {
        let begun = Instant::now();
        let id = asked(arguments, None)?.id;
        std::thread::sleep(time);
        Ok(Self { id, seconds: begun.elapsed().as_secs_f64() })
    }

    /// The line by which a file tells that it is of an interval.
    pub(super) fn note(&self) -> String {
        format!("{NOTE} {:.3} s]\n", self.seconds)
    }

    pub(super) fn span(&self) -> String {
        format!("in {:.1} s", self.seconds)
    }

    /// What a proxy that has no such moment says is meant for those who ask it themselves.
    pub(super) fn told(&self, error: io::Error) -> io::Error {
        if !error.to_string().contains(&self.id) {
            return error;
        }
        let what = "the proxy was started anew meanwhile, or has forgotten when the interval began";
        io::Error::new(error.kind(), what)
    }
}

const NOTE: &str = "#[Interval =";

/// Whether a file tells that it is of an interval.
pub(super) fn is_noted(text: &str) -> bool {
    text.lines().any(|line| line.starts_with(NOTE))
}

/// Everything, where there is no interval.
pub(super) fn span(interval: Option<&Interval>) -> String {
    interval.map_or_else(|| "since the start".to_owned(), Interval::span)
}

/// For the command line.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("nothing happens in no time".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_that_it_is_of_an_interval() {
        let interval = Interval { id: "17-4".to_owned(), seconds: 30.0 };
        assert!(is_noted(&format!("1.000 1.0 1\n{}", interval.note())));
        assert!(!is_noted("1.000 1.0 1\n#[Unit    = ms]\n"));
        let told = |what: &str| interval.told(io::Error::other(what.to_owned())).to_string();
        assert!(told("there is no snapshot \"17-4\" any more").contains("started anew"));
        assert_eq!(told("refused"), "refused");
    }

    #[test]
    fn an_interval_lasts() {
        assert_eq!(time("1m30s"), Ok(Duration::from_secs(90)));
        assert!(time("0s").is_err() && time("30").is_err());
    }
}
