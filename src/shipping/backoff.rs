//! How long to wait before the next try, as OTLP asks for ("OTLP/HTTP", sections "Retryable
//! Response Codes" and "OTLP/HTTP Throttling").

use std::time::Duration;

use super::state::{Failure, Kind};
use crate::domain;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Slower where somebody has to change something first.
const STOPPED_FIRST: Duration = Duration::from_secs(2);
const STOPPED_LONGEST: Duration = Duration::from_secs(60);

/// However long the sink asks for.
const ASKED_FOR_MAX: Duration = Duration::from_secs(300);

/// Failures in a row.
#[derive(Default)]
pub(super) struct Backoff(domain::Backoff);

impl Backoff {
    pub(super) fn wait(&mut self, failure: &Failure) -> Duration {
        let (first, longest) = match failure.kind {
            Kind::Stopped => (STOPPED_FIRST, STOPPED_LONGEST),
            Kind::Again(_) | Kind::Read => (FIRST, LONGEST),
        };
        let own = self.0.wait(first, longest);
        own.max(failure.after.unwrap_or_default().min(ASKED_FOR_MAX))
    }

    pub(super) fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipping::sink::Cause;

    fn failure(kind: Kind, after: Option<u64>) -> Failure {
        Failure { kind, text: String::new(), after: after.map(Duration::from_secs) }
    }

    #[test]
    fn waits_double_up_to_half_a_minute_and_begin_anew() {
        let mut backoff = Backoff::default();
        for expected in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let wait = backoff.wait(&failure(Kind::Again(Cause::Connection), None)).as_millis();
            assert!((expected / 2..=expected).contains(&wait), "{wait} of {expected}");
        }
        assert!(backoff.wait(&failure(Kind::Again(Cause::Timeout), None)) <= LONGEST);
        backoff.reset();
        assert!(backoff.wait(&failure(Kind::Again(Cause::Unavailable), None)) <= FIRST);
    }

    #[test]
    fn a_sink_may_ask_for_more_within_a_bound() {
        let mut backoff = Backoff::default();
        let asked = |backoff: &mut Backoff, s| {
            backoff.wait(&failure(Kind::Again(Cause::Unavailable), Some(s)))
        };
        assert_eq!(asked(&mut backoff, 7).as_secs(), 7);
        assert_eq!(asked(&mut backoff, 4_000_000_000), ASKED_FOR_MAX);
        assert!(asked(&mut Backoff::default(), 0) >= FIRST / 2, "never at once");
        for _ in 0..20 {
            backoff.wait(&failure(Kind::Stopped, None));
        }
        assert!(backoff.wait(&failure(Kind::Stopped, None)) >= STOPPED_LONGEST / 2);
    }
}
