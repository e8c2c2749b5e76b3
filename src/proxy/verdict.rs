//! What follows from a failure: an answer, another attempt, or a cut. One pure function decides.

use super::failure::{Cause, Failure, Side, Stage};
use crate::http1;
use crate::upstream::retry::AttemptState;

/// How far the exchange had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The attempt that failed.
    pub attempt: AttemptState,
    /// The head of a final response, or a part of it, has gone to the client.
    pub answered: bool,
    /// There is a backend that was not tried yet, and time left to try it.
    pub another_left: bool,
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Answer with this status.
    Answer(u16),
    /// Connect to another backend.
    TryAnother,
    /// Send the request again, to the same backend on a new connection.
    SendAgain,
    /// End the client's connection so that nobody takes half a message for a whole one.
    Cut,
}

/// Decides what follows from a failure.
pub fn verdict(failure: Failure, progress: Progress) -> Verdict {
    if progress.answered {
        return Verdict::Cut;
    }
    match failure.side {
        Side::Client => client_verdict(failure.cause),
        Side::Proxy => Verdict::Answer(match (failure.stage, failure.cause) {
            (Stage::Route, Cause::NoRoute) => 404,
            (_, Cause::TimedOut) => 504,
            _ => 503,
        }),
        Side::Backend if failure.stage == Stage::Connect && progress.another_left => Verdict::TryAnother,
        Side::Backend if is_stale(failure) && progress.attempt.may_retry() => Verdict::SendAgain,
        Side::Backend if failure.cause == Cause::TimedOut => Verdict::Answer(504),
        Side::Backend => Verdict::Answer(502),
    }
}

fn client_verdict(cause: Cause) -> Verdict {
    match cause {
        Cause::Violation(violation) => Verdict::Answer(violation.status(http1::Side::Client)),
        Cause::TimedOut => Verdict::Answer(408),
        _ => Verdict::Cut,
    }
}

/// A connection that ended before a byte of the response came, as one does that was closed while it was idle.
fn is_stale(failure: Failure) -> bool {
    matches!(failure.stage, Stage::RequestHead | Stage::RequestBody | Stage::ResponseHead)
        && matches!(failure.cause, Cause::Closed | Cause::Reset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Violation;

    const FRESH: Progress = Progress {
        attempt: AttemptState {
            reused: false,
            response_begun: false,
            body_consumed: false,
            idempotent: true,
            request_sent: true,
            retried: false,
        },
        answered: false,
        another_left: true,
    };

    fn reused(progress: Progress) -> Progress {
        Progress { attempt: AttemptState { reused: true, ..progress.attempt }, ..progress }
    }

    #[test]
    fn whatever_fails_after_the_answer_began_is_cut() {
        let answered = Progress { answered: true, ..FRESH };
        for cause in [Cause::TimedOut, Cause::Reset, Cause::Violation(Violation::BareLf)] {
            assert_eq!(verdict(Failure::backend(Stage::ResponseBody, cause), answered), Verdict::Cut);
            assert_eq!(verdict(Failure::client(Stage::RequestBody, cause), answered), Verdict::Cut);
        }
    }

    #[test]
    fn a_client_is_told_what_it_did_unless_it_has_left() {
        let of = |cause| verdict(Failure::client(Stage::RequestHead, cause), FRESH);
        assert_eq!(of(Cause::Violation(Violation::BareLf)), Verdict::Answer(400));
        assert_eq!(of(Cause::TimedOut), Verdict::Answer(408));
        assert_eq!(of(Cause::Reset), Verdict::Cut);
        assert_eq!(of(Cause::Closed), Verdict::Cut);
    }

    #[test]
    fn a_failed_connect_goes_to_another_backend_while_there_is_one() {
        let of = |cause, progress| verdict(Failure::backend(Stage::Connect, cause), progress);
        let last = Progress { another_left: false, ..FRESH };
        assert_eq!(of(Cause::Refused, FRESH), Verdict::TryAnother);
        assert_eq!(of(Cause::Refused, last), Verdict::Answer(502));
        assert_eq!(of(Cause::TimedOut, last), Verdict::Answer(504));
    }

    #[test]
    fn only_a_stale_connection_is_a_reason_to_send_again() {
        let of = |stage, cause, progress| verdict(Failure::backend(stage, cause), progress);
        assert_eq!(of(Stage::ResponseHead, Cause::Closed, reused(FRESH)), Verdict::SendAgain);
        assert_eq!(of(Stage::RequestHead, Cause::Reset, reused(FRESH)), Verdict::SendAgain);
        assert_eq!(of(Stage::ResponseHead, Cause::Closed, FRESH), Verdict::Answer(502));
        assert_eq!(of(Stage::ResponseHead, Cause::TimedOut, reused(FRESH)), Verdict::Answer(504));
        let violation = Cause::Violation(Violation::BareLf);
        assert_eq!(of(Stage::ResponseHead, violation, reused(FRESH)), Verdict::Answer(502));
    }

    #[test]
    fn no_route_is_404_and_a_limit_503() {
        assert_eq!(verdict(Failure::proxy(Stage::Route, Cause::NoRoute), FRESH), Verdict::Answer(404));
        assert_eq!(verdict(Failure::proxy(Stage::Accept, Cause::Limit), FRESH), Verdict::Answer(503));
    }
}
