//! What is wrong with a configuration, and where: collected until all of it is known.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

/// Something that makes a configuration unusable.
///
/// It displays as `FILE:LINE: key.path: what is wrong`, without the path where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to [`Config::parse`](super::Config::parse).
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The key, such as `route[2].upstream`; list entries are counted from 1. Empty where no key is meant.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Something that looks wrong and works all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub Problem);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "warning: {}", self.0)
    }
}

/// The problems and warnings of one file, as they are found.
pub(super) struct Report<'a> {
    file: &'a str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Warning>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self { file, problems: RefCell::default(), warnings: RefCell::default() }
    }

    pub(super) fn problem(&self, line: usize, path: &str, message: impl Into<String>) {
        self.problems.borrow_mut().push(self.entry(line, path, message.into()));
    }

    /// Reports a line that cannot be read. What was made of it otherwise is only guessed, and so are further faults.
    pub(super) fn overrule(&self, line: usize, message: String) {
        let mut problems = self.problems.borrow_mut();
        let is_overruled = |problem: &Problem| problem.line == line && problem.path.is_empty();
        if !problems.iter().any(is_overruled) {
            problems.retain(|problem| problem.line != line);
            problems.push(self.entry(line, "", message));
        }
    }

    pub(super) fn warning(&self, line: usize, path: &str, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Warning(self.entry(line, path, message.into())));
    }

    fn entry(&self, line: usize, path: &str, message: String) -> Problem {
        Problem { file: self.file.to_owned(), line, path: path.to_owned(), message }
    }

    /// Both lists in the order of the file.
    pub(super) fn into_lists(self) -> (Vec<Problem>, Vec<Warning>) {
        let (mut problems, mut warnings) = (self.problems.into_inner(), self.warnings.into_inner());
        problems.sort_by_key(|problem| problem.line);
        warnings.sort_by_key(|warning| warning.0.line);
        (problems, warnings)
    }
}

/// The candidate that was probably meant, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| is_near(&word, candidate, *distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A third of the letters may be wrong, or one word may be the beginning of the other.
fn is_near(word: &str, candidate: &str, distance: usize) -> bool {
    let (shorter, longer) = if word.len() < candidate.len() { (word, candidate) } else { (candidate, word) };
    distance <= longer.len().div_ceil(3) || (shorter.len() >= 3 && longer.starts_with(shorter))
}

/// `; did you mean "web"?`, or what there is, each once: `; known: "web", "cluster"`.
pub(super) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, candidates.clone()) {
        Some(candidate) => format!("; did you mean \"{candidate}\"?"),
        None => {
            let mut known: Vec<_> = candidates.into_iter().collect();
            let mut told = HashSet::new();
            known.retain(|candidate| told.insert(*candidate));
            format!("; known: {}", quoted(known))
        }
    }
}

/// `"a", "b", "c"`.
pub(crate) fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// `a, b or c`.
pub(super) fn alternatives(words: &[String]) -> String {
    match words {
        [first @ .., before_last, last] if !first.is_empty() => {
            format!("{}, {before_last} or {last}", first.join(", "))
        }
        _ => words.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_read_well() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(alternatives(&words("a")), "a");
        assert_eq!(alternatives(&words("a b")), "a or b");
        assert_eq!(alternatives(&words("a b c d")), "a, b, c or d");
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let keys = ["upstream", "path", "host", "strip-prefix"];
        assert_eq!(nearest("upstrem", keys), Some("upstream"));
        assert_eq!(nearest("strip_prefix", keys), Some("strip-prefix"));
        assert_eq!(nearest("Hosts", keys), Some("host"));
        assert_eq!(nearest("pathX", keys), Some("path"));
        assert_eq!(nearest("stripping", ["strip"]), Some("strip"));
        assert_eq!(nearest("up", keys), None);
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
