//! The thread that writes the access log.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::{AccessLog, LogConfig};
use crate::telemetry::Log;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(5);

/// The running log thread; [`LogThread::end`] writes what is left.
pub(super) struct LogThread {
    log: Log,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the log that the configuration asks for.
///
/// # Errors
/// The file cannot be opened for appending, or no thread can be had.
pub(super) fn start(config: &LogConfig) -> io::Result<LogThread> {
    let ends = Arc::new(AtomicBool::new(false));
    let out: Box<dyn Write + Send> = match &config.access {
        AccessLog::Off => return Ok(LogThread { log: Log::off(), ends, thread: None }),
        AccessLog::Stdout => Box::new(io::stdout()),
        AccessLog::File(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            Box::new(file.map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot write the access log {}: {error}", path.display()),
                )
            })?)
        }
    };
    let log = Log::queued(config.format, config.when_full);
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn({
        let (log, ends) = (log.clone(), Arc::clone(&ends));
        move || write_all(&log, &ends, out)
    })?;
    Ok(LogThread { log, ends, thread: Some(thread) })
}

impl LogThread {
    /// The log to write to.
    pub(super) fn log(&self) -> Log {
        self.log.clone()
    }

    /// Writes what is left, and says so if lines were dropped.
    pub(super) fn end(mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            self.log.wake_reader();
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
        if self.log.dropped() > 0 {
            eprintln!("ringway: the access log dropped {} lines: its queue was full", self.log.dropped());
        }
    }
}

fn write_all(log: &Log, ends: &AtomicBool, mut out: Box<dyn Write + Send>) {
    log.attach_reader();
    let (mut lines, mut is_broken) = (Vec::new(), false);
    loop {
        // Read before the queues are: what was logged before the end was asked for is written.
        let is_last = ends.load(Ordering::Acquire);
        lines.clear();
        if log.drain_into(&mut lines) {
            let written = out.write_all(&lines).and_then(|()| out.flush());
            if let Err(error) = written
                && !std::mem::replace(&mut is_broken, true)
            {
                eprintln!("ringway: the access log cannot be written: {error}");
            }
            std::thread::sleep(GATHER);
        } else if is_last {
            return;
        } else {
            log.wait();
        }
    }
}
