//! A simulated world: its tasks, its clock, and how a run goes on from step to step.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::Sim;
use super::faults::{Faults, Place};
use super::host::Host;
use super::network::Network;
use super::random::Random;
use super::socket::Socket;
use crate::runtime::DrainSignal;
use crate::runtime::executor::{Executor, TaskId};
use crate::runtime::timers::Timers;

/// Steps after which a run is given up: some task goes round in circles.
const STEP_LIMIT: u64 = 5_000_000;

/// A network in memory, a clock that jumps, and the tasks of every machine in it. One seed, one run.
///
/// Time stands still while a task is ready, and then jumps to the next moment that somebody waits for. Dropping the
/// world drops its tasks.
pub struct World {
    pub(super) core: Rc<Core>,
}

/// What the machines of a world have in common.
pub(super) struct Core {
    pub(super) executor: Executor,
    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) network: RefCell<Network>,
    hosts: RefCell<Vec<Weak<Host>>>,
    timers: RefCell<Timers<TaskId>>,
    start: Instant,
    clock: Cell<Instant>,
    steps: Cell<u64>,
    hook: RefCell<Option<Box<dyn FnMut()>>>,
}

/// Why a run did not come to its end.
#[derive(Debug)]
pub struct Stuck {
    /// What happened.
    pub why: Why,
    /// The state of the world, for people.
    pub dump: String,
}

/// Why a run did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No task is ready, and none waits for a moment.
    Deadlock,
    /// The virtual time that it was given is over.
    OutOfTime,
    /// Some task goes round in circles.
    OutOfSteps,
}

impl World {
    /// A world with these faults; the seed decides when they strike, and the order in which tasks run.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let start = Instant::now();
        let core = Core {
            executor: Executor::default(),
            random: Random::new(seed),
            faults,
            network: RefCell::default(),
            hosts: RefCell::default(),
            timers: RefCell::default(),
            start,
            clock: Cell::new(start),
            steps: Cell::new(0),
            hook: RefCell::default(),
        };
        Self { core: Rc::new(core) }
    }

    /// A machine with this address and a pool of so many bufs.
    pub fn host(&self, ip: impl Into<IpAddr>, bufs: usize) -> Sim {
        self.add_host(ip.into(), bufs, None)
    }

    pub(super) fn add_host(&self, ip: IpAddr, bufs: usize, drain: Option<DrainSignal>) -> Sim {
        let host = Rc::new(Host::new(Rc::clone(&self.core), ip, bufs, drain));
        self.core.hosts.borrow_mut().push(Rc::downgrade(&host));
        Sim::new(host)
    }

    /// From now on connections to this address are not answered.
    pub fn silence(&self, address: SocketAddr) {
        self.core.network.borrow_mut().silent.insert(address);
    }

    /// Opens a connection that is worked by hand, from outside of every task.
    ///
    /// # Errors
    /// `ConnectionRefused` where nobody listens.
    pub fn dial(&self, from: IpAddr, to: SocketAddr) -> std::io::Result<Socket> {
        super::network::open(&self.core, from, to)
    }

    /// Starts to listen by hand: see [`World::answer`].
    ///
    /// # Errors
    /// `AddrInUse`.
    pub fn listen(&self, address: SocketAddr) -> std::io::Result<()> {
        self.core.network.borrow_mut().listen(address).map(drop)
    }

    /// Takes a connection that waits at an address to be accepted, to work it by hand.
    pub fn answer(&self, address: SocketAddr) -> Option<(Socket, SocketAddr)> {
        self.core.network.borrow().port(address)?.backlog.borrow_mut().pop_front()
    }

    /// Calls `hook` after each step, to look whether what must always hold does.
    pub fn after_each_step(&self, hook: impl FnMut() + 'static) {
        *self.core.hook.borrow_mut() = Some(Box::new(hook));
    }

    /// Runs until `done` says so; it is asked before each step, and may change the world from outside.
    ///
    /// # Errors
    /// The world can do nothing more, or more than `patience` of virtual time has passed.
    pub fn run_until(&self, patience: Duration, mut done: impl FnMut() -> bool) -> Result<(), Stuck> {
        let by = self.now() + patience;
        while !done() {
            let why = match self.step(by) {
                _ if self.core.steps.get() > STEP_LIMIT => Why::OutOfSteps,
                Step::Done => continue,
                Step::Nothing => Why::Deadlock,
                Step::NotYet => Why::OutOfTime,
            };
            return Err(Stuck { why, dump: self.to_string() });
        }
        Ok(())
    }

    /// Runs for so much virtual time, whatever happens.
    pub fn run_for(&self, time: Duration) {
        let by = self.now() + time;
        while matches!(self.step(by), Step::Done) {}
        self.core.clock.set(by.max(self.now()));
    }

    /// Polls one ready task, or lets time jump to the next moment that somebody waits for, up to `by`.
    fn step(&self, by: Instant) -> Step {
        let core = &self.core;
        if !core.executor.run_one(|count| core.random.below(count)) {
            let next = core.timers.borrow().next();
            match next {
                None => return Step::Nothing,
                Some(at) if at > by => return Step::NotYet,
                Some(at) => core.jump(at),
            }
        }
        core.steps.set(core.steps.get() + 1);
        core.hosts().for_each(|host| host.after_step());
        let hook = core.hook.borrow_mut().take();
        if let Some(mut hook) = hook {
            hook();
            core.hook.borrow_mut().get_or_insert(hook);
        }
        Step::Done
    }

    /// The virtual moment.
    pub fn now(&self) -> Instant {
        self.core.clock.get()
    }

    /// Virtual time since the world began.
    pub fn elapsed(&self) -> Duration {
        self.now() - self.core.start
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.core.steps.get()
    }

    /// Tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.core.executor.len()
    }

    /// Ends of connections that are open: two for a connection that nobody has closed.
    pub fn open_ends(&self) -> usize {
        self.core.network.borrow().open_ends()
    }

    /// How far each direction of each connection has come so far: places behind its last byte.
    pub fn traffic(&self) -> Vec<Place> {
        self.core.network.borrow().traffic()
    }
}

