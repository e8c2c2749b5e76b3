//! When what happened in one exchange, and the disjoint phases between: they sum to the whole, to the microsecond.

use std::time::Instant;

/// Moments of one exchange, as microseconds after its begin, rounded down. So the differences of any of them add up.
///
/// What each phase means is drawn in `docs/metrics.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// The first bytes of the request's head were there.
    begun: Instant,
    head_read: Moment,
    /// The attempt that runs asked the kernel for a connection, or, over a reused one, to take the request.
    attempted: Moment,
    /// The request's head was handed to the kernel.
    submitted: Moment,
    /// The kernel had taken the whole request.
    sent: Moment,
    /// The first byte of the final response was there.
    first_byte: Moment,
    /// All of its head was.
    responded: Moment,
    /// The head of the response, or of an answer of our own, was handed to the kernel.
    answered: Moment,
    done: Moment,
    queue_us: u64,
    connect_us: u64,
}

/// A moment of an exchange: microseconds after its begin, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment(u64);

/// The parts of an exchange, one after the other, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// From the first byte of the request's head to its last.
    pub head: u64,
    /// Waiting, and nothing else: attempts that failed before the last one, at whichever backend, and pauses between.
    pub queue: u64,
    /// The last attempt's connect; 0 over a reused connection.
    pub connect: u64,
    /// The rest of the time until the kernel had taken the whole request, as far as we had learned of that, or the
    /// response began before that.
    pub request: u64,
    /// From there to the first byte of the final response, or of the answer that we gave in its place.
    pub first_byte: u64,
    /// From there to the last byte of the response that the kernel took: waiting for what the backend has not sent yet,
    /// and for a client that does not read.
    pub response: u64,
}

impl Moment {
    const NEVER: Self = Self(u64::MAX);

    fn us(self) -> Option<u64> {
        (self != Self::NEVER).then_some(self.0)
    }

    fn or(self, other: Self) -> Self {
        if self == Self::NEVER { other } else { self }
    }
}

impl Moments {
    /// An exchange begins: the first bytes of its request are there.
    pub fn new(begun: Instant) -> Self {
        Self {
            begun,
            head_read: Moment::NEVER,
            attempted: Moment::NEVER,
            submitted: Moment::NEVER,
            sent: Moment::NEVER,
            first_byte: Moment::NEVER,
            responded: Moment::NEVER,
            answered: Moment::NEVER,
            done: Moment::NEVER,
            queue_us: 0,
            connect_us: 0,
        }
    }

    fn at(&self, now: Instant) -> Moment {
        let us = now.saturating_duration_since(self.begun).as_micros();
        Moment(u64::try_from(us).unwrap_or(u64::MAX - 1))
    }

    /// The whole head of the request was there when the exchange began: it took no time to come.
    pub fn head_came_whole(&mut self) {
        self.head_read = Moment(0);
    }

    /// The whole head of the request, which came in several pieces, is there.
    pub fn head_read(&mut self, now: Instant) {
        self.head_read = self.at(now);
    }

    /// A connection is asked for.
    pub fn connecting(&mut self, now: Instant) {
        self.attempted = self.at(now);
    }

    /// The connection that was asked for is there, or it will never be.
    pub fn connected(&mut self, now: Instant) {
        self.connect_us = self.since_attempted(now);
    }

    /// The attempt is given up, and another one follows: all of it was waiting.
    pub fn waited(&mut self, now: Instant) {
        self.queue_us += self.since_attempted(now);
        self.connect_us = 0;
        (self.attempted, self.submitted) = (Moment::NEVER, Moment::NEVER);
        (self.sent, self.first_byte, self.responded) = (Moment::NEVER, Moment::NEVER, Moment::NEVER);
    }

    fn since_attempted(&self, now: Instant) -> u64 {
        self.attempted.us().map_or(0, |attempted| self.at(now).0 - attempted)
    }

    /// The request's head is handed to the kernel.
    pub fn submitted(&mut self, now: Instant) {
        self.submitted = self.at(now);
        self.attempted = self.attempted.or(self.submitted);
    }

    /// The kernel has taken the whole request.
    pub fn sent(&mut self, now: Instant) {
        self.sent = self.at(now);
    }

