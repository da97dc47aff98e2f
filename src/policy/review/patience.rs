//! An end of the time that an answer may take, and of what it may have in it, where somebody waits for it.
//!
//! A review asks the engine at every instant at which a condition may change, for every pair of groups:
//! a policy of many conditions can keep it busy for minutes. The command line waits as long as it takes;
//! a server does not.

use std::cell::Cell;
use std::time::Instant;

/// Time ran out: what was found until then is not the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late;

thread_local! {
    static END: Cell<Option<Instant>> = const { Cell::new(None) };
    static WAS_LATE: Cell<bool> = const { Cell::new(false) };
    /// How many bytes may still be found.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Puts back what was so before, also behind a panic.
struct Before(Option<Instant>, bool, usize);

impl Drop for Before {
    fn drop(&mut self) {
        END.set(self.0);
        WAS_LATE.set(self.1);
        LEFT.set(self.2);
    }
}

/// Answers by `answer`, whose reviews on this thread give up at `end`, and where they find more than so
/// many bytes, about as JSON has them.
///
/// # Errors
/// [`Late`] where one of them gave up; its answer, which may be wrong, is thrown away.
pub fn until<T>(end: Instant, most: usize, answer: impl FnOnce() -> T) -> Result<T, Late> {
    let before = Before(END.replace(Some(end)), WAS_LATE.replace(false), LEFT.replace(most));
    let found = answer();
    let was_late = WAS_LATE.get();
    drop(before);
    if was_late { Err(Late) } else { Ok(found) }
}

/// Whether a review gives up: whatever it answers from now on is thrown away.
pub(super) fn is_over() -> bool {
    let Some(end) = END.get() else { return false };
    if !WAS_LATE.get() && Instant::now() >= end {
        WAS_LATE.set(true);
    }
    WAS_LATE.get()
}

/// So many more things were found, of about so many bytes each. Whether a review gives up.
pub(super) fn found(things: usize, bytes: usize) -> bool {
    if END.get().is_none() {
        return false;
    }
    match LEFT.get().checked_sub(things.saturating_mul(bytes)) {
        Some(left) => LEFT.set(left),
        None => WAS_LATE.set(true),
    }
    is_over()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_late_is_no_answer() {
        let now = Instant::now();
        assert!(!is_over());
        assert_eq!(until(now + Duration::from_secs(60), 10, is_over), Ok(false));
        assert_eq!(until(now, 10, is_over), Err(Late));
        assert!(!is_over(), "nobody waits any more");
        assert_eq!(until(now, 10, || 1), Ok(1), "nothing was given up");
    }

    #[test]
    fn who_finds_too_much_gives_up() {
        let end = Instant::now() + Duration::from_secs(60);
        assert_eq!(until(end, 10, || (found(2, 4), found(1, 2))), Ok((false, false)));
        assert_eq!(until(end, 10, || (found(2, 4), found(3, 1))), Err(Late));
        assert_eq!(until(end, 10, || found(usize::MAX, 2)), Err(Late));
        assert!(!found(usize::MAX, 2), "nobody counts any more");
    }

    #[test]
    fn one_within_another_changes_nothing_for_it() {
        let now = Instant::now();
        let inner = || (until(now, 10, is_over), is_over());
        assert_eq!(until(now + Duration::from_secs(60), 10, inner), Ok((Err(Late), false)));
        let broken = std::panic::catch_unwind(|| until(now, 10, || panic!("as if by a fault")));
        assert!(broken.is_err());
        assert!(!is_over());
    }
}
