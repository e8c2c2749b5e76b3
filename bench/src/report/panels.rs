//! Small plots side by side with one legend: lines with ranges, or curves over the nines.

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::plan::place;
use crate::words::{short, whole};

/// One colour a place of [`place`], told apart by people with any colour vision (Okabe and Ito's set and greys).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(110, 80, 40),
    RGBColor(60, 60, 60),
];
const DIRECT: RGBColor = RGBColor(150, 150, 150);
/// Of whoever has no place.
const NEWCOMER: RGBColor = RGBColor(120, 60, 160);

/// Width and height of a panel that stands beside many, and of one whose curves are read closely.
pub(super) const SMALL: (u32, u32) = (290, 250);
pub(super) const LARGE: (u32, u32) = (560, 380);
/// Above the panels: the title, and a line of this height for every row of the legend.
const HEAD: u32 = 52;
const LEGEND_ROW: u32 = 24;
/// Up to so many points of a curve are marked, so that nobody takes the lines between them for measured.
const FEW_POINTS: usize = 8;
/// How wide all points at one tick of an axis of categories stand together; ticks are 1 apart.
const ASIDE: f64 = 0.5;
const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(228, 228, 228);

/// The colour of a subject, the same in every plot.
pub(super) fn colour(name: &str) -> RGBColor {
    let unplaced = if name == "direct" { DIRECT } else { NEWCOMER };
    place(name).and_then(|place| COLOURS.get(place)).copied().unwrap_or(unplaced)
}

/// A line with a range at every point.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

/// A point of a curve, with the range that it is the middle of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) low: f64,
    pub(super) y: f64,
    pub(super) high: f64,
    /// Its dot is a circle: what was measured is something else than the line says.
    pub(super) is_hollow: bool,
}

impl Point {
    /// Without a range.
    pub(super) fn at(x: f64, y: f64) -> Self {
        Self { x, low: y, y, high: y, is_hollow: false }
    }
}

/// One of the small plots.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) curves: Vec<Curve>,
}

/// What all panels of a plot have in common.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) title: String,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    /// What stands at 0, 1, 2 and so on of the x axis; empty for an axis over the nines.
    pub(super) ticks: Vec<String>,
    pub(super) columns: usize,
    /// Width and height of a panel.
    pub(super) panel: (u32, u32),
}

/// Anything that goes wrong while drawing.
pub(super) fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("a plot cannot be drawn: {error}"))
}

/// Draws the panels, on one y scale.
pub(super) fn draw(frame: &Frame<'_>, panels: &[Panel]) -> io::Result<String> {
    let columns = frame.columns.min(panels.len()).max(1);
    let rows = panels.len().div_ceil(columns).max(1);
    let width = (frame.panel.0 * columns as u32).max(700);
    let places = places(&names(panels), width as i32);
    let head = HEAD + LEGEND_ROW * places.last().map_or(1, |(_, (_, row))| row + 1);
    let size = (width, head + frame.panel.1 * rows as u32);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (head, body) = root.split_vertically(head);
        legend(&head, &frame.title, &places)?;
        for (area, panel) in body.split_evenly((rows, columns)).iter().zip(panels) {
            if frame.ticks.is_empty() {
                nines(area, frame, panel, bounds(panels))?;
            } else {
                lines(area, frame, panel, bounds(panels).1)?;
            }
        }
        root.present().map_err(failed)?;
    }
    Ok(accessible(&svg, &frame.title))
}

/// Names the plot for those who do not see it, and lets it shrink with its page.
pub(super) fn accessible(svg: &str, title: &str) -> String {
    let title = super::table::escape(title);
    let open = svg.find("<svg").and_then(|at| svg[at..].find('>').map(|end| at + end + 1));
    let Some(open) = open else { return svg.to_owned() };
    let (head, rest) = svg.split_at(open);
    let head = head.trim_end_matches('>');
    format!("{head} role=\"img\"><title>{title}</title>{rest}")
}

