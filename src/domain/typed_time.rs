//! Times and lengths of time as people type them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::rfc3339;

/// A length of time: `90s`, `30m`, `2h`, `7d`, `2w`.
fn length(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    if !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(SignedDuration::from_secs(number.parse::<i64>().ok()?.checked_mul(seconds)?))
}

/// The same, also `0`, and no longer than a year.
///
/// # Errors
/// What it must be.
pub fn parse_length(text: &str) -> Result<SignedDuration, String> {
    let found = if text == "0" { Some(SignedDuration::ZERO) } else { length(text) };
    let found = found.filter(|found| *found <= SignedDuration::from_hours(366 * 24));
    found.ok_or_else(|| {
        "must be a number and `s`, `m`, `h`, `d` or `w` (`7d`), at most `366d`, or `0`".to_owned()
    })
}

/// The same, and some time.
///
/// # Errors
/// What it must be.
pub fn parse_lasting(text: &str) -> Result<SignedDuration, String> {
    parse_length(text).ok().filter(SignedDuration::is_positive).ok_or_else(|| {
        "must be a number and `s`, `m`, `h`, `d` or `w` (`2h`), more than nothing and at most `366d`"
            .to_owned()
    })
}

/// A time. A date is its first moment in UTC; `2h` is two hours ago.
///
/// # Errors
/// What it must be.
pub fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(ago) = length(text) {
        return now.checked_sub(ago).map_err(|_| format!("`{text}` is longer ago than time goes"));
    }
    let date = if text.len() == 10 { text.parse::<Date>().ok() } else { None };
    let midnight = date.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    if let Some(midnight) = midnight {
        return Ok(midnight);
    }
    rfc3339(text).map_err(|_| {
        "must be RFC 3339 (`2026-11-23T09:00:00Z`), a date (`2026-11-23`), or how long ago: \
         a number and `s`, `m`, `h`, `d` or `w` (`2h`)"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_at_most_a_year() {
        for (text, seconds) in
            [("0", 0), ("0s", 0), ("90s", 90), ("7d", 604_800), ("366d", 31_622_400)]
        {
            assert_eq!(parse_length(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "7", "d", "-1d", "367d", "1y", "1.5h", "99999999999999999999w"] {
            assert!(parse_length(wrong).unwrap_err().contains("`366d`"), "{wrong}");
        }
    }

    #[test]
    fn what_lasts_is_longer_than_nothing() {
        assert_eq!(parse_lasting("2h"), Ok(SignedDuration::from_hours(2)));
        for wrong in ["0", "0s", "", "367d", "forever"] {
            let said = parse_lasting(wrong).unwrap_err();
            assert!(said.contains("`366d`") && !said.contains("`0`"), "{wrong}: {said}");
        }
    }

    #[test]
    fn a_time_is_a_moment_a_date_or_how_long_ago() {
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-23T09:00:00+01:00", "2026-11-23T08:00:00Z"),
            ("2026-11-23", "2026-11-23T00:00:00Z"),
            ("90s", "2026-11-25T11:58:30Z"),
            ("2h", "2026-11-25T10:00:00Z"),
            ("7d", "2026-11-18T12:00:00Z"),
            ("2w", "2026-11-11T12:00:00Z"),
        ] {
            assert_eq!(parse_time(text, now).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["", "h", "2", "2y", "-2h", "1.5h", "2026-11-23T09:00", "yesterday", "é"] {
            assert!(parse_time(wrong, now).unwrap_err().contains("RFC 3339"), "{wrong}");
        }
        assert!(parse_time("9999999999999s", now).unwrap_err().contains("longer ago"));
        assert!(parse_time("99999999999999999999w", now).is_err());
    }
}
