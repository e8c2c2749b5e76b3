//! A text that is not TOML: the first fault of each statement, and what is left without those statements.

use std::borrow::Cow;

use toml::de::{DeTable, Error};

use super::options::{self, Shape};
use super::problem::Report;

/// Some editors begin a file with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How many lines that look like a new key may belong to the statement before: a table over several lines.
const KEYS_WITHIN: usize = 8;

/// A text without the statements that cannot be read, which are reported; and whether it is whole. Lines stay where
/// they are. What two statements say together may still be wrong, such as a key that comes twice.
///
/// The parser goes on behind a fault too. But where a quote or a bracket is missing, it takes the next lines for a part
/// of what is broken and finds fault with each of them. So each statement is read by itself.
pub(super) fn mend<'t>(text: &'t str, report: &Report<'_>) -> (Cow<'t, str>, bool) {
    if is_good(text) {
        return (Cow::Borrowed(text), true);
    }
    let lines = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).lines();
    let mut mender = Mender { lines: lines.map(Cow::Borrowed).collect(), report, is_whole: true };
    mender.double_brackets();
    mender.mend_headers();
    mender.leave_out_broken();
    (Cow::Owned(mender.lines.join("\n")), mender.is_whole)
}

/// Reports what is wrong with statements that are good by themselves. Below a header that is wrong, whatever else is
/// wrong follows from that.
pub(super) fn report_rest(text: &str, errors: &[Error], report: &Report<'_>) {
    let lines: Vec<_> = text.split('\n').collect();
    let header_of = |line: usize| (0..=line).rev().find(|at| header(lines[*at]).is_some());
    let line_of = |error: &Error| line_of(text, error).min(lines.len() - 1);
    let wrong: Vec<_> = errors.iter().map(line_of).collect();
    for (error, line) in errors.iter().zip(&wrong) {
        let follows = header_of(*line).is_some_and(|header| header != *line && wrong.contains(&header));
        if !follows {
            report.overrule(line + 1, fault(text, error));
        }
    }
}

struct Mender<'t, 'r> {
    lines: Vec<Cow<'t, str>>,
    report: &'r Report<'r>,
    is_whole: bool,
}

impl Mender<'_, '_> {
    /// Writes `[[upstream]]` for `[upstream]`, and reports it once for all of that name: what comes below is no less
    /// good for that.
    fn double_brackets(&mut self) {
        for name in options::keys_of("").into_iter().filter(|name| is_list(name)) {
            let is_single = |line: &str| is_good(line) && !line.contains("[[") && header(line) == Some(name);
            let single: Vec<_> = (0..self.lines.len()).filter(|at| is_single(&self.lines[*at])).collect();
            single.iter().for_each(|at| self.lines[*at] = format!("[[{name}]]").into());
            if let [first, others @ ..] = &*single {
                let others: Vec<_> = others.iter().map(|at| (at + 1).to_string()).collect();
                self.report.problem(first + 1, name, single_brackets(name, &others));
            }
        }
    }

    /// Reports a header that is broken, and takes it for what it was probably meant to be, or leaves out its table.
    fn mend_headers(&mut self) {
        for at in 0..self.lines.len() {
            let Some(name) = header(&self.lines[at]).map(str::to_owned) else { continue };
            let errors = DeTable::parse_recoverable(&self.lines[at]).1;
            let Some(error) = errors.first() else { continue };
            self.report.overrule(at + 1, fault(&self.lines[at], error));
            match options::find(&name).map(|option| &option.shape) {
                Some(Shape::Tables) => self.lines[at] = format!("[[{name}]]").into(),
                Some(Shape::Table) => self.lines[at] = format!("[{name}]").into(),
                _ => self.leave_out(at, self.end(at + 1, |line| header(line).is_some())),
            }
        }
    }

    /// Reports the first fault of each statement that is broken, and leaves the statement out.
    fn leave_out_broken(&mut self) {
        let mut at = 0;
        while at < self.lines.len() {
            if is_blank(&self.lines[at]) || header(&self.lines[at]).is_some() {
                at += 1;
                continue;
            }
            let end = self.end(at + 1, begins_statement);
            let is_good_to = |end: &usize| is_good(&self.lines[at..*end].join("\n"));
            at = match self.ends(at, end).into_iter().find(is_good_to) {
                Some(end) => end,
                None => {
                    self.report_statement(at, end);
                    self.leave_out(at, end);
                    end
                }
            };
        }
    }

