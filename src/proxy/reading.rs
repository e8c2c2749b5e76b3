//! Decides about a response without a wait: parse, frame, and write the head that goes on.

use super::attempt::Attempt;
use super::body::Body;
use super::head::Head;
use crate::http1::{self, ForwardResponse, Framing, Response, Slots, Version, Violation, client_stays};
use crate::runtime::{Batch, Runtime};

/// What a response's head says, written for the client.
pub(super) enum Reading {
    /// An interim response; nothing is to be sent if the client did not ask for it or does not know it.
    Interim(Batch),
    /// The protocol switch that the client asked for.
    Switching(Batch),
    /// The response.
    Final(Final),
}

/// The final response: its head, written for the client, and what follows.
pub(super) struct Final {
    pub(super) head: Batch,
    pub(super) body: Body,
    pub(super) keeps_client: bool,
    /// The backend's connection may carry another exchange when this one is over.
    pub(super) may_reuse_backend: bool,
}

/// Reads a response's head, and writes the one for the client.
///
/// # Errors
/// The rule that the response breaks.
pub(super) fn read<R: Runtime>(attempt: &Attempt<'_, R>, head: &Head) -> Result<Reading, Violation> {
    let exchange = attempt.exchange;
    let (plan, tally) = (exchange.plan, exchange.tally);
    let mut slots = Slots::new();
    let limits = exchange.connection.head_limits();
    let response = http1::parse_response(head, &limits, &mut slots, &plan.asked(exchange.head))?;
    if response.is_interim {
        return Ok(Reading::Interim(interim(attempt, &response)));
    }
    tally.status.set(Some(response.status));
    if response.is_switching {
        return Ok(Reading::Switching(write(attempt, &response, false)));
    }
    let keeps_client = client_stays(may_keep(attempt), plan.manner.version, response.framing);
    let is_decoded = response.framing == Framing::Chunked && plan.manner.version == Version::Http10;
    Ok(Reading::Final(Final {
        head: write(attempt, &response, keeps_client),
        body: Body::of_response(response.framing, response.fields.nominated(), is_decoded),
        keeps_client,
        may_reuse_backend: response.may_reuse_backend,
    }))
}

/// Whether the client's connection may stay, as far as the request and this process decide that. A client that still
/// waits for a 100 may send its body or not: nobody knows where its next request begins.
fn may_keep<R: Runtime>(attempt: &Attempt<'_, R>) -> bool {
    let plan = attempt.exchange.plan;
    let is_clear = attempt.is_sent.get() || !plan.expects_continue || attempt.is_continued.get();
    plan.manner.wants_keep_alive && is_clear && !attempt.runtime().is_draining()
}

/// RFC 9110 section 15.2: "A server MUST NOT send a 1xx response to an HTTP/1.0 client." A 100 goes on only to a client
/// that asked for it.
fn interim<R: Runtime>(attempt: &Attempt<'_, R>, response: &Response<'_>) -> Batch {
    let plan = attempt.exchange.plan;
    let is_asked_for = response.status != 100 || plan.expects_continue;
    if plan.manner.version == Version::Http10 || !is_asked_for {
        return Batch::new(attempt.runtime().pool());
    }
    attempt.is_continued.set(attempt.is_continued.get() || response.status == 100);
    write(attempt, response, true)
}

fn write<R: Runtime>(attempt: &Attempt<'_, R>, response: &Response<'_>, keeps_client: bool) -> Batch {
    let exchange = attempt.exchange;
    let (plan, route) = (exchange.plan, exchange.plan.route);
    let mut batch = Batch::new(attempt.runtime().pool());
    http1::write_response(
        &mut batch,
        response,
        &ForwardResponse {
            client: plan.manner.version,
            keeps_client,
            stripped_prefix: route.strip_prefix.then_some(route.path.as_bytes()),
            client_host: plan.host(exchange.head),
            backend: attempt.backend.name.as_bytes(),
        },
    );
    batch
}
