//! Two futures in one task: the only combinator of the data plane.

use std::pin::pin;
use std::task::Poll;

/// Runs both to their ends, whichever comes first. Neither is ever cancelled: where one has to end the other, it does
/// so through `stop_recv` or `abort`.
pub async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut from_a, mut from_b) = (None, None);
    std::future::poll_fn(|cx| {
        if from_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            from_a = Some(output);
        }
        if from_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            from_b = Some(output);
        }
        match (from_a.take(), from_b.take()) {
            (Some(output_a), Some(output_b)) => Poll::Ready((output_a, output_b)),
            (unfinished_a, unfinished_b) => {
                (from_a, from_b) = (unfinished_a, unfinished_b);
                Poll::Pending
            }
        }
    })
    .await
}
