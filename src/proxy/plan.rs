//! Decides about one request, and about one response: parse, frame, route, and write what goes on, without a wait.

use super::attempt::Attempt;
use super::body::Body;
use super::exchange::Exchange;
use super::failure::{Cause, Failure, Stage};
use super::head::Head;
use super::http::Connection;
use crate::balance::BackendId;
use crate::http1::{
    self, Asked, ForwardRequest, ForwardResponse, Framing, Request, Response, Slots, Version, Violation,
};
use crate::route::{Found, Route};
use crate::runtime::{Batch, Runtime};
use crate::upstream::{Backend, retry};

/// What was decided about a request, as far as it is needed after its head was written.
pub(super) struct Plan<'a> {
    pub(super) route: &'a Route,
    pub(super) framing: Framing,
    pub(super) is_head: bool,
    pub(super) is_idempotent: bool,
    version: Version,
    wants_keep_alive: bool,
    expects_continue: bool,
    has_upgrade: bool,
}

/// What happens to a request.
pub(super) enum Planned<'a> {
    /// It goes to this backend first, with this head.
    Forward { plan: Plan<'a>, backend: BackendId, head: Batch },
    /// The path is a route's without its slash: the client is sent to the path with it.
    AddSlash { location: String, keep_alive: bool, is_head: bool },
}

/// What is read from a response's head, written for the client.
pub(super) enum Reading {
    /// An interim response; nothing is to be sent if the client did not ask for it.
    Interim(Batch),
    /// The protocol switch that the client asked for.
    Switching(Batch),
    /// The response.
    Final { head: Batch, body: Body, keep_alive: bool },
}

impl Plan<'_> {
    /// Whether the client's connection is fit for another request after an answer of our own: nothing of this one is
    /// left unread.
    pub(super) fn can_go_on(&self) -> bool {
        self.wants_keep_alive && self.framing == Framing::None
    }
}

/// Reads a request's head, finds its route and its backend, and writes the head for that.
///
/// # Errors
/// The rule that the request breaks, or that there is no route.
pub(super) fn plan<'a, R: Runtime>(connection: &'a Connection<R>, head: &Head) -> Result<Planned<'a>, Failure> {
    let mut slots = Slots::new();
    let request = http1::parse_request(head, &connection.limits().head_limits(), &mut slots).map_err(violated)?;
    if let (Framing::Length(length), Some(limit)) = (request.framing, connection.limits().body_size)
        && length > limit
    {
        return Err(violated(Violation::BodyTooLarge));
    }
    let path = request.target.normalised();
    let is_head = request.method == b"HEAD";
    let route = match connection.listener().routes.find(request.hostname(), &path) {
        Found::Route(route) => route,
        Found::AddSlash => {
            let keep_alive = request.wants_keep_alive && request.framing == Framing::None;
            return Ok(Planned::AddSlash { location: request.target.with_slash(), keep_alive, is_head });
        }
        Found::Nothing => return Err(Failure::proxy(Stage::Route, Cause::NoRoute)),
    };
    let plan = Plan {
        route,
        framing: request.framing,
        is_head,
        is_idempotent: retry::is_idempotent(request.method),
        version: request.version,
        wants_keep_alive: request.wants_keep_alive,
        expects_continue: request.expects_continue,
        has_upgrade: request.upgrade.is_some(),
    };
    let upstream = connection.worker.shared.upstream(route.upstream);
    let backend = upstream.pick(connection.runtime().now());
    let head = write_request(connection, &request, route, upstream.backend(backend));
    Ok(Planned::Forward { plan, backend, head })
}
