//! Walks the parsed document: hands out values of the right shape, each with its place, and reports all others.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::mend::single_brackets;
use super::options::{self, Shape};
use super::problem::{Report, nearest, quoted};
use super::units::{parse_duration_ms, parse_size, show_duration, show_size};

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    /// Counted from 1.
    pub(super) line: usize,
    /// Such as `route[2].upstream`.
    pub(super) path: String,
}

impl<T> At<T> {
    /// Another value in the same place.
    pub(super) fn at<U>(&self, value: U) -> At<U> {
        At { value, line: self.line, path: self.path.clone() }
    }
}

/// What all tables of a walk share.
pub(super) struct Walk<'a> {
    report: &'a Report<'a>,
    /// Offsets of the line ends.
    line_ends: Vec<usize>,
    /// Whether the document was read whole, so that what is missing is truly missing.
    is_whole: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &str, report: &'a Report<'a>, is_whole: bool) -> Self {
        let line_ends =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { report, line_ends, is_whole }
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_ends.partition_point(|end| *end < offset) + 1
    }

    /// The document itself, as a table without a name.
    pub(super) fn root<'w>(&'w self, document: &'w DeTable<'w>) -> Table<'w> {
        Table::open(self, document, 1, String::new(), "")
    }
}

/// A table of the document.
pub(super) struct Table<'w> {
    walk: &'w Walk<'w>,
    entries: &'w DeTable<'w>,
    line: usize,
    path: String,
    /// Its path in the table of options.
    kind: &'static str,
    /// Keys that an unknown key was probably meant for: they are not called missing.
    misspelt: Vec<&'static str>,
}