    /// The first byte of a response is there, and mostly all of its head; of several, such as interim ones, the last one
    /// counts.
    pub fn first_byte(&mut self, now: Instant) {
        self.first_byte = self.at(now);
        self.responded = self.first_byte;
    }

    /// The head of the response, which came in several pieces, is there.
    pub fn responded(&mut self, now: Instant) {
        self.responded = self.at(now);
    }

    /// The head of the response is handed to the kernel.
    pub fn answered(&mut self, now: Instant) {
        self.answered = self.answered.or(self.at(now));
    }

    /// The head of an answer of our own is handed to the kernel, in the place of a response: what had come of one, such
    /// as an interim one or a part of its head, does not count.
    pub fn answered_instead(&mut self, now: Instant) {
        (self.first_byte, self.responded) = (Moment::NEVER, Moment::NEVER);
        self.answered(now);
    }

    /// Whether anything of a response, or of an answer of our own, was handed to the kernel.
    pub fn is_answered(&self) -> bool {
        self.answered != Moment::NEVER
    }

    /// The kernel has taken the last byte of the response. What comes later, such as the rest of a request that was
    /// answered early, is no part of the exchange.
    pub fn done(&mut self, now: Instant) {
        self.done = self.done.or(self.at(now));
    }

    /// Whether [`Moments::done`] is known.
    pub fn is_done(&self) -> bool {
        self.done != Moment::NEVER
    }

    /// When the exchange began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// From the first byte of the request to the last byte of the response, in microseconds.
    pub fn total_us(&self) -> u64 {
        self.done.us().unwrap_or_default()
    }

    /// The phases. They sum to [`Moments::total_us`].
    pub fn phases(&self) -> Phases {
        let done = self.total_us();
        let within = |moment: Moment, from: u64| moment.us().unwrap_or(done).clamp(from, done);
        let head = within(self.head_read.or(self.answered), 0);
        if self.attempted == Moment::NEVER && self.queue_us == 0 {
            return Phases { head, response: done - head, ..Phases::default() };
        }
        let responded = within(self.first_byte.or(self.answered), head);
        let queue = self.queue_us.min(responded - head);
        let connect = self.connect_us.min(responded - head - queue);
        let begun = head + queue + connect;
        let sent = self.sent.us().map_or(responded, |sent| sent.clamp(begun, responded));
        Phases {
            head,
            queue,
            connect,
            request: sent - begun,
            first_byte: responded - sent,
            response: done - responded,
        }
    }

    /// Time that the proxy itself has added, in microseconds: from the head read to the request submitted, less queue
    /// and connect, and from the response's head read to its head submitted.
    pub fn added_us(&self) -> u64 {
        let (done, phases) = (self.total_us(), self.phases());
        let before = self.submitted.or(self.answered).us().unwrap_or(done);
        let after = self.responded.us().zip(self.answered.us());
        before.saturating_sub(phases.head + phases.queue + phases.connect)
            + after.map_or(0, |(responded, answered)| answered.saturating_sub(responded))
    }
}

