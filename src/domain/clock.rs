//! Wall-clock time as a value that can be passed in.
//!
//! Wall time decides expiry and stamps records. It never decides an order (the
//! audit log's sequence number does) nor a time-out (`std::time::Instant` does).

use jiff::Timestamp;

/// Where the time comes from; tests pass their own.
pub trait Clock: Send + Sync + 'static {
    /// The current wall-clock time.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// RFC 3339 in UTC with exactly six digits of a second, so that records line up.
#[must_use]
pub fn rfc3339_micros(time: Timestamp) -> String {
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_with_six_digits_whatever_their_fraction() {
        for (nanos, printed) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_500_000_000, "1970-01-01T00:00:01.500000Z"),
            (1_000_000_999, "1970-01-01T00:00:01.000000Z"),
        ] {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(rfc3339_micros(time), printed);
        }
    }
}
