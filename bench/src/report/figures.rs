//! The plots of the report: requests a second and CPU time over concurrency, percentile curves, shares.

use std::io;

use plotters::prelude::*;

use super::OwnCurve;
use super::panels::{Curve, Frame, LARGE, Panel, Point, SMALL, accessible, colour, draw, failed};
use crate::plan::{Kind, Plan, Setting, Subject, Tool};
use crate::stats::Spread;
use crate::summary::{Metric, Series, is_mostly_hidden, is_rewritten_by, shares_pct};
use crate::words::short;

/// A plot with what is said below it.
#[derive(Debug)]
pub struct Figure {
    /// Its file's name.
    pub file: String,
    /// What it shows, and how to read it.
    pub caption: String,
    /// Itself.
    pub svg: String,
}

/// Every plot that the figures allow.
pub(super) fn all(plan: &Plan, series: &Series<'_>, own: &[OwnCurve]) -> io::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for tool in &plan.tools {
        for metric in [Metric::RequestsPerSecond, Metric::CpuPerRequest] {
            figures.extend(over_concurrency(plan, series, *tool, metric)?);
        }
    }
    figures.extend(seen_by_clients(plan, series)?);
    figures.extend(seen_by_the_proxy(own)?);
    figures.extend(shares(plan, series)?);
    Ok(figures)
}

/// A panel for each set of backends.
fn over_concurrency(
    plan: &Plan,
    series: &Series<'_>,
    tool: Tool,
    metric: Metric,
) -> io::Result<Option<Figure>> {
    let mut panels: Vec<Panel> =
        plan.sets.iter().map(|set| set_panel(plan, series, (tool, *set), metric)).collect();
    let apart = if metric == Metric::CpuPerRequest { take_far_above(&mut panels) } else { None };
    if panels.iter().all(|panel| panel.curves.is_empty()) {
        return Ok(None);
    }
    let y = match metric {
        Metric::RequestsPerSecond => "requests a second",
        _ => "CPU µs a request",
    };
    let all_alive = plan.sets.iter().filter(|(configured, alive)| configured == alive).count();
    let frame = Frame {
        title: format!("{}: {} over concurrency, by backends", tool.title(), metric.title()),
        x: "requests at a time",
        y,
        ticks: plan.concurrency.iter().map(u32::to_string).collect(),
        columns: all_alive.min(5),
        panel: SMALL,
    };
    let name = if metric == Metric::RequestsPerSecond { "requests" } else { "cpu" };
    let hollow = if metric == Metric::RequestsPerSecond {
        " Where it is hollow, client or backend was the bottleneck in half of the rounds or more: it says what they can do, and the proxy \
         may be faster."
    } else {
        ""
    };
    let direct = " `direct` was measured with one backend and is the same in all panels.";
    let has_direct = panels.iter().flat_map(|panel| &panel.curves).any(|curve| curve.name == "direct");
    let direct = if has_direct { direct } else { "" };
    let apart = apart.unwrap_or_default();
    let better = if metric.is_more_better() { "Higher is better" } else { "Lower is better" };
    Ok(Some(Figure {
        file: format!("{name}-{}.svg", tool.name()),
        caption: format!(
            "`{}`, {}. {better}. A dot is the median of the rounds, the bar behind it runs from the lowest to the \
             highest round.{hollow}{direct} All panels have one scale, from 0.{apart}",
            tool.title(),
            metric.title()
        ),
        svg: draw(&frame, &panels)?,
    }))
}

/// What lies above all others everywhere, and by so much that they could not be told apart beside it, is only told.
fn take_far_above(panels: &mut [Panel]) -> Option<String> {
    const FAR: f64 = 1.2;
    let points = |panels: &[Panel], is_wanted: &dyn Fn(&str) -> bool| {
        let curves = panels.iter().flat_map(|panel| &panel.curves).filter(|curve| is_wanted(&curve.name));
        Spread::of(curves.flat_map(|curve| &curve.points).map(|point| point.y))
    };
    let all = panels.iter().flat_map(|panel| &panel.curves);
    let highest = all.max_by(|a, b| top(a).total_cmp(&top(b)))?.name.clone();
    let (own, others) = (points(panels, &|name| name == highest)?, points(panels, &|name| name != highest)?);
    if own.low < FAR * others.high {
        return None;
    }
    for panel in panels {
        panel.curves.retain(|curve| curve.name != highest);
    }
    let (low, high) = (short(own.low), short(own.high));
    Some(format!(" `{highest}` lies far above, between {low} and {high}, and is not drawn."))
}

fn top(curve: &Curve) -> f64 {
    curve.points.iter().map(|point| point.y).fold(0.0, f64::max)
}

