//! Draws `ringway top`, whatever the size of the terminal.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row as Cells, Sparkline, Table};

use super::News;
use super::columns::{Column, Facts, rate, shortened};
use super::view::{Measured, View};
use crate::control::admin::{BackendView, UpstreamView};
use crate::telemetry::Phase;

/// Rates that are kept for the curve in the corner.
const HISTORY: usize = 40;
/// From this height on there is room for an empty line.
const ROOMY: u16 = 16;
const KEYS: &str = " q quit  r refresh  ↑↓ scroll";

/// What is on the screen.
pub(super) struct Screen {
    view: View,
    /// Nobody answers: the figures are the last ones.
    lost: Option<String>,
    /// Exchanges a second, the latest ones last.
    rates: VecDeque<u64>,
    /// Lines of the table that were scrolled away.
    offset: usize,
}

/// A line of the table.
struct Entry<'a> {
    name: String,
    style: Style,
    facts: Facts<'a>,
}

impl Screen {
    pub(super) fn new(view: View) -> Self {
        Self { view, lost: None, rates: VecDeque::new(), offset: 0 }
    }

    /// What an asking has brought. Without an answer the last figures stay.
    pub(super) fn take(&mut self, news: News) {
        match news {
            Ok(view) => {
                self.rates.extend(view.rate().map(|rate| rate.round() as u64));
                self.rates.drain(..self.rates.len().saturating_sub(HISTORY));
                self.view = view;
                self.lost = None;
            }
            Err(notice) => self.lost = Some(notice),
        }
    }

    pub(super) fn scroll(&mut self, lines: isize) {
        self.offset = self.offset.saturating_add_signed(lines);
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let gap = u16::from(frame.area().height >= ROOMY);
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(gap),
            Constraint::Fill(1),
            Constraint::Length(1),
        ]);
        let [first, second, _, body, foot] = areas.areas(frame.area());
        let of_table = usize::from(body.height.saturating_sub(1));
        let entries = entries(&self.view);
        self.offset = self.offset.min(entries.len().saturating_sub(of_table));
        let hidden = entries.len().saturating_sub(self.offset + of_table);
        sides(frame, first, self.identity(first.width), self.rate());
        self.connections(frame, second);
        let shown = entries.into_iter().skip(self.offset).collect::<Vec<_>>();
        table(frame, body, &shown, self.lost.is_some());
        self.foot(frame, foot, hidden);
    }

    /// Who is watched; the uptime gives way where there is no room for it.
    fn identity(&self, width: u16) -> Line<'_> {
        let version = &self.view.version;
        let state = match (&self.lost, self.view.is_ready) {
            (Some(_), _) => "not reached".red().bold(),
            (None, true) => "ready".green(),
            (None, false) => "draining".yellow().bold(),
        };
        let uptime = version.uptime_seconds.map(|seconds| format!(", up {}", uptime(seconds as u64)));
        let name = format!(" ringway {} ", version.version).bold();
        let runtime = Span::from(format!("on {}, ", version.runtime));
        let line = Line::from(vec![name, runtime, state]);
        let uptime = Span::from(uptime.unwrap_or_default());
        let has_room = line.width() + uptime.width() <= usize::from(width);
        if has_room { line + uptime } else { line }
    }

    fn rate(&self) -> Line<'static> {
        let rate = self.view.rate().map(|known| format!("{} req/s ", rate(known)));
        Line::from(rate.unwrap_or_default()).bold()
    }

    /// The line of the connections, and how the rate was lately in what it leaves.
    fn connections(&self, frame: &mut Frame<'_>, area: Rect) {
        let connections = &self.view.connections;
        let workers: Vec<_> = connections.workers.iter().map(usize::to_string).collect();
        let (open, limit, in_flight) = (connections.open, connections.limit, connections.in_flight);
        let by_worker = format!("; by worker {}", workers.join(" "));
        let text = format!(" connections {open} of {limit}, in flight {in_flight}");
        let both = Line::from(vec![Span::from(text.clone()), Span::from(by_worker).dim()]);
        let has_room = both.width() <= usize::from(area.width);
        let line = if has_room { both } else { Line::from(text) };
        let left = area.width.saturating_sub(line.width() as u16 + 2);
        let width = left.min(self.rates.len() as u16);
        frame.render_widget(line, area);
        let corner = Rect { x: area.right().saturating_sub(width + 1), width, ..area };
        let rates =
            self.rates.iter().skip(self.rates.len() - usize::from(width)).copied().collect::<Vec<_>>();
        frame.render_widget(Sparkline::default().data(rates).style(Color::Cyan), corner);
    }

    fn foot(&self, frame: &mut Frame<'_>, area: Rect, hidden: usize) {
        if let Some(notice) = &self.lost {
            let style = Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD);
            let text = format!(" {notice}; q quit ");
            return frame.render_widget(Line::from(text).style(style), area);
        }
        let span = match self.view.latency.seconds {
            Some(seconds) => format!("figures of the last {seconds:.1} s "),
            None => "figures since the start ".to_owned(),
        };
        let more = if hidden > 0 { format!("{hidden} more below, ") } else { String::new() };
        sides(frame, area, Line::from(KEYS).dim(), Line::from(more + &span).dim());
    }
}