enum Step {
    /// Something happened.
    Done,
    /// The next thing lies beyond the given moment.
    NotYet,
    /// Nothing can happen any more.
    Nothing,
}

impl Core {
    /// The virtual moment.
    pub(super) fn now(&self) -> Instant {
        self.clock.get()
    }

    /// Wakes the task that runs at a moment.
    pub(super) fn wake_at(&self, at: Instant) {
        self.timers.borrow_mut().push(at, self.executor.current());
    }

    pub(super) fn wake(&self, task: Option<TaskId>) {
        if let Some(task) = task {
            self.executor.wake(task);
        }
    }

    /// The moment at which something sent now arrives.
    pub(super) fn arrival(&self) -> Instant {
        let delay = usize::try_from(self.faults.delay.as_micros()).unwrap_or(usize::MAX);
        let drawn = if delay == 0 { 0 } else { self.random.below(delay) };
        self.now() + Duration::from_micros(drawn as u64)
    }

    fn jump(&self, at: Instant) {
        self.clock.set(at.max(self.now()));
        while let Some((_, task)) = self.timers.borrow_mut().pop_due(self.now()) {
            self.executor.wake(task);
        }
    }

    fn hosts(&self) -> impl Iterator<Item = Rc<Host>> {
        let hosts: Vec<_> = self.hosts.borrow().iter().filter_map(Weak::upgrade).collect();
        hosts.into_iter()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks hold the world that holds them, and so do connections that nobody accepted.
        self.core.executor.clear();
        self.core.hook.take();
        let network = std::mem::take(&mut *self.core.network.borrow_mut());
        drop(network);
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:?} passed in {} steps; {} tasks are left",
            self.elapsed(),
            self.steps(),
            self.tasks()
        )?;
        for host in self.core.hosts() {
            writeln!(
                f,
                "host {}: {} bufs out, {} tasks wait for one",
                host.ip,
                host.pool.out(),
                host.starved()
            )?;
        }
        self.core.network.borrow().describe(f, self.now())
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("elapsed", &self.elapsed())
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Deadlock => "deadlock: no task is ready, and none waits for a moment",
            Why::OutOfTime => "out of time: what was waited for has not happened",
            Why::OutOfSteps => "out of steps: some task goes round in circles",
        };
        write!(f, "{why}\n{}", self.dump)
    }
}

impl std::error::Error for Stuck {}