fn set_panel(
    plan: &Plan,
    series: &Series<'_>,
    (tool, (configured, alive)): (Tool, (usize, usize)),
    metric: Metric,
) -> Panel {
    let curve = |subject: Subject| {
        let set = if subject.kind == Kind::Direct { (1, 1) } else { (configured, alive) };
        let point = |(index, concurrency): (usize, &u32)| {
            let setting = Setting { tool, configured: set.0, alive: set.1, concurrency: *concurrency };
            let Spread { low, median, high } = series.spread(&subject, setting, metric)?;
            let is_hollow = is_mostly_hidden(series.rows(&subject, setting, false), metric);
            Some(Point { x: index as f64, low, y: median, high, is_hollow })
        };
        let points: Vec<_> = plan.concurrency.iter().enumerate().filter_map(point).collect();
        (!points.is_empty()).then(|| Curve { name: subject.name.clone(), points })
    };
    let setting = Setting { tool, configured, alive, concurrency: 0 };
    Panel { title: setting.backends(), curves: series.subjects().into_iter().filter_map(curve).collect() }
}

/// Percentiles as the clients saw them, at the largest set and the highest concurrency: the medians of the rounds.
fn seen_by_clients(plan: &Plan, series: &Series<'_>) -> io::Result<Option<Figure>> {
    let largest = plan.largest_set();
    let highest = plan.concurrency.iter().copied().max().unwrap_or(1);
    let mut panels = Vec::new();
    for tool in plan.tools.iter().copied().chain([Tool::Oha]) {
        let open = plan.open.map_or(0, |open| open.connections);
        let concurrency = if tool.is_open() { open } else { highest };
        let setting = Setting { tool, configured: largest, alive: largest, concurrency };
        let curves: Vec<Curve> = series
            .subjects()
            .into_iter()
            .filter_map(|subject| client_curve(series, &subject, setting))
            .collect();
        let load = if tool.is_open() {
            "fixed rate, from when due".to_owned()
        } else {
            format!("{highest} at a time")
        };
        let whose = if is_rewritten_by(tool) { ", corrected" } else { "" };
        panels.push(Panel { title: format!("{}, {load}{whose}", tool.title()), curves });
    }
    let caption = format!(
        "Percentiles as the clients saw them, {largest} backends. Lower is better; both axes are logarithmic, and \
         only the dots are figures. The last dot of a line is the slowest request of all rounds, drawn where it lies among \
         those of one. `ab` does not see what a stalled proxy does to requests that it did not send meanwhile; `oha` \
         at a fixed rate does, where the stall keeps all its connections waiting. The percentiles of `wrk` hold requests that \
         it never sent: see \"Percentiles seen by the clients\"."
    );
    nines("percentiles-client.svg", "Percentiles seen by the clients", caption, panels)
}

fn client_curve(series: &Series<'_>, subject: &Subject, setting: Setting) -> Option<Curve> {
    let set = if subject.kind == Kind::Direct { (1, 1) } else { (setting.configured, setting.alive) };
    let setting = Setting { configured: set.0, alive: set.1, ..setting };
    let rows = series.rows(subject, setting, false);
    let line = series
        .lines()
        .into_iter()
        .find(|line| line.cell.subject == *subject && line.cell.setting == setting)?;
    let slowest_of = line.counts.completed as f64 / rows.len().max(1) as f64;
    let client = &line.client;
    let points = [
        (2.0, client.p50_us),
        (10.0, client.p90_us),
        (100.0, client.p99_us),
        (1000.0, client.p99_9_us),
        (slowest_of, client.max_us),
    ];
    let points: Vec<Point> =
        points.into_iter().filter_map(|(nines, us)| us.map(|us| Point::at(nines, us))).collect();
    (points.len() > 1).then(|| Curve { name: subject.name.clone(), points })
}

/// The proxy's own histograms, all rounds merged: a panel for each setting that has one.
fn seen_by_the_proxy(own: &[OwnCurve]) -> io::Result<Option<Figure>> {
    let mut settings: Vec<Setting> = own.iter().map(|curve| curve.setting).collect();
    settings.sort();
    settings.dedup();
    let panel = |setting: Setting| {
        let curves = own.iter().filter(|curve| curve.setting == setting).map(|curve| Curve {
            name: curve.subject.clone(),
            points: curve.points.iter().map(|(x, y)| Point::at(*x, *y)).collect(),
        });
        let title = format!("{}, {} at a time", setting.tool.title(), setting.concurrency);
        Panel { title, curves: curves.collect() }
    };
    let caption = "Percentiles from the proxy itself: from the first byte of a request's head to the last byte of its \
                   response, from its own histograms (the `.hgrm` files), all rounds merged. Waiting to be accepted, and \
                   for a client that is slow, is not in them. Lower is better; both axes are logarithmic."
        .to_owned();
    let panels = settings.into_iter().map(panel).collect();
    nines("percentiles-proxy.svg", "Percentiles from the proxy itself", caption, panels)
}

