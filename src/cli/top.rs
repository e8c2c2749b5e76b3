//! `ringway top`: a live view of a running proxy: upstreams, backends, rates, percentiles, health.

mod columns;
mod screen;
mod view;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::screen::Screen;
use self::view::View;
use super::poll::{INTERVAL, Poll};
use super::{EXIT_OK, fail};
use crate::config::AdminAddress;
use crate::control::termination;

/// Watch a running proxy, from its admin API: upstreams, backends, rates, percentiles, health.
///
/// Rates and times are those of the last second; `added` is the median of what the proxy itself has added. Keys: q ends it, r
/// asks at once, the arrows and the page keys scroll.
#[derive(Args)]
pub(super) struct Arguments {
    /// Where the admin API listens: an IP address and port, or unix:PATH.
    #[arg(long, value_name = "ADDRESS", default_value_t)]
    admin: AdminAddress,
}

/// How soon the screen shows what has come.
const TURN: Duration = Duration::from_millis(50);
/// Rates of a shorter time would say nothing.
const LEAST_INTERVAL: Duration = Duration::from_millis(250);

/// What an asking has brought: figures, or the notice that nobody answers.
type News = Result<View, String>;

pub(super) fn top(arguments: &Arguments) -> u8 {
    let done = first(arguments).and_then(|(poll, view)| {
        // A signal that ended the process would leave the terminal as no shell can use it.
        let end = termination()?;
        let mut terminal = ratatui::try_init()?;
        let done = run(&mut terminal, poll, view, &end);
        ratatui::restore();
        done
    });
    done.map_or_else(|error| fail(&error), |()| EXIT_OK)
}

/// Before the terminal is taken over: there may be none, and nobody to ask.
fn first(arguments: &Arguments) -> io::Result<(Poll, View)> {
    if !io::stdout().is_terminal() {
        let what = "top needs a terminal; `ringway latency --watch` writes into files and pipes too";
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    let mut poll = Poll::new(arguments.admin.clone());
    let view = poll.ask(View::ask).map_err(|lost| lost.error)?;
    Ok((poll, view))
}

fn run(
    terminal: &mut ratatui::DefaultTerminal,
    poll: Poll,
    view: View,
    end: &Receiver<()>,
) -> io::Result<()> {
    let ((refresh, asked), (sender, news)) = (channel(), channel());
    // It is left behind at the end, maybe waiting for a proxy that does not answer.
    thread::Builder::new().name("top".to_owned()).spawn(move || ask_on(poll, &asked, &sender))?;
    let mut screen = Screen::new(view);
    terminal.draw(|frame| screen.draw(frame))?;
    while end.try_recv().is_err() {
        let mut is_changed = false;
        if event::poll(TURN)? {
            is_changed = true;
            if let Event::Key(key) = event::read()? {
                match Key::of(key) {
                    Some(Key::End) => return Ok(()),
                    Some(Key::Refresh) => drop(refresh.send(())),
                    Some(Key::Scroll(lines)) => screen.scroll(lines),
                    None => is_changed = false,
                }
            }
        }
        for news in news.try_iter() {
            screen.take(news);
            is_changed = true;
        }
        if is_changed {
            terminal.draw(|frame| screen.draw(frame))?;
        }
    }
    Ok(())
}

/// Asks once an interval, or when it is told to, until nobody listens.
fn ask_on(mut poll: Poll, refresh: &Receiver<()>, news: &Sender<News>) {
    let mut last = Instant::now();
    loop {
        let left = INTERVAL.saturating_sub(last.elapsed());
        match refresh.recv_timeout(left) {
            Ok(()) if last.elapsed() < LEAST_INTERVAL => continue,
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        last = Instant::now();
        if news.send(poll.ask(View::ask).map_err(|lost| lost.notice)).is_err() {
            return;
        }
    }
}

/// What a key means. No other one does anything.
#[derive(Debug, PartialEq)]
enum Key {
    End,
    Refresh,
    /// So many lines down, or up where it is negative.
    Scroll(isize),
}

impl Key {
    fn of(key: KeyEvent) -> Option<Self> {
        const PAGE: isize = 10;
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.kind == KeyEventKind::Release {
            return None;
        }
        match key.code {
            KeyCode::Char('c') if is_control => Some(Self::End),
            KeyCode::Char('q') | KeyCode::Esc => Some(Self::End),
            KeyCode::Char('r') => Some(Self::Refresh),
            KeyCode::Down | KeyCode::Char('j') => Some(Self::Scroll(1)),
            KeyCode::Up | KeyCode::Char('k') => Some(Self::Scroll(-1)),
            KeyCode::PageDown => Some(Self::Scroll(PAGE)),
            KeyCode::PageUp => Some(Self::Scroll(-PAGE)),
            KeyCode::Home => Some(Self::Scroll(isize::MIN)),
            KeyCode::End => Some(Self::Scroll(isize::MAX)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_refresh_key_refreshes_and_only_three_keys_end_it() {
        let plain = |code| Key::of(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('r')), Some(Key::Refresh));
        assert_eq!(plain(KeyCode::Char('q')), Some(Key::End));
        assert_eq!(plain(KeyCode::Esc), Some(Key::End));
        assert_eq!(Key::of(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Key::End));
        for code in [KeyCode::Char('c'), KeyCode::Char('x'), KeyCode::Enter, KeyCode::Tab, KeyCode::Left] {
            assert_eq!(plain(code), None, "{code:?}");
        }
    }

    #[test]
    fn a_refresh_is_done_at_once_but_not_so_soon_that_rates_say_nothing() {
        let ((refresh, asked), (sender, news)) = (channel(), channel());
        // Nobody answers at port 1: each asking brings a notice.
        let poll = Poll::new("127.0.0.1:1".parse().unwrap());
        let asking = thread::spawn(move || ask_on(poll, &asked, &sender));
        let begun = Instant::now();
        refresh.send(()).unwrap();
        assert!(news.recv().unwrap().is_err());
        assert!(begun.elapsed() >= LEAST_INTERVAL, "the first one was too soon");
        drop((refresh, news));
        asking.join().unwrap();
    }
}
