//! How a listener ends, step by step.

use tokio_util::sync::CancellationToken;

/// Tells a listener and its connections to end. Clones are of one end. A step includes
/// those before it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    leaving: CancellationToken,
    draining: CancellationToken,
    ended: CancellationToken,
}

impl Stop {
    /// Nothing is refused yet, but every answer sends its client elsewhere: HTTP/2
    /// connections say GOAWAY (RFC 9113, section 6.8), HTTP/1.1 answers `connection:
    /// close` (RFC 9112, section 9.6). Time for balancers to notice.
    pub fn leave(&self) {
        self.leaving.cancel();
    }

    /// No new connection; what is in flight is finished.
    pub fn drain(&self) {
        self.leave();
        self.draining.cancel();
    }

    /// Connections are cut.
    pub fn end(&self) {
        self.drain();
        self.ended.cancel();
    }

    /// Whether [`leave`](Self::leave) was called.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// Whether [`drain`](Self::drain) was called.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether [`end`](Self::end) was called.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Resolves at [`leave`](Self::leave).
    pub async fn left(&self) {
        self.leaving.cancelled().await;
    }

    /// Resolves at [`drain`](Self::drain).
    pub async fn drained(&self) {
        self.draining.cancelled().await;
    }

    /// Resolves at [`end`](Self::end).
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// One that also ends with this one, and can be ended alone.
    pub(super) fn child(&self) -> Self {
        Self {
            leaving: self.leaving.child_token(),
            draining: self.draining.child_token(),
            ended: self.ended.child_token(),
        }
    }
}