fn nines(file: &str, title: &str, caption: String, mut panels: Vec<Panel>) -> io::Result<Option<Figure>> {
    panels.retain(|panel| !panel.curves.is_empty());
    if panels.is_empty() {
        return Ok(None);
    }
    let (title, panel) = (title.to_owned(), LARGE);
    let frame = Frame { title, x: "percentile", y: "µs", ticks: Vec::new(), columns: 2, panel };
    Ok(Some(Figure { file: file.to_owned(), caption, svg: draw(&frame, &panels)? }))
}

const BAR: i32 = 20;
const BAR_GAP: i32 = 6;
const LEFT: i32 = 110;
const SHARE_WIDTH: i32 = 300;
const SHARE_COLUMNS: usize = 4;
/// The heights of the title and of a band's names.
const TITLE: i32 = 34;
const TOP: i32 = 40;

/// Bars of 100 %: what part each backend had, all tools and concurrencies together.
fn shares(plan: &Plan, series: &Series<'_>) -> io::Result<Option<Figure>> {
    let subjects = series.proxies();
    if subjects.is_empty() {
        return Ok(None);
    }
    let title = "Share of each backend";
    let bands = subjects.chunks(SHARE_COLUMNS);
    let band = TOP + plan.sets.len() as i32 * (BAR + BAR_GAP);
    let columns = subjects.len().min(SHARE_COLUMNS) as i32;
    let size =
        ((LEFT + columns * (SHARE_WIDTH + 30)).max(700) as u32, (TITLE + bands.len() as i32 * band) as u32);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        label(&root, title, (12, 8), 19)?;
        for (index, subjects) in bands.enumerate() {
            share_band(&root, (plan, series), subjects, TITLE + index as i32 * band)?;
        }
        root.present().map_err(failed)?;
    }
    let caption =
        "The share of each backend that was alive in all answers, in per cent, all tools and concurrencies \
                   together, by the backends' own count. Equal widths are what round robin promises."
            .to_owned();
    Ok(Some(Figure { file: "shares.svg".to_owned(), caption, svg: accessible(&svg, title) }))
}

/// Some subjects side by side: their names, and a bar for each set.
fn share_band(
    root: &Root<'_>,
    (plan, series): (&Plan, &Series<'_>),
    subjects: &[Subject],
    top: i32,
) -> io::Result<()> {
    let left = |column: usize| LEFT + column as i32 * (SHARE_WIDTH + 30);
    for (column, subject) in subjects.iter().enumerate() {
        label(root, &subject.name, (left(column), top + 8), 15)?;
    }
    for (row, set) in plan.sets.iter().enumerate() {
        let setting = Setting { tool: Tool::Ab, configured: set.0, alive: set.1, concurrency: 0 };
        let y = top + TOP - BAR_GAP + row as i32 * (BAR + BAR_GAP);
        label(root, &setting.backends(), (12, y + 2), 14)?;
        for (column, subject) in subjects.iter().enumerate() {
            let shares = of_set(plan, series, subject, *set);
            bar(root, &shares, colour(&subject.name), (left(column), y))?;
        }
    }
    Ok(())
}

fn of_set(plan: &Plan, series: &Series<'_>, subject: &Subject, set: (usize, usize)) -> Vec<f64> {
    let mut rows = Vec::new();
    for tool in &plan.tools {
        for concurrency in &plan.concurrency {
            let setting = Setting { tool: *tool, configured: set.0, alive: set.1, concurrency: *concurrency };
            rows.extend_from_slice(series.rows(subject, setting, false));
        }
    }
    shares_pct(&rows)
}

type Root<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn bar(root: &Root<'_>, shares: &[f64], colour: RGBColor, (left, y): (i32, i32)) -> io::Result<()> {
    let mut before = 0.0;
    for (index, share) in shares.iter().enumerate() {
        let x = |pct: f64| left + (f64::from(SHARE_WIDTH) * pct / 100.0).round() as i32;
        let strength = if index % 2 == 0 { 0.55 } else { 0.3 };
        let corners = [(x(before), y), (x(before + share), y + BAR)];
        root.draw(&Rectangle::new(corners, colour.mix(strength).filled())).map_err(failed)?;
        if *share > 9.0 {
            label(root, &format!("{share:.2}"), (x(before) + 4, y + 3), 13)?;
        }
        before += share;
    }
    Ok(())
}

fn label(root: &Root<'_>, text: &str, at: (i32, i32), size: i32) -> io::Result<()> {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&RGBColor(40, 40, 40));
    root.draw(&Text::new(text.to_owned(), at, style)).map_err(failed)
}
