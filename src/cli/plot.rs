//! Draws percentile curves: the nines on a logarithmic scale, as HdrHistogram's plotter does.

use std::io;

use plotters::prelude::*;

use super::latency::Curve;

const SIZE: (u32, u32) = (960, 540);
const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(214, 39, 40), RGBColor(44, 160, 44), RGBColor(148, 103, 189)];
/// No more nines than that are drawn.
const MOST_NINES: f64 = 7.0;

/// The curves as an SVG document.
///
/// # Errors
/// What the drawing failed with.
pub(super) fn percentiles(curves: &[Curve]) -> io::Result<String> {
    let mut svg = String::new();
    draw(curves, &mut svg).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(svg)
}

fn draw(curves: &[Curve], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let right = curves.iter().map(|curve| last_nine(curve.count)).fold(1.0, f64::max);
    let points = |curve: &Curve| -> Vec<(f64, f64)> {
        let last = last_nine(curve.count);
        curve.points.iter().map(|(quantile, ms)| (nines(*quantile).min(last), *ms)).collect()
    };
    let top = curves.iter().flat_map(|curve| &curve.points).map(|(_, ms)| *ms).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(50)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..right, 0.0..(top * 1.05).max(0.001))?;
    let is_whole = |at: f64| (at - at.round()).abs() < 1e-6;
    chart
        .configure_mesh()
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 16))
        .x_desc("percentile")
        .y_desc("latency in ms")
        .x_labels(right.ceil() as usize + 1)
        .x_label_formatter(&|at| if is_whole(*at) { percent(*at) } else { String::new() })
        .y_label_formatter(&|ms| axis(*ms, top))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(points(curve), colour.stroke_width(2)))?
            .label(curve.name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font(("sans-serif", 15))
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    root.present()?;
    Ok(())
}

/// How many nines a quantile has: 0 at 0 %, 1 at 90 %, 2 at 99 %.
fn nines(quantile: f64) -> f64 {
    if quantile < 1.0 { -(1.0 - quantile).log10() } else { MOST_NINES }
}

/// The nines that so many values can tell of: at 1,000 values the largest one is at three.
fn last_nine(count: u64) -> f64 {
    (count.max(10) as f64).log10().min(MOST_NINES)
}

fn percent(nines: f64) -> String {
    let percent = 100.0 - 100.0 / 10_f64.powf(nines.round());
    let decimals = (nines.round() - 2.0).max(0.0) as usize;
    format!("{percent:.decimals$} %")
}

fn axis(ms: f64, top: f64) -> String {
    if top < 10.0 { format!("{ms:.2}") } else { format!("{ms:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_are_the_logarithm_of_what_is_left() {
        let close = |quantile: f64, expected: f64| assert!((nines(quantile) - expected).abs() < 1e-9);
        [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.999, 3.0)].iter().for_each(|(q, n)| close(*q, *n));
        assert_eq!([0.0, 1.0, 2.0, 3.0, 5.0].map(percent), ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
        assert_eq!((last_nine(1_000), last_nine(0)), (3.0, 1.0));
    }
}
