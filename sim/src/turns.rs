//! How often the tasks of a run get their turn, and the end of a run that takes too many.
//!
//! A run whose tasks keep each other awake for ever is stopped after the same turn on every machine. A task that never
//! gives its turn back is seen by nobody in here: that is for whoever watches the process from outside.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::sync::Notify;

/// The turns of one run.
#[derive(Debug)]
pub struct Turns {
    taken: Cell<u64>,
    most: u64,
    exceeded: Notify,
}

impl Turns {
    /// Up to so many.
    #[must_use]
    pub fn new(most: u64) -> Self {
        Turns { taken: Cell::new(0), most, exceeded: Notify::new() }
    }

    /// Runs a task whose turns count.
    pub async fn count<F: Future>(&self, task: F) -> F::Output {
        let mut task = pin!(task);
        poll_fn(|context| {
            self.taken.set(self.taken.get() + 1);
            if self.taken.get() == self.most {
                self.exceeded.notify_one();
            }
            task.as_mut().poll(context)
        })
        .await
    }

    /// Comes back when too many were taken.
    pub async fn exceeded(&self) {
        self.exceeded.notified().await;
    }
}
