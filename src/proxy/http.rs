//! A client's connection: request after request, until one of the two has enough.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::answer;
use super::exchange;
use super::failure::{Cause, Failure, Stage};
use super::head::{self, Head, NoHead};
use super::shared::ConnectionCount;
use super::tally::Tally;
use super::worker::{Guest, Worker};
use crate::config::{Limits, ListenerConfig};
use crate::http1::{HeadLimits, HeadScanner};
use crate::runtime::{Runtime, Stream, is_stopped};
use crate::telemetry::Moments;

/// How long a connection that is given up is still read, so that the last answer is not lost to a reset.
pub(super) const LINGER: Duration = Duration::from_secs(2);
/// How long a client that has connected and not yet asked for anything is listened to when a drain begins: its kernel and
/// ours have agreed on the connection, and the request may be on its way.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Connections beyond the limit that are told so; more are closed without a word.
pub const TOLD: usize = 64;

/// A client's connection and what belongs to it.
pub(super) struct Connection<R: Runtime> {
    pub(super) worker: Rc<Worker<R>>,
    pub(super) client: R::Stream,
    pub(super) peer: SocketAddr,
    /// Its `X-Forwarded-*` fields are believed.
    pub(super) is_trusted: bool,
    /// An exchange runs: the client has not all of its answer.
    is_busy: Cell<bool>,
    listener_index: usize,
    _guest: Guest<R>,
    _count: ConnectionCount,
    /// Open connections of the process, this one included, when it came.
    rank: usize,
}

/// What becomes of a client's connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Read the next request.
    KeepAlive,
    /// Close it in order: all was read.
    Close,
    /// Close it in order; what the client still sends is read for a while.
    Linger,
    /// End it so that nobody takes half a message for a whole one.
    Cut,
}

impl<R: Runtime> Connection<R> {
    pub(super) fn new(
        worker: Rc<Worker<R>>,
        listener_index: usize,
        client: R::Stream,
        peer: SocketAddr,
    ) -> Self {
        let (count, rank) = worker.shared.count_connection();
        let guest = Guest::new(Rc::clone(&worker));
        let is_trusted = worker.shared.config.listeners[listener_index].trusted.contains(peer.ip());
        let is_busy = Cell::new(false);
        Self { worker, client, peer, is_trusted, is_busy, listener_index, _guest: guest, _count: count, rank }
    }

    pub(super) fn listener(&self) -> &ListenerConfig {
        &self.worker.shared.config.listeners[self.listener_index]
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.worker.shared.config.limits
    }

    pub(super) fn head_limits(&self) -> HeadLimits {
        let Limits { head_size, target_size, fields, .. } = *self.limits();
        HeadLimits { head_size, target_size, fields }
    }

    pub(super) fn runtime(&self) -> &R {
        &self.worker.runtime
    }
}

impl<R: Runtime> Drop for Connection<R> {
    /// A worker that ends drops what still runs when the drain has run out of time: nobody may take that for a whole
    /// answer.
    fn drop(&mut self) {
        if self.is_busy.get() {
            self.client.abort();
        }
    }
}

/// The task of a client's connection: serves it to its end.
#[expect(clippy::manual_async_fn, reason = "an async fn would hold the connection twice")]
pub(super) fn serve<R: Runtime>(connection: Connection<R>) -> impl Future<Output = ()> {
    async move { serve_all(&connection).await }
}

/// Serves request after request.
async fn serve_all<R: Runtime>(connection: &Connection<R>) {
    let limit = connection.limits().connections;
    if connection.rank > limit + TOLD {
        return;
    }
    let mut next = Next::KeepAlive;
    if connection.rank > limit {
        let failure = Failure::proxy(Stage::Accept, Cause::Limit);
        let tally = Tally::new(connection.runtime());
        next = answer::refuse(connection, &tally, failure).await;
    }
    let mut is_first = true;
    while next == Next::KeepAlive {
        next = serve_one(connection, is_first).await;
        is_first = false;
    }
    match next {
        Next::Cut => connection.client.abort(),
        Next::Close if connection.client.is_idle() => {}
        _ => linger(connection.runtime(), &connection.client).await,
    }
}

/// Waits for a request and carries it out.
async fn serve_one<R: Runtime>(connection: &Connection<R>, is_first: bool) -> Next {
    if !is_asked(connection, is_first).await {
        return Next::Close;
    }
    let (runtime, timeouts) = (connection.runtime(), &connection.listener().timeouts);
    let tally = Tally::new(runtime);
    let scanner = HeadScanner::for_request(&connection.head_limits());
    let by = runtime.now() + timeouts.head;
    match head::read(&connection.client, scanner, || by, || ()).await {
        Ok(head) => {
            match head {
                Head::Lent(_) => tally.head_came_whole(),
                Head::Gathered(_) => tally.mark(runtime, Moments::head_read),
            }
            connection.is_busy.set(true);
            let next = exchange::run(connection, &head, &tally).await;
            connection.is_busy.set(false);
            next
        }
        Err(NoHead::Nothing) => Next::Close,
        Err(NoHead::Failed(Cause::Reset, 0)) => Next::Cut,
        Err(NoHead::Failed(cause, _)) => {
            answer::refuse(connection, &tally, Failure::client(Stage::RequestHead, cause)).await
        }
    }
}

/// Waits for the first bytes of a request; false when none will come. A drain ends the wait, but not yet for a client that
/// has never asked.
async fn is_asked<R: Runtime>(connection: &Connection<R>, is_first: bool) -> bool {
    let (client, runtime) = (&connection.client, connection.runtime());
    match client.readable(runtime.now() + connection.listener().timeouts.client_idle).await {
        Ok(()) => return true,
        Err(error) if is_first && is_stopped(&error) => {}
        Err(_) => return false,
    }
    match client.recv(runtime.now() + FIRST_WORD).await {
        Ok(Some(bytes)) => client.unrecv(bytes),
        Ok(None) | Err(_) => return false,
    }
    true
}

/// Closes the sending side and reads what still comes, for a while: closing a socket with bytes unread sends RST, and
/// that may overtake the answer (RFC 9112 section 9.6).
pub(super) async fn linger<R: Runtime>(runtime: &R, client: &R::Stream) {
    let by = runtime.now() + LINGER;
    if client.shutdown_send().await.is_ok() {
        while let Ok(Some(_)) = client.recv(by).await {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{RUNTIMES, Visitor, with_runtime};

    const LIMIT: usize = 2048;

    /// Bytes of the task that serves one connection.
    struct TaskSize;

    impl Visitor for TaskSize {
        type Output = usize;

        fn visit<R: Runtime>(self) -> usize {
            fn of<R: Runtime, Task>(_: fn(Connection<R>) -> Task) -> usize {
                size_of::<Task>()
            }
            of(serve::<R>)
        }
    }

    #[test]
    fn the_task_of_a_connection_stays_small() {
        for info in RUNTIMES {
            let size = with_runtime(info.name, TaskSize).unwrap();
            assert!(size < LIMIT, "on {}: {size} bytes", info.name);
        }
    }
}
