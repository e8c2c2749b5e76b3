//! The clients: how each is called, and what it says at the end.

pub mod ab;
pub mod oha;
pub mod wrk;

use std::io;

/// What comes behind `label` in a text, up to white space: `1000` in `Complete requests:      1000`.
fn word_behind<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim_start().strip_prefix(label)?.split_whitespace().next())
}

/// A number that has to be there.
fn number(text: &str, label: &str) -> io::Result<f64> {
    word_behind(text, label).and_then(|word| word.parse().ok()).ok_or_else(|| {
        let shown: String = text.chars().take(400).collect();
        io::Error::other(format!("no number behind {label:?} in: {shown}"))
    })
}

/// A count that is only there when it is not 0.
fn count(text: &str, label: &str) -> u64 {
    word_behind(text, label).and_then(|word| word.parse().ok()).unwrap_or(0)
}
