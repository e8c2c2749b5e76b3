//! What the docs cite: files in backticks or links, and symbols of our code.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::{self, files, root};

/// Folders whose files are cited by their path from the root.
const FOLDERS: &[&str] =
    &["src/", "tests/", "docs/", "scripts/", "bench/", "backends/", "fuzz/", ".ci/", "packaging/"];

/// Files and symbols that the docs and the README cite in backticks, and that do not exist.
pub(crate) fn missing_citations() -> Vec<String> {
    let words: BTreeSet<String> = source::all().iter().flat_map(|source| words(&source.text)).collect();
    let mut pages = files(&root().join("docs"), "md");
    pages.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root().join(name)));
    let mut findings = Vec::new();
    for page in pages.iter().filter(|page| page.exists()) {
        let text = std::fs::read_to_string(page).unwrap();
        let name = page.strip_prefix(root()).unwrap_or(page).display();
        for (line, citation) in citations(&text) {
            if !exists(&citation, page, &words) {
                findings.push(format!("{name}:{line}: {citation}"));
            }
        }
    }
    findings
}

/// Compares what stands between the marks of a part of a page with what the code says, or writes it with `UPDATE=1`.
pub(crate) fn check_part(page: &str, part: &str, expected: &str) {
    let path = root().join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {part}: begin -->\n"), format!("<!-- {part}: end -->"));
    let (before, rest) = text.split_once(&begin).unwrap();
    let (actual, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{before}{begin}{expected}{end}{after}")).unwrap();
    } else {
        assert_eq!(actual, expected, "\n{page} differs: UPDATE=1 writes it anew");
    }
}

/// What stands in backticks or is linked to, with the number of its line; code blocks left out.
fn citations(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_block = false;
    for (index, line) in text.lines().enumerate() {
        is_block ^= line.trim_start().starts_with("```");
        if is_block {
            continue;
        }
        let quoted = line.split('`').skip(1).step_by(2).map(str::to_owned);
        let linked = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let linked =
            linked.filter(|link| !link.contains(':') && !link.is_empty()).map(|link| format!("]{link}"));
        found.extend(
            quoted.filter(|word| !word.is_empty()).chain(linked).map(|citation| (index + 1, citation)),
        );
    }
    found
}

/// Whether what is cited exists. What is neither a path of ours nor a path of symbols is no citation.
fn exists(citation: &str, page: &Path, words: &BTreeSet<String>) -> bool {
    if let Some(link) = citation.strip_prefix(']') {
        return page.with_file_name("").join(link).exists();
    }
    if FOLDERS.iter().any(|folder| citation.starts_with(folder)) && !citation.contains([' ', '*', '{', '<']) {
        return root().join(citation.trim_end_matches('/')).exists();
    }
    let is_symbol =
        citation.contains("::") && citation.chars().all(|c| c.is_alphanumeric() || "_:()".contains(c));
    !is_symbol
        || citation.trim_end_matches("()").split("::").all(|word| words.contains(word) || is_foreign(word))
}

/// First words of paths into other crates.
fn is_foreign(word: &str) -> bool {
    matches!(word, "std" | "ringway" | "io" | "ErrorKind")
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cited_is_looked_up() {
        let page = root().join("docs/x.md");
        let words: BTreeSet<String> = ["Stream", "recv_by"].map(str::to_owned).into();
        for (citation, is_there) in [
            ("src/lib.rs", true),
            ("src/", true),
            ("src/nothing.rs", false),
            ("]../src/lib.rs", true),
            ("]nothing.md", false),
            ("Stream::recv_by", true),
            ("Stream::nothing", false),
            ("any words", true),
            ("tests/cases/*.case", true),
        ] {
            assert_eq!(exists(citation, &page, &words), is_there, "{citation}");
        }
    }

    #[test]
    fn code_blocks_cite_nothing() {
        let found = citations("a `b` [c](d.md#e)\n```\n`f`\n```\n[g](https://h)");
        assert_eq!(found, [(1, "b".to_owned()), (1, "]d.md".to_owned())]);
    }
}
