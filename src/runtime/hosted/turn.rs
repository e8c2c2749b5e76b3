//! The turns of a loop: the task of the engine in which the tasks of the proxy run, woken by number.

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::Core;
use super::engine::Engine;

/// Times that ready tasks are polled before the engine has its turn: a task that was just started runs at once.
const ROUNDS: usize = 2;
/// Operations that may succeed without waiting in one turn before the others get theirs.
const PACE: u32 = 64;
/// How long the pumps may take to end when the loop has.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Between two looks at what is under way from other workers, at the end.
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// What a task of the proxy died of.
pub(super) type Panic = Box<dyn Any + Send>;

/// Runs tasks until `is_done` says so.
pub(super) async fn turn_until<E: Engine>(
    core: Rc<Core<E>>,
    is_done: impl Fn() -> bool,
) -> Result<(), Panic> {
    let mut alarm = Alarm::<E>::default();
    poll_fn(|cx| {
        keep(&mut core.turner.borrow_mut(), cx);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| core.turn())) {
            return Poll::Ready(Err(panic));
        }
        if is_done() {
            return Poll::Ready(Ok(()));
        }
        core.unpark();
        if alarm.poll(core.conns.borrow().next(), cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        if core.executor.is_ready() && !core.breath.borrow().is_busy() {
            core.breath.borrow_mut().give(());
        }
        Poll::Pending
    })
    .await
}

impl<E: Engine> Core<E> {
    /// Makes a task ready, and sees to it that there is a turn.
    pub(super) fn wake(&self, task: crate::runtime::executor::TaskId) {
        self.executor.wake(task);
        self.wake_turns();
    }

    /// Waits for a moment's pause when many operations in a row did not have to wait.
    pub(super) async fn pace(&self) {
        match self.pace.get().checked_sub(1) {
            Some(left) => self.pace.set(left),
            None => crate::runtime::executor::yield_now(&self.executor).await,
        }
    }

    /// Starts a task of the engine that the end of the loop waits for.
    pub(super) fn start_pump(self: &Rc<Self>, pump: impl Future<Output = ()> + 'static) {
        self.pumps.set(self.pumps.get() + 1);
        E::spawn(Pump { pump, core: self.clone() });
    }

    /// Starts the pump that lets the kernel have its turn while tasks are ready.
    pub(super) fn start_breath(self: &Rc<Self>) {
        let core = self.clone();
        self.start_pump(async move {
            let mut always = None;
            while poll_fn(|cx| core.breath.borrow_mut().poll_next(cx)).await.is_some() {
                if always.is_none() {
                    always = core.bell.share().and_then(E::attach).ok();
                }
                if let Some(always) = &always {
                    E::breathe(always).await;
                }
                core.breath.borrow_mut().done();
                core.wake_turns();
            }
        });
    }

    /// Drops the tasks, ends the pumps and waits for them; false when some go on.
    pub(super) async fn finish(&self) -> bool {
        self.executor.clear();
        self.parked.borrow_mut().clear();
        self.member.close();
        self.wait_for_arrivals().await;
        self.is_ending.set(true);
        self.bell.ring();
        self.breath.borrow_mut().close();
        let mut limit = Box::pin(E::sleep(Instant::now() + LAST_WAIT));
        poll_fn(|cx| {
            keep(&mut self.ender.borrow_mut(), cx);
            if self.pumps.get() == 0 {
                return Poll::Ready(true);
            }
            limit.as_mut().poll(cx).map(|()| false)
        })
        .await
    }

    /// What is under way from other workers finds nobody: it is closed.
    async fn wait_for_arrivals(&self) {
        let by = Instant::now() + LAST_WAIT;
        while self.member.expects() && Instant::now() < by {
            self.empty_inbox();
            E::sleep(Instant::now() + LAST_PAUSE).await;
        }
    }

    /// The root's wait for something that [`Core::wake_ender`] tells of.
    pub(super) async fn wait_for<T>(&self, has_come: impl Fn() -> Option<T>) -> T {
        poll_fn(|cx| {
            keep(&mut self.ender.borrow_mut(), cx);
            has_come().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Has the root look again.
    pub(super) fn wake_ender(&self) {
        if let Some(ender) = &*self.ender.borrow() {
            ender.wake_by_ref();
        }
    }

    fn turn(&self) {
        self.is_turning.set(true);
        self.pace.set(PACE);
        self.now.set(Instant::now());
        self.conns.borrow_mut().fire(self.now.get(), &self.executor);
        for _ in 0..ROUNDS {
            self.executor.run_ready();
        }
        self.is_turning.set(false);
    }

    /// Wakes as many of those that wait for a buf as there are bufs. Some on the list have given up waiting.
    fn unpark(&self) {
        let mut left = self.pool.left();
        while left > 0 {
            let Some(conn) = self.parked.borrow_mut().pop_front() else { return };
            left -= usize::from(conn.unpark());
        }
    }

    /// Something has ended outside of the turns: a buf may have come home, and only a turn hands it on.
    pub(super) fn wake_parked(&self) {
        if !self.parked.borrow().is_empty() {
            self.wake_turns();
        }
    }

    fn wake_turns(&self) {
        if !self.is_turning.get()
            && let Some(turner) = &*self.turner.borrow()
        {
            turner.wake_by_ref();
        }
    }

    fn pump_ended(&self) {
        self.pumps.set(self.pumps.get() - 1);
        self.wake_parked();
        if self.pumps.get() == 0 {
            self.wake_ender();
        }
    }
}

pin_project! {
    /// A pump that is counted. Its connection is closed before it counts as ended.
    struct Pump<E: Engine, F> {
        #[pin]
        pump: F,
        core: Rc<Core<E>>,
    }
}

impl<E: Engine, F: Future<Output = ()>> Future for Pump<E, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let ended = this.pump.poll(cx);
        if ended.is_ready() {
            this.core.pump_ended();
        }
        ended
    }
}

/// The one sleep of a loop, moved only when an earlier deadline appears.
struct Alarm<E: Engine> {
    sleep: Option<Pin<Box<E::Sleep>>>,
    /// When it rings.
    armed: Option<Instant>,
}

impl<E: Engine> Default for Alarm<E> {
    fn default() -> Self {
        Self { sleep: None, armed: None }
    }
}

impl<E: Engine> Alarm<E> {
    /// Sees to it that it rings by `next`; ready when it has rung.
    fn poll(&mut self, next: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(next) = next.filter(|next| self.armed.is_none_or(|armed| *next < armed)) {
            self.armed = Some(next);
            match &mut self.sleep {
                Some(sleep) => E::reset(sleep.as_mut(), next),
                None => self.sleep = Some(Box::pin(E::sleep(next))),
            }
        }
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.armed.is_some()) else { return Poll::Pending };
        let rang = sleep.as_mut().poll(cx);
        if rang.is_ready() {
            self.armed = None;
        }
        rang
    }
}

fn keep(waker: &mut Option<Waker>, cx: &Context<'_>) {
    if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *waker = Some(cx.waker().clone());
    }
}

/// What ran to its end, or what it died of.
pub(super) fn outcome(ended: Result<(), Panic>) -> io::Result<()> {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok(())
}
