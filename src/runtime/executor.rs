//! A single-threaded executor: tasks in a slab, woken by their number.
//!
//! Operations note the number of the task that waits for them ([`Executor::current`]) and wake it by that number, so
//! a wake-up costs neither an atomic nor a reference count. The `Waker` of the `Context` does nothing. A wake-up may be
//! spurious: futures look at their own state again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// The number of a task; may be given to another one when the task has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(u32);

/// The tasks of one worker.
#[derive(Default)]
pub struct Executor {
    tasks: RefCell<Slab<Task>>,
    ready: RefCell<VecDeque<TaskId>>,
    current: Cell<Option<TaskId>>,
}

struct Task {
    /// Absent while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    is_queued: bool,
}

impl Executor {
    /// Adds a task; it is polled in the next [`Executor::run_ready`].
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) -> TaskId {
        let task = Task { future: Some(Box::pin(future)), is_queued: false };
        let id = TaskId(u32::try_from(self.tasks.borrow_mut().insert(task)).unwrap_or(u32::MAX));
        self.wake(id);
        id
    }

    /// The task that is being polled.
    ///
    /// # Panics
    /// When called outside a task: an operation was polled by something else than this executor.
    pub fn current(&self) -> TaskId {
        self.current.get().expect("operations are polled inside a task")
    }

    /// Makes a task ready; one that has ended is ignored.
    pub fn wake(&self, id: TaskId) {
        if let Some(task) = self.tasks.borrow_mut().get_mut(id.0 as usize)
            && !task.is_queued
        {
            task.is_queued = true;
            self.ready.borrow_mut().push_back(id);
        }
    }

    /// Whether a task is ready to be polled.
    pub fn is_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// How many tasks have not ended.
    pub fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Whether every task has ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Polls every task that was ready at the start, once each.
    pub fn run_ready(&self) {
        let count = self.ready.borrow().len();
        for _ in 0..count {
            let Some(id) = self.ready.borrow_mut().pop_front() else { return };
            self.poll(id);
        }
    }

    /// Polls one ready task; false when none is ready. `choose` picks among so many: a simulation draws lots.
    pub fn run_one(&self, choose: impl FnOnce(usize) -> usize) -> bool {
        let count = self.ready.borrow().len();
        if count == 0 {
            return false;
        }
        let id = self.ready.borrow_mut().remove(choose(count) % count);
        id.is_some_and(|id| {
            self.poll(id);
            true
        })
    }

    /// Drops every task.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        self.ready.borrow_mut().clear();
        drop(tasks);
    }

    fn poll(&self, id: TaskId) {
        let Some(mut future) = self.start(id) else { return };
        let outer = self.current.replace(Some(id));
        let done = future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        self.current.set(outer);
        if done {
            drop(future);
            self.tasks.borrow_mut().try_remove(id.0 as usize);
        } else if let Some(task) = self.tasks.borrow_mut().get_mut(id.0 as usize) {
            task.future = Some(future);
        }
    }

    fn start(&self, id: TaskId) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(id.0 as usize)?;
        task.is_queued = false;
        task.future.take()
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("tasks", &self.len()).finish_non_exhaustive()
    }
}

/// Gives way once: the other ready tasks run first.
pub async fn yield_now(executor: &Executor) {
    let mut yielded = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        executor.wake(executor.current());
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn tasks_run_in_the_order_they_were_woken_and_a_double_wake_counts_once() {
        let executor = Rc::new(Executor::default());
        let log = Rc::new(RefCell::new(Vec::new()));
        for name in ['a', 'b'] {
            let (executor, log) = (executor.clone(), log.clone());
            executor.clone().spawn(async move {
                log.borrow_mut().push(name);
                executor.wake(executor.current());
                yield_now(&executor).await;
                log.borrow_mut().push(name.to_ascii_uppercase());
            });
        }
        executor.run_ready();
        assert_eq!(*log.borrow(), ['a', 'b']);
        executor.run_ready();
        assert_eq!(*log.borrow(), ['a', 'b', 'A', 'B']);
        assert!(executor.is_empty() && !executor.is_ready());
    }

    #[test]
    fn waking_an_ended_task_is_harmless() {
        let executor = Executor::default();
        let id = executor.spawn(async {});
        executor.run_ready();
        executor.wake(id);
        assert!(!executor.is_ready());
    }
}
