//! How a worker tells that its event loop exists, and how it is waited for.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Told once by a runtime when a worker's loop exists: from then on it asks the kernel for nothing that only a start
/// needs, such as another ring. Cloned freely; the default is heard by nobody.
#[derive(Clone, Debug, Default)]
pub struct Started(Arc<Mutex<Option<Sender<String>>>>);

/// Hears from all workers of a process.
#[derive(Debug)]
pub struct Starts {
    workers: usize,
    heard: Receiver<String>,
}

/// Why not all loops exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// A worker has ended before it began.
    Ended,
    /// A worker takes too long.
    Late,
}

impl Started {
    /// Says that the loop exists and what the kernel holds it to, in a few words; nothing where it holds nothing that
    /// would need to be held. Said again, it says nothing.
    pub fn tell(&self, held_to: impl Into<String>) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody may be waiting.
            let _ = sender.send(held_to.into());
        }
    }
}

impl Starts {
    /// One [`Started`] for each of so many workers.
    pub fn of(workers: usize) -> (Vec<Started>, Self) {
        let (sender, receiver) = channel();
        let started = (0..workers).map(|_| Started(Arc::new(Mutex::new(Some(sender.clone()))))).collect();
        (started, Self { workers, heard: receiver })
    }

    /// Waits until every worker has told: what they said, each thing once.
    ///
    /// # Errors
    /// One has ended before it began, or that takes longer than `patience`.
    pub fn wait(self, patience: Duration) -> Result<Vec<String>, NotStarted> {
        let by = Instant::now() + patience;
        let (mut told, mut said) = (0, Vec::new());
        loop {
            match self.heard.recv_timeout(by.saturating_duration_since(Instant::now())) {
                Ok(words) => {
                    told += 1;
                    if !words.is_empty() && !said.contains(&words) {
                        said.push(words);
                    }
                }
                Err(RecvTimeoutError::Disconnected) if told == self.workers => return Ok(said),
                Err(RecvTimeoutError::Disconnected) => return Err(NotStarted::Ended),
                Err(RecvTimeoutError::Timeout) => return Err(NotStarted::Late),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn all_are_waited_for_and_each_thing_is_heard_once() {
        let (started, starts) = Starts::of(3);
        let workers: Vec<_> = started
            .into_iter()
            .enumerate()
            .map(|(worker, started)| {
                std::thread::spawn(move || {
                    started.tell(if worker == 0 { "" } else { "held" });
                    started.clone().tell("said again");
                    std::thread::park_timeout(LIMIT);
                })
            })
            .collect();
        assert_eq!(starts.wait(LIMIT), Ok(vec!["held".to_owned()]));
        assert!(!workers.iter().any(std::thread::JoinHandle::is_finished), "nobody had to end for it");
        workers.iter().for_each(|worker| worker.thread().unpark());
    }

    #[test]
    fn who_ends_before_it_began_is_missed() {
        let (mut started, starts) = Starts::of(2);
        drop(started.pop());
        started[0].tell("");
        assert_eq!(starts.wait(LIMIT), Err(NotStarted::Ended));
    }

    #[test]
    fn who_never_begins_is_given_up() {
        let (_started, starts) = Starts::of(1);
        assert_eq!(starts.wait(Duration::from_millis(10)), Err(NotStarted::Late));
    }
}
