//! The events that a record can be of, and the words of a decision.

use crate::domain::closed_set;

closed_set! {
    /// What a record is of.
    pub enum Event {
        /// A caller's request was judged.
        Decision = "grant.decision",
        /// What became of an allowed one.
        Outcome = "grant.outcome",
        /// What was found out later of an unknown outcome.
        Resolved = "outcome.resolved",
        /// Nobody was authenticated.
        Stranger = "authn.failure",
        /// Such requests that got no record of their own.
        Suppressed = "authn.suppressed",
        /// Files were read again.
        Reload = "config.reload",
        /// Somebody in charge gave an order or took one back, or its time ran out.
        Order = "order.change",
        /// A process began.
        Start = "log.start",
        /// What its start repaired.
        Recovery = "log.recovery",
        /// The tree's head over all records before.
        Checkpoint = "log.checkpoint",
        /// Checkpoints of other gateways' logs that this one was shown.
        Witness = "log.witness",
        /// Until now nothing could be written.
        Outage = "log.outage",
        /// The process ended in order.
        Stop = "log.stop",
    }
}

impl Event {
    /// The event of this code; none for one that this program does not know.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::of_bytes(code.as_bytes())
    }

    pub(in crate::audit) fn of_bytes(code: &[u8]) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.as_str().as_bytes() == code)
    }
}

pub(in crate::audit) const ALLOW: &str = "allow";
pub(in crate::audit) const DENY: &str = "deny";

/// The word of a decision.
pub(in crate::audit) const fn verdict(allowed: bool) -> &'static str {
    if allowed { ALLOW } else { DENY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_found_by_its_code_and_by_nothing_else() {
        for (event, code) in Event::ALL.iter().zip(Event::CODES) {
            assert_eq!((event.as_str(), Event::of(code)), (*code, Some(*event)));
        }
        assert_eq!(Event::of("log.other"), None);
        assert_eq!(Event::of(""), None);
    }
}
