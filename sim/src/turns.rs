//! How often the tasks of a run get their turn, and the end of a run that takes too many.
//!
//! A run whose tasks keep each other awake for ever is stopped after the same turn on every machine. A task that never
//! gives its turn back is seen by nobody in here: that is for whoever watches the process from outside.
//!
//! madsim gives what is ready when a run ends one more turn. The world is gone by then, so these turns are not taken.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::Notify;

/// The turns of one run.
#[derive(Debug)]
pub struct Turns {
    taken: Cell<u64>,
    most: u64,
    exceeded: Notify,
    is_over: Cell<bool>,
}

impl Turns {
    /// Up to so many.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Turns { taken: Cell::new(0), most, exceeded: Notify::new(), is_over: Cell::new(false) }
    }

    /// Runs a task whose turns count.
    pub async fn count<F: Future>(&self, task: F) -> F::Output {
        let mut task = pin!(task);
        poll_fn(|context| {
            if self.is_over.get() {
                return Poll::Pending;
            }
            self.taken.set(self.taken.get() + 1);
            if self.taken.get() == self.most {
                self.exceeded.notify_one();
            }
            task.as_mut().poll(context)
        })
        .await
    }

    /// From now on no task gets a turn: the run is at its end.
    pub fn end(&self) {
        self.is_over.set(true);
    }

    /// Comes back when too many were taken.
    pub async fn exceeded(&self) {
        self.exceeded.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn after_the_end_no_task_gets_a_turn() {
        let (turns, polled) = (Turns::new(9), Cell::new(0));
        let task = poll_fn(|_| {
            polled.set(polled.get() + 1);
            Poll::<()>::Pending
        });
        let mut task = pin!(turns.count(task));
        let mut context = Context::from_waker(Waker::noop());
        assert!(task.as_mut().poll(&mut context).is_pending());
        turns.end();
        assert!(task.as_mut().poll(&mut context).is_pending());
        assert_eq!(polled.get(), 1);
    }
}
