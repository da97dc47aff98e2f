//! Small plots out of characters.

/// Columns of a line over time, at most.
const COLUMNS_MAX: usize = 48;

/// What plots are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Block elements (U+2580 to U+259F).
    Blocks,
    /// For terminals that do not take UTF-8.
    Ascii,
}

impl Ink {
    /// What the locale says that the terminal takes (POSIX, section 8.2).
    pub(super) fn of_locale() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        Self::of(&locale.unwrap_or_default())
    }

    fn of(locale: &str) -> Self {
        let locale = locale.to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") { Self::Blocks } else { Self::Ascii }
    }

    /// From nothing to all.
    fn levels(self) -> [char; 9] {
        match self {
            Self::Blocks => [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            Self::Ascii => [' ', '.', ':', '-', '=', '+', '*', '#', '@'],
        }
    }
}

/// A bar of `width` characters where `value` is `max`. What is not nothing is seen.
pub(super) fn bar(value: u64, max: u64, width: u64, ink: Ink) -> String {
    let eighths = share(value, max, width.saturating_mul(8));
    match ink {
        Ink::Ascii => "#".repeat(size(eighths.div_ceil(8))),
        Ink::Blocks => {
            let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
            let rest = rest.get(size(eighths % 8)).copied().unwrap_or_default();
            "█".repeat(size(eighths / 8)) + rest
        }
    }
}

/// One character for each value, or for a few in a row where there are many.
pub(super) fn line(values: &[u64], ink: Ink) -> String {
    let each = values.len().div_ceil(COLUMNS_MAX).max(1);
    let sums: Vec<u64> = values.chunks(each).map(|chunk| chunk.iter().sum()).collect();
    let max = sums.iter().copied().max().unwrap_or(0);
    let levels = ink.levels();
    let level = |sum: &u64| levels.get(size(share(*sum, max, 8))).copied().unwrap_or(' ');
    sums.iter().map(level).collect()
}

/// `value` of `max`, as a share of `whole`; more than 0 where `value` is.
fn share(value: u64, max: u64, whole: u64) -> u64 {
    if value == 0 || max == 0 {
        return 0;
    }
    let share = u128::from(value) * u128::from(whole) / u128::from(max);
    u64::try_from(share).unwrap_or(whole).clamp(1, whole.max(1))
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_fills_its_place_and_the_smallest_is_seen() {
        assert_eq!(bar(100, 100, 4, Ink::Blocks), "████");
        assert_eq!(bar(50, 100, 3, Ink::Blocks), "█▌");
        assert_eq!(bar(1, 1_000_000, 4, Ink::Blocks), "▏");
        assert_eq!(bar(0, 100, 4, Ink::Blocks), "");
        assert_eq!(bar(1, 100, 4, Ink::Ascii), "#");
        assert_eq!(bar(u64::MAX, u64::MAX, 2, Ink::Ascii), "##");
        assert_eq!(bar(1, 0, 2, Ink::Ascii), "");
        assert_eq!(line(&[0, 1, 4, 8], Ink::Blocks), " ▁▄█");
        assert_eq!(line(&[0, 1, 4, 8], Ink::Ascii), " .=@");
        assert_eq!(line(&[], Ink::Ascii), "");
        assert_eq!(line(&[1; 100], Ink::Blocks).chars().count(), 34);
    }

    #[test]
    fn the_locale_tells_what_a_terminal_takes() {
        for (locale, ink) in [
            ("en_GB.UTF-8", Ink::Blocks),
            ("C.utf8", Ink::Blocks),
            ("POSIX", Ink::Ascii),
            ("de_DE.ISO-8859-1", Ink::Ascii),
            ("", Ink::Ascii),
        ] {
            assert_eq!(Ink::of(locale), ink, "{locale}");
        }
    }
}
