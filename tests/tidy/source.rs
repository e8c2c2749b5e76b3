//! The sources as the rules see them: code without comments, strings and tests.

use std::path::{Path, PathBuf};

/// One file of `src/`.
pub(crate) struct Source {
    /// From the root of the project: `src/proxy/http.rs`.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// The part before the tests, comments and the insides of strings blanked out; line by line as in `text`.
    pub(crate) code: String,
}

/// A function: where it begins, how many lines it has, how many parameters.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
    pub(crate) parameters: usize,
}

/// The root of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `src/`.
pub(crate) fn all() -> Vec<Source> {
    files(&root().join("src"), "rs")
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            Source::new(path, text)
        })
        .collect()
}

/// Every file below a folder whose name ends so, in order.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

impl Source {
    pub(crate) fn new(path: String, text: String) -> Self {
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        let blank = blank(&text);
        let code =
            if is_test { "" } else { blank.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default() };
        Self { code: code.to_owned(), path, text }
    }

    /// The first part below `src/`: `proxy` of `src/proxy/http.rs`, `route` of `src/route.rs`.
    pub(crate) fn module(&self) -> &str {
        let inside = self.path.trim_start_matches("src/");
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Lines of code, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// `path:line`, for a finding.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    /// Every function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for (at, _) in self.code.match_indices("fn ") {
            let is_word = self.code[..at].ends_with([' ', '\n', '(']) || at == 0;
            let name: String =
                self.code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !is_word || name.is_empty() {
                continue;
            }
            let generics = behind_generics(&self.code, at + 3 + name.len());
            let Some(open) = self.code[generics..].find('(').map(|offset| generics + offset) else {
                continue;
            };
            let close = matching(&self.code, open);
            let behind = &self.code[close..];
            let Some(body) = behind.find(['{', ';']).filter(|offset| behind[*offset..].starts_with('{'))
            else {
                continue;
            };
            let end = matching(&self.code, close + body);
            functions.push(Function {
                name,
                line: line_of(&self.code, at),
                lines: line_of(&self.code, end) - line_of(&self.code, at) + 1,
                parameters: parameters(&self.code[open + 1..close]),
            });
        }
        functions
    }
}

/// Where the bracket that opens at `open` closes.
fn matching(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (offset, byte) in code[open..].bytes().enumerate() {
        match byte {
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return open + offset;
        }
    }
    code.len()
}

/// Where the generics that begin here end; here, if there are none.
fn behind_generics(code: &str, start: usize) -> usize {
    let mut depth = 0_i32;
    for (offset, byte) in code[start..].bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' if !code[..start + offset].ends_with('-') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return start + offset;
        }
    }
    code.len()
}

/// How many parameters a list has, `self` not counted.
fn parameters(list: &str) -> usize {
    let (mut depth, mut count, mut word) = (0_i32, 0, String::new());
    let list = list.replace("->", "  ");
    for character in list.chars().chain([',']) {
        match character {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                let name = word.trim().trim_start_matches("mut ").to_owned();
                count += usize::from(!name.is_empty() && !name.ends_with("self"));
                word.clear();
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    count
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at.min(code.len())].matches('\n').count() + 1
}

/// The text with comments and the insides of literals as spaces; line ends stay.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (skipped, kept) = literal(rest, &out).unwrap_or((0, first.len_utf8()));
        out.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        out.push_str(&rest[skipped..skipped + kept]);
        rest = &rest[skipped + kept..];
    }
    out
}

/// How many bytes of a comment or literal begin here (and that nothing behind them is kept yet).
fn literal(rest: &str, before: &str) -> Option<(usize, usize)> {
    let is_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return Some((rest.find('\n').unwrap_or(rest.len()), 0));
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !is_word || before.ends_with('b')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = 2 + hashes;
            return Some((rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()), 0));
        }
    }
    match rest.chars().next()? {
        '"' => Some((closing(rest, '"'), 0)),
        '\'' => {
            let is_char = rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'');
            is_char.then(|| (closing(rest, '\''), 0))
        }
        _ => None,
    }
}

/// Where a literal ends that begins with this quote.
fn closing(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_tests_are_no_code() {
        let text = "//! About `x`.\nfn a() { b(\"}{ //\", '{', b'\\'', r#\"}\"#); }\n#[cfg(test)]\nmod tests {\nfn c() {}\n}\n";
        let source = Source::new("src/x.rs".to_owned(), text.to_owned());
        let names: Vec<_> = source.functions().into_iter().map(|function| function.name).collect();
        assert_eq!(names, ["a"]);
        assert!(!source.code.contains("//") && !source.code.contains('`'), "{}", source.code);
    }

    #[test]
    fn lines_and_parameters_are_counted() {
        let text = "impl A {\n    fn a<F: Fn(u8) -> u8>(&mut self, b: Vec<(u8, u8)>, c: F) -> u8\n    where\n        F: X,\n    {\n    }\n    fn d();\n}\n";
        let source = Source::new("src/x/y.rs".to_owned(), text.to_owned());
        let functions = source.functions();
        assert_eq!(functions.len(), 1);
        let a = &functions[0];
        assert_eq!((a.line, a.lines, a.parameters, source.module()), (2, 5, 2, "x"));
    }
}