impl Phases {
    /// Their names, as the log and the metrics have them, in their order.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("head", self.head),
            ("queue", self.queue),
            ("connect", self.connect),
            ("request", self.request),
            ("first-byte", self.first_byte),
            ("response", self.response),
        ]
    }

    /// All of them together.
    pub fn sum(&self) -> u64 {
        self.head + self.queue + self.connect + self.request + self.first_byte + self.response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// What happens, and how many tenths of a microsecond after the begin.
    type Step = (fn(&mut Moments, Instant), u64);

    /// Moments at so many tenths of a microsecond after the begin: rounding must not break the sum.
    fn moments(course: &[Step]) -> Moments {
        let begun = Instant::now();
        let mut moments = Moments::new(begun);
        for (step, tenths) in course {
            step(&mut moments, begun + Duration::from_nanos(tenths * 100));
        }
        assert_eq!(moments.phases().sum(), moments.total_us(), "{moments:?}");
        moments
    }

    #[test]
    fn a_reused_connection_has_neither_queue_nor_connect() {
        let moments = moments(&[
            (Moments::head_read, 59),
            (Moments::submitted, 121),
            (Moments::sent, 309),
            (Moments::first_byte, 8_007),
            (Moments::answered, 8_210),
            (Moments::done, 9_199),
        ]);
        let phases = Phases { head: 5, queue: 0, connect: 0, request: 25, first_byte: 770, response: 119 };
        assert_eq!((moments.phases(), moments.total_us()), (phases, 919));
        assert_eq!(moments.added_us(), (12 - 5) + (821 - 800));
    }

    #[test]
    fn attempts_that_failed_are_queue_and_only_the_last_connect_counts() {
        let moments = moments(&[
            (Moments::head_read, 100),
            (Moments::connecting, 200),
            (Moments::connected, 1_200),
            (Moments::waited, 1_300),
            (Moments::connecting, 1_400),
            (Moments::connected, 1_900),
            (Moments::submitted, 2_000),
            (Moments::sent, 2_100),
            (Moments::first_byte, 3_000),
            (Moments::answered, 3_100),
            (Moments::done, 3_200),
        ]);
        let phases = Phases { head: 10, queue: 110, connect: 50, request: 40, first_byte: 90, response: 20 };
        assert_eq!(moments.phases(), phases);
        assert_eq!(moments.added_us(), 10 + 10 + 10 + 10, "around two connects, and before the answer");
    }

    #[test]
    fn a_response_that_begins_before_the_request_is_sent_ends_the_request() {
        let moments = moments(&[
            (Moments::head_read, 100),
            (Moments::submitted, 200),
            (Moments::first_byte, 300),
            (Moments::answered, 350),
            (Moments::sent, 900),
            (Moments::done, 800),
        ]);
        let phases = Phases { head: 10, request: 20, first_byte: 0, response: 50, ..Phases::default() };
        assert_eq!(moments.phases(), phases);
    }

    #[test]
    fn an_answer_of_our_own_without_an_attempt_is_head_and_response() {
        let course: &[Step] = &[(Moments::head_read, 100), (Moments::answered, 150), (Moments::done, 300)];
        let refused = moments(course);
        assert_eq!(refused.phases(), Phases { head: 10, response: 20, ..Phases::default() });
        assert_eq!(refused.added_us(), 5);
        let late = moments(&[(Moments::answered, 1_000), (Moments::done, 1_100)]);
        assert_eq!(late.phases(), Phases { head: 100, response: 10, ..Phases::default() });
    }

    #[test]
    fn an_answer_in_the_place_of_the_backends_ends_the_wait_for_it() {
        let late = moments(&[
            (Moments::head_read, 100),
            (Moments::submitted, 200),
            (Moments::sent, 300),
            (Moments::answered, 5_000),
            (Moments::done, 5_100),
        ]);
        let phases = Phases { head: 10, request: 20, first_byte: 470, response: 10, ..Phases::default() };
        assert_eq!(late.phases(), phases);
        let unreachable = moments(&[
            (Moments::head_read, 100),
            (Moments::connecting, 200),
            (Moments::connected, 900),
            (Moments::answered, 1_000),
            (Moments::done, 1_100),
        ]);
        let phases = Phases { head: 10, connect: 70, request: 20, response: 10, ..Phases::default() };
        assert_eq!((unreachable.phases(), unreachable.added_us()), (phases, 20));
    }

    #[test]
    fn what_came_of_a_response_that_we_replace_is_no_time_of_ours() {
        let stalled = moments(&[
            (Moments::head_read, 100),
            (Moments::submitted, 200),
            (Moments::sent, 300),
            (Moments::first_byte, 400),
            (Moments::answered_instead, 9_000),
            (Moments::done, 9_100),
        ]);
        let phases = Phases { head: 10, request: 20, first_byte: 870, response: 10, ..Phases::default() };
        assert_eq!((stalled.phases(), stalled.added_us()), (phases, 10));
    }

    #[test]
    fn what_ends_anywhere_still_sums_to_its_total() {
        let course: [Step; 9] = [
            (Moments::head_read, 101),
            (Moments::connecting, 209),
            (Moments::waited, 388),
            (Moments::connecting, 401),
            (Moments::connected, 555),
            (Moments::submitted, 667),
            (Moments::sent, 701),
            (Moments::first_byte, 888),
            (Moments::answered, 999),
        ];
        for end in 0..=course.len() {
            let mut cut = course[..end].to_vec();
            cut.push((Moments::done, 1_007));
            moments(&cut);
        }
    }
}
