//! Ringway's own answers: what it says when it has nothing to relay.

use super::failure::{Cause, Failure, Side, Stage};
use super::http::{Connection, Next};
use super::plan::Plan;
use super::tally::Tally;
use super::verdict::{Progress, Verdict, verdict};
use crate::http1::Reply;
use crate::runtime::{Batch, Runtime, Stream};

/// Carries out the verdict on a failure after which no attempt follows: an answer, or a cut. `plan` is absent when the
/// request was not understood, and then the connection cannot go on.
pub(super) async fn settle<R: Runtime>(
    connection: &Connection<R>,
    tally: &Tally<'_>,
    failure: Failure,
    plan: Option<&Plan<'_>>,
) -> Next {
    tally.fail(failure);
    let progress = Progress { attempt: tally.attempt(), answered: tally.answered.get(), another_left: false };
    let Verdict::Answer(status) = verdict(failure, progress) else { return Next::Cut };
    let keep_alive = plan.is_some_and(Plan::can_go_on) && !connection.runtime().is_draining();
    let reply = Reply {
        status,
        text: &explain(connection, failure, plan),
        keep_alive,
        head_only: plan.is_some_and(|plan| plan.is_head),
        ..Reply::default()
    };
    give(connection, tally, &reply).await
}

/// Answers a connection that has no request that could be understood, and leaves a record of it.
pub(super) async fn refuse<R: Runtime>(connection: &Connection<R>, failure: Failure) -> Next {
    let tally = Tally::default();
    let begun = connection.runtime().now();
    let next = settle(connection, &tally, failure, None).await;
    tally.record(connection, None, begun);
    next
}

/// Sends a reply to the client.
pub(super) async fn give<R: Runtime>(connection: &Connection<R>, tally: &Tally<'_>, reply: &Reply<'_>) -> Next {
    let mut batch = Batch::new(connection.runtime().pool());
    reply.write(&mut batch);
    tally.answered.set(true);
    tally.status.set(Some(reply.status));
    let by = connection.runtime().now() + connection.listener().timeouts.body;
    match connection.client.send(batch, by).await {
        Ok(()) if reply.keep_alive => Next::KeepAlive,
        Ok(()) => Next::Close,
        Err(error) => {
            tally.fail(Failure::client(Stage::ResponseHead, Cause::from(&error)));
            Next::Cut
        }
    }
}

/// A sentence for people and the failure's label for the log.
fn explain<R: Runtime>(connection: &Connection<R>, failure: Failure, plan: Option<&Plan<'_>>) -> String {
    let upstream = plan.map_or("", |plan| &connection.worker.shared.upstream(plan.route.upstream).name);
    let what = match (failure.side, failure.stage, failure.cause) {
        (Side::Backend, Stage::Connect, _) => format!("No backend of upstream \"{upstream}\" can be reached."),
        (Side::Backend, _, Cause::TimedOut) => format!("A backend of upstream \"{upstream}\" took too long to answer."),
        (Side::Backend, ..) => format!("A backend of upstream \"{upstream}\" gave no valid answer."),
        (Side::Proxy, _, Cause::NoRoute) => "No route leads from this host and path.".to_owned(),
        (Side::Proxy, ..) => "The proxy is at the limit of its connections.".to_owned(),
        (Side::Client, _, Cause::TimedOut) => "The request took too long to arrive.".to_owned(),
        (Side::Client, ..) => "The request breaks a rule of HTTP/1.1 or a limit of this proxy.".to_owned(),
    };
    format!("{what} ({failure})\n")
}
