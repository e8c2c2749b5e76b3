//! Plays a transcript: the same steps, whoever drives the connections.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use ringway::runtime::sim::Ending;

use super::expect::{self, Outcome, shown};
use super::language::{Action, Case, Step, Who};
use super::wire::{Transport, Wire};

/// What runs the proxy and the network between it and the transcript.
pub(crate) trait Driver {
    type Transport: Transport;
    /// How long something that is expected may take.
    const PATIENCE: Duration;

    /// Opens a client connection.
    fn connect(&self) -> std::io::Result<Self::Transport>;
    /// A connection that waits at a backend server.
    fn accept(&self, server: usize) -> Option<Self::Transport>;
    /// Lets time pass until `done`, which is asked again and again; false when it was not done in time.
    fn wait(&self, patience: Duration, done: &mut dyn FnMut() -> bool) -> bool;
    /// The value of a placeholder.
    fn name(&self, placeholder: &str) -> Option<String>;
    /// The lines of the access log so far.
    fn log(&self) -> Vec<String>;
}

/// A transcript that is being played.
struct Play<'a, D: Driver> {
    case: &'a Case,
    driver: &'a D,
    wires: RefCell<BTreeMap<Who, Wire<D::Transport>>>,
    log_lines: usize,
}

/// Plays all steps. What the connections have received then was all expected.
///
/// # Errors
/// The first step that did not go as written: file, line and what happened instead.
pub(crate) fn play<D: Driver>(case: &Case, driver: &D) -> Result<(), String> {
    let mut play = Play { case, driver, wires: RefCell::default(), log_lines: 0 };
    for step in &case.steps {
        play.step(step).map_err(|problem| format!("{}:{}: {problem}", case.name, step.line))?;
    }
    play.look_for_more().map_err(|problem| format!("{}: at the end: {problem}", case.name))
}

