//! How often the pages may be made that read what the workers write: no reader takes the control plane's time from it, nor
//! the workers' caches from them.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The pause after such a page, at the least.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause after a page that took long: so many times as long, so that pages take a fifth of the time at the most.
const TIMES: u32 = 4;

/// Lets one page be made after the other, with pauses. Whoever came first has the first turn, and what it reads is not older
/// than its question.
#[derive(Default)]
pub(super) struct Pace {
    /// When the next page may be made.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// Makes a page when its turn has come.
    pub(super) async fn turn<T>(&self, make: impl FnOnce() -> T) -> T {
        let mut free_at = self.free_at.lock().await;
        if let Some(at) = *free_at {
            sleep_until(at).await;
        }
        let begun = Instant::now();
        let made = make();
        let ended = Instant::now();
        *free_at = Some(ended + PAUSE.max((ended - begun) * TIMES));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::time::{sleep, timeout};

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_pages_are_made_at_intervals_and_everybody_has_a_turn() {
        let pace = Arc::new(Pace::default());
        let readers: Vec<_> = (0..64).map(|_| Arc::new(AtomicU64::new(0))).collect();
        for made in &readers {
            let (pace, made) = (Arc::clone(&pace), Arc::clone(made));
            tokio::spawn(timeout(Duration::from_secs(10), async move {
                loop {
                    pace.turn(|| made.fetch_add(1, Ordering::Relaxed)).await;
                }
            }));
        }
        sleep(Duration::from_secs(11)).await;
        let made: Vec<_> = readers.iter().map(|made| made.load(Ordering::Relaxed)).collect();
        assert!((500..=1001).contains(&made.iter().sum::<u64>()), "{made:?}");
        assert!(made.iter().max().unwrap() - made.iter().min().unwrap() <= 2, "{made:?}");
    }

    /// Sleeps take their time at the least, so this is true on a busy machine too.
    #[tokio::test]
    async fn a_page_that_takes_long_is_followed_by_a_pause_that_is_longer() {
        let (pace, took) = (Pace::default(), Duration::from_millis(20));
        let begun = Instant::now();
        for _ in 0..3 {
            pace.turn(|| std::thread::sleep(took)).await;
        }
        assert!(begun.elapsed() >= took * (3 + 2 * TIMES));
    }
}
