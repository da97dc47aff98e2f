//! A wire between a gateway and its database, which delays and cuts what goes over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Nothing is cut.
const NEVER: u64 = u64::MAX;

#[derive(Default)]
struct State {
    /// Bytes to the database after which a connection is cut.
    cut_after: AtomicU64,
    delay_ms: AtomicU64,
    cuts: AtomicU64,
}

pub struct Wire {
    pub port: u16,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// To this port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(State { cut_after: NEVER.into(), ..State::default() });
        let used = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((from_near, to_near), (from_far, to_far)) =
                    (near.into_split(), far.into_split());
                let cut = used.cut_after.load(Ordering::Relaxed);
                let (there, back) = (used.clone(), used.clone());
                tokio::spawn(async move {
                    // When one ends, the other loses its half: both sides see the end.
                    tokio::select! {
                        () = carry(from_near, to_far, cut, &there) => {}
                        () = carry(from_far, to_near, NEVER, &back) => {}
                    }
                });
            }
        });
        Self { port: own, state, accepting }
    }

    /// Connections that are made from now on are cut after so many bytes.
    pub fn cut_after(&self, bytes: u64) {
        self.state.cut_after.store(bytes, Ordering::Relaxed);
    }

    /// From now on nothing is cut.
    pub fn mend(&self) {
        self.cut_after(NEVER);
    }

    /// What goes either way takes so much longer.
    pub fn delay(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).unwrap();
        self.state.delay_ms.store(delay, Ordering::Relaxed);
    }

    /// How often it cut.
    pub fn cuts(&self) -> u64 {
        self.state.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cut: u64, state: &State) {
    let (mut bytes, mut carried) = ([0; 8192], 0);
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let delay = state.delay_ms.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        // In the middle of a message, most of the time.
        let left = usize::try_from(cut - carried).unwrap_or(usize::MAX);
        let Some(some) = bytes.get(..read.min(left)) else { return };
        if to.write_all(some).await.is_err() {
            return;
        }
        carried += some.len() as u64;
        if carried >= cut {
            state.cuts.fetch_add(1, Ordering::Relaxed);
            return;
        }
    }
}