    /// Where a statement may end, the likeliest first: before the next one, at the end of its line if what follows is
    /// junk, or further down if it is a table over several lines.
    fn ends(&self, at: usize, end: usize) -> Vec<usize> {
        let mut ends = vec![end, at + 1];
        let mut further = end;
        while ends.len() < 2 + KEYS_WITHIN
            && self.lines.get(further).is_some_and(|line| header(line).is_none())
        {
            further = self.end(further + 1, begins_statement);
            ends.push(further);
        }
        ends
    }

    fn report_statement(&self, at: usize, end: usize) {
        let last = (at..end).rev().find(|line| !is_blank(&self.lines[*line])).unwrap_or(at);
        let statement = self.lines[at..=last].join("\n");
        let errors = DeTable::parse_recoverable(&statement).1;
        if let Some(first) = errors.iter().min_by_key(|error| start_of(error)) {
            let line = line_of(&statement, first).min(last - at);
            self.report.overrule(at + line + 1, fault(&statement, first));
        }
    }

    /// The first line from here on for which this holds, or the end.
    fn end(&self, from: usize, is_end: impl Fn(&str) -> bool) -> usize {
        (from..self.lines.len()).find(|at| is_end(&self.lines[*at])).unwrap_or(self.lines.len())
    }

    fn leave_out(&mut self, at: usize, end: usize) {
        self.lines[at..end].fill(Cow::Borrowed(""));
        self.is_whole = false;
    }
}

/// What is said of `[upstream]` where `[[upstream]]` is meant, with the numbers of further lines like it.
pub(super) fn single_brackets(name: &str, others: &[String]) -> String {
    let further = match others {
        [] => String::new(),
        [line] => format!(", and in line {line} too"),
        lines => format!(", and in lines {} too", lines.join(", ")),
    };
    format!("there may be several: write [[{name}]] instead of [{name}]{further}")
}

/// What the parser says, in our words where its own do not help.
fn fault(text: &str, error: &Error) -> String {
    let place = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    let fault = match error.message().split_once(", expected").map_or(error.message(), |(fault, _)| fault) {
        "duplicate key" => format!("the key {place} stands here for the second time"),
        "string values must be quoted" if place.trim().is_empty() => "a value is missing".to_owned(),
        "string values must be quoted" => format!("a string must be quoted: write \"{place}\""),
        "invalid float" => "not a number, and a string must be quoted".to_owned(),
        "invalid basic string" | "invalid literal string" if is_unclosed(error) => {
            "a string has no closing quote".to_owned()
        }
        _ => error.message().replace("`\"`", "a quote").replace('`', "\""),
    };
    format!("not valid TOML: {fault}")
}

fn is_unclosed(error: &Error) -> bool {
    error.message().ends_with("expected `\"`") || error.message().ends_with("expected `'`")
}

/// The line of an error, counted from 0.
fn line_of(text: &str, error: &Error) -> usize {
    text.bytes().take(start_of(error)).filter(|byte| *byte == b'\n').count()
}

fn start_of(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn is_good(text: &str) -> bool {
    DeTable::parse_recoverable(text).1.is_empty()
}

fn is_list(name: &str) -> bool {
    options::find(name).is_some_and(|option| matches!(option.shape, Shape::Tables))
}

/// A line without a statement, but perhaps with a comment.
fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The name in a line that is, or was meant to be, the header of a table.
fn header(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?.trim_start_matches(['[', ' ']);
    let end = name.find(|c: char| !is_of_key(c)).unwrap_or(name.len());
    name.starts_with(|c: char| c.is_ascii_alphabetic()).then(|| &name[..end])
}

fn begins_statement(line: &str) -> bool {
    let key = line.split('=').next().unwrap_or_default().trim();
    let is_key = line.contains('=') && !key.is_empty() && key.chars().all(is_of_key);
    is_key || header(line).is_some()
}

/// Whether it may stand in a key, dots included.
fn is_of_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}
