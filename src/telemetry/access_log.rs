//! The access log: a line an exchange, through a bounded queue that never blocks a worker unless it is told to.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

use super::{Record, line, notice};
use crate::config::{LogFormat, WhenFull};

/// Bytes of log that one writer may have waiting, if [`Log::with_queue`] does not say otherwise.
const QUEUE_SIZE: usize = 1 << 20;
/// How long a worker that must not drop a line waits before it looks for room again.
const FULL_WAIT: Duration = Duration::from_micros(500);
/// How long the reader waits for a line at the most: in between it looks up the time of day.
const WAIT: Duration = Duration::from_secs(1);

/// The access log of a process. Cloned freely.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Inner>,
    /// Bytes that a writer made of this handle may have waiting.
    queue_size: usize,
}

#[derive(Debug)]
struct Inner {
    format: LogFormat,
    when_full: WhenFull,
    /// No writer waits for room any more.
    is_hurried: AtomicBool,
    target: Target,
    /// Ties moments to the time of day, as it was when the log was made.
    anchor: (Instant, SystemTime),
    /// How far the time of day was set since, in microseconds.
    shift_us: AtomicI64,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Target {
    Off,
    /// Byte queues to the thread that writes, one a worker.
    Queue {
        readers: Mutex<Vec<rtrb::Consumer<u8>>>,
        reader: Mutex<Option<Thread>>,
        is_asleep: AtomicBool,
    },
    Memory(Mutex<Vec<String>>),
}

/// One worker's end of the log.
#[derive(Debug)]
pub struct LogWriter {
    log: Log,
    queue: Option<rtrb::Producer<u8>>,
    line: String,
}

impl Log {
    /// No log.
    pub fn off() -> Self {
        Self::new(Target::Off, LogFormat::Text, WhenFull::Drop)
    }

    /// A log whose lines are kept in memory, for tests: see [`Log::lines`].
    pub fn memory() -> Self {
        Self::new(Target::Memory(Mutex::default()), LogFormat::Text, WhenFull::Drop)
    }

    /// A log whose lines wait for [`Log::drain_into`].
    pub fn queued(format: LogFormat, when_full: WhenFull) -> Self {
        let target = Target::Queue {
            readers: Mutex::default(),
            reader: Mutex::default(),
            is_asleep: AtomicBool::new(false),
        };
        Self::new(target, format, when_full)
    }

    fn new(target: Target, format: LogFormat, when_full: WhenFull) -> Self {
        let (is_hurried, dropped) = (AtomicBool::new(false), AtomicU64::new(0));
        let (anchor, shift_us) = (clocks(), AtomicI64::new(0));
        let inner = Arc::new(Inner { format, when_full, is_hurried, target, anchor, shift_us, dropped });
        Self { inner, queue_size: QUEUE_SIZE }
    }

    /// The same log, each of whose writers made from here on may have so many bytes waiting: fewer where there are many
    /// writers.
    pub fn with_queue(self, bytes: usize) -> Self {
        Self { queue_size: bytes, ..self }
    }

    /// From here on a line that finds the queue full is dropped, whatever the configuration says: nobody waits for a
    /// reader that may never come.
    pub fn hurry(&self) {
        self.inner.is_hurried.store(true, Ordering::Relaxed);
    }

    /// Whether anything is logged at all.
    pub fn is_on(&self) -> bool {
        !matches!(self.inner.target, Target::Off)
    }

    /// When the log was made, in seconds after 1970: a process that is started anew has a greater one.
    pub fn started_s(&self) -> u64 {
        self.started_us() / 1_000_000
    }

