//! Draws percentile curves: the nines on a logarithmic scale, as HdrHistogram's plotter does, and the values on one too.

mod axis;
mod legend;
mod scale;

use std::io;

use plotters::prelude::*;

use self::axis::Axis;
use self::legend::{Legend, Sample};
use self::scale::Scale;
use super::latency::curve::Curve;

const WIDTH: u32 = 960;
/// Of the plot; what is above it comes on top.
const PLOT_HEIGHT: u32 = 500;
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
    let labels = curves.iter().map(|curve| (curve.name.as_str(), curve.count()));
    let legend = Legend::new(labels, WIDTH);
    let root = SVGBackend::with_string(svg, (WIDTH, legend.height() + PLOT_HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(legend.height());
    legend.draw(&head, &format!("Latency by percentile: {caption}"))?;
    let right = curves.iter().map(|curve| last_nine(curve.count())).fold(1.0, f64::max);
    let values = curves.iter().flat_map(|curve| &curve.points).map(|point| point.ms * 1e3);
    let scale = Scale::of(values);
    let mut chart = ChartBuilder::on(&body)
        .margin(20)
        .margin_top(10)
        .margin_right(40)
        .x_label_area_size(50)
        .y_label_area_size(80)
        .build_cartesian_2d(percents(right), scale.axis())?;
    chart
        .configure_mesh()
        .label_style(("sans-serif", 14))
        .axis_desc_style(("sans-serif", 16))
        .x_desc("percentile of the exchanges")
        .y_desc("latency, on a logarithmic scale")
        .x_label_formatter(&|at| percent(*at))
        .y_label_formatter(&|at| scale.label(*at))
        .light_line_style(RGBColor(240, 240, 240))
        .bold_line_style(RGBColor(215, 215, 215))
        .draw()?;
    for (nth, curve) in curves.iter().enumerate() {
        let (points, sample) = (steps(curve, &scale), Sample::of(nth));
        match sample.dash {
            None => chart.draw_series(LineSeries::new(points, sample.style))?,
            Some((dash, space)) => {
                chart.draw_series(DashedLineSeries::new(points, dash, space, sample.style))?
            }
        };
    }
    root.present()?;
    Ok(())
}

/// The points of a curve: nines, and where the values stand on the scale.
fn steps(curve: &Curve, scale: &Scale) -> Vec<(f64, f64)> {
    let last = last_nine(curve.count());
    let step = |quantile: f64, ms: f64| (nines(quantile).min(last), scale.at(ms * 1e3));
    curve.points.iter().map(|point| step(point.quantile, point.ms)).collect()
}

/// The axis of the nines.
fn percents(right: f64) -> Axis {
    let named = (0..=right as u32).map(f64::from).collect();
    Axis { range: 0.0..right, named, faint: Vec::new() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::latency::curve::tests::SAVED;

    /// Of elements whose text begins so, a number that they have.
    fn numbers(svg: &str, element: &str, key: &str) -> Vec<f64> {
        let elements = svg.split(element).skip(1);
        let values = elements.map(|element| element.split(key).nth(1).unwrap().split('"').next().unwrap());
        values.map(|value| value.parse().unwrap()).collect()
    }

    #[test]
    fn nines_are_the_logarithm_of_what_is_left() {
        let close = |quantile: f64, expected: f64| assert!((nines(quantile) - expected).abs() < 1e-9);
        [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.999, 3.0)].iter().for_each(|(q, n)| close(*q, *n));
        assert_eq!([0.0, 1.0, 2.0, 3.0, 5.0].map(percent), ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
        assert_eq!((last_nine(1_000), last_nine(0)), (3.0, 1.0));
    }

    #[test]
    fn curves_are_drawn_with_their_names_their_nines_and_units() {
        let curve = |text: &str| Curve::read("some upstream".to_owned(), text).unwrap();
        let svg = percentiles("total", &[curve(SAVED), curve(SAVED)]).unwrap();
        for part in [
            "<svg",
            "99 %",
            "some upstream: 100 exchanges",
            "2 ms",
            "logarithmic",
            "Latency by percentile: total",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(svg.matches("<polyline").count() >= 2, "{svg}");
        let fast = "0.012 0.0 1 1.0\n0.500 1.0 9\n";
        assert!(percentiles("added", &[curve(fast)]).unwrap().contains("100 µs"));
    }

    #[test]
    fn no_name_is_drawn_over_a_curve() {
        let curves: Vec<_> = (1..=12)
            .map(|nth| {
                Curve::read(format!("upstream {nth} with a name as long as they come"), SAVED).unwrap()
            })
            .collect();
        for count in 1..=12 {
            let svg = percentiles("total", &curves[..count]).unwrap();
            let (heads, body) = svg.split_at(svg.find("percentile of the exchanges").unwrap());
            assert_eq!(heads.matches(": 100 exchanges").count(), count, "{svg}");
            assert!(!body.contains(": 100 exchanges"), "{svg}");
            let names = heads.rsplit_once(": 100 exchanges").unwrap().0;
            let lowest = numbers(names, "<text ", " y=\"").into_iter().fold(0.0, f64::max);
            let top_of_plot = numbers(&svg, "<line ", " y1=\"").into_iter().fold(f64::MAX, f64::min);
            assert!(lowest + 15.0 < top_of_plot, "{lowest} {top_of_plot}");
        }
    }
}
