//! What systemd, or a service manager like it, gives to a process and is told by it.
//!
//! A socket that the manager has bound (`sd_listen_fds(3)`) outlives the process: while
//! one process ends and the next starts, connections wait in it and none is refused.
//! What the process tells (`sd_notify(3)`) goes to `NOTIFY_SOCKET`; without that
//! variable nothing is told.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::task::JoinHandle;

/// The socket that callers connect to, when the service manager has passed one. It is
/// taken out of the environment: call it once, before there are other threads.
///
/// # Errors
/// When what was passed is not one listening TCP socket.
pub fn inherited_socket() -> io::Result<Option<TcpListener>> {
    let mut passed = ListenFd::from_env();
    match passed.len() {
        0 | 1 => match passed.take_tcp_listener(0)? {
            Some(socket) if !rustix::net::sockopt::socket_acceptconn(&socket)? => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen (Accept=no)"))
            }
            socket => Ok(socket),
        },
        more => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{more} sockets were passed (LISTEN_FDS); pass the callers' one only"),
        )),
    }
}

/// Requests are taken from now on, also after a reload.
pub fn tell_ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins; [`tell_ready`] ends it.
pub fn tell_reloading() {
    let now = NotifyState::monotonic_usec_now();
    tell(&[NotifyState::Reloading, now.unwrap_or(NotifyState::Status("reloading"))]);
}

/// The end begins.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is in flight")]);
}

/// Shows the manager twice in each of its periods (`WatchdogSec=`) that the process does
/// not hang. `None` when it does not ask for it.
#[must_use]
pub fn feed_watchdog() -> Option<JoinHandle<()>> {
    let period = sd_notify::watchdog_enabled().filter(|period| !period.is_zero())?;
    let every = (period / 2).max(Duration::from_millis(1));
    Some(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    }))
}

/// A manager that does not listen must not stop what it manages.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}
