//! The report as one page that needs nothing else: its plots are part of it.

use super::content::{Block, Content};
use super::table::escape;

const STYLE: &str = "
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 0 auto; padding: 1.5rem;
       max-width: 96rem; }
h1 { font-size: 1.8rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
p, li, figcaption, details { max-width: 54rem; }
code { background: #f2f2f2; padding: 0 .2em; border-radius: .2em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .5rem; text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid #888; }
.word { text-align: left; }
tbody tr:nth-child(even) { background: #f6f6f6; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; color: #444; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; font-size: .85rem; }
";

pub(super) fn render(content: &Content) -> String {
    let title = escape(&content.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for block in &content.blocks {
        out += &match block {
            Block::Heading(text) => format!("<h2>{}</h2>\n", inline(text)),
            Block::SmallHeading(text) => format!("<h3>{}</h3>\n", inline(text)),
            Block::Text(text) => format!("<p>{}</p>\n", inline(text)),
            Block::List(items) => {
                let items: String = items.iter().map(|item| format!("<li>{}</li>\n", inline(item))).collect();
                format!("<ul>\n{items}</ul>\n")
            }
            Block::Table(table) => table.html(),
            Block::Figure(index) => {
                let figure = &content.figures[*index];
                format!(
                    "<figure>\n{}\n<figcaption>{}</figcaption>\n</figure>\n",
                    figure.svg,
                    inline(&figure.caption)
                )
            }
            Block::File { name, text } => format!(
                "<details><summary><code>{}</code></summary><pre>{}</pre></details>\n",
                escape(name),
                escape(text)
            ),
        };
    }
    out + "</body>\n</html>\n"
}

/// Backticks become code, `**` bold, `*` emphasis; everything else is text.
fn inline(text: &str) -> String {
    let mut out = String::new();
    // A figure and its unit stay on one line.
    for (index, part) in escape(text).replace(" %", "\u{a0}%").split('`').enumerate() {
        if index % 2 == 1 {
            out += &format!("<code>{part}</code>");
        } else {
            let bold = paired(part, "**", "strong");
            out += &paired(&bold, "*", "em");
        }
    }
    out
}

fn paired(text: &str, mark: &str, tag: &str) -> String {
    let parts: Vec<&str> = text.split(mark).collect();
    let mut out = parts[0].to_owned();
    for (index, part) in parts[1..].iter().enumerate() {
        let slash = if index % 2 == 0 { "" } else { "/" };
        out += &format!("<{slash}{tag}>{part}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_marked_and_the_rest_is_escaped() {
        assert_eq!(inline("5 %"), "5\u{a0}%");
        assert_eq!(inline("a < `b<c` *d* **e**"), "a &lt; <code>b&lt;c</code> <em>d</em> <strong>e</strong>");
    }
}
