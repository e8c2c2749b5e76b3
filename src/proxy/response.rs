//! The backend's side of an exchange: interim responses, the final head, its body, or a tunnel.

use super::attempt::Attempt;
use super::body::Body;
use super::failure::{Cause, Failure, Stage};
use super::head::{self, NoHead};
use super::http::Next;
use super::reading::{self, Reading};
use super::relay::{Broken, Direction};
use super::tunnel;
use crate::http1::{HeadScanner, Violation};
use crate::runtime::{Batch, Runtime, Stream};
use crate::telemetry::Moments;

/// Interim responses that are passed on in one exchange.
const INTERIM_LIMIT: usize = 16;

/// Reads the response and relays it to the client.
///
/// # Errors
/// What went wrong, with [`super::tally::Tally::is_answered`] telling whether the client has seen anything of it.
pub(super) async fn relay<R: Runtime>(attempt: &Attempt<'_, R>) -> Result<Next, Failure> {
    for _ in 0..INTERIM_LIMIT {
        let mut reading = reading::read(attempt, &read_head(attempt).await?).map_err(violated)?;
        match &mut reading {
            Reading::Interim(batch) => pass_on(attempt, batch).await?,
            Reading::Switching(batch) => {
                attempt.has_response.set(true);
                attempt.exchange.tally.mark(attempt.runtime(), Moments::answered);
                pass_on(attempt, batch).await?;
                return open_tunnel(attempt).await;
            }
            Reading::Final(response) => {
                attempt.has_response.set(true);
                relay_final(attempt, &mut response.head, &mut response.body).await?;
                attempt.can_reuse.set(response.may_reuse_backend);
                return Ok(if response.keeps_client { Next::KeepAlive } else { Next::Close });
            }
        }
    }
    Err(Failure::backend(Stage::ResponseHead, Cause::Limit))
}

fn violated(violation: Violation) -> Failure {
    Failure::backend(Stage::ResponseHead, Cause::Violation(violation))
}

async fn read_head<R: Runtime>(attempt: &Attempt<'_, R>) -> Result<head::Head, Failure> {
    let scanner = HeadScanner::for_response(&attempt.exchange.connection.head_limits());
    let begins = || attempt.exchange.tally.mark(attempt.runtime(), Moments::first_byte);
    let read = head::read(&attempt.stream, scanner, || attempt.response_by.get(), begins).await;
    let (cause, begun) = match read {
        Ok(head) => {
            if matches!(head, head::Head::Gathered(_)) {
                attempt.exchange.tally.mark(attempt.runtime(), Moments::responded);
            }
            attempt.exchange.tally.note(|attempt| attempt.response_begun = true);
            return Ok(head);
        }
        Err(NoHead::Nothing) => (Cause::Closed, false),
        Err(NoHead::Failed(cause, count)) => (cause, count > 0),
    };
    attempt.exchange.tally.note(|attempt| attempt.response_begun |= begun);
    Err(Failure::backend(Stage::ResponseHead, cause))
}

/// Sends an interim response, or the head of the tunnel.
async fn pass_on<R: Runtime>(attempt: &Attempt<'_, R>, batch: &mut Batch) -> Result<(), Failure> {
    if batch.is_empty() {
        return Ok(());
    }
    let sent = attempt.client().send(batch.take(), attempt.runtime().now() + attempt.timeouts().body).await;
    sent.map_err(|error| {
        // A part of it may have gone: nothing can follow.
        attempt.exchange.tally.mark(attempt.runtime(), Moments::answered);
        Failure::client(Stage::ResponseHead, Cause::from(&error))
    })
}

async fn relay_final<R: Runtime>(
    attempt: &Attempt<'_, R>,
    head: &mut Batch,
    body: &mut Body,
) -> Result<(), Failure> {
    let tally = attempt.exchange.tally;
    let direction = Direction {
        runtime: attempt.runtime(),
        from: &attempt.stream,
        to: attempt.client(),
        idle: attempt.timeouts().body,
        moved: &tally.response_body,
        answers: Some(tally),
    };
    direction.relay(body, head).await.map_err(|broken| match broken {
        Broken::From(cause) => Failure::backend(Stage::ResponseBody, cause),
        Broken::To(cause) => Failure::client(Stage::ResponseBody, cause),
    })?;
    tally.mark(attempt.runtime(), Moments::done);
    Ok(())
}

async fn open_tunnel<R: Runtime>(attempt: &Attempt<'_, R>) -> Result<Next, Failure> {
    let tally = attempt.exchange.tally;
    let moved = [&tally.request_body, &tally.response_body];
    let tunnel = tunnel::run::<R>(attempt.client(), &attempt.stream, attempt.timeouts().tunnel, moved);
    // Few connections become tunnels: the others do not carry the room for it.
    Box::pin(tunnel).await?;
    Ok(Next::Close)
}
