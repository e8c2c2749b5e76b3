//! The report as Markdown, its plots beside it as files.

use super::content::{Block, Content};

pub(super) fn render(content: &Content) -> String {
    let mut out = format!("# {}\n", content.title);
    for block in &content.blocks {
        out.push('\n');
        out += &match block {
            Block::Heading(text) => format!("## {text}\n"),
            Block::SmallHeading(text) => format!("### {text}\n"),
            Block::Text(text) => format!("{text}\n"),
            Block::List(items) => items.iter().map(|item| format!("- {item}\n")).collect(),
            Block::Table(table) => table.markdown(),
            Block::Figure(index) => {
                let figure = &content.figures[*index];
                format!("![{}](plots/{})\n\n*{}*\n", figure.file, figure.file, figure.caption)
            }
            Block::File { name, text } => format!("`{name}`:\n\n```text\n{}\n```\n", text.trim_end()),
        };
    }
    out
}
