//! The report: one content, as Markdown, as a page of its own, and on the terminal.

mod content;
mod figures;
mod html;
mod markdown;
mod panels;
mod reading;
mod table;

use crate::latency::curve;
use crate::plan::Setting;
use crate::row::Row;
use crate::setup::Setup;
pub use content::Content;
pub use figures::Figure;

/// A proxy's own histogram of one subject and setting, all rounds together.
#[derive(Debug, Clone)]
pub struct OwnCurve {
    /// The runtime.
    pub subject: String,
    /// In what.
    pub setting: Setting,
    /// `(1 / (1 - percentile), microseconds)`.
    pub points: Vec<(f64, f64)>,
}

impl OwnCurve {
    /// From the merged histograms.
    #[must_use]
    pub fn new(subject: &str, setting: Setting, histogram: &hdrhistogram::Histogram<u64>) -> Self {
        Self { subject: subject.to_owned(), setting, points: curve(histogram) }
    }
}

/// The report in all its forms.
#[derive(Debug)]
pub struct Report {
    /// `report.md`; its figures are files beside it.
    pub markdown: String,
    /// `report.html`: everything in one page.
    pub html: String,
    /// What is printed.
    pub terminal: String,
    /// The plots: file name and SVG.
    pub plots: Vec<(String, String)>,
}

/// Writes the report of these rows.
///
/// # Errors
///
/// A plot that cannot be drawn.
pub fn render(setup: &Setup, rows: &[Row], curves: &[OwnCurve]) -> std::io::Result<Report> {
    let content = Content::new(setup, rows, curves)?;
    Ok(Report {
        markdown: markdown::render(&content),
        html: html::render(&content),
        terminal: content.terminal(),
        plots: content.figures.iter().map(|figure| (figure.file.clone(), figure.svg.clone())).collect(),
    })
}
