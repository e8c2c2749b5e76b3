//! `ringway latency --watch`: the table of each second, on a terminal in its place, in a pipe one below the other.

use std::io::{self, IsTerminal, Write};

use super::{Arguments, asked, show};
use crate::cli::EXIT_OK;
use crate::cli::poll::{INTERVAL, Lost, Poll};
use crate::telemetry::notice;

/// Goes to the first line of the terminal and clears what follows.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Ends when nobody reads any more.
pub(super) fn watch(arguments: &Arguments) -> io::Result<u8> {
    let mut poll = Poll::new(arguments.admin.clone());
    let mut table = next(arguments, &mut poll).map_err(|lost| lost.error)?;
    let mut out = io::stdout();
    let is_terminal = out.is_terminal();
    let mut text = if is_terminal { format!("{CLEAR}{table}") } else { table.clone() };
    loop {
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(EXIT_OK),
            written => written?,
        }
        std::thread::sleep(INTERVAL);
        text = match (next(arguments, &mut poll), is_terminal) {
            (Ok(next), true) => {
                table = next;
                format!("{CLEAR}{table}")
            }
            (Ok(next), false) => format!("\n{next}"),
            (Err(lost), true) => format!("{CLEAR}{table}\n{}\n", lost.notice),
            (Err(lost), false) => {
                told(&lost);
                String::new()
            }
        };
    }
}

fn next(arguments: &Arguments, poll: &mut Poll) -> Result<String, Lost> {
    let read = |_: &_, since: Option<&str>| asked(arguments, since).map(|answer| (answer.id.clone(), answer));
    poll.ask(read).map(|answer| show(&answer))
}

/// Once for each silence: in a pipe there is no place for it but standard error.
fn told(lost: &Lost) {
    if lost.is_news {
        notice(format_args!("{} (trying again)", lost.error));
    }
}
