//! The thread that writes the access log.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
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
    wishes: Arc<Wishes>,
    thread: Option<Thread>,
}

/// What the log thread is asked for, between two writes.
#[derive(Default)]
struct Wishes {
    end: AtomicBool,
    reopen: AtomicBool,
}

/// Asks the log thread to open its file again.
pub(super) struct Reopener {
    log: Log,
    wishes: Arc<Wishes>,
    is_file: bool,
}

/// Where lines are written.
struct Out {
    writer: Box<dyn Write + Send>,
    /// Of a file.
    path: Option<PathBuf>,
}

/// The thread that writes.
struct Thread {
    handle: JoinHandle<()>,
    /// Hung up by the thread when it ends.
    ended: Receiver<()>,
    is_file: bool,
}

/// Starts the log that the configuration asks for.
///
/// # Errors
/// The file cannot be opened for appending, or no thread can be had.
pub(super) fn start(config: &LogConfig) -> io::Result<LogThread> {
    let wishes = Arc::default();
    let out = match &config.access {
        AccessLog::Off => return Ok(LogThread { log: Log::off(), wishes, thread: None }),
        AccessLog::Stdout => Out { writer: Box::new(io::stdout()), path: None },
        AccessLog::File(path) => Out { writer: open(path)?, path: Some(path.clone()) },
    };
    let log = Log::queued(config.format, config.when_full);
    Ok(LogThread { thread: Some(spawn(&log, &wishes, out)?), log, wishes })
}

fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
        let what = format!("cannot write the access log {}: {error}", path.display());
        io::Error::new(error.kind(), what)
    })?;
    Ok(Box::new(file))
}

fn spawn(log: &Log, wishes: &Arc<Wishes>, mut out: Out) -> io::Result<Thread> {
    let is_file = out.path.is_some();
    let (sender, ended) = sync_channel(0);
    let handle = std::thread::Builder::new().name("log".to_owned()).spawn({
        let (log, wishes) = (log.clone(), Arc::clone(wishes));
        move || {
            let _sender: SyncSender<()> = sender;
            write_all(&log, &wishes, &mut out);
        }
    })?;
    Ok(Thread { handle, ended, is_file })
}

impl LogThread {
    /// The log to write to.
    pub(super) fn log(&self) -> Log {
        self.log.clone()
    }

    /// What opens its file again.
    pub(super) fn reopener(&self) -> Reopener {
        let is_file = self.thread.as_ref().is_some_and(|thread| thread.is_file);
        Reopener { log: self.log.clone(), wishes: Arc::clone(&self.wishes), is_file }
    }

    /// Writes what is left, for so long at the most, and says so if lines were dropped. Whoever reads the log may have
    /// stopped, and the process ends nevertheless.
    pub(super) fn end(mut self, patience: Duration) {
        self.wishes.end.store(true, Ordering::Release);
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

impl Reopener {
    /// Asks for it, and says so, or says that there is no file.
    pub(super) fn reopen(&self) {
        if !self.is_file {
            notice(format_args!("SIGUSR1: the access log is no file, so there is nothing to open again"));
            return;
        }
        self.wishes.reopen.store(true, Ordering::Release);
        self.log.wake_reader();
    }
}

impl Out {
    /// Opens the file again; what was written before stays in the old one, wherever that is now.
    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(writer) => {
                self.writer = writer;
                notice(format_args!("SIGUSR1: the access log {} is open anew", path.display()));
            }
            Err(error) => notice(format_args!("SIGUSR1: {error}; the old one is written on")),
        }
    }
}

fn write_all(log: &Log, wishes: &Wishes, out: &mut Out) {
    log.attach_reader();
    let (mut lines, mut is_broken) = (Vec::new(), false);
    loop {
        // Read before the queues are: what was logged before the end was asked for is written.
        let is_last = wishes.end.load(Ordering::Acquire);
        if wishes.reopen.swap(false, Ordering::AcqRel) {
            out.reopen();
            is_broken = false;
        }
        lines.clear();
        if log.drain_into(&mut lines) {
            let written = out.writer.write_all(&lines).and_then(|()| out.writer.flush());
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

    fn running(writer: Box<dyn Write + Send>) -> LogThread {
        let (log, wishes) = (Log::queued(LogFormat::Text, WhenFull::Wait), Arc::default());
        let out = Out { writer, path: None };
        LogThread { thread: Some(spawn(&log, &wishes, out).unwrap()), log, wishes }
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

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let access = AccessLog::File(path.clone());
        let config = LogConfig { access, format: LogFormat::Text, when_full: WhenFull::Wait };
        let log = start(&config).unwrap();
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().lines().count();
        let wait_for = |path: &Path| {
            let begun = Instant::now();
            while lines(path) == 0 {
                assert!(begun.elapsed() < Duration::from_secs(10), "{} stays empty", path.display());
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        write(&log.log());
        wait_for(&path);
        std::fs::rename(&path, &old).unwrap();
        log.reopener().reopen();
        write(&log.log());
        wait_for(&path);
        log.end(Duration::from_secs(10));
        assert_eq!((lines(&old), lines(&path)), (1, 1));
    }
}
