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

/// Writes what [`rfc3339_micros`] returns.
pub fn write_rfc3339_micros(time: Timestamp, out: &mut Vec<u8>) {
    let micros = time.as_microsecond();
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    // Others have another form, and nanoseconds are cut towards zero.
    if !(1970..=9999).contains(&year) {
        return out.extend_from_slice(rfc3339_micros(time).as_bytes());
    }
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let fields = [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, second / 3600),
        (14..16, second / 60 % 60),
        (17..19, second % 60),
        (20..26, micros),
    ];
    for (place, mut number) in fields {
        for digit in text.get_mut(place).unwrap_or_default().iter_mut().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
    }
    out.extend_from_slice(&text);
}

/// Year, month and day of a day, counted from 1970-01-01 in the Gregorian calendar. Years are
/// taken to begin in March, so that the day of a leap year is the last of its year.
fn date_of(days: i64) -> (i64, i64, i64) {
    // Since 0000-03-01, in eras of 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = 400 * era + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Reads a date and time with offset as RFC 3339 (5.6) has it, and nothing else: no zone in
/// brackets that could contradict the offset, no offset of a day and more, no leap second.
///
/// # Errors
/// What is wrong, to follow the name of what was read.
pub fn rfc3339(text: &str) -> Result<Timestamp, &'static str> {
    let form = "must be a date and time with offset, such as `2027-02-01T00:00:00Z`";
    let none = "is not a time: there is no such date, hour or offset";
    let (time, rest) = text.split_at_checked(19).ok_or(form)?;
    let is_like = |text: &str, pattern: &str| {
        let same = |(c, p): (u8, u8)| if p == b'0' { c.is_ascii_digit() } else { c == p };
        text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(same)
    };
    let separated = ["0000-00-00T00:00:00", "0000-00-00 00:00:00"];
    let fraction = rest
        .strip_prefix('.')
        .map_or(0, |digits| digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()) + 1);
    let offset = rest.get(fraction..).unwrap_or_default();
    let is_offset = ["Z", "+00:00", "-00:00"].iter().any(|form| is_like(offset, form));
    if !separated.iter().any(|form| is_like(time, form)) || !is_offset || fraction == 1 {
        return Err(form);
    }
    let far = offset.get(1..).is_some_and(|hours| hours >= "24");
    if time.ends_with(":60") || far {
        return Err(none);
    }
    text.parse().map_err(|_| none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_that_exist_are_read() {
        for (text, read) in [
            ("2026-11-25T20:00:00+01:00", Some("2026-11-25T19:00:00Z")),
            ("2026-11-25 20:00:00.25Z", Some("2026-11-25T20:00:00.25Z")),
            ("2028-02-29T23:59:59-00:30", Some("2028-03-01T00:29:59Z")),
            ("2026-02-29T10:00:00Z", None),
            ("2026-11-31T10:00:00Z", None),
            ("2026-11-25T24:00:00Z", None),
            // Read by others as a second before, as a day and an hour, or half.
            ("2026-11-25T23:59:60Z", None),
            ("2026-11-25T10:00:00+25:00", None),
            ("2026-06-01T10:00:00+01:00[Europe/Berlin]", None),
            ("2026-11-25T10:00:00.Z", None),
            ("2026-11-25T10:00:00", None),
            ("2026-11-25T10Z", None),
            ("20261125T100000Z", None),
            ("2026-11-25", None),
            ("now", None),
            ("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", None),
        ] {
            let found = rfc3339(text).ok().map(|time| time.to_string());
            assert_eq!(found.as_deref(), read, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_time_is_written_as_it_is_printed(
            seconds in -377_705_023_201_i64..=253_402_207_200,
            nanos in 0..1_000_000_000_i32,
        ) {
            let time = Timestamp::new(seconds, nanos).unwrap();
            let mut written = Vec::new();
            write_rfc3339_micros(time, &mut written);
            assert_eq!(String::from_utf8(written).unwrap(), rfc3339_micros(time));
        }
    }

    #[test]
    fn every_day_until_2134_is_written_as_it_is_printed() {
        for day in 0..60_000_i64 {
            let time = Timestamp::from_second(day * 86_400 + day % 86_400).unwrap();
            let mut written = Vec::new();
            write_rfc3339_micros(time, &mut written);
            assert_eq!(String::from_utf8(written).unwrap(), rfc3339_micros(time));
        }
    }

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
