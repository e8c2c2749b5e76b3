//! Two futures in one task: the only combinator of the data plane.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Runs both to their ends, whichever comes first. Neither is ever cancelled: where one has to end the other, it does
/// so through `stop_recv` or `abort`.
pub fn join<A: Future, B: Future>(a: A, b: B) -> Join<A, B> {
    Join { a, b, from_a: None, from_b: None }
}

pin_project! {
    /// What [`join`] returns. An `async fn` would hold both futures twice: as its arguments and where it pinned them.
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Join<A: Future, B: Future> {
        #[pin]
        a: A,
        #[pin]
        b: B,
        from_a: Option<A::Output>,
        from_b: Option<B::Output>,
    }
}

impl<A: Future, B: Future> Future for Join<A, B> {
    type Output = (A::Output, B::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.from_a.is_none()
            && let Poll::Ready(output) = this.a.poll(cx)
        {
            *this.from_a = Some(output);
        }
        if this.from_b.is_none()
            && let Poll::Ready(output) = this.b.poll(cx)
        {
            *this.from_b = Some(output);
        }
        match (this.from_a.take(), this.from_b.take()) {
            (Some(output_a), Some(output_b)) => Poll::Ready((output_a, output_b)),
            (unfinished_a, unfinished_b) => {
                (*this.from_a, *this.from_b) = (unfinished_a, unfinished_b);
                Poll::Pending
            }
        }
    }
}
