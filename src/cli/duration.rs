//! Lengths of time as people type them: a number and a unit.

use jiff::SignedDuration;

/// `90s`, `30m`, `2h`, `7d`, `2w`.
pub(super) fn duration(text: &str) -> Option<SignedDuration> {
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

/// The same as an argument, also `0`, and no longer than a year.
pub(super) fn argument(text: &str) -> Result<SignedDuration, String> {
    let found = if text == "0" { Some(SignedDuration::ZERO) } else { duration(text) };
    let found = found.filter(|found| *found <= SignedDuration::from_hours(366 * 24));
    found.ok_or_else(|| {
        "must be a number and `s`, `m`, `h`, `d` or `w` (`7d`), at most `366d`, or `0`".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_at_most_a_year() {
        for (text, seconds) in
            [("0", 0), ("0s", 0), ("90s", 90), ("7d", 604_800), ("366d", 31_622_400)]
        {
            assert_eq!(argument(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "7", "d", "-1d", "367d", "1y", "1.5h", "99999999999999999999w"] {
            assert!(argument(wrong).unwrap_err().contains("`366d`"), "{wrong}");
        }
    }
}
