//! Looks after the connections of one runtime: wakes those whose time is over, and all of
//! them when the listener stops. So a connection has no timer of its own, and what it does
//! for a request takes no look at the end or at its limits.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::Stop;
use super::activity::Activity;

/// How often it looks: a limit of time is so much longer at most.
const EVERY: Duration = Duration::from_millis(100);

/// The connections of one runtime, or of several that share it.
#[derive(Default)]
pub(super) struct Sweep {
    connections: Mutex<Slab<Arc<Activity>>>,
    /// There is one again.
    first: Notify,
}

/// One connection, looked after until this is dropped.
pub(super) struct Watched<'a> {
    sweep: &'a Sweep,
    key: usize,
}

impl Sweep {
    /// One that comes when others have been told of the stop already is told here.
    pub(super) fn watch(&self, activity: Arc<Activity>) -> Watched<'_> {
        let mut connections = self.connections.lock();
        if connections.is_empty() {
            self.first.notify_one();
        }
        let key = connections.insert(activity.clone());
        drop(connections);
        // After it is among the others: a step of the stop is missed by neither.
        if activity.stop().is_leaving() {
            activity.call();
        }
        Watched { sweep: self, key }
    }

    /// Looks, for as long as it is polled. Each step of the stop is told at once.
    pub(super) async fn run(&self, stop: &Stop) {
        let looking = async {
            loop {
                if self.connections.lock().is_empty() {
                    self.first.notified().await;
                }
                sleep(EVERY).await;
                let now = Instant::now();
                self.call(|activity| activity.is_due(now));
            }
        };
        let telling = async {
            stop.left().await;
            self.call(|_| true);
            stop.drained().await;
            self.call(|_| true);
            stop.ended().await;
            self.call(|_| true);
        };
        tokio::join!(looking, telling);
    }

    fn call(&self, whom: impl Fn(&Activity) -> bool) {
        for (_, activity) in self.connections.lock().iter() {
            if whom(activity) {
                activity.call();
            }
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.sweep.connections.lock().try_remove(self.key);
    }
}
