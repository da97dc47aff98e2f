//! The threads of the console.
//!
//! A grant must never wait for somebody who looks. Whatever a page takes runs on a runtime of its own,
//! whose threads step back behind those of grants.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// How far its threads step back behind those of the process (setpriority(2)). Enough for the kernel to let a grant go first; where
/// the machine is busy they still have a third of what others have (sched(7)), so that somebody can look,
/// and freeze.
const BACK: i32 = 5;

/// Ends its threads when it is dropped, without waiting for them.
pub struct Background(Option<Runtime>);

impl Background {
    /// Starts it.
    ///
    /// # Errors
    /// When there can be no threads.
    pub fn start() -> io::Result<Self> {
        // The process may be nice itself: nobody is to come before its grants.
        let nice = behind(getpriority_process(None).unwrap_or(0));
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("console").enable_all();
        builder.on_thread_start(move || step_back(nice));
        builder.build().map(Some).map(Self)
    }

    /// What this work ends in; none if it panics. It ends with whoever waits for it.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let runtime = self.0.as_ref()?;
        AbortOnDropHandle::new(runtime.spawn(work)).await.ok()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// So far behind who is so nice; 19 is the end.
fn behind(nice: i32) -> i32 {
    (nice + BACK).min(19)
}

/// On Linux this is of one thread (setpriority(2), "C library/kernel differences"), and of those that
/// it starts.
fn step_back(nice: i32) {
    if let Err(error) = setpriority_process(None, nice) {
        tracing::debug!(%error, "the console's threads have the priority of all others");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        getpriority_process(None).unwrap()
    }

    #[test]
    fn nobody_comes_before_a_process_that_is_nice_itself() {
        assert_eq!([-20, 0, 10, 17, 19].map(behind), [-15, 5, 15, 19, 19]);
    }

    #[tokio::test]
    async fn its_threads_step_back_and_no_others() {
        let before = nice();
        let console = Background::start().unwrap();
        let work = async {
            let blocking = tokio::task::spawn_blocking(nice).await.unwrap();
            let thread = std::thread::spawn(nice).join().unwrap();
            [nice(), blocking, thread]
        };
        assert_eq!(console.run(work).await, Some([behind(before); 3]));
        assert_eq!(nice(), before);
        assert_eq!(console.run(async { panic!("as if by a fault") }).await, None::<()>);
        assert_eq!(console.run(async { 1 }).await, Some(1));
    }
}
