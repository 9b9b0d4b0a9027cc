//! Wakes one connection's task from elsewhere on the same thread.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

/// A flag that says "look again", and the task that waits for it.
#[derive(Debug, Default)]
pub(super) struct Wake {
    news: Cell<bool>,
    waits: Cell<bool>,
    task: RefCell<Option<Waker>>,
}

impl Wake {
    /// The task shall look again. A task that runs sees it when it would wait.
    pub(super) fn notify(&self) {
        self.news.set(true);
        if self.waits.replace(false)
            && let Some(task) = &*self.task.borrow()
        {
            task.wake_by_ref();
        }
    }

    /// Whether there is something to look at; if not, the task is woken when
    /// there is.
    pub(super) fn poll(&self, context: &Context<'_>) -> bool {
        if self.news.replace(false) {
            return true;
        }
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            *task = Some(context.waker().clone());
        }
        self.waits.set(true);
        false
    }
}
