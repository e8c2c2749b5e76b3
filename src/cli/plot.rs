//! Draws percentile curves: the nines on a logarithmic scale, as HdrHistogram's plotter does.

use std::io;

use plotters::prelude::*;

use super::latency::curve::Curve;

const SIZE: (u32, u32) = (960, 540);
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
/// No more nines than that are drawn.
const MOST_NINES: f64 = 7.0;

/// The curves of this phase as an SVG document.
///
/// # Errors
/// What the drawing failed with.
pub(super) fn percentiles(caption: &str, curves: &[Curve]) -> io::Result<String> {
    let mut svg = String::new();
    draw(caption, curves, &mut svg).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(svg)
}

fn draw(caption: &str, curves: &[Curve], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let right = curves.iter().map(|curve| last_nine(curve.count())).fold(1.0, f64::max);
    let top = curves.iter().map(Curve::max).fold(0.0, f64::max);
    let unit = Unit::of(top);
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .caption(format!("Latency by percentile: {caption}"), ("sans-serif", 20))
        .x_label_area_size(50)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..right, 0.0..(top * unit.in_a_ms * 1.05).max(0.001))?;
    let is_whole = |at: f64| (at - at.round()).abs() < 1e-6;
    chart
        .configure_mesh()
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 16))
        .x_desc("percentile of the exchanges")
        .y_desc(format!("latency in {}", unit.name))
        .x_labels(right.ceil() as usize + 1)
        .x_label_formatter(&|at| if is_whole(*at) { percent(*at) } else { String::new() })
        .y_label_formatter(&|value| axis(*value, top * unit.in_a_ms))
        .light_line_style(RGBColor(245, 245, 245))
        .bold_line_style(RGBColor(215, 215, 215))
        .draw()?;
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let line = LineSeries::new(steps(curve, unit.in_a_ms), colour.stroke_width(2));
        chart
            .draw_series(line)?
            .label(format!("{}: {} exchanges", curve.name, curve.count()))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font(("sans-serif", 15))
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    root.present()?;
    Ok(())
}

/// The points of a curve: nines, and values in the unit.
fn steps(curve: &Curve, in_a_ms: f64) -> Vec<(f64, f64)> {
    let last = last_nine(curve.count());
    curve.points.iter().map(|point| (nines(point.quantile).min(last), point.ms * in_a_ms)).collect()
}

/// That of the axis.
struct Unit {
    name: &'static str,
    in_a_ms: f64,
}

impl Unit {
    fn of(top_ms: f64) -> Self {
        match top_ms {
            top if top < 1.0 => Self { name: "µs", in_a_ms: 1e3 },
            top if top < 10_000.0 => Self { name: "ms", in_a_ms: 1.0 },
            _ => Self { name: "s", in_a_ms: 1e-3 },
        }
    }
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

fn axis(value: f64, top: f64) -> String {
    if top < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::latency::curve::tests::SAVED;

    #[test]
    fn nines_are_the_logarithm_of_what_is_left() {
        let close = |quantile: f64, expected: f64| assert!((nines(quantile) - expected).abs() < 1e-9);
        [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.999, 3.0)].iter().for_each(|(q, n)| close(*q, *n));
        assert_eq!([0.0, 1.0, 2.0, 3.0, 5.0].map(percent), ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
        assert_eq!((last_nine(1_000), last_nine(0)), (3.0, 1.0));
    }

    #[test]
    fn curves_are_drawn_with_their_names_their_nines_and_the_unit_that_fits() {
        let curve = |text: &str| Curve::read("some upstream".to_owned(), text).unwrap();
        let svg = percentiles("total", &[curve(SAVED), curve(SAVED)]).unwrap();
        for part in
            ["<svg", "99 %", "some upstream: 100 exchanges", "latency in ms", "Latency by percentile: total"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(svg.matches("<polyline").count() >= 2, "{svg}");
        let fast = "0.012 0.0 1 1.0\n0.500 1.0 9\n";
        assert!(percentiles("added", &[curve(fast)]).unwrap().contains("latency in µs"));
    }
}
