//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Failures in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: from `first` doubled each time, up to `longest`. Of its
    /// last half a part is left to chance, so that gateways whose other side failed do not come
    /// back all at once.
    pub fn wait(&mut self, first: Duration, longest: Duration) -> Duration {
        self.wait_by(first, longest, chance())
    }

    fn wait_by(&mut self, first: Duration, longest: Duration, chance: f64) -> Duration {
        let longest = longest.min(first * 2_u32.saturating_pow(self.failures.min(16)));
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(0.5 + chance / 2.0)
    }

    /// It works again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    let filled = aws_lc_rs::rand::fill(&mut bytes);
    filled.map_or(0.5, |()| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_again() {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(3));
        let mut backoff = Backoff::default();
        let waits: Vec<u128> =
            (0..4).map(|_| backoff.wait_by(first, longest, 1.0).as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 3_000]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.wait_by(first, longest, 0.0).as_millis(), 1_500);
        backoff.reset();
        let wait = backoff.wait(first, longest);
        assert!((first / 2..=first).contains(&wait), "{wait:?}");
    }
}
