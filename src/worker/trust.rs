//! For how long what is done for a loop may go on: until the loop's lease is no longer to be trusted.
//!
//! A process that was frozen goes on with whatever is ready to run, before it hears of any timer. What is done for a loop in
//! a task of its own therefore looks here each time before it goes on. This must never know what is done, nor by which lease.

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;

/// Whether what is done for a loop may go on. Cheap to copy.
#[derive(Clone, Default)]
pub struct Trust(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Trust {
    /// Trust that lasts as long as `holds` says so. [`Trust::default`] lasts for ever.
    pub fn as_long_as(holds: impl Fn() -> bool + Send + Sync + 'static) -> Trust {
        Trust(Some(Arc::new(holds)))
    }

    /// Whether nothing may be begun any more, and nothing go on.
    pub fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(|holds| !holds())
    }

    /// Does the work, and looks each time before it goes on. None when it may not: what was under way is left where it was.
    /// Whoever holds the lease ends the wait for what does not go on by itself.
    pub async fn guard<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        let looked_at = poll_fn(|context| match self.is_over() {
            true => Poll::Ready(None),
            false => work.as_mut().poll(context).map(Some),
        });
        looked_at.await
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trust").field(&if self.is_over() { "over" } else { "lasts" }).finish()
    }
}