/// Two lines in the place of one; the right one gives way.
fn sides(frame: &mut Frame<'_>, area: Rect, left: Line<'_>, right: Line<'_>) {
    let has_room = left.width() + right.width() < usize::from(area.width);
    frame.render_widget(left, area);
    if has_room {
        frame.render_widget(right.right_aligned(), area);
    }
}

/// Each upstream, and its backends below it.
fn entries(view: &View) -> Vec<Entry<'_>> {
    let of_upstream = |upstream| {
        let head = std::iter::once(of_upstream(view, upstream));
        head.chain(upstream.backends.iter().map(|backend| of_backend(view, &upstream.upstream, backend)))
    };
    view.upstreams.iter().flat_map(of_upstream).collect()
}

fn of_upstream<'a>(view: &'a View, upstream: &'a UpstreamView) -> Entry<'a> {
    let backends = &upstream.backends;
    let eligible = backends.iter().filter(|backend| is_eligible(backend)).count();
    let colour = if eligible == backends.len() { Color::Reset } else { Color::Yellow };
    Entry {
        name: upstream.upstream.clone(),
        style: Style::new().fg(colour).add_modifier(Modifier::BOLD),
        facts: Facts {
            state: format!("{eligible} of {}", backends.len()),
            in_flight: backends.iter().map(|backend| backend.in_flight).sum(),
            picks: backends.iter().map(|backend| backend.picks).sum(),
            share: None,
            total: view.of_upstream(&upstream.upstream, Phase::Total),
            added: view.of_upstream(&upstream.upstream, Phase::Added),
        },
    }
}

fn of_backend<'a>(view: &'a View, upstream: &str, backend: &'a BackendView) -> Entry<'a> {
    let total = view.of_backend(upstream, &backend.backend, Phase::Total);
    let count = |measured: Option<Measured<'_>>| measured.map_or(0, |measured| measured.row.count);
    let of_all = count(view.of_upstream(upstream, Phase::Total));
    // The mark is for terminals without colours, and for those without room for the state.
    let (mark, colour) = if is_eligible(backend) { (" ", Color::Reset) } else { ("!", Color::Red) };
    Entry {
        name: format!("{mark} {}", backend.backend),
        style: Style::new().fg(colour),
        facts: Facts {
            state: state(backend),
            in_flight: backend.in_flight,
            picks: backend.picks,
            share: (of_all > 0 && total.is_some()).then(|| count(total) as f64 / of_all as f64),
            total,
            added: view.of_backend(upstream, &backend.backend, Phase::Added),
        },
    }
}

fn is_eligible(backend: &BackendView) -> bool {
    backend.state == "eligible"
}

/// What it is, and for how long it is still left alone.
fn state(backend: &BackendView) -> String {
    match backend.ejected_ms.map(|ms| ms.div_ceil(1_000)) {
        Some(seconds) if seconds < 100 => format!("{} {seconds} s", backend.state),
        Some(seconds) => format!("{} {} m", backend.state, seconds.div_ceil(60)),
        None => backend.state.clone(),
    }
}

