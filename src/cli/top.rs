//! `ringway top`: a live view of a running proxy: upstreams, backends, rates, percentiles, health.

use std::io;
use std::time::Duration;

use clap::Args;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row as Cells, Table};
use serde::Deserialize;

use super::{EXIT_OK, fail};
use crate::config::AdminAddress;
use crate::control::admin::{Answer, BackendView, Connections, Row, UpstreamView, ask, duration};

/// A live view of a running proxy, from its admin API: q ends it.
#[derive(Args)]
pub(super) struct Arguments {
    /// Where the admin API listens: an IP address and port, or unix:PATH.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: AdminAddress,
}

/// How often it asks.
const INTERVAL: Duration = Duration::from_secs(1);
const HEADER: [&str; 12] = [
    "upstream / backend",
    "state",
    "in flight",
    "picks",
    "req/s",
    "mean",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "max",
    "added p50",
];

pub(super) fn top(arguments: &Arguments) -> u8 {
    // Before the terminal is taken over: there may be nobody to ask.
    let first = match View::ask(&arguments.admin, None) {
        Ok(view) => view,
        Err(error) => return fail(&error),
    };
    let mut terminal = ratatui::init();
    let done = run(&mut terminal, &arguments.admin, first);
    ratatui::restore();
    done.map_or_else(|error| fail(&error), |()| EXIT_OK)
}

fn run(terminal: &mut ratatui::DefaultTerminal, admin: &AdminAddress, mut view: View) -> io::Result<()> {
    loop {
        terminal.draw(|frame| view.draw(frame))?;
        if is_ended(INTERVAL)? {
            return Ok(());
        }
        let id = view.latency.id;
        // A proxy that was started anew does not know the id.
        view = View::ask(admin, Some(&id)).or_else(|_| View::ask(admin, None))?;
    }
}

/// Waits, and says whether q, Escape or Ctrl-C was pressed meanwhile.
fn is_ended(within: Duration) -> io::Result<bool> {
    if !event::poll(within)? {
        return Ok(false);
    }
    let Event::Key(key) = event::read()? else { return Ok(false) };
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let is_end = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || is_interrupt;
    Ok(is_end && key.kind == KeyEventKind::Press)
}

/// What is shown at a moment.
struct View {
    version: Version,
    is_ready: bool,
    connections: Connections,
    upstreams: Vec<UpstreamView>,
    latency: Answer,
}

/// The answer of `/version`, as far as it is shown.
#[derive(Deserialize)]
struct Version {
    version: String,
    runtime: String,
}

impl View {
    fn ask(admin: &AdminAddress, since: Option<&str>) -> io::Result<Self> {
        fn read<T: for<'a> Deserialize<'a>>(admin: &AdminAddress, path: &str) -> io::Result<T> {
            serde_json::from_slice(&ask(admin, path)?).map_err(io::Error::other)
        }
        let since = since.map(|id| format!("?since={id}")).unwrap_or_default();
        Ok(Self {
            version: read(admin, "/version")?,
            is_ready: ask(admin, "/ready").is_ok(),
            connections: read(admin, "/connections")?,
            upstreams: read(admin, "/upstreams")?,
            latency: read(admin, &format!("/latency{since}"))?,
        })
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let areas = Layout::vertical([Constraint::Length(2), Constraint::Min(3)]);
        let [head, body] = areas.areas(frame.area());
        frame.render_widget(Line::from(self.title()).style(Modifier::BOLD), head);
        let widths = [24, 9, 9, 9, 9, 10, 10, 10, 10, 10, 10, 10].map(Constraint::Length);
        let header = Cells::new(HEADER).style(Style::new().fg(Color::Black).bg(Color::Gray));
        let rows = self.upstreams.iter().flat_map(|upstream| self.rows(upstream));
        frame.render_widget(Table::new(rows, widths).header(header), body);
    }

    fn title(&self) -> String {
        let Version { version, runtime } = &self.version;
        let Connections { open, limit, in_flight, ref workers, .. } = self.connections;
        let state = if self.is_ready { "ready" } else { "draining" };
        let rate: f64 = self.of_phase("total").filter_map(|row| self.rate(row)).sum();
        let span = self
            .latency
            .seconds
            .map_or("since the start".to_owned(), |s| format!("{rate:.0} req/s of {s:.1} s"));
        format!(
            " ringway {version} on {runtime}, {state}; {open} of {limit} connections {workers:?}, {in_flight} in flight; {span}; q ends"
        )
    }

