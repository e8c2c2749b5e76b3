//! Ringway's own answers: what it says when it has nothing to relay.

use super::failure::{Cause, Failure, Side, Stage};
use super::http::{Connection, Next};
use super::tally::Tally;
use super::verdict::{Progress, Verdict, verdict};
use crate::http1::{Reply, Version, write_reply};
use crate::runtime::{Batch, Runtime, Stream};

/// When a client that met the limit of connections should try again.
const RETRY_AFTER_S: u32 = 1;

/// How a client has to be answered, as far as its request was understood.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) version: Version,
    pub(super) is_head: bool,
    /// The client's connection is fit for another request: nothing of this one is left unread.
    pub(super) can_go_on: bool,
}

/// An answer that is written and was not sent yet.
pub(super) struct Answer {
    bytes: Batch,
    status: u16,
    body_len: u64,
    keeps_client: bool,
}

impl Manner {
    /// For a request that was not understood.
    pub(super) const UNKNOWN: Self = Self { version: Version::Http11, is_head: false, can_go_on: false };
}

impl Answer {
    pub(super) fn write<R: Runtime>(connection: &Connection<R>, reply: &Reply<'_>) -> Self {
        let mut bytes = Batch::new(connection.runtime().pool());
        write_reply(&mut bytes, reply);
        Self { bytes, status: reply.status, body_len: reply.body_len(), keeps_client: reply.keeps_client }
    }
}

/// A reply in this manner.
pub(super) fn reply<'a, R: Runtime>(
    connection: &Connection<R>,
    manner: Manner,
    status: u16,
    text: &'a str,
) -> Reply<'a> {
    Reply {
        status,
        text,
        client: manner.version,
        keeps_client: manner.can_go_on && !connection.runtime().is_draining(),
        is_head: manner.is_head,
        retry_after_s: (status == 503).then_some(RETRY_AFTER_S),
        add_slash: None,
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
    let progress = Progress { attempt: tally.attempt(), answered: tally.answered.get(), another_left: false };
    let Verdict::Answer(status) = verdict(failure, progress) else { return Next::Cut };
    let answer = {
        let text = explain(connection, tally, failure);
        Answer::write(connection, &reply(connection, manner, status, &text))
    };
    give(connection, tally, answer).await
}

/// Answers a connection that has no request that could be understood, and leaves a record of it.
pub(super) async fn refuse<R: Runtime>(connection: &Connection<R>, failure: Failure) -> Next {
    let tally = Tally::default();
    let begun = connection.runtime().clock();
    let next = settle(connection, &tally, failure, Manner::UNKNOWN).await;
    tally.record(connection, None, begun);
    next
}

/// Sends an answer that is written already.
pub(super) async fn give<R: Runtime>(connection: &Connection<R>, tally: &Tally, answer: Answer) -> Next {
    tally.answered.set(true);
    tally.status.set(Some(answer.status));
    let by = connection.runtime().now() + connection.listener().timeouts.body;
    match connection.client.send(answer.bytes, by).await {
        Ok(()) => {
            tally.response_body.set(answer.body_len);
            if answer.keeps_client { Next::KeepAlive } else { Next::Close }
        }
        Err(error) => {
            tally.fail(Failure::client(Stage::ResponseHead, Cause::from(&error)));
            Next::Cut
        }
    }
}

/// A sentence for people and the failure's label for the log.
fn explain<R: Runtime>(connection: &Connection<R>, tally: &Tally, failure: Failure) -> String {
    let shared = &connection.worker.shared;
    let upstream = tally.upstream().map_or("", |upstream| &shared.upstream(upstream).name);
    let what = match (failure.side, failure.stage, failure.cause) {
        (Side::Backend, Stage::Connect, _) => {
            format!("No backend of upstream \"{upstream}\" can be reached.")
        }
        (Side::Backend, _, Cause::TimedOut) => {
            format!("A backend of upstream \"{upstream}\" took too long to answer.")
        }
        (Side::Backend, ..) => format!("A backend of upstream \"{upstream}\" gave no valid answer."),
        (Side::Proxy, _, Cause::NoRoute) => "No route leads from this host and path.".to_owned(),
        (Side::Proxy, ..) => "The proxy is at the limit of its connections.".to_owned(),
        (Side::Client, _, Cause::TimedOut) => "The request took too long to arrive.".to_owned(),
        (Side::Client, ..) => "The request breaks a rule of HTTP/1.1 or a limit of this proxy.".to_owned(),
    };
    format!("{what} ({failure})")
}
