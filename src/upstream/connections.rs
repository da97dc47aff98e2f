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

/// Idle connections, those of each upstream apart. Whoever has this serves on one runtime.
#[derive(Default)]
pub struct Connections(Mutex<Vec<Idle>>);

struct Idle {
    /// Which upstream they are of: with another key, certificate authority or address there is
    /// another, and none of these are for it.
    of: u64,
    /// The one that was used last at the end.
    connections: VecDeque<Box<Connection>>,
}

impl Connections {
    /// An idle connection that can be used, the one that was used last.
    pub(super) fn idle(&self, upstream: &Upstream) -> Option<Box<Connection>> {
        let mut all = self.0.lock();
        let idle = all.iter_mut().find(|idle| idle.of == upstream.number)?;
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
        let mut all = self.0.lock();
        match all.iter_mut().find(|idle| idle.of == upstream.number) {
            Some(idle) => idle.connections.push_back(connection),
            None => {
                all.push(Idle { of: upstream.number, connections: VecDeque::from([connection]) });
            }
        }
    }

    /// Closes what has been idle for too long. To be called now and then.
    pub fn prune(&self) {
        let now = Instant::now();
        self.0.lock().retain_mut(|Idle { connections, .. }| {
            while connections.front().is_some_and(|oldest| oldest.idle(now) >= IDLE_MAX) {
                connections.pop_front();
            }
            // Also of upstreams that are none any more.
            !connections.is_empty()
        });
    }
}