/// The smallest and the largest y of all panels.
fn bounds(panels: &[Panel]) -> (f64, f64) {
    let points = panels.iter().flat_map(|panel| &panel.curves).flat_map(|curve| &curve.points);
    let bounds =
        points.fold((f64::MAX, 0.0_f64), |(low, high), point| (low.min(point.low), high.max(point.high)));
    (bounds.0.min(bounds.1), bounds.1.max(1e-9))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Every curve's name once, in the order of tables.
fn names(panels: &[Panel]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for curve in panels.iter().flat_map(|panel| &panel.curves) {
        if !names.contains(&curve.name.as_str()) {
            names.push(&curve.name);
        }
    }
    names.sort_by_key(|name| (*name != "direct", place(name).unwrap_or(usize::MAX)));
    names
}

/// Where each name stands in the legend: its left edge in pixels, and its row.
fn places<'a>(names: &[&'a str], width: i32) -> Vec<(&'a str, (i32, u32))> {
    let (mut x, mut row) = (14, 0);
    let place = |name: &&'a str| {
        let size = 56 + 8 * name.chars().count() as i32;
        if x + size > width {
            (x, row) = (14, row + 1);
        }
        x += size;
        (*name, (x - size, row))
    };
    names.iter().map(place).collect()
}

/// The title, and below it a sample of each line with its name.
fn legend(area: &Area<'_>, title: &str, places: &[(&str, (i32, u32))]) -> io::Result<()> {
    let style = |size| TextStyle::from(("sans-serif", size).into_font()).color(&INK);
    area.draw(&Text::new(title.to_owned(), (12, 10), style(19))).map_err(failed)?;
    for (name, (x, row)) in places {
        let y = (HEAD + LEGEND_ROW * row) as i32;
        let sample = PathElement::new([(*x, y), (x + 26, y)], line_style(name));
        area.draw(&sample).map_err(failed)?;
        area.draw(&Circle::new((x + 13, y), 4, colour(name).filled())).map_err(failed)?;
        area.draw(&Text::new((*name).to_owned(), (x + 32, y - 8), style(15))).map_err(failed)?;
    }
    Ok(())
}

/// What is no proxy is thinner.
fn line_style(name: &str) -> ShapeStyle {
    colour(name).stroke_width(if name == "direct" { 1 } else { 2 })
}

/// Lines over categories, with a bar from the lowest to the highest round at every point.
fn lines(area: &Area<'_>, frame: &Frame<'_>, panel: &Panel, high: f64) -> io::Result<()> {
    let last = frame.ticks.len() as f64 - 1.0;
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 15).into_font().color(&INK))
        .margin(6)
        .margin_right(24)
        .x_label_area_size(38)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.35..last + 0.35, 0.0..high * 1.06)
        .map_err(failed)?;
    let tick = |x: &f64| {
        let nearest = x.round();
        let is_there = (x - nearest).abs() < 1e-6 && nearest >= 0.0;
        is_there.then(|| frame.ticks.get(nearest as usize).cloned()).flatten().unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .x_labels(frame.ticks.len())
        .y_labels(5)
        .x_label_formatter(&tick)
        .y_label_formatter(&|y| if high < 20.0 { short(*y) } else { whole(*y) })
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc(frame.x)
        .y_desc(frame.y)
        .draw()
        .map_err(failed)?;
    let count = panel.curves.len() as f64;
    for (index, curve) in panel.curves.iter().enumerate() {
        // Side by side, so that no range hides another.
        let aside = (index as f64 - (count - 1.0) / 2.0) * ASIDE / count;
        let points: Vec<Point> =
            curve.points.iter().map(|point| Point { x: point.x + aside, ..*point }).collect();
        let middle = points.iter().map(|point| (point.x, point.y));
        chart.draw_series(LineSeries::new(middle, line_style(&curve.name))).map_err(failed)?;
        let bars = points.iter().map(|Point { x, low, high, .. }| {
            PathElement::new([(*x, *low), (*x, *high)], colour(&curve.name).stroke_width(1))
        });
        chart.draw_series(bars).map_err(failed)?;
        chart.draw_series(points.iter().map(|point| dot(point, WHITE.filled()))).map_err(failed)?;
        chart.draw_series(points.iter().map(|point| dot(point, dot_style(curve, point)))).map_err(failed)?;
    }
    Ok(())
}

