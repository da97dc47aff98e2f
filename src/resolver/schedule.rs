//! When Seam is asked, and when it need not be asked again.

use std::time::Duration;

use jiff::SignedDuration;

/// As multiples of the first delay: with 10 s after 10 s, 1 min, 5 min, 15 min and 1 h.
const TIMES: [u32; 5] = [1, 6, 30, 90, 360];

/// So many times the first delay after the decision, what is not there does not come any more.
const FINAL: u32 = 30;

/// The times of the questions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    delay: Duration,
}

/// What follows a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one, so long after the outcome was taken in.
    After(Duration),
    /// None.
    GiveUp,
}

impl Schedule {
    pub(super) const fn new(delay: Duration) -> Self {
        Self { delay }
    }

    /// Until the first question.
    pub(super) const fn delay(self) -> Duration {
        self.delay
    }

    /// What follows when so many questions were asked.
    pub(super) fn next(self, asked: u32) -> Next {
        let times = usize::try_from(asked).ok().and_then(|asked| TIMES.get(asked));
        times.map_or(Next::GiveUp, |times| Next::After(self.delay.saturating_mul(*times)))
    }

    /// Whether an entrance that the person cannot open so long after the decision stays so: no
    /// request takes that long, and Seam has had its time.
    pub(super) fn is_final(self, age: SignedDuration) -> bool {
        let final_at = self.delay.saturating_mul(FINAL);
        SignedDuration::try_from(final_at).is_ok_and(|final_at| age >= final_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seam_is_asked_five_times_within_an_hour() {
        let schedule = Schedule::new(Duration::from_secs(10));
        let secs: Vec<u64> = (0..5)
            .map(|asked| match schedule.next(asked) {
                Next::After(wait) => wait.as_secs(),
                Next::GiveUp => 0,
            })
            .collect();
        assert_eq!(secs, [10, 60, 300, 900, 3600]);
        assert_eq!(schedule.next(5), Next::GiveUp);
        assert!(!schedule.is_final(SignedDuration::from_secs(299)));
        assert!(schedule.is_final(SignedDuration::from_secs(300)));
    }
}
