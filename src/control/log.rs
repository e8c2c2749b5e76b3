//! The thread that writes the access log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
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

/// What ends a line of which only a part could be written: neither format knows it, so no such line is taken for a whole
/// one.
const CUT: &[u8] = b"~\n";

/// Where lines are written.
struct Out {
    writer: Box<dyn Write + Send>,
    /// Of a file.
    path: Option<PathBuf>,
    /// The last line that was written lacks its end.
    is_cut: bool,
    /// Nothing could be written the last time, which was said.
    is_broken: bool,
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
        AccessLog::Stdout => Out::new(Box::new(stdout()?), None),
        AccessLog::File(path) => Out::open(path)?,
    };
    let log = Log::queued(config.format, config.when_full);
    Ok(LogThread { thread: Some(spawn(&log, &wishes, out)?), log, wishes })
}

/// Standard output without the buffer of the library, which takes for written what it only keeps.
fn stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Whether a file ends within a line, as one does whose writer was killed. What cannot be read is taken to be well.
fn ends_in_a_line(path: &Path) -> bool {
    let last_byte = || {
        let file = File::open(path).ok()?;
        let about = file.metadata().ok().filter(|about| about.is_file() && about.len() > 0)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, about.len() - 1).ok().map(|()| byte[0])
    };
    last_byte().is_some_and(|byte| byte != b'\n')
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
            notice(format_args!(
                "the access log dropped {} lines: its queue was full, or they could not be written",
                self.log.dropped()
            ));
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
    fn new(writer: Box<dyn Write + Send>, path: Option<PathBuf>) -> Self {
        Self { writer, path, is_cut: false, is_broken: false }
    }

    /// Opens a file for appending.
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|error| {
            let what = format!("cannot write the access log {}: {error}", path.display());
            io::Error::new(error.kind(), what)
        })?;
        let out = Self::new(Box::new(file), Some(path.to_owned()));
        // Looked at after it was opened: an open that fails has said why already.
        Ok(Self { is_cut: ends_in_a_line(path), ..out })
    }

    /// Opens the file again; what was written before stays in the old one, wherever that is now.
    fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match Self::open(path) {
            Ok(out) => {
                notice(format_args!("SIGUSR1: the access log {} is open anew", path.display()));
                *self = out;
            }
            Err(error) => notice(format_args!("SIGUSR1: {error}; the old one is written on")),
        }
    }

    /// Writes whole lines; counts those that are lost with `log`. The error if it is the first one since lines could be
    /// written.
    fn write_or_lose(&mut self, lines: &[u8], log: &Log) -> Option<io::Error> {
        let result = self.write(lines);
        let was_broken = std::mem::replace(&mut self.is_broken, result.is_err());
        let (lost, error) = result.err()?;
        log.lose(lost);
        (!was_broken).then_some(error)
    }

    /// Writes whole lines, on a fresh line. If that fails: how many of them are not there in full, and why.
    fn write(&mut self, lines: &[u8]) -> Result<(), (u64, io::Error)> {
        let mut written = 0;
        let result = self.write_counted(lines, &mut written);
        if written > 0 {
            self.is_cut = lines[written - 1] != b'\n';
        }
        result.map_err(|error| {
            let lost = lines[written..].iter().filter(|byte| **byte == b'\n').count();
            (lost as u64, error)
        })
    }

    fn write_counted(&mut self, lines: &[u8], written: &mut usize) -> io::Result<()> {
        if self.is_cut {
            self.writer.write_all(CUT)?;
            self.is_cut = false;
        }
        while *written < lines.len() {
            match self.writer.write(&lines[*written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => *written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.writer.flush()
    }
}

fn write_all(log: &Log, wishes: &Wishes, out: &mut Out) {
    log.attach_reader();
    let mut lines = Vec::new();
    loop {
        log.renew_time_of_day();
        // Read before the queues are: what was logged before the end, or a new file, was asked for is written before.
        let is_last = wishes.end.load(Ordering::Acquire);
        let is_moved = wishes.reopen.swap(false, Ordering::AcqRel);
        lines.clear();
        let is_busy = log.drain_into(&mut lines);
        if is_busy && let Some(error) = out.write_or_lose(&lines, log) {
            notice(format_args!("the access log cannot be written: {error}"));
        }
        if is_moved {
            out.reopen();
        }
        if is_busy {
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
    use std::time::{Instant, SystemTime};

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

    /// A disk that is full after so many bytes, until somebody makes room.
    #[derive(Clone, Default)]
    struct Disk {
        room: Arc<std::sync::atomic::AtomicUsize>,
        bytes: Arc<std::sync::Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // In small pieces, as a pipe may take them.
            let count = bytes.len().min(self.room.load(Ordering::Relaxed)).min(7);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room.fetch_sub(count, Ordering::Relaxed);
            self.bytes.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk {
        /// Has so many bytes of room from now on.
        fn room(&self, bytes: usize) {
            self.room.store(bytes, Ordering::Relaxed);
        }

        fn text(&self) -> String {
            String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn lines_that_find_no_room_are_counted_and_the_next_one_is_fresh() {
        let disk = Disk::default();
        let mut out = Out::new(Box::new(disk.clone()), None);
        let lost = |result: Result<(), (u64, io::Error)>| result.map_err(|(lost, _)| lost);
        disk.room(12);
        assert_eq!(lost(out.write(b"one\ntwo\nthree\nfour\n")), Err(2));
        assert_eq!(lost(out.write(b"five\n")), Err(1), "still full");
        disk.room(1);
        assert_eq!(lost(out.write(b"six\n")), Err(1), "no room for the end of the one that was cut");
        disk.room(100);
        assert_eq!(lost(out.write(b"seven\n")), Ok(()));
        assert_eq!(disk.text(), "one\ntwo\nthre~~\nseven\n");
        disk.room(4);
        assert_eq!(lost(out.write(b"six\nten\n")), Err(1));
        disk.room(100);
        assert_eq!(lost(out.write(b"ten\n")), Ok(()));
        assert!(disk.text().ends_with("six\nten\n"), "nothing was cut: {}", disk.text());
    }

    #[test]
    fn each_outage_is_told_once() {
        let (disk, log) = (Disk::default(), Log::memory());
        let mut out = Out::new(Box::new(disk.clone()), None);
        let mut is_told = |room| {
            disk.room(room);
            out.write_or_lose(b"line\n", &log).is_some()
        };
        assert_eq!([0, 0, 100, 0, 2, 100].map(&mut is_told), [true, false, false, true, false, false]);
        assert_eq!(log.dropped(), 4);
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted_as_dropped() {
        let access = AccessLog::File("/dev/full".into());
        let config = LogConfig { access, format: LogFormat::Text, when_full: WhenFull::Wait };
        let thread = start(&config).unwrap();
        let log = thread.log();
        (0..3).for_each(|_| write(&log));
        thread.end(Duration::from_secs(10));
        assert_eq!(log.dropped(), 3);
    }

    #[test]
    fn a_file_that_ends_in_a_line_is_gone_on_with_on_a_fresh_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (before, after) in [("", "new\n"), ("old\n", "old\nnew\n"), ("ol", "ol~\nnew\n")] {
            std::fs::write(file.path(), before).unwrap();
            Out::open(file.path()).unwrap().write(b"new\n").map_err(|(_, error)| error).unwrap();
            assert_eq!(std::fs::read_to_string(file.path()).unwrap(), after);
        }
    }

    fn running(writer: Box<dyn Write + Send>) -> LogThread {
        let (log, wishes) = (Log::queued(LogFormat::Text, WhenFull::Wait), Arc::default());
        let out = Out::new(writer, None);
        LogThread { thread: Some(spawn(&log, &wishes, out).unwrap()), log, wishes }
    }

    fn write(log: &Log) {
        let now = Instant::now();
        log.writer().write(&Record {
            moments: Moments::new(now),
            client: SocketAddr::from(([127, 0, 0, 1], 5555)),
            listener: "web",
            host: None,
            head: b"GET / HTTP/1.1\r\n\r\n",
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
    fn the_time_of_day_is_looked_up_while_nothing_is_logged() {
        let thread = running(Box::new(io::sink()));
        let (log, epoch) = (thread.log(), SystemTime::UNIX_EPOCH);
        // The second time it waits for lines already.
        for _ in 0..2 {
            log.set_time_of_day(Instant::now(), epoch);
            let begun = Instant::now();
            while log.time_of_day(Instant::now()) < epoch + Duration::from_hours(24) {
                assert!(begun.elapsed() < Duration::from_secs(10), "it is still 1970");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        thread.end(Duration::from_secs(10));
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
        // Gives how many were written.
        let write_until_some_are_in = |path: &Path| {
            let (begun, mut written) = (Instant::now(), 0);
            while lines(path) == 0 {
                assert!(begun.elapsed() < Duration::from_secs(10), "{} stays empty", path.display());
                write(&log.log());
                written += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            written
        };
        let before = write_until_some_are_in(&path);
        std::fs::rename(&path, &old).unwrap();
        log.reopener().reopen();
        let after = write_until_some_are_in(&path);
        log.end(Duration::from_secs(10));
        let (old, new) = (lines(&old), lines(&path));
        assert!(old >= before, "{old} {new}");
        assert_eq!(old + new, before + after, "none is lost");
    }

    #[test]
    fn what_was_logged_before_a_file_is_opened_anew_goes_to_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let (log, wishes) = (Log::queued(LogFormat::Text, WhenFull::Wait), Wishes::default());
        let mut out = Out::open(&path).unwrap();
        (0..3).for_each(|_| write(&log));
        std::fs::rename(&path, &old).unwrap();
        wishes.reopen.store(true, Ordering::Release);
        wishes.end.store(true, Ordering::Release);
        write_all(&log, &wishes, &mut out);
        let [old, new] = [old, path].map(|path| std::fs::read_to_string(path).unwrap().lines().count());
        assert_eq!((old, new), (3, 0));
    }
}
