//! Sizes, first sentences and names.

use super::source::Source;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;
const PARAMETERS: usize = 5;
/// Words that say nothing, as part of a type's or module's name.
const EMPTY_WORDS: &[&str] =
    &["Manager", "Handler", "Context", "Util", "Utils", "Common", "Helper", "Helpers"];

/// Files and functions that are too long, and functions with too many parameters.
pub(crate) fn oversized(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = source.code.lines().count();
    if lines > FILE_LINES {
        findings.push(format!("{}: {lines} lines without the tests; {FILE_LINES} are allowed", source.path));
    }
    for function in source.functions() {
        let (at, name) = (source.at(function.line), function.name);
        if function.lines > FUNCTION_LINES {
            findings.push(format!("{at}: {name} has {} lines; {FUNCTION_LINES} are allowed", function.lines));
        }
        if function.parameters > PARAMETERS {
            findings.push(format!(
                "{at}: {name} has {} parameters; {PARAMETERS} are allowed",
                function.parameters
            ));
        }
    }
    findings
}

/// Files whose first line is no `//!` sentence.
pub(crate) fn missing_sentence(source: &Source) -> Vec<String> {
    let mut lines = source.text.lines();
    let first = lines.next().unwrap_or_default();
    // A sentence may run on into the next line.
    let is_long = lines.next().is_some_and(|second| second.starts_with("//! ") && second.len() > 4);
    let is_sentence = first.strip_prefix("//! ").is_some_and(|text| {
        text.starts_with(|c: char| c.is_uppercase() || c == '`') && (is_long || text.ends_with(['.', ':']))
    });
    if is_sentence { Vec::new() } else { vec![format!("{}:1: {first}", source.path)] }
}

/// Types, modules and files whose names are made of words that say nothing, and `get_`.
pub(crate) fn empty_words(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in source.lines() {
        let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        for pair in words.windows(2).filter(|pair| !pair[1].is_empty()) {
            let (keyword, name) = (pair[0], pair[1]);
            let is_type = matches!(keyword, "struct" | "enum" | "trait" | "type");
            let says_nothing = match keyword {
                _ if is_type => EMPTY_WORDS.iter().any(|word| name.ends_with(word) || name.starts_with(word)),
                "mod" => EMPTY_WORDS.iter().any(|word| name.eq_ignore_ascii_case(word)),
                "fn" => name.starts_with("get_"),
                _ => false,
            };
            if says_nothing {
                findings.push(format!("{}: {keyword} {name}", source.at(number)));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(code: &str) -> Source {
        Source::new("src/x.rs".to_owned(), code.to_owned())
    }

    #[test]
    fn sizes_are_measured() {
        let long = format!("fn a() {{\n{}}}\n", "x();\n".repeat(59));
        assert_eq!(oversized(&source(&long)).len(), 1);
        assert_eq!(oversized(&source("fn a(b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) {}")).len(), 1);
        assert_eq!(oversized(&source(&"\n".repeat(501))).len(), 1);
        assert_eq!(oversized(&source("fn a(&self, c: u8, d: u8, e: u8, f: u8, g: u8) {}")).len(), 0);
    }

    #[test]
    fn sentences_and_names_are_read() {
        assert!(missing_sentence(&source("//! One sentence.\n")).is_empty());
        assert_eq!(missing_sentence(&source("//! (to come)\n")).len(), 1);
        assert_eq!(missing_sentence(&source("use x;\n")).len(), 1);
        assert_eq!(empty_words(&source("struct PoolManager;\nmod util;\nfn get_x() {}\n")).len(), 3);
        assert!(empty_words(&source("fn f(cx: &mut Context<'_>) {}\nstruct Pool;\n")).is_empty());
    }
}
