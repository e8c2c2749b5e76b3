//! The thread that writes the access log.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::{AccessLog, LogConfig};
use crate::telemetry::{Log, notice};

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(5);

/// The running log thread; [`LogThread::end`] writes what is left.
pub(super) struct LogThread {
    log: Log,
    ends: Arc<AtomicBool>,
    thread: Option<Thread>,
}

/// The thread that writes.
struct Thread {
    handle: JoinHandle<()>,
    /// Hung up by the thread when it ends.
    ended: Receiver<()>,
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
    Ok(LogThread { thread: Some(spawn(&log, &ends, out)?), log, ends })
}

fn spawn(log: &Log, ends: &Arc<AtomicBool>, out: Box<dyn Write + Send>) -> io::Result<Thread> {
    let (sender, ended) = sync_channel(0);
    let handle = std::thread::Builder::new().name("log".to_owned()).spawn({
        let (log, ends) = (log.clone(), Arc::clone(ends));
        move || {
            let _sender: SyncSender<()> = sender;
            write_all(&log, &ends, out);
        }
    })?;
    Ok(Thread { handle, ended })
}

impl LogThread {
    /// The log to write to.
    pub(super) fn log(&self) -> Log {
        self.log.clone()
    }

    /// Writes what is left, for so long at the most, and says so if lines were dropped. Whoever reads the log may have
    /// stopped, and the process ends nevertheless.
    pub(super) fn end(mut self, patience: Duration) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            self.log.wake_reader();
            if thread.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                notice(format_args!("nobody takes the access log: what was left of it is lost"));
            } else {
                // A panic of the thread was reported when it happened.
                let _ = thread.handle.join();
            }
        }
        if self.log.dropped() > 0 {
            notice(format_args!("the access log dropped {} lines: its queue was full", self.log.dropped()));
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
                notice(format_args!("the access log cannot be written: {error}"));
            }
            std::thread::sleep(GATHER);
        } else if is_last {
            return;
        } else {
            log.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogFormat, WhenFull};
    use crate::telemetry::Moments;
    use crate::telemetry::Record;
    use crate::telemetry::record::Traffic;
    use std::net::SocketAddr;
    use std::time::Instant;

    /// A pipe that nobody reads.
    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            loop {
                std::thread::park();
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn running(out: Box<dyn Write + Send>) -> LogThread {
        let (log, ends) = (Log::queued(LogFormat::Text, WhenFull::Wait), Arc::default());
        LogThread { thread: Some(spawn(&log, &ends, out).unwrap()), log, ends }
    }

    fn write(log: &Log) {
        let now = Instant::now();
        log.writer().write(&Record {
            moments: Moments::new(now),
            client: SocketAddr::from(([127, 0, 0, 1], 5555)),
            listener: "web",
            host: None,
            request: b"GET /",
            pick: None,
            backend: None,
            place: None,
            traffic: Traffic::default(),
            status: Some(200),
            failure: None,
        });
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_for_ever() {
        let log = running(Box::new(Stuck));
        write(&log.log());
        let begun = Instant::now();
        log.end(Duration::from_millis(100));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_end_writes_what_is_left() {
        let (mut reader, writer) = io::pipe().unwrap();
        let log = running(Box::new(writer));
        write(&log.log());
        log.end(Duration::from_secs(10));
        assert!(io::read_to_string(&mut reader).unwrap().contains("GET /"));
    }
}
