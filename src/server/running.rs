//! Work that is done to its end, whoever waits for it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Work on the task of whoever waits for it. When that one goes it goes on, on a task of its
/// own; should it panic, that is what comes of it.
pub(super) struct Running<T: Send + 'static> {
    work: Option<Work<T>>,
    /// Among all that is running, which is waited for at the end.
    counted: TaskTrackerToken,
}

impl<T: Send + 'static> Running<T> {
    pub(super) fn new(work: Work<T>, all: &TaskTracker) -> Self {
        Self { work: Some(work), counted: all.token() }
    }
}

/// The text of a panic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Panicked(pub(super) String);

impl<T: Send + 'static> Future for Running<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let done = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(done)) => Ok(done),
            Err(panic) => Err(Panicked(text_of(&*panic))),
        };
        self.work = None;
        Poll::Ready(done)
    }
}

impl<T: Send + 'static> Drop for Running<T> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        // Without a runtime there is nowhere to go on.
        if let Ok(runtime) = Handle::try_current() {
            self.counted.task_tracker().spawn_on(work, &runtime);
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a text").to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_is_done_all_the_same() {
        let all = TaskTracker::new();
        let (go, may_go) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let work = async move {
            may_go.await.unwrap();
            done.send("done").unwrap();
        };
        let mut running = Running::new(Box::pin(work), &all);
        let begun = std::future::poll_fn(|context| {
            Poll::Ready(Pin::new(&mut running).poll(context).is_pending())
        });
        assert!(begun.await);
        assert_eq!(all.len(), 1);
        drop(running);
        assert_eq!(all.len(), 1);
        go.send(()).unwrap();
        assert_eq!(is_done.await.unwrap(), "done");
        all.close();
        all.wait().await;
    }

    #[tokio::test]
    async fn a_panic_is_what_came_of_it() {
        let all = TaskTracker::new();
        let running = Running::<()>::new(Box::pin(async { panic!("on purpose") }), &all);
        assert_eq!(running.await, Err(Panicked("on purpose".into())));
        let number = 7;
        let running = Running::<()>::new(Box::pin(async move { panic!("{number}") }), &all);
        assert_eq!(all.len(), 1);
        assert_eq!(running.await, Err(Panicked("7".into())));
    }

    #[tokio::test]
    async fn what_has_ended_is_not_done_again() {
        let all = TaskTracker::new();
        let mut running = Running::new(Box::pin(async { 7 }), &all);
        assert_eq!((&mut running).await, Ok(7));
        drop(running);
        assert_eq!(all.len(), 0);
    }
}