fn table(frame: &mut Frame<'_>, area: Rect, entries: &[Entry<'_>], is_old: bool) {
    let longest = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0).max(8) as u16;
    let columns = Column::fitting(area.width, longest);
    let figures: u16 = columns.iter().map(|column| column.width() + 1).sum();
    // What is left over stays at the right end, or the eye loses the line.
    let name = area.width.saturating_sub(figures).min(longest + 2);
    let widths = std::iter::once(name).chain(columns.iter().map(|column| column.width()));
    let rows = entries.iter().map(|entry| {
        let cells = columns.iter().map(|column| aligned(*column, column.show(&entry.facts)));
        let name = Cell::from(shortened(&entry.name, usize::from(name)));
        Cells::new(std::iter::once(name).chain(cells)).style(entry.style)
    });
    let titles = columns.iter().map(|column| aligned(*column, column.title().to_owned()));
    let header = Cells::new(std::iter::once(Cell::from("upstream")).chain(titles))
        .style(Style::new().add_modifier(Modifier::REVERSED));
    let style = if is_old { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
    let table = Table::new(rows, widths.map(Constraint::Length)).header(header).column_spacing(1);
    frame.render_widget(table.style(style), area);
}

/// Words are read from their beginning, figures from their end.
fn aligned(column: Column, text: String) -> Cell<'static> {
    match column {
        Column::State => Cell::from(text),
        _ => Cell::from(Line::from(text).right_aligned()),
    }
}