    /// The same in microseconds: no two processes that write one log have the same, and JSON's numbers still hold it
    /// exactly.
    pub fn started_us(&self) -> u64 {
        let (_, time_of_day) = self.inner.anchor;
        let since = time_of_day.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Looks up the time of day: it is set now and then, and it goes on while the machine is suspended, when moments do
    /// not. What is logged from here on goes by it; [`Log::started_us`] stays.
    pub fn renew_time_of_day(&self) {
        let (now, time_of_day) = clocks();
        self.set_time_of_day(now, time_of_day);
    }

    /// The same where somebody knows the time of day of this moment.
    pub fn set_time_of_day(&self, now: Instant, time_of_day: SystemTime) {
        let (start, then) = self.inner.anchor;
        let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let shift_us = match time_of_day.duration_since(then + now.saturating_duration_since(start)) {
            Ok(ahead) => us(ahead),
            Err(behind) => -us(behind.duration()),
        };
        self.inner.shift_us.store(shift_us, Ordering::Relaxed);
    }

    /// The time of day of a moment since the log was made.
    pub fn time_of_day(&self, at: Instant) -> SystemTime {
        let (start, then) = self.inner.anchor;
        let at = then + at.saturating_duration_since(start);
        let shift_us = self.inner.shift_us.load(Ordering::Relaxed);
        let shift = Duration::from_micros(shift_us.unsigned_abs());
        if shift_us < 0 { at - shift } else { at + shift }
    }

    /// A writer for one worker.
    pub fn writer(&self) -> LogWriter {
        let queue = match &self.inner.target {
            Target::Queue { readers, .. } => {
                let (writer, reader) = rtrb::RingBuffer::new(self.queue_size);
                lock(readers).push(reader);
                Some(writer)
            }
            Target::Off | Target::Memory(_) => None,
        };
        LogWriter { log: self.clone(), queue, line: String::new() }
    }

    /// The lines of a log in memory so far.
    pub fn lines(&self) -> Vec<String> {
        match &self.inner.target {
            Target::Memory(lines) => lock(lines).clone(),
            Target::Off | Target::Queue { .. } => Vec::new(),
        }
    }

    /// Tells the operator something, unless this log is a test's.
    pub fn notice(&self, text: fmt::Arguments<'_>) {
        if !matches!(self.inner.target, Target::Memory(_)) {
            notice(text);
        }
    }

    /// Counts lines that were taken from the queue and could not be written.
    pub fn lose(&self, lines: u64) {
        self.inner.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// Lines that found the queue full, or could not be written.
    pub fn dropped(&self) -> u64 {
        self.inner.dropped.load(Ordering::Relaxed)
    }

    /// Moves what is waiting behind `out`, whole lines of each worker; false when there was nothing.
    pub fn drain_into(&self, out: &mut Vec<u8>) -> bool {
        let Target::Queue { readers, .. } = &self.inner.target else { return false };
        let before = out.len();
        lock(readers).retain_mut(|reader| {
            let is_abandoned = reader.is_abandoned();
            let ready = reader.slots();
            if let Ok(chunk) = reader.read_chunk(ready) {
                let (first, second) = chunk.as_slices();
                out.extend_from_slice(first);
                out.extend_from_slice(second);
                chunk.commit_all();
            }
            !is_abandoned
        });
        out.len() > before
    }

    /// Makes this thread the one that is woken by [`LogWriter::write`] while it waits in [`Log::wait`].
    pub fn attach_reader(&self) {
        if let Target::Queue { reader, .. } = &self.inner.target {
            *lock(reader) = Some(std::thread::current());
        }
    }

    /// Parks this thread until a line is written, or [`Log::wake_reader`] is called, or a second is over, or spuriously.
    pub fn wait(&self) {
        let Target::Queue { readers, is_asleep, .. } = &self.inner.target else { return };
        is_asleep.store(true, Ordering::SeqCst);
        // A line that was written before the flag was up woke nobody: look once more.
        if lock(readers).iter().all(|reader| reader.slots() == 0) {
            std::thread::park_timeout(WAIT);
        }
        is_asleep.store(false, Ordering::SeqCst);
    }

    /// Ends a wait of the reader.
    pub fn wake_reader(&self) {
        if let Target::Queue { reader, .. } = &self.inner.target
            && let Some(thread) = &*lock(reader)
        {
            thread.unpark();
        }
    }

    fn notify(&self) {
        if let Target::Queue { is_asleep, .. } = &self.inner.target {
            std::sync::atomic::fence(Ordering::SeqCst);
            if is_asleep.load(Ordering::Relaxed) && is_asleep.swap(false, Ordering::SeqCst) {
                self.wake_reader();
            }
        }
    }
}

impl Inner {
    /// Whether a writer that finds its queue full waits for room.
    fn waits(&self) -> bool {
        self.when_full == WhenFull::Wait && !self.is_hurried.load(Ordering::Relaxed)
    }
}

impl LogWriter {
    /// Logs an exchange.
    pub fn write(&mut self, record: &Record<'_>) {
        if !self.log.is_on() {
            return;
        }
        self.line.clear();
        let moments = &record.moments;
        let at = self.log.time_of_day(moments.begun()) + Duration::from_micros(moments.total_us());
        match self.log.inner.format {
            LogFormat::Text => line::write_text(&mut self.line, record, at),
            LogFormat::Json => line::write_json(&mut self.line, record, at),
        }
        self.line.push('\n');
        self.hand_over();
    }

    fn hand_over(&mut self) {
        if let Target::Memory(lines) = &self.log.inner.target {
            lock(lines).push(self.line.trim_end().to_owned());
        }
        let Some(queue) = &mut self.queue else { return };
        let never_fits = self.line.len() > queue.buffer().capacity();
        while queue.slots() < self.line.len() {
            if never_fits || !self.log.inner.waits() {
                self.log.inner.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.log.notify();
            std::thread::sleep(FULL_WAIT);
        }
        let taken = queue.push_entire_slice(self.line.as_bytes());
        debug_assert!(taken.is_ok(), "there was room for the line");
        self.log.notify();
    }
}

/// This moment, and the time of day.
#[expect(clippy::disallowed_methods, reason = "the log's lines show it")]
fn clocks() -> (Instant, SystemTime) {
    (Instant::now(), SystemTime::now())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Moments;
    use crate::telemetry::record::Traffic;
    use std::net::SocketAddr;

    fn record(head: &[u8]) -> Record<'_> {
        let done = Instant::now();
        let mut moments = Moments::new(done - Duration::from_micros(1_412));
        moments.done(done);
        Record {
            moments,
            client: SocketAddr::from(([127, 0, 0, 1], 5555)),
            listener: "web",
            head,
            host: Some(b"a.example"),
            pick: None,
            backend: Some("127.0.0.1:8889"),
            place: Some(0),
            traffic: Traffic { request_body: 0, response_body: 1234, attempts: 2, reused: true },
            status: Some(200),
            failure: None,
        }
    }

    #[test]
    fn a_full_queue_drops_whole_lines_and_counts_them() {
        let log = Log::queued(LogFormat::Json, WhenFull::Drop);
        let mut writer = log.writer();
        let lines = QUEUE_SIZE / 100;
        for _ in 0..lines {
            writer.write(&record(b"GET / HTTP/1.1\r\n\r\n"));
        }
        let mut out = Vec::new();
        assert!(log.drain_into(&mut out));
        assert!(out.len() <= QUEUE_SIZE && out.ends_with(b"}\n"));
        assert_eq!(out.split(|b| *b == b'\n').count() - 1 + log.dropped() as usize, lines);
        assert!(log.dropped() > 0 && !log.drain_into(&mut out));
    }

    #[test]
    fn a_writer_that_waits_loses_nothing_and_the_reader_is_woken() {
        let log = Log::queued(LogFormat::Text, WhenFull::Wait);
        let lines = 3 * QUEUE_SIZE / 100;
        let mut writer = log.writer();
        let reader = std::thread::spawn({
            let log = log.clone();
            move || {
                log.attach_reader();
                let mut out = Vec::new();
                while out.iter().filter(|b| **b == b'\n').count() < lines {
                    while log.drain_into(&mut out) {}
                    log.wait();
                }
            }
        });
        for _ in 0..lines {
            writer.write(&record(b"GET / HTTP/1.1\r\n\r\n"));
        }
        while !reader.is_finished() {
            log.wake_reader();
            std::thread::sleep(Duration::from_millis(1));
        }
        reader.join().unwrap();
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn lines_go_by_the_time_of_day_that_was_set_last() {
        let log = Log::memory();
        let (started_us, now) = (log.started_us(), Instant::now());
        let mut writer = log.writer();
        for hours in [400_000, 200_000] {
            log.set_time_of_day(now, SystemTime::UNIX_EPOCH + Duration::from_hours(hours));
            writer.write(&record(b"GET / HTTP/1.1\r\n\r\n"));
        }
        let lines = log.lines();
        assert!(
            lines[0].starts_with("2015-08-19T16:") && lines[1].starts_with("1992-10-25T08:"),
            "{lines:?}"
        );
        assert_eq!(log.started_us(), started_us, "cycles are still numbered from there");
        log.renew_time_of_day();
        assert!(log.time_of_day(now) > SystemTime::UNIX_EPOCH + Duration::from_hours(400_000));
    }

    #[test]
    fn a_queue_is_as_large_as_its_log_says() {
        let log = Log::queued(LogFormat::Text, WhenFull::Wait).with_queue(256);
        let mut writer = log.writer();
        writer.write(&record(b"GET / HTTP/1.1\r\n\r\n"));
        writer.write(&record(&[b'x'; 300]));
        assert_eq!(log.dropped(), 1, "a line that never fits is not waited for");
        let mut out = Vec::new();
        assert!(log.drain_into(&mut out) && out.len() < 256);
    }

    #[test]
    fn a_writer_that_waits_for_nobody_ends_when_it_is_hurried() {
        let log = Log::queued(LogFormat::Text, WhenFull::Wait).with_queue(256);
        let mut writer = log.writer();
        let waiting = std::thread::spawn(move || {
            (0..10).for_each(|_| writer.write(&record(b"GET / HTTP/1.1\r\n\r\n")))
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        log.hurry();
        waiting.join().unwrap();
        assert!(log.dropped() > 0);
    }
}
