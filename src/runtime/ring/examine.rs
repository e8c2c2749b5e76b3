//! The table of the features of io_uring that the loop builds on, each with its self-test.

use std::io;

use super::permits;
use super::probe;
use super::setup::{self, Beginning, can_splice};
use super::unavailable::Unavailable;
use crate::runtime::features::{Examined, Feature, Need, Outcome};

/// A feature, and how it is tried out.
struct Row {
    name: &'static str,
    purpose: &'static str,
    need: Need,
    /// The first version of Linux that is known to have it: for advice, never for belief.
    since: &'static str,
    try_it: fn() -> io::Result<()>,
    /// Why it is not used although it may work.
    unused: Option<&'static str>,
}

/// The name of the feature that all others but the last need.
const SET_UP: &str = "set-up";

const TABLE: &[Row] = &[
    Row {
        name: "provided-buffers",
        purpose: "the kernel picks a buffer when bytes are there: an idle connection holds none",
        need: Need::Needed,
        since: "5.19",
        try_it: probe::receive,
        unused: None,
    },
    Row {
        name: "multishot-accept",
        purpose: "one accept serves for all connections of a listener",
        need: Need::Better,
        since: "5.19",
        try_it: probe::accept_twice,
        unused: None,
    },
    Row {
        name: "multishot-recv",
        purpose: "one recv serves for many messages of a connection",
        need: Need::Better,
        since: "6.0",
        try_it: probe::receive_twice,
        unused: None,
    },
    Row {
        name: "recv-bundles",
        purpose: "one recv fills as many buffers as there are bytes for",
        need: Need::Better,
        since: "6.10",
        try_it: probe::receive_bundles,
        unused: None,
    },
    Row {
        name: "restrictions",
        purpose: "the kernel refuses what is not on the list below",
        need: Need::Better,
        since: "5.10",
        try_it: probe::refuse_what_is_not_listed,
        unused: None,
    },
    Row {
        name: "msg-ring",
        purpose: "an accepted connection goes straight to the ring of the worker that serves it",
        need: Need::Better,
        since: "6.1",
        try_it: probe::send_to_another_ring,
        unused: None,
    },
    Row {
        name: "direct-descriptors",
        purpose: "connections that only the ring knows, without a number in the process",
        need: Need::Better,
        since: "5.19",
        try_it: probe::accept_directly,
        unused: Some("plain descriptors cost no more, and can be spliced and shut down"),
    },
];

/// Tries everything out.
pub(super) fn examine() -> Examined {
    let mut features = vec![set_up()];
    let has_ring = features[0].outcome == Outcome::Active;
    features.extend(TABLE.iter().map(|row| Feature {
        name: row.name,
        purpose: row.purpose,
        need: row.need,
        outcome: if has_ring { row.outcome() } else { without_ring() },
    }));
    features.push(big_pipes(has_ring));
    Examined { features, permits: permits::all() }
}

impl Row {
    fn outcome(&self) -> Outcome {
        match ((self.try_it)(), self.unused) {
            (Ok(()), None) => Outcome::Active,
            (Ok(()), Some(why)) => Outcome::Off(why.to_owned()),
            (Err(error), Some(why)) => Outcome::Off(format!("{why}; here it fails: {error}")),
            (Err(error), None) => unavailable(&Unavailable::from_trial(&error, self.name, self.since)),
        }
    }
}

fn set_up() -> Feature {
    let outcome = setup::build(Beginning::Enabled).map(drop).map_err(|error| Unavailable::from_setup(&error));
    Feature {
        name: SET_UP,
        purpose: "a ring of one thread that works when it is asked to (SINGLE_ISSUER, DEFER_TASKRUN, SUBMIT_ALL)",
        need: Need::Needed,
        outcome: outcome.map_or_else(|why| unavailable(&why), |()| Outcome::Active),
    }
}

/// No operation of io_uring, but a part of the loop: see `relay`.
fn big_pipes(has_ring: bool) -> Feature {
    let outcome = match probe::splice_between_pipes().map_err(Unavailable::NoSplice).and_then(|()| big_pipe())
    {
        Ok(()) if !has_ring => Outcome::Off(format!("it would work, but not without {SET_UP}")),
        Ok(()) => Outcome::Active,
        Err(why) => unavailable(&why),
    };
    Feature {
        name: "splice",
        purpose: "long bodies move within the kernel, through pipes of 1 MiB, and are copied otherwise",
        need: Need::Better,
        outcome,
    }
}

fn big_pipe() -> Result<(), Unavailable> {
    if !can_splice() {
        return Err(Unavailable::FatalSigpipe);
    }
    probe::open_a_big_pipe().map_err(Unavailable::SmallPipes)
}

fn unavailable(why: &Unavailable) -> Outcome {
    Outcome::Unavailable { why: why.why(), change: why.change() }
}

fn without_ring() -> Outcome {
    Outcome::Unavailable { why: format!("not tried without {SET_UP}"), change: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(try_it: fn() -> io::Result<()>, unused: Option<&'static str>) -> Row {
        Row { name: "recv-bundles", purpose: "tests", need: Need::Better, since: "6.10", try_it, unused }
    }

    #[test]
    fn what_a_self_test_finds_is_put_into_words() {
        let unknown = || Err(io::Error::from_raw_os_error(libc::EINVAL));
        let wrong = || Err(io::Error::other("the bytes came in another order"));
        let found = |row: Row| row.outcome();
        assert_eq!(found(row(|| Ok(()), None)), Outcome::Active);
        assert_eq!(found(row(|| Ok(()), Some("no gain"))), Outcome::Off("no gain".to_owned()));
        let Outcome::Off(why) = found(row(wrong, Some("no gain"))) else { panic!("it is not used") };
        assert_eq!(why, "no gain; here it fails: the bytes came in another order");
        let Outcome::Unavailable { why, change } = found(row(unknown, None)) else { panic!("it fails") };
        assert_eq!(why, "the kernel does not know recv-bundles");
        assert_eq!(change, "run Linux 6.10 or later");
        let Outcome::Unavailable { why, .. } = found(row(wrong, None)) else { panic!("it fails") };
        assert_eq!(why, "a self-test of recv-bundles failed: the bytes came in another order");
    }
}