/// The two largest units of it.
fn uptime(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::admin::{Answer, Connections, Row};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::view::Version;

    fn backend(address: &str, ejected_ms: Option<u64>) -> BackendView {
        let state = if ejected_ms.is_some() { "ejected" } else { "eligible" };
        BackendView {
            backend: address.to_owned(),
            weight: 1,
            state: state.to_owned(),
            ejected_ms,
            in_flight: 2,
            picks: 1_017,
            ejections: 0,
            failed_attempts: Default::default(),
        }
    }

    fn row(upstream: &str, backend: Option<&str>, phase: &str, count: u64) -> Row {
        Row {
            upstream: Some(upstream.to_owned()),
            backend: backend.map(str::to_owned),
            phase: phase.to_owned(),
            count,
            mean: 150.4,
            p50: if phase == "added" { 35 } else { 140 },
            p75: 150,
            p90: 160,
            p99: 1_704,
            p99_9: 12_345,
            p99_99: 123_456,
            max: 2_000_000,
        }
    }

    fn answer(seconds: Option<f64>, series: Vec<Row>) -> Answer {
        Answer {
            id: "1-1".to_owned(),
            since: None,
            seconds,
            unit: "us".to_owned(),
            series,
            accept_wait: Default::default(),
        }
    }

    /// Two upstreams, one of them with a backend that is left alone.
    fn view() -> View {
        let (web, cluster) = ("127.0.0.1:8888", ["127.0.0.1:9000", "127.0.0.1:9001"]);
        let with_added = |upstream: &str, backend: Option<&str>, count| {
            ["total", "added"].map(|phase| row(upstream, backend, phase, count))
        };
        let by_backend = [("site", web, 500), ("cluster", cluster[0], 1_234), ("cluster", cluster[1], 0)]
            .map(|(upstream, backend, count)| with_added(upstream, Some(backend), count));
        let by_upstream =
            [("site", 500), ("cluster", 1_234)].map(|(name, count)| with_added(name, None, count));
        let upstream = |name: &str, backends| UpstreamView { upstream: name.to_owned(), cycle: 1, backends };
        View {
            version: Version {
                version: "1.0".to_owned(),
                runtime: "ring".to_owned(),
                uptime_seconds: Some(3_725.3),
            },
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
            upstreams: vec![
                upstream("site", vec![backend(web, None)]),
                upstream("cluster", vec![backend(cluster[0], None), backend(cluster[1], Some(4_200))]),
            ],
            latency: answer(Some(2.0), [by_upstream.concat(), by_backend.concat()].concat()),
        }
    }

    /// What stands on a terminal of this size, without the blanks at the ends of lines.
    fn drawn(screen: &mut Screen, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let line = |line: &[ratatui::buffer::Cell]| {
            let text = line.iter().map(|cell| cell.symbol()).collect::<String>();
            text.trim_end().to_owned() + "\n"
        };
        terminal.backend().buffer().content.chunks(usize::from(width)).map(line).collect()
    }

    /// The lines with something on them.
    fn written(screen: &mut Screen, size: (u16, u16)) -> String {
        let screen = drawn(screen, size);
        screen.lines().filter(|line| !line.is_empty()).map(|line| line.to_owned() + "\n").collect()
    }

    #[test]
    fn eighty_columns() {
        let expected = "\
            \x20ringway 1.0 on ring, ready, up 1 h 2 min                             867 req/s\n\
            \x20connections 3 of 100, in flight 4; by worker 1 2\n\
            upstream          state          req/s in flight     p50     p99     max   added\n\
            site              1 of 1           250         2  140 µs 1.70 ms  2.00 s   35 µs\n\
            \x20 127.0.0.1:8888  eligible         250         2  140 µs 1.70 ms  2.00 s   35 µs\n\
            cluster           1 of 2           617         4  140 µs 1.70 ms  2.00 s   35 µs\n\
            \x20 127.0.0.1:9000  eligible         617         2  140 µs 1.70 ms  2.00 s   35 µs\n\
            ! 127.0.0.1:9001  ejected 5 s        0         2       -       -       -       -\n\
            \x20q quit  r refresh  ↑↓ scroll                         figures of the last 2.0 s\n";
        let screen = written(&mut Screen::new(view()), (80, 24));
        assert_eq!(screen, expected, "\n{screen}");
    }

    #[test]
    fn a_hundred_and_ten_columns() {
        let expected = "\
            \x20ringway 1.0 on ring, ready, up 1 h 2 min                                                           867 req/s\n\
            \x20connections 3 of 100, in flight 4; by worker 1 2\n\
            upstream          state          req/s share in flight    mean     p50     p90     p99   p99.9     max   added\n\
            site              1 of 1           250     -         2  150 µs  140 µs  160 µs 1.70 ms 12.3 ms  2.00 s   35 µs\n\
            \x20 127.0.0.1:8888  eligible         250 100 %         2  150 µs  140 µs  160 µs 1.70 ms 12.3 ms  2.00 s   35 µs\n\
            cluster           1 of 2           617     -         4  150 µs  140 µs  160 µs 1.70 ms 12.3 ms  2.00 s   35 µs\n\
            \x20 127.0.0.1:9000  eligible         617 100 %         2  150 µs  140 µs  160 µs 1.70 ms 12.3 ms  2.00 s   35 µs\n\
            ! 127.0.0.1:9001  ejected 5 s        0   0 %         2       -       -       -       -       -       -       -\n\
            \x20q quit  r refresh  ↑↓ scroll                                                       figures of the last 2.0 s\n";
        let screen = written(&mut Screen::new(view()), (110, 30));
        assert_eq!(screen, expected, "\n{screen}");
    }

    #[test]
    fn a_hundred_and_sixty_columns() {
        let mut screen = Screen::new(view());
        (0..60).for_each(|_| screen.take(Ok(view())));
        let expected = "\
            \x20ringway 1.0 on ring, ready, up 1 h 2 min                                                                                                             867 req/s\n\
            \x20connections 3 of 100, in flight 4; by worker 1 2                                                                      ████████████████████████████████████████\n\
            upstream           state          req/s share in flight    mean     p50     p90     p99   p99.9  p99.99     max   added     picks\n\
            site               1 of 1           250     -         2  150 µs  140 µs  160 µs 1.70 ms 12.3 ms  123 ms  2.00 s   35 µs      1017\n\
            \x20 127.0.0.1:8888   eligible         250 100 %         2  150 µs  140 µs  160 µs 1.70 ms 12.3 ms  123 ms  2.00 s   35 µs      1017\n\
            cluster            1 of 2           617     -         4  150 µs  140 µs  160 µs 1.70 ms 12.3 ms  123 ms  2.00 s   35 µs      2034\n\
            \x20 127.0.0.1:9000   eligible         617 100 %         2  150 µs  140 µs  160 µs 1.70 ms 12.3 ms  123 ms  2.00 s   35 µs      1017\n\
            ! 127.0.0.1:9001   ejected 5 s        0   0 %         2       -       -       -       -       -       -       -       -      1017\n\
            \x20q quit  r refresh  ↑↓ scroll                                                                                                         figures of the last 2.0 s\n";
        let screen = written(&mut screen, (160, 40));
        assert_eq!(screen, expected, "\n{screen}");
    }

    #[test]
    fn a_small_terminal_shows_what_matters_most() {
        let expected = "\
            \x20ringway 1.0 on ring, ready   867 req/s\n\
            \x20connections 3 of 100, in flight 4\n\
            upstream           req/s     p50     p99\n\
            site                 250  140 µs 1.70 ms\n\
            \x20 127.0.0.1:8888     250  140 µs 1.70 ms\n\
            cluster              617  140 µs 1.70 ms\n\
            \x20 127.0.0.1:9000     617  140 µs 1.70 ms\n\
            ! 127.0.0.1:9001       0       -       -\n\
            \x20q quit  r refresh  ↑↓ scroll\n";
        let screen = written(&mut Screen::new(view()), (40, 10));
        assert_eq!(screen, expected, "\n{screen}");
    }

    #[test]
    fn no_size_is_too_small() {
        let mut screen = Screen::new(view());
        screen.take(Ok(view()));
        for size in [(40, 10), (20, 3), (10, 2), (5, 5), (1, 1), (3, 40), (400, 100)] {
            drawn(&mut screen, size);
        }
    }

    #[test]
    fn lines_that_have_no_room_are_scrolled_to() {
        let mut screen = Screen::new(view());
        let before = drawn(&mut screen, (80, 7));
        assert!(before.contains("site") && before.contains("2 more below"), "{before}");
        screen.scroll(isize::MAX);
        let after = drawn(&mut screen, (80, 7));
        assert!(!after.contains("site") && after.contains("! 127.0.0.1:9001"), "{after}");
        assert!(!after.contains("more below"), "{after}");
        screen.scroll(-1);
        assert!(drawn(&mut screen, (80, 7)).contains("1 more below"), "the end does not lie further down");
        screen.scroll(isize::MIN);
        assert_eq!(drawn(&mut screen, (80, 7)), before);
    }

    #[test]
    fn the_last_figures_stay_while_nobody_answers() {
        let mut screen = Screen::new(view());
        let before = drawn(&mut screen, (80, 10));
        screen.take(Err("127.0.0.1:9901 cannot be reached since 7 s, trying again".to_owned()));
        let lost = drawn(&mut screen, (80, 10));
        assert!(lost.contains("cannot be reached since 7 s, trying again; q quit"), "{lost}");
        assert!(lost.contains("not reached") && lost.contains("1.70 ms"), "{lost}");
        screen.take(Ok(view()));
        let found = drawn(&mut screen, (80, 10));
        assert_eq!(found.lines().nth(3), before.lines().nth(3));
        assert!(!found.contains("not reached"), "{found}");
    }

    #[test]
    fn a_proxy_that_was_started_anew_has_no_rates_yet() {
        let mut anew = view();
        anew.latency.seconds = None;
        anew.is_ready = false;
        let screen = drawn(&mut Screen::new(anew), (80, 10));
        assert!(screen.contains("since the start") && !screen.contains("617"), "{screen}");
        assert!(screen.contains("draining"), "{screen}");
    }

    #[test]
    fn an_uptime_has_two_units() {
        let cases = [(59, "59 s"), (61, "1 min 1 s"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h")];
        cases.iter().for_each(|(seconds, text)| assert_eq!(uptime(*seconds), *text));
    }
}
