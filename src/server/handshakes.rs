//! Tells the gateway of client certificates that a handshake refuses: the listener knows
//! nothing of what it serves, and the gateway nothing of handshakes.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::gateway::Gateway;
use crate::listener::AroundHandshake;
use crate::tls::{RefusedCertificate, noting_refusals};

/// For the listener of callers.
pub(super) fn of_callers(gateway: &Arc<Gateway>) -> AroundHandshake {
    let gateway = gateway.clone();
    noting(move |peer, refused| gateway.note_refused_handshake(peer, refused))
}

/// For the remote admin listener.
pub(super) fn of_admin(gateway: &Arc<Gateway>) -> AroundHandshake {
    let gateway = gateway.clone();
    noting(move |peer, refused| gateway.note_refused_admin(peer, refused))
}

fn noting(
    note: impl Fn(SocketAddr, &RefusedCertificate) + Send + Sync + 'static,
) -> AroundHandshake {
    let note = Arc::new(note);
    Arc::new(move |peer, handshake| {
        let note = note.clone();
        Box::pin(async move {
            let (done, refused) = noting_refusals(handshake).await;
            if let (Err(_), Some(refused)) = (&done, refused) {
                note(peer, &refused);
            }
            done
        })
    })
}
