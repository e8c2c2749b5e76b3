//! Ringway's own answers: what it says when it has nothing to relay.

use super::failure::{Cause, Failure, Side, Stage};
use super::http::{Connection, Next};
use super::plan::Manner;
use super::tally::Tally;
use super::verdict::{Progress, Verdict, verdict};
use crate::http1::{Reply, write_reply};
use crate::runtime::{Batch, Runtime, Stream};
use crate::telemetry::Moments;

/// When a client that met the limit of connections should try again.
const RETRY_AFTER_S: u32 = 1;

/// An answer that is written and was not sent yet.
pub(super) struct Answer {
    bytes: Batch,
    status: u16,
    body_len: u64,
    next: Next,
}

impl Answer {
    /// Writes an answer; no client stays while the worker drains.
    pub(super) fn write<R: Runtime>(connection: &Connection<R>, manner: Manner, reply: Reply<'_>) -> Self {
        let keeps_client = reply.keeps_client && !connection.runtime().is_draining();
        let reply = Reply { keeps_client, ..reply };
        let mut bytes = Batch::new(connection.runtime().pool());
        write_reply(&mut bytes, &reply);
        let next = match keeps_client {
            true => Next::KeepAlive,
            false if manner.is_whole => Next::Close,
            false => Next::Linger,
        };
        Self { bytes, status: reply.status, body_len: reply.body_len(), next }
    }

    /// Writes what a failure is answered with.
    fn explaining<R: Runtime>(
        connection: &Connection<R>,
        tally: &Tally,
        failure: Failure,
        (status, manner): (u16, Manner),
    ) -> Self {
        let text = explain(connection, tally, failure);
        let retry_after_s = (status == 503).then_some(RETRY_AFTER_S);
        Self::write(connection, manner, Reply { retry_after_s, ..manner.reply(status, &text) })
    }
}

/// Carries out the verdict on a failure after which no attempt follows: an answer, or a cut.
pub(super) async fn settle<R: Runtime>(
    connection: &Connection<R>,
    tally: &Tally,
    failure: Failure,
    manner: Manner,
) -> Next {
    tally.fail(failure);
    let progress = Progress { attempt: tally.attempt(), answered: tally.is_answered(), another_left: false };
    let Verdict::Answer(status) = verdict(failure, progress) else { return Next::Cut };
    give(connection, tally, &mut Answer::explaining(connection, tally, failure, (status, manner))).await
}

/// Answers a connection that has no request that could be understood, and leaves a record of it.
pub(super) async fn refuse<R: Runtime>(connection: &Connection<R>, tally: &Tally, failure: Failure) -> Next {
    let next = settle(connection, tally, failure, Manner::UNKNOWN).await;
    tally.record(connection, None);
    next
}

/// Sends an answer that is written already.
pub(super) async fn give<R: Runtime>(connection: &Connection<R>, tally: &Tally, answer: &mut Answer) -> Next {
    tally.mark(connection.runtime(), Moments::answered_instead);
    tally.status.set(Some(answer.status));
    let by = connection.runtime().now() + connection.listener().timeouts.body;
    match connection.client.send(answer.bytes.take(), by).await {
        Ok(()) => {
            tally.mark(connection.runtime(), Moments::done);
            tally.response_body.set(answer.body_len);
            answer.next
        }
        Err(error) => {
            tally.fail(Failure::client(Stage::ResponseHead, Cause::from(&error)));
            Next::Cut
        }
    }
}

/// A sentence for people and the failure's label for the log.
fn explain<R: Runtime>(connection: &Connection<R>, tally: &Tally, failure: Failure) -> String {
    let upstream = tally.upstream().map_or("", |id| &connection.worker.shared.upstream(id).name);
    let what = match (failure.side, failure.stage, failure.cause) {
        (Side::Backend, Stage::Connect, _) => {
            format!("No backend of upstream \"{upstream}\" can be reached.")
        }
        (Side::Backend, _, Cause::TimedOut) => {
            format!("A backend of upstream \"{upstream}\" took too long to answer.")
        }
        (Side::Backend, ..) => format!("A backend of upstream \"{upstream}\" gave no valid answer."),
        (Side::Proxy, _, Cause::NoRoute) => "No route leads from this host and path.".to_owned(),
        (Side::Proxy, Stage::Connect, _) => "The proxy has run out of connections to backends.".to_owned(),
        (Side::Proxy, ..) => "The proxy is at the limit of its connections.".to_owned(),
        (Side::Client, _, Cause::TimedOut) => "The request took too long to arrive.".to_owned(),
        (Side::Client, ..) => "The request breaks a rule of HTTP/1.1 or a limit of this proxy.".to_owned(),
    };
    format!("{what} ({failure})")
}
