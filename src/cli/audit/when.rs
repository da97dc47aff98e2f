//! Times as people type them: RFC 3339, a date, or how long ago.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::cli::duration::duration;
use crate::domain::rfc3339;

/// Reads a time. A date is its first moment in UTC; `2h` is two hours ago.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    time_at(text, Timestamp::now())
}

fn time_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(ago) = duration(text) {
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
            assert_eq!(time_at(text, now).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["", "h", "2", "2y", "-2h", "1.5h", "2026-11-23T09:00", "yesterday", "é"] {
            assert!(time_at(wrong, now).unwrap_err().contains("RFC 3339"), "{wrong}");
        }
        assert!(time_at("9999999999999s", now).unwrap_err().contains("longer ago"));
        assert!(time_at("99999999999999999999w", now).is_err());
    }
}
