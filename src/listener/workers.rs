//! Which runtime serves a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Stop;
use super::sweep::Sweep;

/// The runtimes that serve connections, each with one thread of its own or several.
pub(super) struct Workers<M>(Vec<Worker<M>>);

struct Worker<M> {
    handle: Handle,
    /// Makes the service of each connection.
    service_for: M,
    connections: Arc<AtomicUsize>,
    sweep: Arc<Sweep>,
}

/// A connection and where it is to be served.
pub(super) struct Assigned<M> {
    pub(super) stream: Stream,
    pub(super) handle: Handle,
    pub(super) service_for: M,
    pub(super) sweep: Arc<Sweep>,
    /// Counts among the worker's connections until it is dropped.
    pub(super) share: Share,
}

/// A connection on its way to its runtime.
pub(super) enum Stream {
    /// It was accepted there.
    Here(TcpStream),
    /// It has to be told to that runtime.
    Elsewhere(std::net::TcpStream),
}

pub(super) struct Share(Arc<AtomicUsize>);

/// Ends what looks after connections when it is dropped.
pub(super) struct Sweeping(Vec<AbortHandle>);

impl Drop for Sweeping {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<M: Clone> Workers<M> {
    /// The first is the one that accepts.
    pub(super) fn new(workers: Vec<(Handle, M)>) -> Self {
        let worker = |(handle, service_for)| Worker {
            handle,
            service_for,
            connections: Arc::default(),
            sweep: Arc::default(),
        };
        Self(workers.into_iter().map(worker).collect())
    }

    /// Looks after the connections of each, on its own runtime, until this is dropped.
    pub(super) fn sweep(&self, stop: &Stop) -> Sweeping {
        let mut tasks = Vec::new();
        for worker in &self.0 {
            let (sweep, stop) = (worker.sweep.clone(), stop.clone());
            tasks.push(worker.handle.spawn(async move { sweep.run(&stop).await }).abort_handle());
        }
        Sweeping(tasks)
    }

    /// The worker with the fewest connections; of several, the first. None where the
    /// connection is gone already.
    pub(super) fn assign(&self, stream: TcpStream) -> Option<Assigned<M>> {
        let load = |worker: &Worker<M>| worker.connections.load(Ordering::Relaxed);
        let (number, found) = self.0.iter().enumerate().min_by_key(|(_, worker)| load(worker))?;
        found.connections.fetch_add(1, Ordering::Relaxed);
        let share = Share(found.connections.clone());
        let stream = match number {
            0 => Stream::Here(stream),
            _ => Stream::Elsewhere(stream.into_std().ok()?),
        };
        let (handle, service_for) = (found.handle.clone(), found.service_for.clone());
        Some(Assigned { stream, handle, service_for, sweep: found.sweep.clone(), share })
    }
}

impl Stream {
    /// On the runtime that serves it.
    pub(super) fn here(self) -> Option<TcpStream> {
        match self {
            Self::Here(stream) => Some(stream),
            Self::Elsewhere(stream) => TcpStream::from_std(stream).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_goes_to_the_worker_that_has_the_fewest() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let workers = Workers::new((0..3).map(|number| (Handle::current(), number)).collect());
        let mut open = Vec::new();
        for expected in [0, 1, 2, 0, 1, 2] {
            let stream = TcpStream::connect(address).await.unwrap();
            let assigned = workers.assign(stream).unwrap();
            assert_eq!(assigned.service_for, expected);
            open.push(assigned);
        }
        drop(open.remove(4));
        let stream = TcpStream::connect(address).await.unwrap();
        let assigned = workers.assign(stream).unwrap();
        assert_eq!(assigned.service_for, 1, "the place of one that ended");
        assert!(matches!(assigned.stream, Stream::Elsewhere(_)));
        assert!(assigned.stream.here().is_some());
    }
}
