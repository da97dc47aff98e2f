//! A circuit breaker: when the upstream fails again and again, requests are refused at
//! once for a while instead of each waiting for its own failure.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// While a probe is on its way, the others are told to come back after this.
const PROBE_EXPECTED: Duration = Duration::from_secs(1);

/// When to stop asking, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Failures in a row that open it; 0 never does.
    pub failures: u32,
    /// How long it stays open before one request may probe.
    pub pause: Duration,
}

/// Closed at first.
#[derive(Debug)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    phase: Phase,
    /// Counts changes of the phase. What began under an earlier one says nothing of this.
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Requests pass; so many have failed in a row.
    Closed { failures: u32 },
    /// None passes until then.
    Open { until: Instant },
    /// One is on its way; the others wait for what becomes of it.
    Probing,
}

/// Permission to ask. What became of it must be told; if it is dropped instead, because
/// the request was given up, a probe counts as failed.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    generation: u64,
    told: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        let state = State { phase: Phase::Closed { failures: 0 }, generation: 0 };
        Self { settings, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Permission for one request, or how long to wait.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.state();
        match state.phase {
            Phase::Closed { .. } => {}
            Phase::Open { until } if now >= until => state.enter(Phase::Probing),
            Phase::Open { until } => return Err(until - now),
            Phase::Probing => return Err(PROBE_EXPECTED),
        }
        Ok(Pass { breaker: self, generation: state.generation, told: false })
    }

    /// Whether the upstream is left alone, or how long to wait: for requests that do not count.
    /// They say nothing of what became of them, so when the pause is over they go on, whether or
    /// not one that counts has come to probe.
    pub(super) fn look(&self, now: Instant) -> Result<(), Duration> {
        match self.state().phase {
            Phase::Open { until } if now < until => Err(until - now),
            Phase::Closed { .. } | Phase::Open { .. } | Phase::Probing => Ok(()),
        }
    }

    /// Whether requests are refused, but for one probe now and then.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state().phase, Phase::Closed { .. })
    }

    fn tell(&self, generation: u64, worked: bool, now: Instant) {
        let mut state = self.state();
        if generation != state.generation {
            return;
        }
        let until = now + self.settings.pause;
        match (state.phase, worked) {
            (Phase::Closed { .. }, true) => state.phase = Phase::Closed { failures: 0 },
            (Phase::Closed { failures }, false) => {
                let failures = failures.saturating_add(1);
                if self.settings.failures > 0 && failures >= self.settings.failures {
                    tracing::error!(
                        failures,
                        "the upstream fails: requests are refused for a while"
                    );
                    state.enter(Phase::Open { until });
                } else {
                    state.phase = Phase::Closed { failures };
                }
            }
            (Phase::Probing, true) => state.enter(Phase::Closed { failures: 0 }),
            (Phase::Probing, false) => state.enter(Phase::Open { until }),
            // No pass is given while it is open.
            (Phase::Open { .. }, _) => {}
        }
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

impl Pass<'_> {
    /// What became of the request.
    pub(super) fn tell(mut self, worked: bool) {
        self.told = true;
        self.breaker.tell(self.generation, worked, Instant::now());
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.tell(self.generation, false, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_probes_once_and_closes() {
        let pause = Duration::from_secs(5);
        let breaker = Breaker::new(BreakerSettings { failures: 3, pause });
        let now = Instant::now();
        for worked in [false, false, true, false, false] {
            breaker.pass(now).unwrap().tell(worked);
        }
        assert!(!breaker.is_open(), "not in a row");
        let late = breaker.pass(now).unwrap();
        breaker.pass(now).unwrap().tell(false);
        assert!(breaker.is_open() && breaker.pass(now).is_err());
        late.tell(true);
        assert!(breaker.is_open(), "an answer from before changes nothing");
        let then = now + 2 * pause;
        let probe = breaker.pass(then).unwrap();
        assert!(breaker.pass(then).is_err(), "one at a time");
        drop(probe);
        assert!(breaker.is_open(), "a probe that was given up has failed");
        breaker.pass(then + 2 * pause).unwrap().tell(true);
        assert!(!breaker.is_open() && breaker.pass(now).is_ok());
        let never = Breaker::new(BreakerSettings { failures: 0, pause });
        for _ in 0..100 {
            never.pass(now).unwrap().tell(false);
        }
        assert!(!never.is_open());
    }

    #[test]
    fn only_the_probe_decides_what_comes_of_the_probe() {
        let pause = Duration::from_secs(5);
        let breaker = Breaker::new(BreakerSettings { failures: 1, pause });
        let now = Instant::now();
        let [fails_late, works_late] = [breaker.pass(now).unwrap(), breaker.pass(now).unwrap()];
        breaker.pass(now).unwrap().tell(false);
        let probe = breaker.pass(now + 2 * pause).unwrap();
        works_late.tell(true);
        assert!(breaker.is_open(), "the probe is still on its way");
        fails_late.tell(false);
        probe.tell(true);
        assert!(!breaker.is_open(), "and it worked");
    }

    #[test]
    fn what_does_not_count_goes_on_when_the_pause_is_over() {
        let pause = Duration::from_secs(10);
        let breaker = Breaker::new(BreakerSettings { failures: 1, pause });
        let now = Instant::now();
        assert_eq!(breaker.look(now), Ok(()));
        breaker.tell(0, false, now);
        assert!(breaker.is_open());
        assert_eq!(breaker.look(now + Duration::from_secs(4)), Err(Duration::from_secs(6)));
        assert_eq!(breaker.look(now + pause), Ok(()));
        assert!(breaker.is_open(), "it has not probed");
    }
}
