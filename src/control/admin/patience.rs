//! How long a connection of the admin API may keep us waiting, and whether it could go if its place is needed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a head may take from its first byte, and the first one from when the connection was accepted; and how long a
/// client may take nothing of its answer.
pub(super) const BRIEF: Duration = Duration::from_secs(5);
/// How long a connection may be idle after an answer. Scrapers come back every 15 to 60 seconds.
pub(super) const IDLE: Duration = Duration::from_secs(75);

/// What is known of a connection outside of it.
pub(super) struct Seat {
    waiting: Mutex<Waiting>,
    leave: Notify,
}

/// What for, and since when.
#[derive(Clone, Copy)]
struct Waiting {
    what: What,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// The first head, to its end.
    FirstHead,
    /// A later head that has begun, to its end.
    Head,
    /// The answer: that is our own affair.
    Answer,
    /// That the client takes more of its answer.
    Client,
    /// The next request.
    Next,
    /// The end, which was asked for.
    End,
}

impl Seat {
    pub(super) fn new() -> Arc<Self> {
        let waiting = Mutex::new(Waiting { what: What::FirstHead, since: Instant::now() });
        Arc::new(Self { waiting, leave: Notify::new() })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for(&self, what: What) {
        *self.waiting() = Waiting { what, since: Instant::now() };
    }

    /// A request is there.
    pub(super) fn asked(&self) {
        self.wait_for(What::Answer);
    }

    /// Since when nothing was asked, if nothing is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let waiting = self.waiting();
        (waiting.what == What::Next).then_some(waiting.since)
    }

    /// Asks the connection to end as soon as nothing is asked over it.
    pub(super) fn give_way(&self) {
        self.wait_for(What::End);
        self.leave.notify_one();
    }

    /// Waits until [`Seat::give_way`] is called.
    pub(super) async fn is_to_leave(&self) {
        self.leave.notified().await;
    }

    fn deadline(&self) -> Option<Instant> {
        let Waiting { what, since } = *self.waiting();
        match what {
            What::Answer => None,
            What::Next => Some(since + IDLE),
            What::FirstHead | What::Head | What::Client | What::End => Some(since + BRIEF),
        }
    }
}

/// A stream that ends with `TimedOut` when its client lets it wait too long.
pub(super) struct Patient<S> {
    stream: S,
    seat: Arc<Seat>,
    alarm: Pin<Box<Sleep>>,
}

impl<S: Unpin> Patient<S> {
    pub(super) fn new(stream: S, seat: Arc<Seat>) -> Self {
        Self { stream, seat, alarm: Box::pin(sleep_until(Instant::now())) }
    }

    /// What a wait becomes: an error when it has lasted too long. Otherwise the task is woken when it will have.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(deadline) = self.seat.deadline() else { return Poll::Pending };
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        ready!(self.alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            if self.seat.idle_since().is_some() {
                self.seat.wait_for(What::Head);
            }
            return Poll::Ready(read);
        }
        self.wait(cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, bytes) {
            self.seat.wait_for(What::Next);
            // Whoever has written may have read before, and be waiting for that alone.
            let _: Poll<io::Result<()>> = self.wait(cx);
            return Poll::Ready(written);
        }
        if self.seat.waiting().what != What::Client {
            self.seat.wait_for(What::Client);
        }
        self.wait(cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