fn dot(point: &Point, style: ShapeStyle) -> Circle<(f64, f64), i32> {
    Circle::new((point.x, point.y), 3, style)
}

/// Full, or a circle.
fn dot_style(curve: &Curve, point: &Point) -> ShapeStyle {
    let colour = colour(&curve.name);
    if point.is_hollow { colour.stroke_width(1) } else { colour.filled() }
}

/// Curves over the nines: 90 %, 99 %, 99.9 % are equally far apart.
fn nines(area: &Area<'_>, frame: &Frame<'_>, panel: &Panel, (low, high): (f64, f64)) -> io::Result<()> {
    let points = panel.curves.iter().flat_map(|curve| &curve.points);
    let end = points.map(|point| point.x).fold(100.0_f64, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 15).into_font().color(&INK))
        .margin(6)
        .margin_right(24)
        .x_label_area_size(38)
        .y_label_area_size(64)
        .build_cartesian_2d((1.0..end * 1.2).log_scale(), (low * 0.8..high * 1.25).log_scale())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .x_label_formatter(&|nines| percentile(*nines))
        .y_label_formatter(&|us| whole(*us))
        .x_labels(6)
        .y_labels(6)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc(frame.x)
        .y_desc(frame.y)
        .draw()
        .map_err(failed)?;
    for curve in &panel.curves {
        let points = curve.points.iter().map(|point| (point.x, point.y));
        chart.draw_series(LineSeries::new(points.clone(), line_style(&curve.name))).map_err(failed)?;
        if curve.points.len() <= FEW_POINTS {
            let dots = points.map(|point| Circle::new(point, 3, colour(&curve.name).filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
    }
    Ok(())
}

/// `99.9 %` for 1,000.
fn percentile(nines: f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / nines);
    let digits = (nines.log10().round() as usize).saturating_sub(2);
    let is_round = (nines.log10() - nines.log10().round()).abs() < 1e-6;
    if is_round { format!("{percent:.digits$} %") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_are_written_as_percentiles() {
        let written = [1.0, 10.0, 100.0, 1000.0, 1e5, 50.0].map(percentile);
        assert_eq!(written, ["0 %", "90 %", "99 %", "99.9 %", "99.999 %", ""]);
    }

    #[test]
    fn a_legend_that_is_too_long_goes_on_below_and_is_in_order() {
        let curve = |name: &str| Curve { name: name.to_owned(), points: Vec::new() };
        let all = ["threads", "direct", "envoy", "ring", "monoio-epoll", "tokio-uring", "nginx", "haproxy"];
        let panels = [Panel { title: String::new(), curves: all.map(curve).into() }];
        let names = names(&panels);
        assert_eq!(names[..3], ["direct", "ring", "monoio-epoll"]);
        let places = places(&names, 700);
        let ends = places.iter().map(|(name, (x, _))| x + 32 + 8 * name.len() as i32);
        assert!(ends.max().unwrap() <= 700, "{places:?}");
        assert_eq!(places.last().unwrap().1.1, 1);
    }

    #[test]
    fn a_plot_names_its_lines_and_its_units() {
        let held_back = Point { is_hollow: true, ..Point::at(1.0, 3.0) };
        let curve = Curve { name: "ring".to_owned(), points: vec![Point::at(0.0, 2.0), held_back] };
        let panels = [Panel { title: "5 backends".to_owned(), curves: vec![curve] }];
        let ticks = vec!["2".to_owned(), "10".to_owned()];
        let (title, panel) = ("T < U".to_owned(), SMALL);
        let frame = Frame { title, x: "at a time", y: "requests/s", ticks, columns: 5, panel };
        let svg = draw(&frame, &panels).unwrap();
        for word in ["ring", "5 backends", "at a time", "requests/s", "<title>T &lt; U</title>"] {
            assert!(svg.contains(word), "{word} is missing in {svg}");
        }
        let dots = svg.split("<circle").skip(1).filter(|dot| dot.contains("r=\"3\""));
        let hollow =
            dots.filter(|dot| dot.split('>').next().is_some_and(|dot| dot.contains("fill=\"none\"")));
        assert_eq!(hollow.count(), 1, "{svg}");
    }
}
