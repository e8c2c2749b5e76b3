//! Asks a running proxy again and again, whatever becomes of it meanwhile.

use std::io;
use std::time::{Duration, Instant};

use crate::config::AdminAddress;

/// How often it is asked.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

/// Somebody who asks for what has happened since the last answer.
pub(super) struct Poll {
    admin: AdminAddress,
    /// Of the last answer.
    id: Option<String>,
    /// Since when nobody has answered.
    lost: Option<Instant>,
}

/// Nobody has answered.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) error: io::Error,
    /// For the eyes of whoever watches.
    pub(super) notice: String,
    /// It did answer the time before.
    pub(super) is_news: bool,
}

impl Poll {
    pub(super) fn new(admin: AdminAddress) -> Self {
        Self { admin, id: None, lost: None }
    }

    /// What is read from the admin API, which gives the id of its answer too, with the id of the answer before. A proxy that was started
    /// anew, or has forgotten that answer, does not know the id: then all begins anew.
    ///
    /// # Errors
    /// Nobody has answered. The next call tries again.
    pub(super) fn ask<T>(
        &mut self,
        read: impl Fn(&AdminAddress, Option<&str>) -> io::Result<(String, T)>,
    ) -> Result<T, Lost> {
        let mut answer = read(&self.admin, self.id.as_deref());
        let is_unknown = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        if self.id.is_some() && answer.as_ref().is_err_and(is_unknown) {
            answer = read(&self.admin, None);
        }
        match answer {
            Ok((id, figures)) => {
                self.id = Some(id);
                self.lost = None;
                Ok(figures)
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    fn lost(&mut self, error: io::Error) -> Lost {
        let is_news = self.lost.is_none();
        let seconds = self.lost.get_or_insert_with(Instant::now).elapsed().as_secs();
        let notice = format!("{} cannot be reached since {seconds} s, trying again", self.admin);
        Lost { error, notice, is_news }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn poll() -> Poll {
        Poll::new("127.0.0.1:9901".parse().unwrap())
    }

    #[test]
    fn each_question_names_the_answer_before() {
        let (mut poll, asked) = (poll(), RefCell::new(Vec::new()));
        for _ in 0..3 {
            let answer = poll.ask(|_, since| {
                asked.borrow_mut().push(since.map(str::to_owned));
                Ok((format!("1-{}", asked.borrow().len()), ()))
            });
            assert!(answer.is_ok());
        }
        assert_eq!(*asked.borrow(), [None, Some("1-1".to_owned()), Some("1-2".to_owned())]);
    }

    #[test]
    fn a_proxy_that_is_gone_is_asked_again_and_one_that_was_started_anew_is_believed() {
        let mut poll = poll();
        let answers = |id: &'static str| move |_: &AdminAddress, _: Option<&str>| Ok((id.to_owned(), ()));
        poll.ask(answers("1-1")).unwrap();
        let refused = |_: &AdminAddress, _: Option<&str>| -> io::Result<(String, ())> {
            Err(io::ErrorKind::ConnectionRefused.into())
        };
        let lost = [poll.ask(refused).unwrap_err(), poll.ask(refused).unwrap_err()];
        assert_eq!(lost.each_ref().map(|lost| lost.is_news), [true, false]);
        assert_eq!(lost[0].notice, "127.0.0.1:9901 cannot be reached since 0 s, trying again");
        let anew = |_: &AdminAddress, since: Option<&str>| match since {
            Some("2-1") => Ok(("2-2".to_owned(), "of an interval")),
            Some(_) => Err(io::ErrorKind::NotFound.into()),
            None => Ok(("2-1".to_owned(), "since its start")),
        };
        assert_eq!(poll.ask(anew).unwrap(), "since its start");
        assert_eq!(poll.ask(anew).unwrap(), "of an interval");
        assert!(poll.ask(refused).unwrap_err().is_news, "it was there in between");
    }
}