impl<'w> Table<'w> {
    /// Reports every key that the table of options does not know here.
    fn open(
        walk: &'w Walk<'w>,
        entries: &'w DeTable<'w>,
        line: usize,
        path: String,
        kind: &'static str,
    ) -> Self {
        let known = options::keys_of(kind);
        let mut misspelt = Vec::new();
        for key in entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let (message, meant) = options::unknown_key(kind, key.get_ref());
            walk.report.problem(walk.line(key.span().start), &options::join(&path, key.get_ref()), message);
            misspelt.extend(meant);
        }
        Self { walk, entries, line, path, kind, misspelt }
    }

    /// This table's place, with what was read from it.
    pub(super) fn at<T>(&self, value: T) -> At<T> {
        At { value, line: self.line, path: self.path.clone() }
    }

    /// Reports a key that is neither there nor misspelt.
    pub(super) fn need(&self, key: &str, advice: &str) {
        if self.walk.is_whole && !self.has(key) && !self.misspelt.contains(&key) {
            self.walk.report.problem(
                self.line,
                &options::join(&self.path, key),
                format!("missing: {advice}"),
            );
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<At<String>> {
        self.read(key, |text| Ok(text.to_owned()))
    }

    /// A text, as `parse` understands it.
    pub(super) fn read<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<At<T>> {
        self.parse(key, self.find(key)?, parse)
    }

    pub(super) fn flag(&self, key: &str) -> Option<At<bool>> {
        let value = self.find(key)?;
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(self.place(key, value, *flag)),
            _ => self.wrong_type(key, value),
        }
    }

    pub(super) fn whole(&self, key: &str) -> Option<At<u64>> {
        let Shape::Whole(range) = self.shape(key) else {
            unreachable!("{key} of [{}] is a number", self.kind)
        };
        let value = self.find(key)?;
        let DeValue::Integer(integer) = value.get_ref() else { return self.wrong_type(key, value) };
        match within(&whole_of(integer), integer.as_str(), range, |number| number.to_string()) {
            Ok(number) => Some(self.place(key, value, number)),
            Err(message) => self.refuse(key, value, message),
        }
    }

    /// `None` too where the table has no such option.
    pub(super) fn duration(&self, key: &str) -> Option<At<Duration>> {
        let Shape::Duration(range) = &options::find(&options::join(self.kind, key))?.shape else {
            return None;
        };
        let shown = |ms| format!("\"{}\"", show_duration(Duration::from_millis(ms)));
        self.read(key, |text| {
            let ms = parse_duration_ms(text)?;
            within(&i128::from(ms), &format!("\"{text}\""), range, shown).map(Duration::from_millis)
        })
    }

    pub(super) fn size(&self, key: &str) -> Option<At<u64>> {
        let (Shape::Size(range) | Shape::SizeOrNone(range)) = self.shape(key) else {
            unreachable!("{key} of [{}] is a size", self.kind)
        };
        self.read(key, |text| size_within(text, range))
    }

    /// `None` inside: no limit.
    pub(super) fn size_or_none(&self, key: &str) -> Option<At<Option<u64>>> {
        let Shape::SizeOrNone(range) = self.shape(key) else {
            unreachable!("{key} of [{}] is a size or none", self.kind)
        };
        self.read(key, |text| if text == "none" { Ok(None) } else { size_within(text, range).map(Some) })
    }

    /// One of the words of the option.
    pub(super) fn word(&self, key: &str) -> Option<At<&'static str>> {
        let Shape::Word(words) = self.shape(key) else { unreachable!("{key} of [{}] is a word", self.kind) };
        let words = words();
        self.read(key, |text| {
            let known = words.iter().copied().find(|word| *word == text);
            known.ok_or_else(|| wrong_word(&options::join(self.kind, key), text, &words))
        })
    }

    /// The table of this name.
    pub(super) fn table(&self, key: &str) -> Option<Table<'w>> {
        let value = self.find(key)?;
        match value.get_ref() {
            DeValue::Table(entries) => {
                Some(self.open_at(key, value, entries, options::join(&self.path, key)))
            }
            _ => self.wrong_type(key, value),
        }
    }

    /// The tables of this name, counted from 1 in their paths.
    pub(super) fn tables(&self, key: &str) -> Vec<Table<'w>> {
        let Some(value) = self.find(key) else { return Vec::new() };
        match value.get_ref() {
            DeValue::Array(values) => values
                .iter()
                .enumerate()
                .filter_map(|(i, value)| match value.get_ref() {
                    DeValue::Table(entries) => {
                        Some(self.open_at(key, value, entries, self.entry_path(key, i)))
                    }
                    _ => self.wrong_type(key, value),
                })
                .collect(),
            DeValue::Table(entries) => {
                self.refuse::<()>(key, value, single_brackets(key, &[]));
                vec![self.open_at(key, value, entries, self.entry_path(key, 0))]
            }
            _ => self.wrong_type(key, value).into_iter().collect(),
        }
    }

    /// The entries of a list that are either texts or tables; `None` for one of another type, and it is reported.
    pub(super) fn entries<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
        read: impl Fn(Table<'w>) -> Option<At<T>>,
    ) -> Option<At<Vec<Option<At<T>>>>> {
        self.list(key, |name, value| match value.get_ref() {
            DeValue::String(_) => self.parse(name, value, &parse),
            DeValue::Table(entries) => {
                read(self.open_at(key, value, entries, options::join(&self.path, name)))
            }
            _ => self.wrong_type_as(name, value, &Shape::BackendAddress),
        })
    }

    /// The entries of a list of texts, each of this shape; `None` for one that was refused, and it is reported.
    pub(super) fn texts<T>(
        &self,
        key: &str,
        shape: &Shape,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<Vec<Option<At<T>>>>> {
        self.list(key, |name, value| match value.get_ref() {
            DeValue::String(_) => self.parse(name, value, &parse),
            _ => self.wrong_type_as(name, value, shape),
        })
    }

    /// Reads each entry of a list, which goes by a name such as `backends[2]`.
    fn list<T>(
        &self,
        key: &str,
        read: impl Fn(&str, &'w Spanned<DeValue<'w>>) -> Option<At<T>>,
    ) -> Option<At<Vec<Option<At<T>>>>> {
        let list = self.find(key)?;
        let DeValue::Array(values) = list.get_ref() else { return self.wrong_type(key, list) };
        let entries = values.iter().enumerate().map(|(i, value)| read(&format!("{key}[{}]", i + 1), value));
        Some(self.place(key, list, entries.collect()))
    }

    /// Whether the key is there, well or badly written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<&'w Spanned<DeValue<'w>>> {
        self.entries.get(key)
    }

    fn shape(&self, key: &str) -> &'static Shape {
        let path = options::join(self.kind, key);
        match options::find(&path) {
            Some(option) => &option.shape,
            None => unreachable!("{path} is in the table of options"),
        }
    }

    fn entry_path(&self, key: &str, index: usize) -> String {
        options::join(&self.path, &format!("{key}[{}]", index + 1))
    }

    fn open_at(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        entries: &'w DeTable<'w>,
        path: String,
    ) -> Table<'w> {
        let kind = options::find(&options::join(self.kind, key)).map_or("", |option| option.path);
        Table::open(self.walk, entries, self.walk.line(value.span().start), path, kind)
    }

    fn parse<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<At<T>> {
        let DeValue::String(text) = value.get_ref() else { return self.wrong_type(key, value) };
        match parse(text) {
            Ok(parsed) => Some(self.place(key, value, parsed)),
            Err(message) => self.refuse(key, value, message),
        }
    }

    fn place<T>(&self, key: &str, spanned: &Spanned<DeValue<'_>>, value: T) -> At<T> {
        At { value, line: self.walk.line(spanned.span().start), path: options::join(&self.path, key) }
    }

    fn refuse<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, message: String) -> Option<T> {
        let line = self.walk.line(value.span().start);
        self.walk.report.problem(line, &options::join(&self.path, key), message);
        None
    }

    fn wrong_type<T>(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        self.wrong_type_as(key, value, self.shape(key))
    }

    fn wrong_type_as<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, shape: &Shape) -> Option<T> {
        let expected = shape.to_string().replace('`', "");
        let advice = match (shape, value.get_ref()) {
            (Shape::Duration(_), DeValue::Integer(number)) => format!(": write \"{number}s\" for seconds"),
            (Shape::Size(_) | Shape::SizeOrNone(_), DeValue::Integer(number)) => {
                format!(": write \"{number}B\" for bytes")
            }
            (Shape::Whole(_), DeValue::String(text)) if text.parse::<u64>().is_ok() => {
                ": leave out the quotes".to_owned()
            }
            (Shape::Flag, DeValue::String(text)) if text == "true" || text == "false" => {
                ": leave out the quotes".to_owned()
            }
            (Shape::Backends | Shape::Prefixes, DeValue::String(text)) => format!(": write [\"{text}\"]"),
            _ => String::new(),
        };
        self.refuse(key, value, format!("is {}, and should be {expected}{advice}", type_of(value.get_ref())))
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A number too large for the machine stands at its end of the scale, where every range refuses it.
fn whole_of(integer: &DeInteger<'_>) -> i128 {
    let too_large = if integer.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
    i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(too_large)
}

fn size_within(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    within(&i128::from(bytes), &format!("\"{text}\""), range, |bytes| format!("\"{}\"", show_size(bytes)))
}

fn within(
    value: &i128,
    written: &str,
    range: &RangeInclusive<u64>,
    shown: impl Fn(u64) -> String,
) -> Result<u64, String> {
    match u64::try_from(*value) {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => {
            let (least, most) = (*range.start(), *range.end());
            let fault = if *value < i128::from(least) { "small" } else { "large" };
            Err(format!("{written} is too {fault}: write {} to {}", shown(least), shown(most)))
        }
    }
}

fn wrong_word(path: &str, word: &str, words: &[&'static str]) -> String {
    let choice = match words {
        [only] => format!("write \"{only}\""),
        _ => format!("write one of {}", quoted(words.iter().copied())),
    };
    if let Some(reason) = options::refused_word(path, word) {
        return format!("\"{word}\" {reason}: {choice}");
    }
    match nearest(word, words.iter().copied()) {
        Some(meant) => format!("\"{word}\" is not known; did you mean \"{meant}\"?"),
        None => format!("\"{word}\" is not known: {choice}"),
    }
}
