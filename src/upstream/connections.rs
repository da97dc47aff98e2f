//! The connections of one worker to the upstream that are open and idle.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Upstream;
use super::connection::Connection;

/// How long a connection may be idle: less than with common load balancers, so that a request
/// is seldom sent into a connection that is being closed.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Idle connections, of one upstream at a time. Whoever has this serves on one runtime.
#[derive(Default)]
pub struct Connections(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    /// Which upstream they are of.
    of: u64,
    /// The one that was used last at the end.
    connections: VecDeque<Box<Connection>>,
}

impl Connections {
    /// An idle connection that can be used, the one that was used last.
    pub(super) fn idle(&self, upstream: &Upstream) -> Option<Box<Connection>> {
        let mut idle = self.0.lock();
        if idle.of != upstream.number {
            // Another certificate authority, another address: not for this one.
            idle.connections.clear();
            idle.of = upstream.number;
        }
        while let Some(mut connection) = idle.connections.pop_back() {
            if connection.idle(Instant::now()) < IDLE_MAX && connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request, if there can be one on it.
    pub(super) fn keep(&self, upstream: &Upstream, mut connection: Box<Connection>) {
        if connection.has_ended() {
            return;
        }
        connection.put_by(Instant::now());
        let mut idle = self.0.lock();
        if idle.of == upstream.number {
            idle.connections.push_back(connection);
        }
    }

    /// Closes what has been idle for too long. To be called now and then.
    pub fn prune(&self) {
        let now = Instant::now();
        let mut idle = self.0.lock();
        while idle.connections.front().is_some_and(|oldest| oldest.idle(now) >= IDLE_MAX) {
            idle.connections.pop_front();
        }
    }
}
