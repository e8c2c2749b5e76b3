//! One direction of a simulated connection: bytes on their way, and how they end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::faults::Ending;
use crate::runtime::executor::TaskId;

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Pipe {
    segments: VecDeque<Segment>,
    /// Bytes sent and not read.
    queued: usize,
    /// Bytes sent so far, also those that were lost.
    sent: u64,
    /// Nothing arrives before what was sent before it.
    last_arrival: Instant,
    end: Option<(Ending, Instant)>,
    pub(super) receiver: Receiver,
    /// Who waits for bytes.
    pub(super) recv_task: Option<TaskId>,
    /// Who waits for room.
    pub(super) send_task: Option<TaskId>,
    /// From this position on, bytes arrive so much later, and not in one read with those before.
    pub(super) cut: Option<(u64, Duration)>,
    /// At this position it ends.
    pub(super) end_at: Option<(u64, Ending)>,
}

#[derive(Debug)]
struct Segment {
    bytes: Vec<u8>,
    taken: usize,
    arrives: Instant,
    /// Never lent together with the bytes before.
    is_apart: bool,
}

/// Whether somebody takes the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// Yes.
    Open,
    /// The receiver has closed; the next bytes are lost and answered with a reset.
    Closed,
    /// The reset has come: sending fails.
    Refusing,
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Bytes.
    Bytes,
    /// The end.
    End(Ending),
    /// Nothing until then.
    Later(Instant),
    /// Nothing.
    Nothing,
}

impl Pipe {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            segments: VecDeque::new(),
            queued: 0,
            sent: 0,
            last_arrival: now,
            end: None,
            receiver: Receiver::Open,
            recv_task: None,
            send_task: None,
            cut: None,
            end_at: None,
        }
    }

    /// Bytes sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes sent and not read.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Sends bytes that arrive at `arrives` at the earliest; what comes after the end is lost.
    pub(super) fn put(&mut self, mut bytes: &[u8], arrives: Instant) {
        if let Some((at, ending)) = self.end_at
            && at <= self.sent + bytes.len() as u64
        {
            let kept = at.saturating_sub(self.sent) as usize;
            self.put_cut(&bytes[..kept], arrives);
            self.finish(ending, arrives);
            bytes = &bytes[kept..];
        }
        self.put_cut(bytes, arrives);
    }

    fn put_cut(&mut self, bytes: &[u8], arrives: Instant) {
        let before = match self.cut {
            Some((at, _)) => bytes.len().min(at.saturating_sub(self.sent) as usize),
            None => bytes.len(),
        };
        let (first, second) = bytes.split_at(before);
        self.put_segment(first, arrives, false);
        if let Some((_, pause)) = self.cut {
            self.put_segment(second, arrives + pause, true);
        }
    }

    fn put_segment(&mut self, bytes: &[u8], arrives: Instant, is_behind_cut: bool) {
        if bytes.is_empty() {
            return;
        }
        let is_apart = is_behind_cut && self.cut.is_some_and(|(at, _)| at == self.sent);
        self.sent += bytes.len() as u64;
        if self.end.is_none() {
            self.queued += bytes.len();
            self.last_arrival = self.last_arrival.max(arrives);
            let arrives = self.last_arrival;
            self.segments.push_back(Segment { bytes: bytes.to_vec(), taken: 0, arrives, is_apart });
        }
    }

    /// Ends it, if it has not ended: the end arrives after all bytes.
    pub(super) fn finish(&mut self, ending: Ending, arrives: Instant) {
        let is_paused = self.cut.is_some_and(|(at, _)| at <= self.sent) && ending == Ending::Fin;
        let pause = self.cut.filter(|_| is_paused).map_or(Duration::ZERO, |(_, pause)| pause);
        let arrives = self.last_arrival.max(arrives + pause);
        self.end.get_or_insert((ending, arrives));
    }

    /// Loses what was not read yet.
    pub(super) fn erase(&mut self) {
        self.segments.clear();
        self.queued = 0;
    }

    /// What a reader finds now.
    pub(super) fn look(&self, now: Instant) -> Look {
        match (self.segments.front(), self.end) {
            (Some(segment), _) if segment.arrives <= now => Look::Bytes,
            (Some(segment), _) => Look::Later(segment.arrives),
            (None, Some((ending, arrives))) if arrives <= now => Look::End(ending),
            (None, Some((_, arrives))) => Look::Later(arrives),
            (None, None) => Look::Nothing,
        }
    }

    /// Takes bytes that have arrived, and says how many.
    pub(super) fn take(&mut self, now: Instant, into: &mut [u8]) -> usize {
        let mut count = 0;
        while let Some(segment) = self.segments.front_mut()
            && segment.arrives <= now
            && count < into.len()
            && !(segment.is_apart && segment.taken == 0 && count > 0)
        {
            let part = (segment.bytes.len() - segment.taken).min(into.len() - count);
            into[count..count + part].copy_from_slice(&segment.bytes[segment.taken..][..part]);
            segment.taken += part;
            count += part;
            if segment.taken == segment.bytes.len() {
                self.segments.pop_front();
            }
        }
        self.queued -= count;
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn read(pipe: &mut Pipe, now: Instant) -> Vec<u8> {
        let mut into = [0; 64];
        let count = pipe.take(now, &mut into);
        into[..count].to_vec()
    }

    #[test]
    fn bytes_arrive_in_order_and_then_the_end() {
        let now = Instant::now();
        let mut pipe = Pipe::new(now);
        pipe.put(b"late", now + 5 * MS);
        pipe.put(b"early", now);
        pipe.finish(Ending::Fin, now);
        assert_eq!(pipe.look(now), Look::Later(now + 5 * MS));
        assert_eq!(read(&mut pipe, now + 5 * MS), b"lateearly");
        assert_eq!(pipe.look(now + 5 * MS), Look::End(Ending::Fin));
        assert_eq!((pipe.queued(), pipe.sent()), (0, 9));
    }

    #[test]
    fn a_cut_separates_reads_wherever_it_falls() {
        for at in 0..=8 {
            let now = Instant::now();
            let mut pipe = Pipe::new(now);
            pipe.cut = Some((at, MS));
            pipe.put(b"half", now);
            pipe.put(b"full", now);
            pipe.finish(Ending::Fin, now);
            assert_eq!(read(&mut pipe, now), b"halffull"[..at as usize], "cut at {at}");
            assert!(matches!(pipe.look(now), Look::Later(_)), "cut at {at}");
            assert_eq!(read(&mut pipe, now + MS), b"halffull"[at as usize..], "cut at {at}");
            assert_eq!(pipe.look(now + MS), Look::End(Ending::Fin));
        }
    }

    #[test]
    fn an_end_at_a_place_loses_the_rest() {
        for (at, ending) in [(0, Ending::Rst), (3, Ending::Fin), (4, Ending::Fin), (8, Ending::Rst)] {
            let now = Instant::now();
            let mut pipe = Pipe::new(now);
            pipe.end_at = Some((at, ending));
            pipe.put(b"half", now);
            pipe.put(b"full", now);
            assert_eq!(read(&mut pipe, now), b"halffull"[..at as usize], "end at {at}");
            assert_eq!(pipe.look(now), Look::End(ending));
            assert_eq!(pipe.sent(), 8);
        }
    }
}