impl<D: Driver> Play<'_, D> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.action {
            Action::Send(who, lines) => {
                let bytes: Vec<_> = lines
                    .iter()
                    .map(|line| line.bytes(|name| self.driver.name(name)))
                    .collect::<Result<_, _>>()?;
                self.with(*who, |wire| wire.send(&bytes.concat()))
            }
            Action::Expect(who, parts) => {
                self.expect(*who, &|bytes| expect::compare(parts, bytes, |name| self.driver.name(name)))
            }
            Action::Closes(who) => self.with(*who, Wire::close),
            Action::HalfCloses(who) => self.with(*who, Wire::half_close),
            Action::Resets(who) => self.with(*who, Wire::reset),
            Action::SeesEnd(who) => self.sees(*who, Ending::Fin),
            Action::SeesReset(who) => self.sees(*who, Ending::Rst),
            Action::SeesResetAfterAnything(who) => {
                let seen = self.sees(*who, Ending::Rst);
                let has_ended = self.with(*who, |wire| {
                    wire.inbox.clear();
                    wire.ended == Some(Ending::Rst)
                })?;
                if has_ended { Ok(()) } else { seen }
            }
            Action::SeesNothing(who, time) => self.sees_nothing(*who, *time),
            Action::Wait(time) => {
                self.wait(*time, &mut || false);
                Ok(())
            }
            Action::Log(words) => self.expect_log(words),
        }
    }

    /// Waits, with all connections working.
    fn wait(&self, patience: Duration, done: &mut dyn FnMut() -> bool) -> bool {
        self.driver.wait(patience, &mut || {
            self.wires.borrow_mut().values_mut().for_each(Wire::pump);
            done()
        })
    }

    /// Does something with a connection, opening or accepting it first where that has not happened.
    fn with<T>(&self, who: Who, action: impl FnOnce(&mut Wire<D::Transport>) -> T) -> Result<T, String> {
        if !self.wires.borrow().contains_key(&who) {
            let wire = Wire::new(self.open(who)?);
            self.wires.borrow_mut().insert(who, wire);
        }
        self.wires.borrow_mut().get_mut(&who).map(action).ok_or_else(|| format!("{who:?} has no connection"))
    }

    fn open(&self, who: Who) -> Result<D::Transport, String> {
        match who {
            Who::Client(_) => {
                self.driver.connect().map_err(|error| format!("{who:?} could not connect: {error}"))
            }
            Who::Backend { server, .. } => {
                let mut accepted = None;
                self.wait(D::PATIENCE, &mut || {
                    accepted = self.driver.accept(server);
                    accepted.is_some()
                });
                accepted
                    .ok_or_else(|| format!("no connection came to backend{}; {}", server + 1, self.state()))
            }
        }
    }

    fn expect(&self, who: Who, compare: &dyn Fn(&[u8]) -> Result<Outcome, String>) -> Result<(), String> {
        self.with(who, |_| ())?;
        let mut outcome = Ok(Outcome::NotYet);
        self.wait(D::PATIENCE, &mut || {
            let mut wires = self.wires.borrow_mut();
            let Some(wire) = wires.get_mut(&who) else { return true };
            outcome = compare(&wire.inbox);
            if let Ok(Outcome::Met(count)) = outcome {
                wire.inbox.drain(..count);
            }
            !matches!(outcome, Ok(Outcome::NotYet)) || wire.ended.is_some()
        });
        match outcome {
            Ok(Outcome::Met(_)) => Ok(()),
            Ok(Outcome::NotYet) => {
                Err(format!("{who:?} did not get all that was expected; {}", self.state()))
            }
            Err(problem) => Err(format!("{who:?}: {problem}\n{}", self.state())),
        }
    }

    fn sees(&self, who: Who, ending: Ending) -> Result<(), String> {
        self.with(who, |_| ())?;
        let ended = || self.wires.borrow().get(&who).and_then(|wire| wire.ended);
        self.wait(D::PATIENCE, &mut || ended().is_some());
        match ended() {
            Some(seen) if seen == ending => self.has_nothing_more(who),
            seen => Err(format!("{who:?} expected {ending:?}, saw {seen:?}; {}", self.state())),
        }
    }

    fn sees_nothing(&self, who: Who, time: Duration) -> Result<(), String> {
        self.wait(time, &mut || false);
        match self.with(who, |wire| wire.ended)? {
            None => self.has_nothing_more(who),
            Some(ending) => Err(format!("{who:?} saw {ending:?}; {}", self.state())),
        }
    }

    fn has_nothing_more(&self, who: Who) -> Result<(), String> {
        let wires = self.wires.borrow();
        match wires.get(&who) {
            Some(wire) if !wire.inbox.is_empty() => Err(format!("{who:?} got more: {}", shown(&wire.inbox))),
            _ => Ok(()),
        }
    }

    fn expect_log(&mut self, words: &[String]) -> Result<(), String> {
        let index = self.log_lines;
        self.log_lines += 1;
        self.wait(D::PATIENCE, &mut || self.driver.log().len() > index);
        let lines = self.driver.log();
        let line = lines.get(index).ok_or_else(|| format!("no such line in the log; {}", self.state()))?;
        for word in words {
            let word = super::language::expand(word, |name| self.driver.name(name))?;
            if !line.contains(&word) {
                return Err(format!("expected {word} in the log's line: {line}"));
            }
        }
        Ok(())
    }

    /// Nothing that was not expected has come: no bytes, no connections.
    fn look_for_more(&self) -> Result<(), String> {
        self.wait(Duration::from_millis(5), &mut || false);
        let whos: Vec<Who> = self.wires.borrow().keys().copied().collect();
        whos.into_iter().try_for_each(|who| self.has_nothing_more(who))?;
        match (0..self.case.servers.len()).find(|server| self.driver.accept(*server).is_some()) {
            Some(server) => Err(format!("backend{} got a connection that nobody expected", server + 1)),
            None => Ok(()),
        }
    }

    /// What the connections have received, for people.
    fn state(&self) -> String {
        let mut text = String::from("received and not expected yet:");
        for (who, wire) in &*self.wires.borrow() {
            text += &format!("\n  {who:?} {:?}: {}", wire.ended, shown(&wire.inbox));
        }
        for line in self.driver.log() {
            text += &format!("\n  log: {line}");
        }
        text
    }
}
