//! What is above a plot: its title, and a sample of each line with its name, in columns.

use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

/// Told apart by those who see fewer colours too (P. Tol, "Colour schemes", the bright one).
const COLOURS: [RGBColor; 7] = [
    RGBColor(68, 119, 170),
    RGBColor(238, 102, 119),
    RGBColor(34, 136, 51),
    RGBColor(204, 187, 68),
    RGBColor(102, 204, 238),
    RGBColor(170, 51, 119),
    RGBColor(120, 120, 120),
];
/// Dash and space, in pixels, of the lines that have the colours for the second time, and so on.
const DASHES: [Option<(i32, i32)>; 3] = [None, Some((8, 4)), Some((2, 3))];

const TITLE_HEIGHT: u32 = 48;
const ROW_HEIGHT: u32 = 22;
const MARGIN: u32 = 24;
/// Of a sample, and of the space between it and its name.
const SAMPLE_WIDTH: u32 = 28;
const GAP: u32 = 8;
/// A letter of the widest fonts that browsers take for this size.
const LETTER_WIDTH: u32 = 8;
const FONT: (&str, u32) = ("sans-serif", 15);

/// How one of the lines is drawn.
pub(super) struct Sample {
    pub(super) style: ShapeStyle,
    pub(super) dash: Option<(i32, i32)>,
}

impl Sample {
    /// Of the first line, the second one and so on.
    pub(super) fn of(nth: usize) -> Self {
        let style = COLOURS[nth % COLOURS.len()].stroke_width(2);
        Self { style, dash: DASHES[nth / COLOURS.len() % DASHES.len()] }
    }
}

/// The names of all lines, as wide as they are allowed to be.
#[derive(Debug)]
pub(super) struct Legend {
    labels: Vec<String>,
    columns: usize,
    column_width: u32,
}

impl Legend {
    /// Of lines with these names and numbers of exchanges, in an area of this width in pixels.
    pub(super) fn new<'a>(lines: impl Iterator<Item = (&'a str, u64)>, width: u32) -> Self {
        let room = width - 2 * MARGIN;
        let letters = ((room - SAMPLE_WIDTH - GAP) / LETTER_WIDTH) as usize;
        let labels: Vec<_> = lines.map(|(name, count)| label(name, count, letters)).collect();
        let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as u32;
        let column_width = SAMPLE_WIDTH + GAP + longest * LETTER_WIDTH;
        // The last column needs no space behind it.
        let columns = ((room + MARGIN) / (column_width + MARGIN)).max(1) as usize;
        Self { labels, columns, column_width: column_width + MARGIN }
    }

    /// In pixels, with the title.
    pub(super) fn height(&self) -> u32 {
        TITLE_HEIGHT + ROW_HEIGHT * self.labels.len().div_ceil(self.columns) as u32
    }

    pub(super) fn draw(
        &self,
        area: &DrawingArea<SVGBackend<'_>, Shift>,
        title: &str,
    ) -> Result<(), Box<dyn std::error::Error>> {
        area.draw(&Text::new(title.to_owned(), (MARGIN as i32, 14), ("sans-serif", 20)))?;
        for (nth, label) in self.labels.iter().enumerate() {
            let (x, y) = self.place(nth);
            let (ends, Sample { style, dash }) = ([(x, y), (x + SAMPLE_WIDTH as i32, y)], Sample::of(nth));
            match dash {
                None => area.draw(&PathElement::new(ends, style))?,
                Some((dash, space)) => area.draw(&DashedPathElement::new(ends, dash, space, style))?,
            }
            let x = x + (SAMPLE_WIDTH + GAP) as i32;
            area.draw(&Text::new(label.clone(), (x, y - 7), FONT))?;
        }
        Ok(())
    }

    /// Where the sample of a line begins, in pixels.
    fn place(&self, nth: usize) -> (i32, i32) {
        let (row, column) = ((nth / self.columns) as u32, (nth % self.columns) as u32);
        let (x, y) = (MARGIN + column * self.column_width, TITLE_HEIGHT + row * ROW_HEIGHT + ROW_HEIGHT / 2);
        (x as i32, y as i32)
    }
}

/// Of a name that is too long the end is left: names differ there.
fn label(name: &str, count: u64, letters: usize) -> String {
    let exchanges = format!(": {count} exchanges");
    let (length, room) = (name.chars().count(), letters.saturating_sub(exchanges.len()));
    if length <= room {
        return name.to_owned() + &exchanges;
    }
    let end: String = name.chars().skip(length + 1 - room.max(1)).collect();
    format!("…{end}{exchanges}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legend(name: &str, count: usize) -> Legend {
        Legend::new(std::iter::repeat_n((name, 100), count), 960)
    }

    #[test]
    fn names_stand_in_as_many_columns_as_there_is_room_for() {
        let short = legend("a", 7);
        assert_eq!((short.columns, short.height()), (4, TITLE_HEIGHT + 2 * ROW_HEIGHT));
        assert_eq!(short.place(5), (24 + short.column_width as i32, 81));
        let backends = legend("cluster 127.0.0.1:9000", 12);
        assert_eq!(backends.columns, 2);
        for legend in [short, backends, legend(&"long".repeat(60), 3)] {
            let right = MARGIN + legend.columns as u32 * legend.column_width - MARGIN;
            assert!(right <= 960 - MARGIN, "{legend:?}");
        }
    }

    #[test]
    fn of_a_name_that_is_too_long_the_end_is_left() {
        assert_eq!(label("before", 5, 20), "before: 5 exchanges");
        assert_eq!(label("cluster-before", 5, 20), "…before: 5 exchanges");
        assert_eq!(label("cluster-before", 5, 20).chars().count(), 20);
    }

    #[test]
    fn no_two_of_twelve_lines_look_alike() {
        let samples: Vec<_> = (0..12).map(Sample::of).map(|one| (one.style.color, one.dash)).collect();
        (0..12).for_each(|nth| assert!(!samples[..nth].contains(&samples[nth]), "{nth}"));
    }
}
