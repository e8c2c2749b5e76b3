//! Decides about a request without a wait: parse, frame, route, pick, and write the head that goes on.

use super::answer::Answer;
use super::exchange::Exchange;
use super::failure::{Cause, Failure, Stage};
use super::head::Head;
use super::http::Connection;
use super::tally::Tally;
use crate::balance::BackendId;
use crate::http1::{
    self, Asked, ForwardRequest, Framing, Nominated, Reply, Request, Slots, Version, Violation,
};
use crate::route::{Found, Route};
use crate::runtime::{Batch, Runtime};
use crate::upstream::Backend;

/// What was decided about a request, as far as it is needed after its head was written.
pub(super) struct Plan<'a> {
    pub(super) route: &'a Route,
    pub(super) framing: Framing,
    /// The fields that its `Connection` names: no trailer may be one of them.
    pub(super) nominated: Nominated,
    pub(super) manner: Manner,
    pub(super) is_idempotent: bool,
    pub(super) expects_continue: bool,
    upgrade: Option<Span>,
    host: Option<Span>,
}

/// How the client is answered by us.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) version: Version,
    pub(super) is_head: bool,
    pub(super) wants_keep_alive: bool,
    /// Nothing of the request follows its head.
    pub(super) is_whole: bool,
}

/// A request that goes nowhere.
pub(super) struct Refusal {
    pub(super) failure: Failure,
    pub(super) manner: Manner,
}

/// What happens to a request.
pub(super) enum Planned<'a> {
    /// It goes to the picked backend first, with this head.
    Forward { plan: Plan<'a>, backend: BackendId, head: Batch },
    /// The path is a route's without its slash: the client is sent to the path with it.
    Redirect(Answer),
}

/// Where some bytes stand in the head of the request.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Plan<'_> {
    /// What decides the meaning of a response.
    pub(super) fn asked<'b>(&self, head: &'b [u8]) -> Asked<'b> {
        Asked { is_head: self.manner.is_head, upgrade: self.upgrade.and_then(|span| span.of(head)) }
    }

    /// The host that the client asked for.
    pub(super) fn host<'b>(&self, head: &'b [u8]) -> Option<&'b [u8]> {
        self.host.and_then(|span| span.of(head))
    }
}

/// Reads a request's head, finds its route and its backend, and writes the head for that.
///
/// # Errors
/// The rule that the request breaks, or that there is no route.
pub(super) fn plan<'a, R: Runtime>(
    connection: &'a Connection<R>,
    head: &Head,
    tally: &Tally,
) -> Result<Planned<'a>, Refusal> {
    let mut slots = Slots::new();
    let parsed = http1::parse_request(head, &connection.head_limits(), &mut slots);
    let request = parsed.map_err(|violation| violated(violation).refused(Manner::UNKNOWN))?;
    let manner = Manner::of(&request);
    let checked = request.framing.check_size(connection.limits().body_size);
    checked.map_err(|violation| violated(violation).refused(manner))?;
    let host = request.host.map_or(b"".as_slice(), |host| host.name());
    let route = match connection.listener().routes.find(host, request.target.path.normalised()) {
        Found::Route(route) => route,
        Found::AddSlash => return Ok(redirect(connection, &request, manner)),
        Found::Nothing => {
            return Err(Failure::proxy(Stage::Route, Cause::NoRoute).refused(manner));
        }
    };
    let upstream = connection.worker.shared.upstream(route.upstream);
    let pick = upstream.pick(connection.runtime().now());
    tally.pick(route.upstream, pick);
    let plan = Plan {
        route,
        framing: request.framing,
        nominated: request.fields.nominated(),
        manner,
        is_idempotent: request.is_idempotent(),
        expects_continue: request.expects_continue,
        upgrade: request.upgrade.map(|upgrade| Span::new(head, upgrade)),
        host: request.host.map(|host| Span::new(head, host.as_bytes())),
    };
    tally.note(|attempt| attempt.idempotent = plan.is_idempotent);
    tally.host.set(plan.host);
    let head = write(connection, &request, route, upstream.backend(pick.backend));
    Ok(Planned::Forward { plan, backend: pick.backend, head })
}

/// Writes the request's head once more, for another attempt.
pub(super) fn write_again<R: Runtime>(exchange: &Exchange<'_, R>, backend: &Backend) -> Batch {
    let (connection, mut slots) = (exchange.connection, Slots::new());
    match http1::parse_request(exchange.head, &connection.head_limits(), &mut slots) {
        Ok(request) => write(connection, &request, exchange.plan.route, backend),
        Err(violation) => unreachable!("a head that was understood once is not {violation} now"),
    }
}

fn write<R: Runtime>(
    connection: &Connection<R>,
    request: &Request<'_>,
    route: &Route,
    backend: &Backend,
) -> Batch {
    let mut batch = Batch::new(connection.runtime().pool());
    let path = &request.target.path;
    http1::write_request(
        &mut batch,
        request,
        &ForwardRequest {
            path: if route.strip_prefix {
                path.without_prefix(route.path.as_bytes())
            } else {
                path.forwarded()
            },
            client: connection.peer.ip(),
            proto: "http",
            authority: backend.name.as_bytes(),
            is_client_trusted: connection.is_trusted,
            closes_backend: false,
        },
    );
    batch
}

/// 308, with the path and the query that the client should have asked for.
fn redirect<'a, R: Runtime>(
    connection: &Connection<R>,
    request: &Request<'_>,
    manner: Manner,
) -> Planned<'a> {
    let reply =
        Reply { add_slash: Some(&request.target), ..manner.reply(308, "The path ends with a slash.") };
    Planned::Redirect(Answer::write(connection, manner, reply))
}

fn violated(violation: Violation) -> Failure {
    Failure::client(Stage::RequestHead, Cause::Violation(violation))
}

impl Manner {
    /// For a request that was not understood.
    pub(super) const UNKNOWN: Self =
        Self { version: Version::Http11, is_head: false, wants_keep_alive: false, is_whole: false };

    fn of(request: &Request<'_>) -> Self {
        Self {
            version: request.version,
            is_head: request.is_head(),
            wants_keep_alive: request.wants_keep_alive,
            is_whole: !request.framing.has_body(),
        }
    }

    /// A reply in this manner.
    pub(super) fn reply(self, status: u16, text: &str) -> Reply<'_> {
        Reply {
            status,
            text,
            client: self.version,
            keeps_client: self.wants_keep_alive && self.is_whole,
            is_head: self.is_head,
            retry_after_s: None,
            add_slash: None,
        }
    }
}

impl Failure {
    fn refused(self, manner: Manner) -> Refusal {
        Refusal { failure: self, manner }
    }
}

impl Span {
    /// Where `piece`, a part of `head`, stands in it.
    fn new(head: &[u8], piece: &[u8]) -> Self {
        let start = piece.as_ptr().addr() - head.as_ptr().addr();
        Self { start: start as u32, len: piece.len() as u32 }
    }

    pub(super) fn of(self, head: &[u8]) -> Option<&[u8]> {
        head.get(self.start as usize..)?.get(..self.len as usize)
    }
}