    fn of_phase<'a>(&'a self, phase: &'a str) -> impl Iterator<Item = &'a Row> {
        self.latency.series.iter().filter(move |row| row.phase == phase)
    }

    fn rate(&self, row: &Row) -> Option<f64> {
        self.latency.seconds.map(|seconds| row.count as f64 / seconds)
    }

    fn rows<'a>(&'a self, upstream: &'a UpstreamView) -> Vec<Cells<'a>> {
        let name = Cells::new([Cell::from(upstream.upstream.as_str())]).style(Modifier::BOLD);
        let backends = upstream.backends.iter().map(|backend| self.row(&upstream.upstream, backend));
        std::iter::once(name).chain(backends).collect()
    }

    fn row<'a>(&'a self, upstream: &str, backend: &'a BackendView) -> Cells<'a> {
        let find = |phase| {
            let is_its = |row: &&Row| {
                row.upstream.as_deref() == Some(upstream) && row.backend.as_deref() == Some(&backend.backend)
            };
            self.of_phase(phase).find(is_its).filter(|row| row.count > 0)
        };
        let shown = |row: Option<&Row>, value: fn(&Row) -> f64| {
            row.map_or("-".to_owned(), |row| duration(value(row)))
        };
        let (total, added) = (find("total"), find("added"));
        let rate = total.and_then(|row| self.rate(row)).map_or("-".to_owned(), |rate| format!("{rate:.0}"));
        let colour = if backend.state == "eligible" { Color::Green } else { Color::Red };
        Cells::new([
            Cell::from(format!("  {}", backend.backend)),
            Cell::from(backend.state.as_str()).style(colour),
            Cell::from(backend.in_flight.to_string()),
            Cell::from(backend.picks.to_string()),
            Cell::from(rate),
            Cell::from(shown(total, |row| row.mean)),
            Cell::from(shown(total, |row| row.p50 as f64)),
            Cell::from(shown(total, |row| row.p90 as f64)),
            Cell::from(shown(total, |row| row.p99 as f64)),
            Cell::from(shown(total, |row| row.p99_9 as f64)),
            Cell::from(shown(total, |row| row.max as f64)),
            Cell::from(shown(added, |row| row.p50 as f64)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn view() -> View {
        let backend = |address: &str, state: &str| BackendView {
            backend: address.to_owned(),
            weight: 1,
            state: state.to_owned(),
            ejected_ms: None,
            in_flight: 2,
            picks: 17,
        };
        let row = |phase: &str, count| Row {
            upstream: Some("site".to_owned()),
            backend: Some("127.0.0.1:1".to_owned()),
            phase: phase.to_owned(),
            count,
            mean: 150.0,
            p50: 140,
            p75: 150,
            p90: 160,
            p99: 1_700,
            p99_9: 1_800,
            p99_99: 1_900,
            max: 2_000_000,
        };
        View {
            version: Version { version: "1.0".to_owned(), runtime: "ring".to_owned() },
            is_ready: true,
            connections: Connections {
                open: 3,
                workers: vec![1, 2],
                skew: 0.5,
                handed_over: 0,
                accepted: 9,
                limit: 100,
                in_flight: 4,
            },
            upstreams: vec![UpstreamView {
                upstream: "site".to_owned(),
                cycle: 1,
                backends: vec![backend("127.0.0.1:1", "eligible"), backend("127.0.0.1:2", "ejected")],
            }],
            latency: Answer {
                id: "1-1".to_owned(),
                since: None,
                seconds: Some(2.0),
                unit: "us".to_owned(),
                series: vec![row("total", 500), row("added", 500)],
            },
        }
    }

    #[test]
    fn the_view_shows_backends_rates_percentiles_and_health() {
        let mut terminal = Terminal::new(TestBackend::new(150, 8)).unwrap();
        terminal.draw(|frame| view().draw(frame)).unwrap();
        let screen = terminal.backend().to_string();
        for part in [
            "ringway 1.0 on ring, ready; 3 of 100 connections [1, 2], 4 in flight; 250 req/s of 2.0 s",
            "p99.9",
            "127.0.0.1:1            eligible  2         17        250",
            "1.70 ms",
            "2.00 s",
            "127.0.0.1:2            ejected   2         17        -",
        ] {
            assert!(screen.contains(part), "{part}\n{screen}");
        }
    }
}
